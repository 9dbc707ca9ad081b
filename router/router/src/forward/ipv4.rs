//! The fast path: bursts of headers in, verdicts out.
//!
//! Three passes over a burst: the first checks each header and collects the destinations; the
//! second looks all of them up, so that cache misses overlap; the third rewrites the headers of
//! frames with a known neighbor. Frames that the first pass's few comparisons don't recognize as
//! plain IPv4 to be forwarded go through [`validate`](Tables::validate), and frames for which the
//! third pass finds no neighbor go through [`resolve_rest`](Tables::resolve_rest), both out of
//! line. IPv6 frames of the burst go through the same three passes in
//! [`forward::ipv6`](crate::forward::ipv6).

use core::net::IpAddr;

use crate::DropReason;
use crate::forward::closer_look::drop_silently;
use crate::forward::lane::{Lane, Traffic};
use crate::forward::pass::Pass;
use crate::forward::segments_fit::segments_fit;
use crate::forward::stages::{Burst, Stages};
use crate::frame::{
    BURST, ETHERNET_LEN, FrameMeta, Header, InterfaceId, MAX_INTERFACES, Verdict, Verdicts,
};
use crate::neighbor::adjacency::Adjacency;
use crate::route::target::Target;
use crate::route::vrf::Vrf;
use config::ReversePath;
use wire::{checksum, ipv4};

/// The answer for networks on the link of the first interface, followed by those of the others.
const ON_LINK: u32 = Target::OnLink(0).number();

/// The index of no neighbor.
const NO_NEIGHBOR: u32 = u32::MAX;

/// EtherType IPv6, then version 6, as they stand in memory.
const IPV6: u32 = u32::from_ne_bytes([0x86, 0xdd, 0x60, 0]);
const IPV6_MASK: u32 = u32::from_ne_bytes([0xff, 0xff, 0xf0, 0]);

/// EtherType IPv4, then version 4 and a header of 5 words, as they stand in memory.
const PLAIN_IPV4: u32 = u32::from_ne_bytes([0x08, 0x00, 0x45, 0]);
const PLAIN_MASK: u32 = u32::from_ne_bytes([0xff, 0xff, 0xff, 0]);

/// The shortest frame that holds an IPv4 header.
const SHORTEST: u32 = (ETHERNET_LEN + ipv4::HEADER_LEN) as u32;

impl Header {
    /// Returns `true` if the words of a 20-byte IPv4 header add up to 0xffff.
    ///
    /// Words of any size and byte order can be added, since 2^16 is 1 modulo 0xffff. The sum isn't
    /// 0, so it folds to 0xffff exactly if it is a multiple of 0xffff, which is tested by
    /// multiplication with the inverse: multiples become their quotients.
    #[inline(always)]
    fn ipv4_checksum_holds(&self) -> bool {
        const INVERSE: u64 = 0u64.wrapping_sub(0x0001_0001_0001_0001);
        let sum: u64 = [14, 18, 22, 26, 30]
            .map(|at| u64::from(self.u32_at(at)))
            .iter()
            .sum();
        sum.wrapping_mul(INVERSE) <= u64::MAX / 0xffff
    }

    /// Returns `true` if a frame is for the MAC address `mac` and contains plain IPv4 that can be
    /// forwarded, apart from its source, which isn't checked.
    #[inline(always)]
    fn is_plain(&self, mac: u64, meta: &FrameMeta) -> bool {
        let other_mac = u64::from_le(self.u64_at(0)) << 16 ^ mac;
        let kind = self.u32_at(12) & PLAIN_MASK ^ PLAIN_IPV4;
        let total = u32::from(u16::from_be(self.u16_at(16)));
        other_mac | u64::from(kind) == 0
            && total + ETHERNET_LEN as u32 == meta.len
            && meta.len >= SHORTEST
            && self.ipv4_checksum_holds()
            && self.0[22] > 1
    }
}

