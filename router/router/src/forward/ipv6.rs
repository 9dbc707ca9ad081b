//! The fast path for IPv6: three passes over the IPv6 frames of a burst, as for IPv4.

use crate::forward::closer_look::drop_silently;
use crate::forward::lane::Lane;
use crate::forward::segments_fit::segments_fit6;
use crate::frame::{BURST, ETHERNET_LEN, FrameMeta, Header, InterfaceId, Verdict};
use crate::route::target::Target;
use crate::tables::Tables;
use wire::{be128, ipv6};

/// Bytes of the Ethernet and IPv6 headers.
const HEADERS: u32 = (ETHERNET_LEN + ipv6::HEADER_LEN) as u32;
/// Where the fields are in a frame.
const PAYLOAD_LEN: usize = ETHERNET_LEN + 4;
const NEXT_HEADER: usize = ETHERNET_LEN + 6;
const HOP_LIMIT: usize = ETHERNET_LEN + 7;
const SOURCE: usize = ETHERNET_LEN + 8;
const DESTINATION: usize = ETHERNET_LEN + 24;

impl Tables {
    /// The frames in `which`, a bit for each, all with EtherType and version of IPv6. `mac` is
    /// the station that they must be for, its first byte in bits 16 to 23.
    #[inline(never)]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are all that is known of a burst"
    )]
    pub(crate) fn burst6(
        &self,
        lane: &mut Lane,
        input: InterfaceId,
        mac: u64,
        headers: &mut [Header],
        metas: &[FrameMeta],
        verdicts: &mut [Verdict],
        which: u64,
    ) {
        let link = self.interface(input);
        let enabled = link.is_some_and(|l| l.v6.is_some());
        let rpf = link.and_then(|l| l.rpf);
        let vrf = self.vrf_of(input);
        let link_max = link.map_or(u32::MAX, |l| u32::from(l.mtu) + ETHERNET_LEN as u32);
        let (mut forward, mut other) = (0u64, 0u64);
        let local = &self.vrfs.get(vrf).local_addresses;
        for (at, (header, meta)) in headers.iter().zip(metas).enumerate() {
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
            if let (Some(header), Some(meta)) = (headers.get(at), metas.get(at))
                && let Some(verdict) = verdicts.get_mut(at)
                && self.is_forwardable(lane, input, header, meta, verdict)
            {
                forward |= 1 << at;
            }
        }
        if let Some(rule) = rpf {
            forward = self.filter_sources6(lane, rule, input, headers, verdicts, forward);
        }

        // Frames of one flow come in trains: one lookup serves all of a train.
        let mut asked = [0u128; BURST];
        let mut answers = [0u32; BURST];
        let mut lookup_of = [0u8; BURST];
        let mut lookups = 0usize;
        let frames = headers.iter().zip(&mut lookup_of).enumerate();
        for (at, (header, lookup)) in frames {
            if forward >> at & 1 == 0 {
                continue;
            }
            let destination = header.u128_at(DESTINATION);
            let last = asked.get(lookups.wrapping_sub(1));
            if last != Some(&destination)
                && let Some(next) = asked.get_mut(lookups)
            {
                *next = destination;
                lookups += 1;
            }
            *lookup = lookups.wrapping_sub(1) as u8;
        }
        if let (Some(asked), Some(answers)) = (asked.get(..lookups), answers.get_mut(..lookups)) {
            let table = self.vrfs.get(vrf).fib6.table();
            table.lookup_batch(asked, answers);
        }
        if lane.redirect_due {
            let answer = |at: usize| {
                let lookup = lookup_of.get(at).map_or(0, |&l| usize::from(l));
                answers.get(lookup).copied().unwrap_or(0)
            };
            forward &= !self.punt_detour(input, headers, verdicts, forward, answer);
        }

        let known = self.adjacencies.list.len();
        let mut last_on_link = None;
        let frames = headers.iter_mut().zip(metas).zip(verdicts).zip(&lookup_of);
        for (at, (((header, meta), verdict), lookup)) in frames.enumerate() {
            if forward >> at & 1 == 0 {
                continue;
            }
            let lookup = usize::from(*lookup) % BURST;
            let answer = answers[lookup];
            let mut index = answer as usize;
            if index >= known {
                let found = match last_on_link {
                    Some((asked, found)) if asked == lookup => Some(found),
                    _ => {
                        let found =
                            self.resolve6(lane, input, header, (meta, link_max), answer, verdict);
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
            let Some(adjacency) = self.adjacencies.list.get(index) else {
                *verdict = Verdict::Punt;
                continue;
            };
            if meta.len > adjacency.max_len
                && !segments_fit6(header, meta, link_max, adjacency.max_len)
            {
                *verdict = Verdict::Punt;
                continue;
            }
            adjacency.touch();
            let out = adjacency.out;
            if let Some(stations) = header.0.first_chunk_mut() {
                *stations = adjacency.stations;
            }
            header.0[HOP_LIMIT] -= 1;
            *verdict = Verdict::Forward(InterfaceId(out));
            lane.count_sent(out, meta.len);
        }
    }

    /// Resolves what isn't a neighbour's index to one; if there is none, the verdict is set.
    #[inline(never)]
    fn resolve6(
        &self,
        lane: &mut Lane,
        input: InterfaceId,
        header: &Header,
        (meta, link_max): (&FrameMeta, u32),
        answer: u32,
        verdict: &mut Verdict,
    ) -> Option<usize> {
        *verdict = Verdict::Punt;
        let ip = header.0.get(ETHERNET_LEN..).unwrap_or(&[]);
        let (target, mtu) = self.vrfs.settle(answer, ip, self.flow_key);
        if let Some(mtu) = mtu {
            let max_len = u32::from(mtu) + ETHERNET_LEN as u32;
            if meta.len > max_len && !segments_fit6(header, meta, link_max, max_len) {
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
