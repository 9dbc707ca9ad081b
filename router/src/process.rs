//! The fast path: bursts of headers in, verdicts out.
//!
//! Three passes over a burst. The first checks each header and begins its lookup; the
//! second finishes the lookups, so that their cache misses overlap; the third rewrites.
//! What the few comparisons of the first pass don't recognise as plain IPv4 to be forwarded
//! goes through [`examine`](Router::examine), out of line.

use crate::fib::Target;
use crate::frame::{BURST, ETHERNET_LEN, FrameMeta, Header, InterfaceId, Verdict};
use crate::router::{Router, Traffic};
use crate::time::Instant;
use crate::wire::{be16, checksum, ethernet, ipv4};
use crate::{DropReason, examine::Seen};

/// In place of a lookup's answer: the verdict is already there. No target has this number.
const DECIDED: u32 = 7 << 28;

/// EtherType IPv4, then version 4 and a header of 5 words, as they stand in memory.
const PLAIN_IPV4: u32 = u32::from_ne_bytes([0x08, 0x00, 0x45, 0]);
const PLAIN_MASK: u32 = u32::from_ne_bytes([0xff, 0xff, 0xff, 0]);

/// The shortest frame that holds an IPv4 header.
const SHORTEST: u32 = (ETHERNET_LEN + ipv4::HEADER_LEN) as u32;

impl Header {
    #[inline(always)]
    fn u16_at(&self, at: usize) -> u16 {
        u16::from_ne_bytes([self.0[at], self.0[at + 1]])
    }

    #[inline(always)]
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    #[inline(always)]
    fn u64_at(&self, at: usize) -> u64 {
        u64::from(self.u32_at(at)) | u64::from(self.u32_at(at + 4)) << 32
    }

    /// Whether the 20 bytes of an IPv4 header sum up to its checksum. The sum of all words
    /// is not 0, so it is a multiple of 0xffff exactly if it folds to 0xffff, in whatever
    /// order of bytes the words are read.
    #[inline(always)]
    fn ipv4_checksum_holds(&self) -> bool {
        let sum = [14, 18, 22, 26, 30]
            .into_iter()
            .map(|at| u64::from(self.u32_at(at)))
            .sum::<u64>();
        sum.is_multiple_of(0xffff)
    }
}

impl Router {
    /// Decides about frames that arrived on one interface, best [`BURST`] or fewer at once,
    /// and rewrites the headers of those to forward. Frames beyond the shortest of the
    /// slices aren't looked at.
    pub fn process(
        &mut self,
        now: Instant,
        input: InterfaceId,
        headers: &mut [Header],
        metas: &[FrameMeta],
        verdicts: &mut [Verdict],
    ) {
        let _ = now;
        let bursts = headers.chunks_mut(BURST).zip(metas.chunks(BURST));
        for ((headers, metas), verdicts) in bursts.zip(verdicts.chunks_mut(BURST)) {
            self.burst(input, headers, metas, verdicts);
        }
    }

    fn burst(
        &mut self,
        input: InterfaceId,
        headers: &mut [Header],
        metas: &[FrameMeta],
        verdicts: &mut [Verdict],
    ) {
        let count = headers
            .len()
            .min(metas.len())
            .min(verdicts.len())
            .min(BURST);
        let (Some(headers), Some(metas), Some(verdicts)) = (
            headers.get_mut(..count),
            metas.get(..count),
            verdicts.get_mut(..count),
        ) else {
            return;
        };
        let up = self.links.get(input.index()).filter(|l| l.up);
        let Some(mac) = up.map(|l| l.mac.0) else {
            verdicts.fill(Verdict::Drop);
            let bytes = metas.iter().map(|m| u64::from(m.len)).sum();
            self.count_received(input, count as u64, bytes);
            self.drop_frames(input, DropReason::LinkDown, count as u64);
            return;
        };
        // The six bytes that a frame must begin with, shifted to be free of what follows.
        let mac = u64::from_ne_bytes([mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], 0, 0]);
        let mac = u64::from_le(mac) << 16;

        let mut destinations = [0u32; BURST];
        let mut answers = [0u32; BURST];
        let mut bytes = 0;
        let lookups = destinations.iter_mut().zip(&mut answers);
        for (((header, meta), verdict), (destination, answer)) in headers
            .iter()
            .zip(metas)
            .zip(verdicts.iter_mut())
            .zip(lookups)
        {
            bytes += u64::from(meta.len);
            let plain = u64::from_le(header.u64_at(0)) << 16 == mac
                && header.u32_at(12) & PLAIN_MASK == PLAIN_IPV4
                && u32::from(u16::from_be(header.u16_at(16))) + ETHERNET_LEN as u32 == meta.len
                && meta.len >= SHORTEST
                && header.ipv4_checksum_holds()
                && header.0[22] > 1
                && !self.own.martian_octets[usize::from(header.0[26])]
                && !self.own.is_doubtful(header.u32_at(26));
            if plain || self.is_forwardable(input, header, meta, verdict) {
                *destination = u32::from_be(header.u32_at(30));
                *answer = self.fib.lpm.begin(*destination);
            } else {
                *answer = DECIDED;
            }
        }
        self.count_received(input, count as u64, bytes);