impl<S: Stages> Pass<'_, S> {
    /// Processes at most [`BURST`] frames; the slices have the same length.
    #[inline(never)]
    pub(crate) fn burst(
        self,
        stages: &mut S,
        lane: &mut Lane,
        input: InterfaceId,
        headers: &mut [Header],
        metas: &[FrameMeta],
        verdicts: &mut [Verdict],
    ) -> Verdicts {
        let count = headers.len();
        let up = self.interface(input).filter(|l| l.up);
        let Some((mac, rpf, table)) = up.map(|l| (l.mac.0, l.rpf, self.vrfs.get(l.vrf))) else {
            return link_is_down(lane, input, metas, verdicts);
        };
        // The six bytes that a frame must begin with, shifted so that the following bytes drop out.
        let mac = u64::from_le_bytes([0, 0, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]]);
        // First the destinations, then the answers of the lookups. Frames whose verdict is decided
        // early continue with destination 0, which never leads to a neighbor.
        let mut lookups = [0u32; BURST];
        let mut others = 0u64;
        let mut bytes = 0;
        // A train of frames has one source. None has this one.
        let mut welcome = u64::MAX;
        let frames = headers.iter().zip(metas).zip(&mut lookups);
        for (at, ((header, meta), lookup)) in frames.enumerate() {
            bytes += u64::from(meta.len);
            let mut plain = header.is_plain(mac, meta);
            let source = header.u32_at(26);
            if plain && u64::from(source) != welcome {
                plain = self.is_welcome(rpf, table, input, source);
                if plain {
                    welcome = source.into();
                }
            }
            if plain {
                *lookup = u32::from_be(header.u32_at(30));
            } else {
                others |= 1 << at;
            }
        }
        lane.count_received(input, count as u64, bytes);
        let mut decided = 0;
        if others != 0 {
            let frames = Burst {
                headers,
                metas,
                verdicts,
            };
            decided = self.look_closer(stages, lane, (input, mac), frames, &mut lookups, others);
            if decided.count_ones() as usize == count {
                return Verdicts::Mixed;
            }
        }
        let all = u64::MAX >> (BURST - count);
        if S::ACTIVE {
            let mut burst = Burst {
                headers,
                metas,
                verdicts,
            };
            decided |= stages.before_lookup(&mut burst, all & !decided);
            for (header, lookup) in headers.iter().zip(&mut lookups) {
                *lookup = u32::from_be(header.u32_at(30));
            }
        }
        if let Some(lookups) = lookups.get_mut(..count) {
            self.look_up(table, lookups);
        }
        if lane.redirect_due {
            let answer = |at| lookups.get(at).copied().unwrap_or(0);
            decided |= self.punt_detour(input, headers, verdicts, all & !decided, answer);
        }
        if S::ACTIVE {
            let mut burst = Burst {
                headers,
                metas,
                verdicts,
            };
            let target = |at: usize| lookups.get(at).copied().unwrap_or(0);
            decided |= stages.after_lookup(&mut burst, &target, all & !decided);
        }

        if decided != 0 {
            withdraw(&mut lookups, decided);
        }
        let adjacencies = self.adjacencies.list();
        let Some(traffic) = lane.traffic.first_chunk_mut() else {
            return Verdicts::Mixed;
        };
        let (others, last) =
            send_known::<S>(adjacencies, traffic, headers, metas, verdicts, &lookups);
        if last.packets as usize == count {
            return Verdicts::AllTo(InterfaceId(last.out));
        }
        let rest = others & !decided;
        if rest != 0 {
            self.resolve_rest(lane, input, headers, metas, verdicts, &lookups, rest);
        }
        Verdicts::Mixed
    }

    /// Replaces destinations by the numbers of their targets in a table; for on-link targets,
    /// by the neighbor if it is known.
    #[inline(always)]
    fn look_up(self, table: &Vrf, lookups: &mut [u32]) {
        let index = &self.adjacencies.index;
        table.fib.answer(lookups, |target, destination| {
            let interface = target.wrapping_sub(ON_LINK);
            if interface >= MAX_INTERFACES as u32 {
                return target;
            }
            let found = index.find(interface as u8, destination);
            found.map_or(target, |neighbor| neighbor as u32)
        });
    }

    /// Returns `true` if frames from this source address, in native byte order, are known to be
    /// acceptable on an interface; `false` if they need full validation.
    #[inline(never)]
    fn is_welcome(
        self,
        rpf: Option<ReversePath>,
        table: &Vrf,
        input: InterfaceId,
        source: u32,
    ) -> bool {
        if table.local_addresses.may_be_local_or_martian(source) {
            return false;
        }
        let rule = match rpf {
            None => return true,
            // The answer doesn't tell which route it came from; full validation finds out, and also
            // considers less specific routes.
            Some(ReversePath::LooseIgnoringDefault) => return false,
            Some(rule) => rule,
        };
        let source = u32::from_be(source);
        // Most often a neighbor, whose number says so.
        let neighbor = table.fib.number(source) as usize;
        match self.adjacencies.get(neighbor) {
            Some(neighbor) => rule == ReversePath::Loose || neighbor.out() == input.0,
            None => self.is_expected(rule, input, IpAddr::V4(source.into())) == Some(true),
        }
    }

    /// Fully validates the frames in `others`, a bit for each. Destinations of frames to forward
    /// are entered into `lookups`. Returns the frames whose verdict is decided, or that are IPv6.
    #[inline(never)]
    fn look_closer(
        self,
        stages: &mut S,
        lane: &mut Lane,
        (input, mac): (InterfaceId, u64),
        mut burst: Burst<'_>,
        lookups: &mut [u32; BURST],
        others: u64,
    ) -> u64 {
        let mut decided = 0u64;
        let mut ipv6 = 0u64;
        let frames = burst.headers.iter().zip(burst.metas);
        let frames = frames.zip(burst.verdicts.iter_mut());
        for (at, (((header, meta), verdict), lookup)) in frames.zip(lookups).enumerate() {
            if others >> at & 1 == 0 {
                continue;
            }
            if header.u32_at(12) & IPV6_MASK == IPV6 {
                ipv6 |= 1 << at;
            } else if self.is_forwardable(lane, input, header, meta, verdict) {
                *lookup = u32::from_be(header.u32_at(30));
            } else {
                decided |= 1 << at;
            }
        }
        if ipv6 != 0 {
            self.burst6(stages, lane, (input, mac), &mut burst, ipv6);
        }
        decided | ipv6
    }

    /// Handles the frames in `others`, a bit for each, for which `lookups` has no neighbor that
    /// accepts frames of their length: sends them to a member of a group, in segments, to the slow
    /// path, or drops them.
    #[inline(never)]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are all that is known of a burst"
    )]
    fn resolve_rest(
        self,
        lane: &mut Lane,
        input: InterfaceId,
        headers: &mut [Header],
        metas: &[FrameMeta],
        verdicts: &mut [Verdict],
        lookups: &[u32; BURST],
        others: u64,
    ) {
        let known = self.adjacencies.list().len();
        let frames = headers.iter_mut().zip(metas).zip(verdicts);
        for (at, (((header, meta), verdict), lookup)) in frames.zip(lookups).enumerate() {
            if others >> at & 1 == 0 {
                continue;
            }
            let mut index = *lookup as usize;
            if index >= known {
                match self.resolve(lane, input, header, meta, *lookup, verdict) {
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
            let out = adjacency.out();
            rewrite(header, adjacency);
            *verdict = Verdict::Forward(InterfaceId(out));
            lane.count_sent(out, meta.len);
        }
    }

    /// Resolves less common targets to a neighbor. If there is none, sets the verdict.
    #[cold]
    #[inline(never)]
    fn resolve(
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
                let destination = u32::from_be(header.u32_at(30));
                self.adjacencies.index.find(interface, destination)
            }
            Target::Drop(reason) => {
                drop_silently(lane, input, reason, verdict);
                None
            }
            Target::Local | Target::Group(_) | Target::Vrf(_) => None,
        }
    }
}

