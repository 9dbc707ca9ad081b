//! Source routes in IPv4 headers (RFC 791 3.1, RFC 1122 3.2.1.8): the routers that a packet has to
//! pass, and those that it has passed.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::{LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE, options, record};
use crate::ipv4::{DESTINATION, HEADER_LEN, SOURCE};
use crate::{be32, checksum, icmpv4, put};

/// The smallest valid pointer; pointers count from 1.
const FIRST: u8 = 4;

/// The source route in a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceRoute<'a> {
    at: usize,
    kind: u8,
    bytes: &'a [u8],
}

/// A hop of a source route: where the packet goes next, and the place in the option for the address
/// of the router that forwards it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// Where the packet goes next.
    pub destination: Ipv4Addr,
    pointer: u8,
    /// `true` for a strict source route: there must be no other router in between.
    pub strict: bool,
}

impl<'a> SourceRoute<'a> {
    /// Returns the source route of a header with valid options; `None` if it has none.
    pub fn of(header: &'a [u8]) -> Option<Self> {
        let option = options(header.get(HEADER_LEN..)?)
            .filter_map(Result::ok)
            .find(|o| matches!(o.kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE))?;
        Some(Self {
            at: HEADER_LEN + option.at,
            kind: option.kind,
            bytes: option.bytes,
        })
    }

    /// Returns `true` if it is a strict source route.
    pub fn is_strict(&self) -> bool {
        self.kind == STRICT_SOURCE_ROUTE
    }

    fn pointer(&self) -> u8 {
        self.bytes.get(2).map_or(FIRST, |&p| p.max(FIRST))
    }

    /// Returns the remaining hops.
    pub fn steps(self) -> impl Iterator<Item = Hop> {
        let left = self.bytes.get(usize::from(self.pointer()) - 1..);
        let (addresses, _) = left.unwrap_or(&[]).as_chunks();
        let pointers = (self.pointer()..).step_by(4);
        addresses
            .iter()
            .zip(pointers)
            .map(move |(&to, pointer)| Hop {
                destination: Ipv4Addr::from_octets(to),
                pointer,
                strict: self.is_strict(),
            })
    }

    /// Returns the recorded addresses of the routers that the packet has passed.
    fn recorded(&self) -> &'a [[u8; 4]] {
        let end = usize::from(self.pointer()) - 1;
        let all = self.bytes.get(..end).unwrap_or(self.bytes);
        let recorded = all.get(usize::from(FIRST) - 1..).unwrap_or(&[]);
        recorded.as_chunks().0
    }
}

/// Updates a header for the next hop of its source route, and records `here` as the address of this
/// router.
pub fn step(header: &mut [u8], hop: Hop, here: Ipv4Addr) {
    if let Some(at) = SourceRoute::of(header).map(|route| route.at) {
        put(header, at + usize::from(hop.pointer) - 1, &here.octets());
        put(header, at + 2, &[hop.pointer.saturating_add(4)]);
    }
    readdress(header, hop.destination);
}

/// Replaces the destination of a header and updates the checksum.
pub fn readdress(header: &mut [u8], destination: Ipv4Addr) {
    put(header, DESTINATION, &destination.octets());
    checksum::fill(header, 10);
}

/// The reversed source route of a packet, for replies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReversedRoute {
    /// The last router that the packet passed, to which the reply is sent.
    pub first: Ipv4Addr,
    /// A source route through the other routers to the sender.
    option: Vec<u8>,
}

impl ReversedRoute {
    /// Returns the reversed source route for replies to a packet with this header; `None` if it
    /// didn't pass other routers by a source route.
    pub fn of(header: &[u8]) -> Option<Self> {
        let route = SourceRoute::of(header)?;
        let source = be32(header, SOURCE).to_be_bytes();
        // Some senders begin with their own address, which must not be part of the route (RFC 1122
        // 3.2.1.8).
        let recorded = route.recorded();
        let recorded = recorded.strip_prefix(&[source]).unwrap_or(recorded);
        let (&first, others) = recorded.split_last()?;
        let mut addresses = others.to_vec();
        addresses.reverse();
        addresses.push(source);
        let addresses = addresses.concat();
        let len = u8::try_from(3 + addresses.len()).ok()?;
        Some(Self {
            first: Ipv4Addr::from_octets(first),
            option: [&[route.kind, len, FIRST][..], &addresses].concat(),
        })
    }
}

