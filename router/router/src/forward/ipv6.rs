//! The fast path for IPv6: three passes over the IPv6 frames of a burst, as for IPv4.

use crate::forward::closer_look::drop_silently;
use crate::forward::lane::Lane;
use crate::forward::pass::Pass;
use crate::forward::segments_fit::segments_fit;
use crate::forward::stages::{Burst, Stages};
use crate::frame::{BURST, ETHERNET_LEN, FrameMeta, Header, InterfaceId, Verdict};
use crate::route::target::Target;
use lpm::Reader;
use wire::{be128, ipv6};

/// Bytes of the Ethernet and IPv6 headers.
const HEADERS: u32 = (ETHERNET_LEN + ipv6::HEADER_LEN) as u32;
/// Offsets of fields in a frame.
const PAYLOAD_LEN: usize = ETHERNET_LEN + 4;
const NEXT_HEADER: usize = ETHERNET_LEN + 6;
const HOP_LIMIT: usize = ETHERNET_LEN + 7;
const SOURCE: usize = ETHERNET_LEN + 8;
const DESTINATION: usize = ETHERNET_LEN + 24;

/// The lookups of a burst. Frames of one flow come in trains, which share a lookup.
struct Lookups {
    asked: [u128; BURST],
    answers: [u32; BURST],
    count: usize,
    /// The index of each frame's lookup.
    of: [u8; BURST],
}

impl Lookups {
    /// Creates the lookups of the frames in `which`, without answers.
    #[inline(always)]
    fn new(headers: &[Header], which: u64) -> Self {
        let mut lookups = Self {
            asked: [0; BURST],
            answers: [0; BURST],
            count: 0,
            of: [0; BURST],
        };
        for (at, (header, of)) in headers.iter().zip(&mut lookups.of).enumerate() {
            if which >> at & 1 == 0 {
                continue;
            }
            let destination = header.u128_at(DESTINATION);
            let last = lookups.asked.get(lookups.count.wrapping_sub(1));
            if last != Some(&destination)
                && let Some(next) = lookups.asked.get_mut(lookups.count)
            {
                *next = destination;
                lookups.count += 1;
            }
            *of = lookups.count.wrapping_sub(1) as u8;
        }
        lookups
    }

    /// Looks all of them up in a table.
    #[inline(always)]
    fn ask(&mut self, table: &Reader<u128>) {
        let asked = self.asked.get(..self.count);
        if let (Some(asked), Some(answers)) = (asked, self.answers.get_mut(..self.count)) {
            table.lookup_batch(asked, answers);
        }
    }

    /// Returns the answer for a frame.
    fn answer(&self, at: usize) -> u32 {
        let lookup = self.of.get(at).map_or(0, |&of| usize::from(of));
        self.answers.get(lookup).copied().unwrap_or(0)
    }
}

