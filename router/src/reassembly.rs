//! Putting fragments of IPv6 packets for the router together (RFC 8200 4.5), within bounds.
//! smoltcp does so for IPv4 only.

use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use crate::DropReason;
use crate::frame::InterfaceId;
use crate::time::Instant;
use crate::wire::extension::Fragment;
use crate::wire::ipv6::{HEADER_LEN, Ipv6};
use crate::wire::put;

/// Packets that may be incomplete at a time.
const PACKETS: usize = 16;
/// Bytes that may wait in all of them together.
const BYTES: usize = 96 * 1024;
/// Fragments of a packet: those of the largest one on the smallest link.
const PIECES: usize = 56;
/// How long the fragments of a packet are waited for, as for IPv4: few packets can be waited
/// for at once, so this is shorter than the minute of RFC 8200 4.5.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A packet of which some fragments are here.
#[derive(Debug)]
struct Partial {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    ident: u32,
    input: InterfaceId,
    /// The routing table of the addresses.
    vrf: u8,
    deadline: Instant,
    /// The first fragment as it came: its headers, and what an error would quote.
    first: Option<(Fragment, Vec<u8>)>,
    /// Offsets and payloads in order, the first one's too.
    pieces: Vec<(usize, Vec<u8>)>,
    /// Bytes in the whole payload, once the last fragment is here.
    len: Option<usize>,
}

/// What fragments waited in vain for.
#[derive(Debug)]
pub(crate) struct Expired {
    pub(crate) input: InterfaceId,
    /// The first fragment, from its IPv6 header on, if it came.
    pub(crate) first: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    partial: Vec<Partial>,
    bytes: usize,
}

impl Reassembly {
    /// Takes in a fragment and returns the whole packet if it was the last one missing.
    ///
    /// # Errors
    ///
    /// Why the fragment is dropped. One that overlaps others spoils the whole packet (RFC
    /// 5722).
    pub(crate) fn add(
        &mut self,
        now: Instant,
        input: InterfaceId,
        vrf: u8,
        packet: &[u8],
        ip: &Ipv6,
        fragment: Fragment,
    ) -> Result<Option<Vec<u8>>, DropReason> {
        let start = fragment.at + 8;
        let piece = packet
            .get(start..ip.total_len)
            .ok_or(DropReason::BadFragment)?;
        let end = fragment.offset + piece.len();
        // What follows must begin at a multiple of 8, and a payload has at most 65535 bytes.
        let odd = fragment.more && piece.len() % 8 != 0;
        if odd || piece.is_empty() || start - 8 - HEADER_LEN + end > usize::from(u16::MAX) {
            return Err(DropReason::BadFragment);
        }
        if fragment.offset == 0 && !fragment.more {
            // Whole by itself (RFC 6946).
            return Ok(Some(join(packet, fragment, piece)));
        }
        let same = |p: &Partial| {
            (p.source, p.destination, p.ident) == (ip.source, ip.destination, fragment.ident)
                && p.vrf == vrf
        };
        let at = match self.partial.iter().position(same) {
            Some(at) => at,
            None if self.partial.len() < PACKETS => {
                self.partial.push(Partial {
                    source: ip.source,
                    destination: ip.destination,
                    ident: fragment.ident,
                    input,
                    vrf,
                    deadline: now.saturating_add(TIMEOUT),
                    first: None,
                    pieces: Vec::new(),
                    len: None,
                });
                self.partial.len() - 1
            }
            None => return Err(DropReason::ReassemblyFull),
        };
        if self.bytes + packet.len() > BYTES {
            return Err(DropReason::ReassemblyFull);
        }
        let Some(partial) = self.partial.get_mut(at) else {
            return Err(DropReason::ReassemblyFull);
        };
        let place = partial.pieces.partition_point(|p| p.0 < fragment.offset);
        let before = place.checked_sub(1).and_then(|i| partial.pieces.get(i));
        let overlaps = before.is_some_and(|(o, p)| o + p.len() > fragment.offset)
            || partial.pieces.get(place).is_some_and(|&(o, _)| o < end);
        let beyond = match partial.len {
            Some(len) => !fragment.more || end > len,
            None => {
                !fragment.more
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
        self.bytes += piece.len();
        partial
            .pieces
            .insert(place, (fragment.offset, piece.to_vec()));
        if fragment.offset == 0 {
            partial.first = Some((fragment, packet.to_vec()));
            self.bytes += packet.len();
        }
        if !fragment.more {
            partial.len = Some(end);
        }
        // Without overlaps the lengths add up only if nothing is missing.
        let have: usize = partial.pieces.iter().map(|(_, p)| p.len()).sum();
        if partial.len != Some(have) {
            return Ok(None);
        }
        let whole = self.remove(at).and_then(|partial| {
            let payload: Vec<u8> = partial.pieces.into_iter().flat_map(|(_, p)| p).collect();
            let (fragment, packet) = partial.first?;
            Some(join(&packet, fragment, &payload))
        });
        Ok(whole)
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

    /// Takes out a packet whose fragments have been waited for too long.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Expired> {
        let at = self.partial.iter().position(|p| p.deadline <= now)?;
        let partial = self.remove(at)?;
        Some(Expired {
            input: partial.input,
            first: partial.first.map(|(_, packet)| packet),
        })
    }

    /// When the next one has been waited for too long.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.partial.iter().map(|p| p.deadline).min()
    }

    /// Forgets everything: interfaces have got other numbers.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The packet without its fragment header: what stood before it, then the whole payload.
fn join(packet: &[u8], fragment: Fragment, payload: &[u8]) -> Vec<u8> {
    let mut whole = packet.get(..fragment.at).unwrap_or(&[]).to_vec();
    put(&mut whole, fragment.link, &[fragment.next_header]);
    let len = whole.len() - HEADER_LEN + payload.len();
    put(
        &mut whole,
        4,
        &u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes(),
    );
    whole.extend_from_slice(payload);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::extension::{Content, walk};
    use crate::wire::ipv6::tests::packet;
    use crate::wire::{fragment6, ipv6};
    use proptest::prelude::*;

    fn add(r: &mut Reassembly, piece: &[u8]) -> Result<Option<Vec<u8>>, DropReason> {
        let ip = Ipv6::parse(piece, piece.len()).unwrap();
        let Ok(Content::Fragment(f)) = walk(piece, &ip) else {
            panic!("a fragment")
        };
        r.add(Instant(0), InterfaceId(0), 0, piece, &ip, f)
    }

    fn cut(whole: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let ip = Ipv6::parse(whole, whole.len()).unwrap();
        fragment6::fragment(whole, &ip, mtu, 7, 0, |p| pieces.push(p));
        pieces
    }

    proptest! {
        #[test]
        fn fragments_in_any_order_make_the_packet_again(
            payload in prop::collection::vec(any::<u8>(), 1..6000),
            mtu in 200usize..1600,
            order: u64,
        ) {
            let whole = packet(ipv6::UDP, 64, &payload);
            let mut pieces = cut(&whole, mtu);
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
        assert_eq!(add(&mut r, &pieces[0]), Ok(None));
        assert_eq!(add(&mut r, &pieces[0]), Err(DropReason::BadFragment));
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
        let mut refused = 0;
        for ident in 0..100u32 {
            let mut piece = cut(&packet(ipv6::UDP, 64, &[1; 3000]), 1280).remove(0);
            piece[44..48].copy_from_slice(&ident.to_be_bytes());
            refused += usize::from(add(&mut r, &piece) == Err(DropReason::ReassemblyFull));
        }
        assert_eq!(refused, 84);
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
