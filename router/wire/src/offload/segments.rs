//! TCP segmentation of large frames, as done by a network card with TSO.

use core::num::NonZero;

use super::{MAX_HEADERS, Transport, sum_of};
use crate::ethernet::ETHERNET_LEN;
use crate::{be16, be32, checksum, ipv4, ipv6, put};

/// Offsets in a TCP header (RFC 9293 3.1), and flags.
const SEQUENCE: usize = 4;
pub(super) const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
const CHECKSUM: usize = 16;
const TCP_HEADER_LEN: usize = 20;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// The minimum MSS, in bytes, with which a large frame is segmented: Linux's
/// `net.ipv4.tcp_min_snd_mss`, below which Linux's TCP doesn't go whatever a peer asks for. RFC
/// 9293 3.7.1 has no minimum: a peer's MSS option may be 1, so that each byte costs a packet with
/// all its headers (CVE-2019-11479). No link needs one so small: IPv4 hosts accept 576 bytes (RFC
/// 791 3.1), an MSS of 536, and IPv6 links carry 1280, an MSS of 1220.
///
/// It includes TCP options, which the sender subtracts (RFC 9293 3.7.1).
pub const LEAST_MSS: usize = 48;
/// The maximum number of segments of a large frame: as many as the longest packet has with
/// [`LEAST_MSS`].
pub const MAX_SEGMENTS: usize = 65_535 / LEAST_MSS;

/// The segmentation of a large TCP frame. Each segment is a complete frame with checksums, as if
/// its sender had sent it.
#[derive(Clone, Debug)]
pub struct Segments {
    /// The headers of the large frame, with the tags for its segments.
    headers: [u8; MAX_HEADERS],
    v6: bool,
    /// The offsets of the IP header, the TCP header and the end of the headers.
    ip: usize,
    tcp: usize,
    header_len: usize,
    /// The offset of the payload in the large frame.
    payload_at: usize,
    /// The length of the payload in total, and in each segment except the last, in bytes.
    payload: usize,
    size: NonZero<usize>,
}

impl Segments {
    /// Prepares to split a frame of `len` bytes into segments with `gso_size` bytes of payload.
    /// `read` fills a slice from an offset in the frame.
    ///
    /// Returns `None` if it isn't an unfragmented TCP packet with all headers in the first 256
    /// bytes, if its MSS would be below [`LEAST_MSS`], or if there would be more than
    /// [`MAX_SEGMENTS`] segments.
    pub fn new(len: usize, gso_size: u16, mut read: impl FnMut(usize, &mut [u8])) -> Option<Self> {
        let mut headers = [0; MAX_HEADERS];
        let head = headers.get_mut(..len.min(MAX_HEADERS))?;
        read(0, head);
        let found = Transport::find(head, len)?;
        let tcp = head.get(found.start..)?;
        let tcp_len = usize::from(be16(tcp, DATA_OFFSET) >> 12) * 4;
        let header_len = found.start + tcp_len;
        let size = usize::from(gso_size);
        if found.protocol != ipv4::TCP || tcp_len < TCP_HEADER_LEN || header_len > head.len() {
            return None;
        }
        if size + tcp_len - TCP_HEADER_LEN < LEAST_MSS {
            return None;
        }
        let segments = Self {
            headers,
            v6: found.v6,
            ip: ETHERNET_LEN,
            tcp: found.start,
            header_len,
            payload_at: header_len,
            payload: found.end.checked_sub(header_len)?,
            size: NonZero::new(size)?,
        };
        (segments.count() <= MAX_SEGMENTS).then_some(segments)
    }

    /// Adds VLAN tags, which the large frame doesn't have, after the MAC addresses of each segment.
    /// Returns `None` if there is no room for them.
    #[must_use]
    pub fn tagged(mut self, tags: &[u8]) -> Option<Self> {
        let at = ETHERNET_LEN - 2;
        let end = self.header_len + tags.len();
        let old = self.headers;
        put(self.headers.get_mut(..end)?, at, tags);
        put(
            self.headers.get_mut(..end)?,
            at + tags.len(),
            old.get(at..self.header_len)?,
        );
        self.ip += tags.len();
        self.tcp += tags.len();
        self.header_len = end;
        Some(self)
    }

