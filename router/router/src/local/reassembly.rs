//! Reassembly of packets for the router (RFC 791 3.2, RFC 8200 4.5), within bounds: incomplete,
//! overlapping and tiny fragments must not affect others (RFC 8900 3).

use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;

use crate::DropReason;
use crate::frame::InterfaceId;
use crate::slow::headroom;
use crate::time::Instant;
use wire::ipv4::{Ipv4, MF, OFFSET};
use wire::ipv6::{self, Ipv6};
use wire::ipv6_extension::Fragment;
use wire::{be16, checksum, put};

/// The maximum number of incomplete packets.
const PACKETS: usize = 16;
/// An interface may have this limit divided by this, so that a flood on one leaves room for the
/// others.
const SHARE: usize = 2;
/// The maximum number of bytes in all incomplete packets together.
const BYTES: usize = 96 * 1024;
/// The maximum number of fragments of a packet: as many as the largest packet has with IPv6's
/// minimum MTU.
const PIECES: usize = 56;
/// The reassembly timeout. Few packets can be incomplete at once, so this is shorter than the
/// minute of RFC 8200 4.5 and RFC 1122 3.3.2.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Identifies the packet that a fragment belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Key {
    /// The routing table of the addresses.
    vrf: u8,
    source: IpAddr,
    destination: IpAddr,
    /// The protocol, for IPv4; in IPv6 only the first fragment has it.
    protocol: u8,
    ident: u32,
}

/// The headers before the payload of a fragment.
#[derive(Clone, Copy, Debug)]
enum Head {
    /// A header of this many bytes.
    V4(usize),
    V6(Fragment),
}

/// A fragment.
#[derive(Clone, Debug)]
pub(crate) struct Piece<'a> {
    key: Key,
    head: Head,
    packet: &'a [u8],
    payload: Range<usize>,
    /// The fragment offset, in bytes.
    offset: usize,
    more: bool,
}

impl<'a> Piece<'a> {
    /// Creates a fragment whose addresses are in table `vrf`.
    pub(crate) fn v4(vrf: u8, packet: &'a [u8], ip: &Ipv4) -> Self {
        Self {
            key: Key {
                vrf,
                source: ip.source.into(),
                destination: ip.destination.into(),
                protocol: ip.protocol,
                ident: be16(packet, 4).into(),
            },
            head: Head::V4(ip.header_len),
            packet,
            payload: ip.header_len..ip.total_len,
            offset: usize::from(ip.fragment & OFFSET) * 8,
            more: ip.fragment & MF != 0,
        }
    }

    /// Creates a fragment whose addresses are in table `vrf`.
    pub(crate) fn v6(vrf: u8, packet: &'a [u8], ip: &Ipv6, fragment: Fragment) -> Self {
        Self {
            key: Key {
                vrf,
                source: ip.source.into(),
                destination: ip.destination.into(),
                protocol: 0,
                ident: fragment.ident,
            },
            head: Head::V6(fragment),
            packet,
            payload: fragment.at + 8..ip.total_len,
            offset: fragment.offset,
            more: fragment.more,
        }
    }
}

impl Head {
    /// Returns the length of what comes before the payload and counts towards the length of the
    /// whole packet, in bytes.
    fn counted(self) -> usize {
        match self {
            Self::V4(len) => len,
            Self::V6(fragment) => fragment.at.saturating_sub(ipv6::HEADER_LEN),
        }
    }

    /// Returns the whole packet, with the headers of its first fragment.
    fn join(self, first: &[u8], payload: &[u8]) -> Vec<u8> {
        let len = self.counted() + payload.len();
        let len = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        let mut whole;
        match self {
            Self::V4(head) => {
                whole = first.get(..head).unwrap_or(&[]).to_vec();
                put(&mut whole, 2, &len);
                put(&mut whole, 6, &[0, 0]);
                checksum::fill(&mut whole, 10);
            }
            Self::V6(fragment) => {
                whole = first.get(..fragment.at).unwrap_or(&[]).to_vec();
                put(&mut whole, fragment.link, &[fragment.next_header]);
                put(&mut whole, 4, &len);
            }
        }
        whole.extend_from_slice(payload);
        whole
    }
}