impl<S: Stages> Pass<'_, S> {
    /// Processes the frames in `which`, a bit for each, which all have the EtherType and version of
    /// IPv6. `mac` is the required destination MAC address, with its first byte in bits 16 to 23.
    #[inline(never)]
    pub(crate) fn burst6(
        self,
        stages: &mut S,
        lane: &mut Lane,
        (input, mac): (InterfaceId, u64),
        burst: &mut Burst<'_>,
        which: u64,
    ) {
        let link = self.interface(input);
        let mut forward = self.validate_burst6(lane, (input, mac), burst, which);
        if let Some(rule) = link.and_then(|l| l.rpf) {
            let (headers, verdicts) = (&*burst.headers, &mut *burst.verdicts);
            forward = self.filter_sources6(lane, rule, input, headers, verdicts, forward);
        }
        forward &= !stages.before_lookup(burst, forward);
        let mut lookups = Lookups::new(burst.headers, forward);
        lookups.ask(&self.vrfs.get(self.vrf_of(input)).fib6);
        let answer = |at| lookups.answer(at);
        if lane.redirect_due {
            let (headers, verdicts) = (&*burst.headers, &mut *burst.verdicts);
            forward &= !self.punt_detour(input, headers, verdicts, forward, answer);
        }
        forward &= !stages.after_lookup(burst, &answer, forward);
        self.send_burst6(lane, input, burst, &lookups, forward);
    }

    /// Checks the headers of the frames in `which`. Returns those that are to be forwarded.
    #[inline(always)]
    fn validate_burst6(
        self,
        lane: &mut Lane,
        (input, mac): (InterfaceId, u64),
        burst: &mut Burst<'_>,
        which: u64,
    ) -> u64 {
        let enabled = self.interface(input).is_some_and(|l| l.v6.is_some());
        let local = &self.vrfs.get(self.vrf_of(input)).local_addresses;
        let (mut forward, mut other) = (0u64, 0u64);
        for (at, (header, meta)) in burst.headers.iter().zip(burst.metas).enumerate() {
            if which >> at & 1 == 0 {
                continue;
            }
            let payload = u32::from(u16::from_be(header.u16_at(PAYLOAD_LEN)));
            let plain = enabled
                && u64::from_le(header.u64_at(0)) << 16 == mac
                && payload + HEADERS == meta.len
                && header.0[NEXT_HEADER] != ipv6::HOP_BY_HOP
                && header.0[HOP_LIMIT] > 1
                && !local.may_be_local_or_martian6(header.u128_at(SOURCE));
            if plain {
                forward |= 1 << at;
            } else {
                other |= 1 << at;
            }
        }
        while other != 0 {
            let at = other.trailing_zeros() as usize;
            other &= other - 1;
            if let (Some(header), Some(meta)) = (burst.headers.get(at), burst.metas.get(at))
                && let Some(verdict) = burst.verdicts.get_mut(at)
                && self.is_forwardable(lane, input, header, meta, verdict)
            {
                forward |= 1 << at;
            }
        }
        forward
    }

    /// Rewrites the headers of the frames in `forward` that go to a known neighbor, and decides
    /// about the others.
    #[inline(always)]
    fn send_burst6(
        self,
        lane: &mut Lane,
        input: InterfaceId,
        burst: &mut Burst<'_>,
        lookups: &Lookups,
        forward: u64,
    ) {
        let known = self.adjacencies.list().len();
        let mut last_on_link = None;
        let headers = burst.headers.iter_mut();
        let frames = headers.zip(burst.metas).zip(burst.verdicts.iter_mut());
        for (at, (((header, meta), verdict), lookup)) in frames.zip(&lookups.of).enumerate() {
            if forward >> at & 1 == 0 {
                continue;
            }
            let lookup = usize::from(*lookup) % BURST;
            #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
            let answer = lookups.answers[lookup];
            let mut index = answer as usize;
            if index >= known {
                let found = match last_on_link {
                    Some((asked, found)) if asked == lookup => Some(found),
                    _ => {
                        let found = self.resolve6(lane, input, header, meta, answer, verdict);
                        let on_link = matches!(Target::from_number(answer), Target::OnLink(_));
                        last_on_link = found.filter(|_| on_link).map(|found| (lookup, found));
                        found
                    }
                };
                match found {
                    Some(found) => index = found,
                    None => continue,
                }
            }
            let Some(adjacency) = self.adjacencies.get(index) else {
                *verdict = Verdict::Punt;
                continue;
            };
            let max_len = adjacency.max_len();
            if meta.len > max_len && !segments_fit(meta, max_len) {
                *verdict = Verdict::Punt;
                continue;
            }
            adjacency.touch();
            let out = adjacency.out();
            adjacency.write_mac_addresses(header);
            header.0[HOP_LIMIT] -= 1;
            *verdict = Verdict::Forward(InterfaceId(out));
            lane.count_sent(out, meta.len);
        }
    }

    /// Resolves a target that isn't a neighbor to one. If there is none, sets the verdict.
    #[inline(never)]
    fn resolve6(
        self,
        lane: &mut Lane,
        input: InterfaceId,
        header: &Header,
        meta: &FrameMeta,
        answer: u32,
        verdict: &mut Verdict,
    ) -> Option<usize> {
        *verdict = Verdict::Punt;
        let ip = header.0.get(ETHERNET_LEN..).unwrap_or(&[]);
        if self.is_hidden_choice(answer, ip) {
            return None;
        }
        let (target, mtu) = self.vrfs.settle(answer, ip, self.flow_key);
        if let Some(mtu) = mtu {
            let max_len = u32::from(mtu) + ETHERNET_LEN as u32;
            if meta.len > max_len && !segments_fit(meta, max_len) {
                return None;
            }
        }
        match target {
            Target::Neighbor(index) => Some(index as usize),
            Target::OnLink(interface) => {
                let destination = be128(&header.0, DESTINATION);
                self.adjacencies.find6(interface, destination)
            }
            Target::Drop(reason) => {
                drop_silently(lane, input, reason, verdict);
                None
            }
            Target::Local | Target::Group(_) | Target::Vrf(_) => None,
        }
    }
}
