//! ICMP messages for IPv4 (RFC 792): errors and redirects.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::ipv4::{self, AUTHENTICATION, HEADER_LEN, Ipv4};
use super::ipv6_extension::authentication_len;
use super::{checksum, put};
use crate::ethernet::ETHERNET_LEN;
use crate::icmp_error::IcmpError;

/// The type of an echo request.
pub const ECHO_REQUEST: u8 = 8;

/// The largest error message, IP header included (RFC 1812 4.3.2.3).
const MESSAGE_MAX: usize = 576;

/// Returns `true` if the packet itself permits an ICMP error about it (RFC 1122 3.2.2): it is not a
/// fragment other than the first, and not an ICMP message other than a query, even behind an
/// authentication header.
pub fn may_answer(ip: &Ipv4, payload: &[u8]) -> bool {
    if ip.is_later_fragment() {
        return false;
    }
    let (mut protocol, mut rest) = (ip.protocol, payload);
    if protocol == AUTHENTICATION {
        let behind = authentication_len(rest).and_then(|len| rest.get(len..));
        let (Some(&next), Some(behind)) = (rest.first(), behind) else {
            return false;
        };
        (protocol, rest) = (next, behind);
    }
    // The last two are from RFC 8335.
    let query = matches!(rest.first(), Some(0 | 8 | 9 | 10 | 13..=18 | 42 | 43));
    protocol != ipv4::ICMP || query
}

/// Returns a frame with an ICMP error about `original`. The caller fills in the Ethernet header.
pub fn error_frame(
    error: IcmpError,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    original: &[u8],
) -> Vec<u8> {
    let (kind, code) = error.v4();
    let rest = match error {
        IcmpError::FragmentationNeeded(mtu) => u32::from(mtu),
        IcmpError::Parameter(_, at) => at << 24,
        _ => 0,
    };
    frame([kind, code], rest, source, destination, original)
}

/// Returns such a frame with a redirect for one host (never for a network, RFC 1812 5.2.7.2).
pub fn redirect_frame(
    next_hop: Ipv4Addr,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    original: &[u8],
) -> Vec<u8> {
    frame([5, 1], next_hop.to_bits(), source, destination, original)
}

/// Returns a frame with a message of this type and code; `rest` follows the checksum.
fn frame(
    kind: [u8; 2],
    rest: u32,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    original: &[u8],
) -> Vec<u8> {
    let quote_max = MESSAGE_MAX - HEADER_LEN - 8;
    let quote = original.get(..quote_max).unwrap_or(original);
    let total = HEADER_LEN + 8 + quote.len();
    let mut frame = Vec::with_capacity(ETHERNET_LEN + total);
    frame.resize(ETHERNET_LEN, 0);
    let header = header(ipv4::ICMP, source, destination, total);
    frame.extend_from_slice(&header);
    frame.extend_from_slice(&kind);
    frame.extend_from_slice(&[0; 2]);
    frame.extend_from_slice(&rest.to_be_bytes());
    frame.extend_from_slice(quote);
    if let Some(message) = frame.get_mut(ETHERNET_LEN + HEADER_LEN..) {
        checksum::fill(message, 2);
    }
    frame
}

/// Truncates the quoted packet of an error so that this many bytes of IP options fit into the
/// message, which begins `headroom` bytes into a frame and has no options yet.
pub fn make_room(frame: &mut Vec<u8>, headroom: usize, options: usize) {
    let byte = |at: usize| frame.get(headroom + at).copied();
    let error = byte(9) == Some(ipv4::ICMP) && matches!(byte(HEADER_LEN), Some(3 | 11 | 12));
    let most = headroom + MESSAGE_MAX - options;
    if error && frame.len() > most {
        frame.truncate(most);
        if let Some(message) = frame.get_mut(headroom + HEADER_LEN..) {
            checksum::fill(message, 2);
        }
    }
}

/// Returns the header of a packet sent by the router: precedence 6 (RFC 1812 4.3.2.5), TTL 64.
fn header(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, total: usize) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    put(&mut header, 0, &[0x45, 0xc0]);
    put(
        &mut header,
        2,
        &u16::try_from(total).unwrap_or(u16::MAX).to_be_bytes(),
    );
    put(&mut header, 8, &[64, protocol]);
    put(&mut header, 12, &source.octets());
    put(&mut header, 16, &destination.octets());
    checksum::fill(&mut header, 10);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::ipv4_packet as packet;

    #[test]
    fn messages_are_well_formed_and_bounded() {
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9));
        for (len, total) in [(8, 56), (1000, 576)] {
            let original = packet(ipv4::UDP, 1, &alloc::vec![0; len]);
            let frame = error_frame(IcmpError::FragmentationNeeded(1400), a, b, &original);
            let ip = Ipv4::parse(&frame[14..], frame.len() - 14).unwrap();
            assert_eq!((ip.total_len, ip.protocol), (total, ipv4::ICMP));
            assert_eq!((ip.source, ip.destination), (a, b));
            assert_eq!(checksum::sum(&frame[34..]), 0xffff);
            assert_eq!(frame[34..36], [3, 4]);
            assert_eq!(frame[40..42], 1400u16.to_be_bytes());
            assert_eq!(frame[42..], original[..total - 28]);
        }
    }

    #[test]
    fn what_gets_no_answer() {
        let parse = |p: &[u8]| Ipv4::parse(p, p.len()).unwrap();
        for (kind, answered) in [
            (0, true),
            (3, false),
            (5, false),
            (8, true),
            (11, false),
            (12, false),
            (255, false),
        ] {
            let packet = packet(ipv4::ICMP, 1, &[kind, 0, 0, 0]);
            assert_eq!(
                may_answer(&parse(&packet), &packet[20..]),
                answered,
                "type {kind}"
            );
        }
        assert!(!may_answer(&parse(&packet(ipv4::ICMP, 1, &[])), &[]));
        let mut later = packet(ipv4::UDP, 1, &[0; 8]);
        later[7] = 1;
        checksum::fill(&mut later[..20], 10);
        assert!(!may_answer(&parse(&later), &[]));
    }
}