/// Removes the neighbors of the frames in `decided`, a bit for each.
#[inline(always)]
fn withdraw(lookups: &mut [u32; BURST], decided: u64) {
    for (at, lookup) in lookups.iter_mut().enumerate() {
        if decided >> at & 1 != 0 {
            *lookup = NO_NEIGHBOR;
        }
    }
}

/// Drops a burst received on an interface without a link.
#[cold]
fn link_is_down(
    lane: &mut Lane,
    input: InterfaceId,
    metas: &[FrameMeta],
    verdicts: &mut [Verdict],
) -> Verdicts {
    verdicts.fill(Verdict::Drop);
    let bytes = metas.iter().map(|m| u64::from(m.len)).sum();
    let count = metas.len() as u64;
    lane.count_received(input, count, bytes);
    lane.drop_frames(input, DropReason::LinkDown, count);
    Verdicts::Mixed
}

/// Rewrites the headers of the frames of a burst that go to the neighbors in `lookups`, and counts
/// them. Returns the frames without such a neighbor, or too long for it, a bit for each, and what
/// was sent on the last interface. A function of its own, so that all of its values stay in
/// registers.
#[inline(never)]
#[expect(
    clippy::extra_unused_type_parameters,
    reason = "so that it is compiled where it is used, for speed"
)]
fn send_known<S: Stages>(
    adjacencies: &[Adjacency],
    traffic: &mut [Traffic; MAX_INTERFACES],
    headers: &mut [Header],
    metas: &[FrameMeta],
    verdicts: &mut [Verdict],
    lookups: &[u32; BURST],
) -> (u64, Sent) {
    let mut others = 0u64;
    let mut sent = Sent::default();
    let frames = headers.iter_mut().zip(metas).zip(verdicts.iter_mut());
    for (at, (((header, meta), verdict), lookup)) in frames.zip(lookups).enumerate() {
        match adjacencies.get(*lookup as usize) {
            Some(adjacency) if meta.len <= adjacency.max_len() => {
                let out = adjacency.out();
                rewrite(header, adjacency);
                *verdict = Verdict::Forward(InterfaceId(out));
                sent.count(traffic, out, meta.len);
            }
            _ => others |= 1 << at,
        }
    }
    sent.add_to(traffic, 0);
    (others, sent)
}

