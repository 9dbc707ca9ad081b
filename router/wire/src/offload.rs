//! Work that a sender offloaded to its network card: checksums and TCP segmentation.
//!
//! Only frames for backends without these offloads are handled here. The caller provides functions
//! that read and write the frame's bytes piece by piece, wherever they are.

mod segments;

use crate::ethernet::ETHERNET_LEN;
use crate::ipv4::{self, Ipv4};
use crate::vlan::Tags;
use crate::{be16, checksum, ethernet, ipv6};

pub use segments::{LEAST_MSS, MAX_SEGMENTS, Segments};

/// The maximum length of all headers of a frame that is handled here, in bytes.
const MAX_HEADERS: usize = 256;
/// Bytes that are summed or copied at once; even, so that no 16-bit word is split.
const PIECE: usize = 512;

const ETHERTYPE: usize = 12;

/// The transport segment of an unfragmented packet in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transport {
    /// `true` for IPv6.
    v6: bool,
    protocol: u8,
    /// Its start and end in the frame.
    start: usize,
    end: usize,
}

impl Transport {
    /// Finds it in a frame of `len` bytes that starts with `head`. Returns `None` if `head` doesn't
    /// contain all headers.
    fn find(head: &[u8], len: usize) -> Option<Self> {
        let packet = head.get(ETHERNET_LEN..)?;
        let available = len.checked_sub(ETHERNET_LEN)?;
        let mut found = match be16(head, ETHERTYPE) {
            ethernet::IPV4 => {
                let ip = Ipv4::parse(packet, available).ok()?;
                if ip.fragment & (ipv4::MF | ipv4::OFFSET) != 0 {
                    return None;
                }
                Self {
                    v6: false,
                    protocol: ip.protocol,
                    start: ip.header_len,
                    end: ip.total_len,
                }
            }
            ethernet::IPV6 => {
                let end = ipv6::HEADER_LEN + usize::from(be16(packet, 4));
                if packet.first()? >> 4 != 6 || end > available {
                    return None;
                }
                let (protocol, start) = behind_extensions(packet)?;
                Self {
                    v6: true,
                    protocol,
                    start,
                    end,
                }
            }
            _ => return None,
        };
        found.start += ETHERNET_LEN;
        found.end += ETHERNET_LEN;
        (found.start <= found.end).then_some(found)
    }

    /// Returns the offset of the checksum in the frame.
    fn checksum_at(&self) -> Option<usize> {
        let at = match self.protocol {
            ipv4::TCP => 16,
            ipv4::UDP => 6,
            _ => return None,
        };
        (self.start + at + 2 <= self.end).then_some(self.start + at)
    }
}

/// Returns the upper-layer protocol of an IPv6 packet and the offset of its header. Returns `None`
/// for fragments, and for packets with segments left in a routing header, whose pseudo-header has
/// an address that isn't in the IPv6 header.
fn behind_extensions(packet: &[u8]) -> Option<(u8, usize)> {
    let (mut protocol, mut at) = (*packet.get(6)?, ipv6::HEADER_LEN);
    while let ipv6::HOP_BY_HOP | ipv6::ROUTING | ipv6::DESTINATION = protocol {
        let segments_left = *packet.get(at + 3)?;
        if protocol == ipv6::ROUTING && segments_left != 0 {
            return None;
        }
        protocol = *packet.get(at)?;
        at += 8 * (usize::from(*packet.get(at + 1)?) + 1);
    }
    Some((protocol, at))
}

/// Completes the TCP or UDP checksum of an Ethernet frame whose checksum field contains the sum of
/// the pseudo-header only. Other frames, and fragments, are left unchanged.
pub fn complete_checksum(frame: &mut [u8]) {
    if let Some(found) = Transport::find(frame, frame.len())
        && let Some(segment) = frame.get_mut(found.start..found.end)
    {
        checksum::complete(found.protocol, segment);
    }
}

