//! Reverse-path filtering: packets must come from where their sources are (RFC 2827, RFC 3704).

use core::net::IpAddr;

use crate::DropReason;
use crate::forward::lane::Lane;
use crate::frame::{BURST, ETHERNET_LEN, Header, InterfaceId, Verdict};
use crate::route::target::Target;
use crate::tables::Tables;
use config::ReversePath;

impl Tables {
    /// Returns `true` if an interface may receive packets from this address.
    #[inline]
    pub(crate) fn is_expected(
        &self,
        rule: ReversePath,
        input: InterfaceId,
        source: IpAddr,
    ) -> bool {
        let (vrf, target) = self.vrfs.find(self.vrf_of(input), source);
        if matches!(target, Target::Local | Target::Drop(_) | Target::Vrf(_)) {
            return false;
        }
        let table = self.vrfs.get(vrf);
        match rule {
            ReversePath::Strict => self.leads_to(input, target),
            ReversePath::Feasible => {
                let leads_there = |target| self.leads_to(input, target);
                leads_there(target) || table.any_containing(source, leads_there)
            }
            ReversePath::Loose => true,
            ReversePath::LooseIgnoringDefault => table.any_containing(source, |_| true),
        }
    }

    /// Returns `true` if a target is on the link of an interface.
    fn leads_to(&self, input: InterfaceId, target: Target) -> bool {
        match target {
            Target::Local | Target::Drop(_) | Target::Vrf(_) => false,
            Target::OnLink(at) => at == input.0,
            Target::Neighbor(index) => {
                let adjacency = self.adjacencies.list.get(index as usize);
                adjacency.is_some_and(|a| a.out == input.0)
            }
            Target::Group(group) => self.has_member(group, input),
        }
    }

    /// Returns `true` if one of a group's members is on an interface.
    #[inline]
    fn has_member(&self, group: u32, input: InterfaceId) -> bool {
        self.vrfs.members(group).any(|member| match member {
            Target::OnLink(at) => at == input.0,
            Target::Neighbor(index) => {
                let adjacency = self.adjacencies.list.get(index as usize);
                adjacency.is_some_and(|a| a.out == input.0)
            }
            _ => false,
        })
    }

    /// Drops IPv6 frames of a burst that come from elsewhere: of those in `which`, which are
    /// returned without them.
    #[inline]
    pub(crate) fn filter_sources6(
        &self,
        lane: &mut Lane,
        rule: ReversePath,
        input: InterfaceId,
        headers: &[Header],
        verdicts: &mut [Verdict],
        which: u64,
    ) -> u64 {
        let mut kept = 0;
        // A train of frames has one source.
        let mut last = None;
        let frames = headers.iter().zip(verdicts).take(BURST).enumerate();
        for (at, (header, verdict)) in frames {
            if which >> at & 1 == 0 {
                continue;
            }
            let source = u128::from_be_bytes(header.bytes_at(ETHERNET_LEN + 8));
            let expected = match last {
                Some((asked, answer)) if asked == source => answer,
                _ => self.is_expected(rule, input, IpAddr::V6(source.into())),
            };
            last = Some((source, expected));
            if expected {
                kept |= 1 << at;
            } else {
                *verdict = Verdict::Drop;
            }
        }
        let dropped = (which & !kept).count_ones();
        lane.drop_frames(input, DropReason::ReversePath, dropped.into());
        kept
    }
}
