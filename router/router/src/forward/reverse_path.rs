//! Reverse-path filtering (RFC 2827, RFC 3704).

use core::net::IpAddr;

use crate::DropReason;
use crate::forward::lane::Lane;
use crate::frame::{BURST, ETHERNET_LEN, Header, InterfaceId, Verdict};
use crate::route::target::Target;
use crate::tables::Tables;
use config::ReversePath;

impl Tables {
    /// Returns `true` if an interface may receive packets from this address; `None` if that takes
    /// routes that are being changed. A lane doesn't wait for who changes them, whose CPU may not be
    /// running: the slow path finds out.
    #[inline]
    pub(crate) fn is_expected(
        &self,
        rule: ReversePath,
        input: InterfaceId,
        source: IpAddr,
    ) -> Option<bool> {
        let (vrf, target) = self.vrfs.find(self.vrf_of(input), source);
        if matches!(target, Target::Local | Target::Drop(_) | Target::Vrf(_)) {
            return Some(false);
        }
        let table = self.vrfs.get(vrf);
        match rule {
            ReversePath::Strict => Some(self.leads_to(input, target)),
            ReversePath::Feasible => {
                let leads_there = |target| self.leads_to(input, target);
                if leads_there(target) {
                    return Some(true);
                }
                table.any_containing(source, leads_there)
            }
            ReversePath::Loose => Some(true),
            ReversePath::LooseIgnoringDefault => table.any_containing(source, |_| true),
        }
    }

    /// Returns `true` if a target is on the link of an interface.
    fn leads_to(&self, input: InterfaceId, target: Target) -> bool {
        match target {
            Target::Local | Target::Drop(_) | Target::Vrf(_) => false,
            Target::OnLink(at) => at == input.0,
            Target::Neighbor(index) => {
                let adjacency = self.adjacencies.get(index as usize);
                adjacency.is_some_and(|a| a.out() == input.0)
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
                let adjacency = self.adjacencies.get(index as usize);
                adjacency.is_some_and(|a| a.out() == input.0)
            }
            _ => false,
        })
    }

    /// Drops the IPv6 frames of a burst that fail reverse-path filtering, and punts those for which
    /// this can't be decided now. Returns `which` without them.
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
        let (mut kept, mut dropped) = (0, 0);
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
            match expected {
                Some(true) => kept |= 1 << at,
                Some(false) => {
                    *verdict = Verdict::Drop;
                    dropped += 1;
                }
                None => *verdict = Verdict::Punt,
            }
        }
        lane.drop_frames(input, DropReason::ReversePath, dropped);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Instant, Router};

    #[test]
    fn a_lane_waits_for_nobody_who_changes_routes() {
        let text = "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/24\", \"2001:db8::1/64\"]\n\
                    [interface.lan]\nvif = 1\naddress = [\"10.0.1.1/24\", \"2001:db8:1::1/64\"]\n\
                    [[route]]\nprefix = \"77.0.0.0/8\"\nvia = [\"10.0.0.9\"]\n\
                    [[route]]\nprefix = \"77.1.0.0/16\"\nvia = [\"10.0.1.9\"]\n\
                    [[route]]\nprefix = \"2001:db8:77::/48\"\nvia = [\"2001:db8::9\"]\n\
                    [[route]]\nprefix = \"2001:db8:77:1::/64\"\nvia = [\"2001:db8:1::9\"]\n";
        let mut router = Router::new(&config::from_toml(text).unwrap(), 1, Instant(0));
        for at in [0, 1] {
            let mac = wire::addr::Mac([2, 0, 0, 0, 0, at]);
            router.link_up(Instant(0), InterfaceId(at), mac.0, 1500);
        }
        let (tables, wan) = (router.tables(), InterfaceId(0));
        let expected = |source: &str| {
            let source = source.parse().unwrap();
            tables.is_expected(ReversePath::Feasible, wan, source)
        };
        // The best way is here; another one is; none is.
        let sources = [
            ["77.0.0.9", "77.1.0.9", "10.0.1.9"],
            ["2001:db8:77::9", "2001:db8:77:1::9", "2001:db8:1::9"],
        ];
        for sources in sources {
            let found = sources.map(expected);
            assert_eq!(found, [Some(true), Some(true), Some(false)]);
            let changing = tables.vrfs.get(0).rib.write();
            assert_eq!(sources.map(expected), [Some(true), None, None]);
            drop(changing);
        }
    }
}