        for (answer, destination) in answers.iter_mut().zip(&destinations).take(count) {
            *answer = self.fib.lpm.finish(*answer, *destination);
        }

        for (((header, meta), verdict), (destination, answer)) in headers
            .iter_mut()
            .zip(metas)
            .zip(verdicts)
            .zip(destinations.iter().zip(&answers))
        {
            let mut index = *answer as usize;
            if index >= self.neighbors.adjacencies.len() {
                let on_link = Target::OnLink(0).number();
                let interface = answer.wrapping_sub(on_link);
                index = if interface < 16 {
                    match self.neighbors.index.find(interface as u8, *destination) {
                        Some(index) => index,
                        None => {
                            *verdict = Verdict::Punt;
                            continue;
                        }
                    }
                } else {
                    match self.resolve(input, header, *answer, *destination, verdict) {
                        Some(index) => index,
                        None => continue,
                    }
                };
            }
            let Some(adjacency) = self.neighbors.adjacencies.get_mut(index) else {
                *verdict = Verdict::Punt;
                continue;
            };
            if meta.len > adjacency.max_len && !segments_fit(header, meta, adjacency.max_len) {
                *verdict = Verdict::Punt;
                continue;
            }
            adjacency.used = true;
            let stations = adjacency.stations;
            let out = adjacency.out;
            let [destination, ..] = header.0.as_chunks_mut::<12>().0 else {
                continue;
            };
            *destination = stations;
            let word = checksum::decrement_ttl(u32::from_le(header.u32_at(22)));
            let [a, b, c, d] = word.to_le_bytes();
            (header.0[22], header.0[23], header.0[24], header.0[25]) = (a, b, c, d);
            *verdict = Verdict::Forward(InterfaceId(out));
            let Traffic { packets, bytes } = &mut self.traffic[usize::from(out & 15)];
            *packets += 1;
            *bytes += u64::from(meta.len);
        }
    }

    /// Looks closer at a frame that isn't plainly one to forward. If it isn't to be
    /// forwarded here, its verdict is set.
    #[cold]
    #[inline(never)]
    fn is_forwardable(
        &mut self,
        input: InterfaceId,
        header: &Header,
        meta: &FrameMeta,
        verdict: &mut Verdict,
    ) -> bool {
        *verdict = Verdict::Punt;
        match self.examine(input, &header.0, meta.len as usize) {
            Seen::Bad(reason) => {
                self.drop_frames(input, reason, 1);
                *verdict = Verdict::Drop;
                false
            }
            Seen::Arp | Seen::Incomplete => false,
            Seen::Ip(ip) => {
                let total = ETHERNET_LEN + ip.total_len;
                let padded = meta.len as usize > total.max(ethernet::MIN_FRAME);
                ip.header_len == ipv4::HEADER_LEN && ip.ttl > 1 && !padded
            }
        }
    }

    /// Resolves the rarer targets to a neighbour; if there is none, the verdict is set.
    #[cold]
    #[inline(never)]
    fn resolve(
        &mut self,
        input: InterfaceId,
        header: &Header,
        answer: u32,
        destination: u32,
        verdict: &mut Verdict,
    ) -> Option<usize> {
        if answer == DECIDED {
            return None;
        }
        *verdict = Verdict::Punt;
        let mut target = Target::from_number(answer);
        if let Target::Group(group) = target {
            let ip = header.0.get(ETHERNET_LEN..).unwrap_or(&[]);
            target = self.fib.member(group, ip, self.flow_key);
        }
        match target {
            Target::Neighbor(index) => Some(index as usize),
            Target::OnLink(interface) => self.neighbors.index.find(interface, destination),
            Target::Nowhere(
                reason @ (DropReason::Blackhole
                | DropReason::MartianDestination
                | DropReason::Multicast
                | DropReason::Broadcast),
            ) => {
                self.drop_frames(input, reason, 1);
                *verdict = Verdict::Drop;
                None
            }
            Target::Local | Target::Nowhere(_) | Target::Group(_) => None,
        }
    }
}

/// Whether each segment of an aggregate fits into a frame of `max_len` bytes. TCP's header
/// begins behind a plain IPv4 header.
#[cold]
pub(crate) fn segments_fit(header: &Header, meta: &FrameMeta, max_len: u32) -> bool {
    segments_fit_at(&header.0, ipv4::HEADER_LEN, meta, max_len)
}

/// The same for an IPv4 header of any length.
pub(crate) fn segments_fit_at(
    frame: &[u8],
    header_len: usize,
    meta: &FrameMeta,
    max_len: u32,
) -> bool {
    let protocol = frame.get(ETHERNET_LEN + 9).copied();
    if meta.gso_size == 0 || max_len == 0 || protocol != Some(ipv4::TCP) {
        return false;
    }
    let headers = ETHERNET_LEN + header_len;
    let tcp = usize::from(be16(frame, headers + 12) >> 12) * 4;
    headers + tcp + usize::from(meta.gso_size) <= max_len as usize
}