    /// Returns the number of segments; at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.payload.div_ceil(self.size.get()).max(1)
    }

    /// Returns the length of a segment's frame, in bytes.
    #[must_use]
    pub fn frame_len(&self, index: usize) -> usize {
        self.header_len + self.payload_len(index)
    }

    fn payload_len(&self, index: usize) -> usize {
        self.payload
            .saturating_sub(index * self.size.get())
            .min(self.size.get())
    }

    /// Creates the frame of a segment: `read` fills a slice from an offset in the large frame,
    /// `write` writes bytes at an offset in the new one. Everything is written once, from a copy
    /// that nobody else can change.
    pub fn make(
        &self,
        index: usize,
        mut read: impl FnMut(usize, &mut [u8]),
        mut write: impl FnMut(usize, &[u8]),
    ) {
        let start = self.payload_at + index * self.size.get();
        let payload = start..start + self.payload_len(index);
        let sum = sum_of(payload, &mut read, |at, piece| {
            write(self.header_len + at, piece);
        });
        let mut headers = self.headers;
        if let Some(headers) = headers.get_mut(..self.header_len) {
            self.rewrite(index, headers, sum);
            write(0, headers);
        }
    }

    /// Rewrites the headers for a segment whose payload has this sum.
    fn rewrite(&self, index: usize, headers: &mut [u8], payload_sum: u16) {
        let Some((link, packet)) = headers.split_at_mut_checked(self.ip) else {
            return;
        };
        let Some((ip, tcp)) = packet.split_at_mut_checked(self.tcp - link.len()) else {
            return;
        };
        let payload_len = self.payload_len(index);
        let packet_len = ip.len() + tcp.len() + payload_len;
        let segment_len = tcp.len() + payload_len;
        // No segment is longer than the packet, whose length fits 16 bits.
        let u16_of = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        let addresses = if self.v6 {
            let rest = packet_len.saturating_sub(ipv6::HEADER_LEN);
            put(ip, 4, &u16_of(rest).to_be_bytes());
            ip.get(8..40)
        } else {
            put(ip, 2, &u16_of(packet_len).to_be_bytes());
            // Each segment is a separate packet and gets its own identification (RFC 6864 4).
            let ident = be16(ip, 4).wrapping_add((index & 0xffff) as u16);
            put(ip, 4, &ident.to_be_bytes());
            checksum::fill(ip, 10);
            ip.get(12..20)
        };
        let before = u32::try_from(index * self.size.get()).unwrap_or(0);
        let sequence = be32(tcp, SEQUENCE).wrapping_add(before);
        put(tcp, SEQUENCE, &sequence.to_be_bytes());
        // FIN and PSH belong to the last segment, and CWR to the first only (RFC 3168 6.1.2).
        let mut not_here = 0;
        if index + 1 < self.count() {
            not_here |= FIN | PSH;
        }
        if index > 0 {
            not_here |= CWR;
        }
        if let Some(flags) = tcp.get_mut(FLAGS) {
            *flags &= !not_here;
        }
        put(tcp, CHECKSUM, &[0, 0]);
        let sum = [
            u64::from(checksum::sum(addresses.unwrap_or(&[]))),
            u64::from(ipv4::TCP),
            segment_len as u64,
            u64::from(checksum::sum(tcp)),
            u64::from(payload_sum),
        ];
        let value = checksum::finish(ipv4::TCP, checksum::fold(sum.iter().sum()));
        put(tcp, CHECKSUM, &value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn segments(frame: &[u8], gso_size: u16) -> Option<Segments> {
        Segments::new(frame.len(), gso_size, |at, to| {
            to.copy_from_slice(&frame[at..at + to.len()]);
        })
    }

    fn make(frame: &[u8], segments: &Segments, index: usize) -> Vec<u8> {
        let mut made = vec![0; segments.frame_len(index)];
        segments.make(
            index,
            |at, to| to.copy_from_slice(&frame[at..at + to.len()]),
            |at, piece| made[at..at + piece.len()].copy_from_slice(piece),
        );
        made
    }

    /// TCP in IPv6 behind `extensions`, the first of which is of type `next`.
    fn tcp6(next: u8, extensions: &[u8], payload: usize) -> Vec<u8> {
        let mut frame = vec![0; 12];
        let len = extensions.len() + TCP_HEADER_LEN + payload;
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((len as u16).to_be_bytes());
        frame.extend([next, 64]);
        frame.extend([0x20; 32]);
        frame.extend(extensions);
        frame.extend([
            0, 80, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
        ]);
        frame.extend((0..payload).map(|i| i as u8));
        frame
    }

    #[test]
    fn tagged_segments_are_the_same_but_for_their_tags() {
        let frame = tcp6(ipv4::TCP, &[], 3000);
        let plain = segments(&frame, 1400).unwrap();
        for tags in [&[0x81, 0, 0, 7][..], &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]] {
            let tagged = plain.clone().tagged(tags).unwrap();
            assert_eq!(tagged.count(), 3);
            for index in 0..3 {
                let mut wanted = make(&frame, &plain, index);
                wanted.splice(12..12, tags.iter().copied());
                assert_eq!(make(&frame, &tagged, index), wanted);
            }
        }
        assert!(plain.tagged(&[0; MAX_HEADERS]).is_none());
    }

    #[test]
    fn extension_headers_are_passed_or_not() {
        let tcp = ipv4::TCP;
        let options = [tcp, 0, 1, 4, 0, 0, 0, 0];
        let arrived = [tcp, 0, 0, 0, 0, 0, 0, 0];
        let under_way = [tcp, 0, 0, 1, 0, 0, 0, 0];
        for (next, extensions, can) in [
            (tcp, &[][..], true),
            (0, &options, true),
            (60, &options, true),
            (43, &arrived, true),
            (43, &under_way, false),
            (44, &arrived, false),
            (
                0,
                &[43, 0, 1, 4, 0, 0, 0, 0, tcp, 0, 0, 0, 0, 0, 0, 0],
                true,
            ),
            (ipv4::UDP, &[], false),
        ] {
            let frame = tcp6(next, extensions, 100);
            let found = segments(&frame, 48);
            assert_eq!(found.is_some(), can, "{next} {extensions:?}");
            if let Some(found) = found {
                assert_eq!(found.count(), 3);
                assert_eq!(make(&frame, &found, 2).len(), frame.len() - 96);
            }
        }
    }

    #[test]
    fn what_cannot_be_cut() {
        let good = tcp6(ipv4::TCP, &[], 100);
        assert_eq!(segments(&good, 100).map(|s| s.count()), Some(1));
        assert!(segments(&good, 0).is_none());
        // Longer than the frame, shorter than its headers, a header of no words.
        for (at, value) in [(18, 1), (19, 10), (14 + 40 + 12, 0x10)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(segments(&bad, 100).is_none(), "{at}");
        }
        for len in 0..14 + 40 + 20 {
            assert!(segments(&good[..len], 100).is_none());
        }
        let long = [[0, 30, 1, 4].as_slice(), &[0; 244]].concat();
        assert!(segments(&tcp6(0, &long, 100), 100).is_none());
    }

    #[test]
    fn segments_are_no_smaller_than_a_tcp_sends() {
        // With options of this many bytes, which the MSS counts.
        for options in [0, 12, 40] {
            let least = LEAST_MSS - options;
            let frame = |payload| {
                let mut frame = tcp6(ipv4::TCP, &[], options + payload);
                frame[14 + 40 + DATA_OFFSET] = (((20 + options) / 4) << 4) as u8;
                frame
            };
            let small = frame(1000);
            assert!(segments(&small, least as u16 - 1).is_none());
            let found = segments(&small, least as u16);
            assert_eq!(found.map(|s| s.count()), Some(1000_usize.div_ceil(least)));
            // Nor more than the longest packet has of these.
            let most = (MAX_SEGMENTS * least).min(65_000 - options);
            let found = segments(&frame(most), least as u16);
            assert!(found.is_some_and(|s| s.count() <= MAX_SEGMENTS));
            if options > 0 {
                assert!(segments(&frame(most + 1), least as u16).is_none());
            }
        }
        assert_eq!(MAX_SEGMENTS, 1_365);
    }

    proptest! {
        #[test]
        fn anything_is_cut_or_not(
            mut frame in prop::collection::vec(any::<u8>(), 0..700),
            ipv6: bool,
            gso_size: u16,
        ) {
            // Near enough to TCP that it is often taken for it.
            if frame.len() > 80 {
                let len = frame.len() as u16;
                put(&mut frame, 12, if ipv6 { &[0x86, 0xdd, 0x60] } else { &[8, 0, 0x45] });
                put(&mut frame, if ipv6 { 18 } else { 16 }, &(len - if ipv6 { 54 } else { 14 }).to_be_bytes());
                put(&mut frame, 20, &[if ipv6 { ipv4::TCP } else { 0x40 }, 0]);
                put(&mut frame, 22, &[64, if ipv6 { 0 } else { ipv4::TCP }]);
                if !ipv6 {
                    checksum::fill(&mut frame[14..34], 10);
                }
            }
            if let Some(found) = segments(&frame, gso_size) {
                let mut payload = 0;
                for index in 0..found.count() {
                    let made = make(&frame, &found, index);
                    prop_assert!(made.len() <= frame.len());
                    payload += made.len() - found.header_len;
                }
                prop_assert_eq!(payload + found.header_len, frame.len());
            }
        }
    }
}