/// Adds the recorded options and the reversed source route, if any, to a reply that begins
/// `headroom` bytes into its frame and has no options yet.
pub fn answer(frame: &mut Vec<u8>, headroom: usize, records: &[u8], back: Option<&ReversedRoute>) {
    let mut options = records.to_vec();
    if let Some(back) = back {
        put(frame, headroom + DESTINATION, &back.first.octets());
        options.extend_from_slice(&back.option);
    }
    if !options.is_empty() {
        options.resize(options.len().next_multiple_of(4), 0);
        icmpv4::make_room(frame, headroom, options.len());
        record::insert(frame, headroom, &options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::ipv4_packet as packet;
    use crate::ipv4::{Ipv4, UDP};

    const HERE: Ipv4Addr = Ipv4Addr::new(7, 7, 7, 7);
    /// The source of packets in these tests.
    const SENDER: [u8; 4] = [10, 0, 0, 9];

    fn header(options: &[u8]) -> Vec<u8> {
        let mut whole = packet(UDP, 64, &[]);
        record::insert(&mut whole, 0, options);
        whole
    }

    #[test]
    fn a_step_records_where_the_packet_was() {
        let mut whole = header(&[1, 131, 11, 4, 1, 1, 1, 1, 2, 2, 2, 2]);
        for (at, next) in [[1; 4], [2; 4]].into_iter().enumerate() {
            let route = SourceRoute::of(&whole).unwrap();
            assert_eq!(route.steps().count(), 2 - at);
            let hop = route.steps().next().unwrap();
            assert_eq!((hop.destination.octets(), hop.strict), (next, false));
            step(&mut whole, hop, HERE);
            let ip = Ipv4::parse(&whole, whole.len()).unwrap();
            assert_eq!(ip.destination.octets(), next);
        }
        assert_eq!(whole[21..], [131, 11, 12, 7, 7, 7, 7, 7, 7, 7, 7]);
        assert_eq!(SourceRoute::of(&whole).unwrap().steps().count(), 0);
    }

    #[test]
    fn the_way_back_is_what_was_recorded_in_reverse() {
        let [a, b, c, d] = SENDER;
        for (option, first, back) in [
            (
                &[131, 11, 12, 1, 1, 1, 1, 2, 2, 2, 2, 0][..],
                [2; 4],
                &[131, 11, 4, 1, 1, 1, 1, a, b, c, d][..],
            ),
            (
                &[137, 11, 8, 1, 1, 1, 1, 2, 2, 2, 2, 0],
                [1; 4],
                &[137, 7, 4, a, b, c, d],
            ),
            (
                &[131, 11, 12, a, b, c, d, 2, 2, 2, 2, 0],
                [2; 4],
                &[131, 7, 4, a, b, c, d],
            ),
        ] {
            let found = ReversedRoute::of(&header(option)).unwrap();
            assert_eq!(found.first.octets(), first);
            assert_eq!(found.option, back);
        }
        for none in [
            &[131, 7, 4, 1, 1, 1, 1, 0][..],
            &[131, 7, 8, a, b, c, d, 0],
            &[131, 3, 4, 0],
            &[7, 7, 8, 1, 1, 1, 1, 0],
        ] {
            assert_eq!(ReversedRoute::of(&header(none)), None);
        }
    }

    #[test]
    fn an_error_with_the_way_back_is_no_longer_than_others() {
        let sender = Ipv4Addr::from_octets(SENDER);
        let original = packet(UDP, 1, &[5; 1000]);
        let error = crate::icmp_error::IcmpError::TimeExceeded;
        let mut frame = icmpv4::error_frame(error, HERE, sender, &original);
        let back = ReversedRoute::of(&header(&[131, 7, 8, 1, 1, 1, 1, 0]));
        answer(&mut frame, 14, &[], back.as_ref());
        let ip = Ipv4::parse(&frame[14..], frame.len() - 14).unwrap();
        assert_eq!((ip.header_len, ip.total_len), (28, 576));
        assert_eq!(ip.destination.octets(), [1; 4]);
        assert_eq!(checksum::sum(&frame[42..]), 0xffff);
    }
}