/// An incomplete packet.
#[derive(Debug)]
struct Partial {
    key: Key,
    input: InterfaceId,
    deadline: Instant,
    /// The first fragment as received: its headers, and what an error would quote.
    first: Option<(Head, Vec<u8>)>,
    /// Offsets and payloads in order, including the first fragment's.
    pieces: Vec<(usize, Vec<u8>)>,
    /// The length of the whole payload in bytes, once the last fragment has arrived.
    len: Option<usize>,
}

/// A packet whose reassembly timed out.
#[derive(Debug)]
pub(crate) struct Expired {
    pub(crate) input: InterfaceId,
    /// The first fragment from its IP header on, if it arrived.
    pub(crate) first: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    partial: Vec<Partial>,
    bytes: usize,
}

impl Reassembly {
    /// Adds a fragment and returns the whole packet if it is now complete.
    ///
    /// # Errors
    ///
    /// The reason why the fragment is dropped. One that overlaps others discards the whole packet
    /// (RFC 5722), unless it is an exact duplicate.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        input: InterfaceId,
        fragment: &Piece<'_>,
    ) -> Result<Option<Vec<u8>>, DropReason> {
        let Piece {
            key,
            head,
            packet,
            offset,
            more,
            ..
        } = *fragment;
        let piece = packet.get(fragment.payload.clone());
        let piece = piece.ok_or(DropReason::BadFragment)?;
        let end = offset + piece.len();
        // The next fragment must begin at a multiple of 8, and the length must fit 16 bits.
        let odd = more && piece.len() % 8 != 0;
        if odd || piece.is_empty() || head.counted() + end > usize::from(u16::MAX) {
            return Err(DropReason::BadFragment);
        }
        if offset == 0 && !more {
            // An atomic fragment (RFC 6946).
            return Ok(Some(head.join(packet, piece)));
        }
        let cost = piece.len() + if offset == 0 { packet.len() } else { 0 };
        if self.bytes + cost > BYTES {
            return Err(DropReason::ReassemblyFull);
        }
        let at = match self.partial.iter().position(|p| p.key == key) {
            Some(at) => at,
            None if self.has_room(input) => {
                self.partial.push(Partial {
                    key,
                    input,
                    deadline: now.saturating_add(TIMEOUT),
                    first: None,
                    pieces: Vec::new(),
                    len: None,
                });
                self.partial.len() - 1
            }
            None => return Err(DropReason::ReassemblyFull),
        };
        let Some(partial) = self.partial.get_mut(at) else {
            return Err(DropReason::ReassemblyFull);
        };
        let place = partial.pieces.partition_point(|p| p.0 < offset);
        let after = partial.pieces.get(place);
        if after.is_some_and(|(o, p)| *o == offset && p == piece) {
            // The network may duplicate packets.
            return Err(DropReason::BadFragment);
        }
        let before = place.checked_sub(1).and_then(|i| partial.pieces.get(i));
        let overlaps = before.is_some_and(|(o, p)| o + p.len() > offset)
            || after.is_some_and(|&(o, _)| o < end);
        let beyond = match partial.len {
            Some(len) => !more || end > len,
            None => {
                !more
                    && partial
                        .pieces
                        .last()
                        .is_some_and(|(o, p)| o + p.len() > end)
            }
        };
        if overlaps || beyond || partial.pieces.len() >= PIECES {
            self.remove(at);
            return Err(DropReason::BadFragment);
        }
        self.bytes += cost;
        partial.pieces.insert(place, (offset, piece.to_vec()));
        if offset == 0 {
            partial.first = Some((head, packet.to_vec()));
        }
        if !more {
            partial.len = Some(end);
        }
        // Without overlaps the lengths add up only if nothing is missing.
        let have: usize = partial.pieces.iter().map(|(_, p)| p.len()).sum();
        if partial.len != Some(have) {
            return Ok(None);
        }
        if !headroom::for_packet(have) {
            self.remove(at);
            return Err(DropReason::ReassemblyFull);
        }
        let whole = self.remove(at).and_then(|partial| {
            let payload: Vec<u8> = partial.pieces.into_iter().flat_map(|(_, p)| p).collect();
            let (head, packet) = partial.first?;
            // The first fragment may have more before its payload than others.
            let fits = head.counted() + payload.len() <= usize::from(u16::MAX);
            fits.then(|| head.join(&packet, &payload))
        });
        whole.map(Some).ok_or(DropReason::BadFragment)
    }

    /// Returns `true` if an interface may have another incomplete packet.
    fn has_room(&self, input: InterfaceId) -> bool {
        let here = self.partial.iter().filter(|p| p.input == input).count();
        self.partial.len() < PACKETS && here < PACKETS / SHARE
    }

    fn remove(&mut self, at: usize) -> Option<Partial> {
        if at >= self.partial.len() {
            return None;
        }
        let partial = self.partial.swap_remove(at);
        let first = partial.first.as_ref().map_or(0, |(_, p)| p.len());
        let pieces: usize = partial.pieces.iter().map(|(_, p)| p.len()).sum();
        self.bytes = self.bytes.saturating_sub(first + pieces);
        Some(partial)
    }

    /// Removes a packet whose reassembly has timed out.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Expired> {
        let at = self.partial.iter().position(|p| p.deadline <= now)?;
        let partial = self.remove(at)?;
        Some(Expired {
            input: partial.input,
            first: partial.first.map(|(_, packet)| packet),
        })
    }

    /// Forgets all incomplete packets.
    pub(crate) fn clear(&mut self) {
        self.partial = Vec::new();
        self.bytes = 0;
    }

    /// Returns the number of bytes in incomplete packets and its limit.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.bytes, BYTES)
    }

    /// Returns when the next packet times out.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.partial.iter().map(|p| p.deadline).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::fixtures::ipv4_packet as packet4;
    use wire::fixtures::ipv6_packet as packet;
    use wire::ipv6_extension::{Content, walk};
    use wire::{ipv4, ipv4_fragment, ipv6_fragment};

    type Added = Result<Option<Vec<u8>>, DropReason>;

    fn add(r: &mut Reassembly, piece: &[u8]) -> Added {
        add_from(r, 0, piece)
    }

    fn add_from(r: &mut Reassembly, input: u8, piece: &[u8]) -> Added {
        let input = InterfaceId(input);
        if let Ok(ip) = Ipv4::parse(piece, piece.len()) {
            return r.add(Instant(0), input, &Piece::v4(0, piece, &ip));
        }
        let ip = Ipv6::parse(piece, piece.len()).unwrap();
        let Ok(Content::Fragment(f)) = walk(piece, &ip) else {
            panic!("a fragment")
        };
        r.add(Instant(0), input, &Piece::v6(0, piece, &ip, f))
    }

    fn cut4(whole: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let ip = Ipv4::parse(whole, whole.len()).unwrap();
        ipv4_fragment::fragment(whole, &ip, mtu, 0, |p| pieces.push(p.clone()));
        pieces
    }

    fn cut(whole: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let ip = Ipv6::parse(whole, whole.len()).unwrap();
        ipv6_fragment::fragment(whole, &ip, mtu, 7, 0, |p| pieces.push(p));
        pieces
    }

    proptest! {
        #[test]
        fn fragments_in_any_order_make_the_packet_again(
            payload in prop::collection::vec(any::<u8>(), 1..6000),
            mtu in 200usize..1600,
            order: u64,
            ipv6: bool,
        ) {
            let (whole, mut pieces) = if ipv6 {
                let whole = packet(ipv6::UDP, 64, &payload);
                let pieces = cut(&whole, mtu);
                (whole, pieces)
            } else {
                let whole = packet4(ipv4::UDP, 64, &payload);
                let pieces = cut4(&whole, mtu);
                (whole, pieces)
            };
            prop_assert!(pieces.iter().all(|p| p.len() <= mtu));
            let mut state = order;
            for i in (1..pieces.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                pieces.swap(i, (state >> 33) as usize % (i + 1));
            }
            let mut r = Reassembly::default();
            let last = pieces.pop().unwrap();
            for piece in &pieces {
                prop_assert_eq!(add(&mut r, piece), Ok(None));
            }
            prop_assert_eq!(add(&mut r, &last), Ok(Some(whole)));
            prop_assert_eq!((r.bytes, r.partial.len()), (0, 0));
        }
    }

    #[test]
    fn overlaps_spoil_the_packet() {
        let pieces = cut(&packet(ipv6::UDP, 64, &[1; 3000]), 1280);
        let mut r = Reassembly::default();
        assert_eq!(add(&mut r, &pieces[1]), Ok(None));
        // The same once more does no harm, others in its place do.
        assert_eq!(add(&mut r, &pieces[1]), Err(DropReason::BadFragment));
        assert_eq!(r.partial.len(), 1);
        let mut other = pieces[1].clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(add(&mut r, &other), Err(DropReason::BadFragment));
        assert_eq!((r.bytes, r.partial.len()), (0, 0));
        // One that ends beyond the last one.
        assert_eq!(add(&mut r, &pieces[2]), Ok(None));
        let mut late = pieces[1].clone();
        late[42..44].copy_from_slice(&4001u16.to_be_bytes());
        assert_eq!(add(&mut r, &late), Err(DropReason::BadFragment));
        assert!(r.partial.is_empty());
    }

    #[test]
    fn what_is_never_complete_is_bounded_and_expires() {
        let mut r = Reassembly::default();
        let mut taken = [0; 3];
        for ident in 0..300u32 {
            let mut piece = cut(&packet(ipv6::UDP, 64, &[1; 3000]), 1280).remove(0);
            piece[44..48].copy_from_slice(&ident.to_be_bytes());
            let input = ident / 100;
            let added = add_from(&mut r, input as u8, &piece);
            taken[input as usize] += usize::from(added == Ok(None));
        }
        // One interface leaves half of the room to others.
        assert_eq!(taken, [8, 8, 0]);
        assert!(r.bytes <= BYTES);
        assert_eq!(r.next(), Some(Instant::from_secs(15)));
        assert!(r.expire(Instant::from_secs(14)).is_none());
        let mut gone = 0;
        while let Some(expired) = r.expire(Instant::from_secs(15)) {
            assert!(expired.first.is_some());
            gone += 1;
        }
        assert_eq!((gone, r.bytes, r.next()), (16, 0, None));
    }

    /// A fragment of IPv4 with this payload at this offset in bytes.
    fn piece4(offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
        let mut piece = packet4(ipv4::UDP, 64, payload);
        let field = u16::try_from(offset / 8).unwrap() | if more { MF } else { 0 };
        put(&mut piece, 6, &field.to_be_bytes());
        checksum::fill(&mut piece[..20], 10);
        piece
    }

    #[test]
    fn tiny_fragments_are_given_up() {
        let mut r = Reassembly::default();
        for i in 0..PIECES {
            // Every other one, so that it is never complete.
            assert_eq!(add(&mut r, &piece4(i * 16, true, &[7; 8])), Ok(None));
        }
        let last = piece4(PIECES * 16, true, &[7; 8]);
        assert_eq!(add(&mut r, &last), Err(DropReason::BadFragment));
        assert_eq!((r.bytes, r.partial.len()), (0, 0));
    }

    #[test]
    fn no_packet_is_longer_than_its_length_can_say() {
        let mut r = Reassembly::default();
        // With its header, 65536 bytes.
        let long = piece4(65_512, false, &[7; 4]);
        assert_eq!(add(&mut r, &long), Err(DropReason::BadFragment));
        assert_eq!(add(&mut r, &piece4(65_512, false, &[7; 3])), Ok(None));
        assert_eq!(r.partial.len(), 1);
    }

    #[test]
    fn bytes_are_bounded() {
        let mut r = Reassembly::default();
        let mut full = 0;
        for ident in 0..8u16 {
            for i in 0..20 {
                let mut piece = piece4(i * 1480 + 1480, true, &[7; 1480]);
                put(&mut piece, 4, &ident.to_be_bytes());
                checksum::fill(&mut piece[..20], 10);
                full += usize::from(add(&mut r, &piece) == Err(DropReason::ReassemblyFull));
            }
        }
        assert!(r.bytes <= BYTES && r.bytes + 1480 > BYTES);
        assert_eq!(full, 8 * 20 - BYTES / 1480);
    }

    #[test]
    fn odd_lengths_and_atomic_fragments() {
        let mut r = Reassembly::default();
        let mut piece = cut(&packet(ipv6::UDP, 64, &[1; 3000]), 1280).remove(0);
        piece.truncate(100);
        piece[4..6].copy_from_slice(&60u16.to_be_bytes());
        assert_eq!(add(&mut r, &piece), Err(DropReason::BadFragment));
        let whole = packet(ipv6::UDP, 64, &[1; 50]);
        let atomic = cut(&whole, 1280).remove(0);
        assert_eq!(add(&mut r, &atomic), Ok(Some(whole)));
    }
}