/// Like [`complete_checksum`], for a frame of `len` bytes in other memory: `read` fills a slice
/// from an offset in the frame. Returns the offset and the value of the two bytes of the checksum;
/// `None` if there is no such checksum, or if the headers are longer than 256 bytes.
pub fn completed_checksum(
    len: usize,
    mut read: impl FnMut(usize, &mut [u8]),
) -> Option<(usize, [u8; 2])> {
    let mut head = [0; MAX_HEADERS];
    let head = head.get_mut(..len.min(MAX_HEADERS))?;
    read(0, head);
    let found = Transport::find(head, len)?;
    let at = found.checksum_at()?;
    let sum = sum_of(found.start..found.end, &mut read, |_, _| ());
    Some((at, checksum::finish(found.protocol, sum).to_be_bytes()))
}

/// Sums the bytes of a range, which `read` fetches piece by piece. `then` is called with each piece
/// and its offset in the range.
fn sum_of(
    range: core::ops::Range<usize>,
    read: &mut impl FnMut(usize, &mut [u8]),
    mut then: impl FnMut(usize, &[u8]),
) -> u16 {
    let mut buffer = [0; PIECE];
    let mut sum = 0;
    for at in range.clone().step_by(PIECE) {
        let piece = buffer.get_mut(..range.end.saturating_sub(at).min(PIECE));
        let piece = piece.unwrap_or_default();
        read(at, piece);
        sum += u64::from(checksum::sum(piece));
        then(at - range.start, piece);
    }
    checksum::fold(sum)
}

/// Returns the length of the IP and TCP headers, including extension headers and options, of a
/// large frame of `len` bytes that begins with `head`. VLAN tags don't count. Returns `None` if it
/// isn't an unfragmented TCP packet, or if `head` ends before TCP's data offset field.
#[must_use]
pub fn tcp_headers_len(head: &[u8], len: usize) -> Option<usize> {
    let (_, tags) = Tags::parse(head)?;
    // Skip the tags, so that the EtherType is at its usual offset; the MAC addresses don't matter.
    let untagged = head.get(tags..)?;
    let found = Transport::find(untagged, len.checked_sub(tags)?)?;
    let data_offset = usize::from(*untagged.get(found.start + segments::DATA_OFFSET)? >> 4) * 4;
    (found.protocol == ipv4::TCP).then_some(found.start - ETHERNET_LEN + data_offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{checksum, sum};
    use alloc::vec::Vec;

    /// A UDP packet in an Ethernet frame whose checksum field holds the pseudo header's sum.
    fn frame(payload: &[u8]) -> Vec<u8> {
        let udp_len = 8 + payload.len() as u16;
        let mut frame = [0; ETHERNET_LEN].to_vec();
        frame[ETHERTYPE] = 8;
        frame.extend([0x45, 0]);
        frame.extend((20 + udp_len).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 1, 2]);
        let header = checksum(&frame[ETHERNET_LEN..]);
        frame[ETHERNET_LEN + 10..][..2].copy_from_slice(&header.to_be_bytes());
        frame.extend([0x12, 0x34, 0x00, 0x35]);
        frame.extend(udp_len.to_be_bytes());
        frame.extend(sum(&pseudo_header(udp_len)).to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn pseudo_header(len: u16) -> [u8; 12] {
        let [high, low] = len.to_be_bytes();
        [10, 0, 0, 1, 10, 0, 1, 2, 0, 17, high, low]
    }

    #[test]
    fn a_completed_checksum_verifies() {
        for payload in [&b""[..], b"x", b"odd", b"some words"] {
            let mut bytes = frame(payload);
            complete_checksum(&mut bytes);
            let segment = &bytes[ETHERNET_LEN + 20..];
            let mut all = pseudo_header(segment.len() as u16).to_vec();
            all.extend(segment);
            assert_eq!(sum(&all), 0xffff, "{payload:?}");
            // The same, read piece by piece.
            let blank = frame(payload);
            let found = completed_checksum(blank.len(), |at, to| {
                to.copy_from_slice(&blank[at..at + to.len()]);
            });
            let (at, checksum) = found.unwrap();
            assert_eq!(bytes[at..at + 2], checksum, "{payload:?}");
        }
    }

    #[test]
    fn what_is_not_a_whole_packet_is_left_alone() {
        let whole = frame(b"payload");
        for len in 0..whole.len() - 1 {
            let mut cut = whole[..len].to_vec();
            complete_checksum(&mut cut);
            assert_eq!(cut, whole[..len]);
        }
    }
}