/// Rewrites a header for forwarding to a neighbor.
#[inline(always)]
fn rewrite(header: &mut Header, adjacency: &Adjacency) {
    adjacency.touch();
    let word = checksum::decrement_ttl(u32::from_le(header.u32_at(22)));
    adjacency.write_mac_addresses(header);
    if let Some(ttl_to_checksum) = header.0[22..].first_chunk_mut() {
        *ttl_to_checksum = word.to_le_bytes();
    }
}

/// What a burst sends on one interface, counted together.
#[derive(Clone, Copy, Default)]
struct Sent {
    out: u8,
    packets: u32,
    bytes: u64,
}

impl Sent {
    #[inline(always)]
    fn count(&mut self, all: &mut [Traffic; MAX_INTERFACES], out: u8, len: u32) {
        if out != self.out {
            *self = core::mem::take(self).add_to(all, out);
        }
        self.packets += 1;
        self.bytes += u64::from(len);
    }

    /// Adds these counts to the traffic of the interface, and starts counting for interface `next`.
    #[cold]
    #[inline(never)]
    fn add_to(self, all: &mut [Traffic; MAX_INTERFACES], next: u8) -> Self {
        #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
        let all = &mut all[usize::from(self.out) % MAX_INTERFACES];
        all.packets += u64::from(self.packets);
        all.bytes += self.bytes;
        Self {
            out: next,
            ..Self::default()
        }
    }
}
