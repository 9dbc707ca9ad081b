//! Whether packets come from where their sources are: ingress filtering (RFC 2827, RFC 3704).

use core::net::IpAddr;

use crate::config::ReversePath;
use crate::fib::Target;
use crate::frame::{BURST, Header, InterfaceId, Verdict};
use crate::router::Router;
use crate::wire::{be32, be128};
use crate::{DropReason, frame::ETHERNET_LEN};

impl Router {
    /// Whether an interface may receive packets from this address.
    pub(crate) fn is_expected(
        &self,
        rule: ReversePath,
        input: InterfaceId,
        source: IpAddr,
    ) -> bool {
        let (_, target) = self.vrfs.find(self.vrf_of(input), source);
        self.leads_to(rule, input, target)
    }

    /// Whether the tables' answer for a source allows it on an interface.
    fn leads_to(&self, rule: ReversePath, input: InterfaceId, target: Target) -> bool {
        let loose = rule == ReversePath::Loose;
        match target {
            Target::Local | Target::Nowhere(_) | Target::Vrf(_) => false,
            _ if loose => true,
            Target::OnLink(at) => at == input.0,
            Target::Neighbor(index) => {
                let adjacency = self.neighbors.adjacencies.get(index as usize);
                adjacency.is_some_and(|a| a.out == input.0)
            }
            Target::Group(group) => self
                .vrfs
                .members(group)
                .any(|member| self.leads_to(rule, input, member)),
        }
    }

    /// Drops frames of a burst that come from elsewhere: of those in `which`, which are
    /// returned without them.
    #[inline(never)]
    pub(crate) fn filter_sources(
        &mut self,
        rule: ReversePath,
        input: InterfaceId,
        headers: &[Header],
        verdicts: &mut [Verdict],
        which: u64,
        ipv6: bool,
    ) -> u64 {
        let mut kept = 0;
        let mut dropped = 0;
        // A train of frames has one source.
        let mut last: Option<(IpAddr, bool)> = None;
        let frames = headers.iter().zip(verdicts).take(BURST).enumerate();
        for (at, (header, verdict)) in frames {
            if which >> at & 1 == 0 {
                continue;
            }
            let source = if ipv6 {
                IpAddr::V6(be128(&header.0, ETHERNET_LEN + 8).into())
            } else {
                IpAddr::V4(be32(&header.0, ETHERNET_LEN + 12).into())
            };
            let expected = match last {
                Some((asked, answer)) if asked == source => answer,
                _ => self.is_expected(rule, input, source),
            };
            last = Some((source, expected));
            if expected {
                kept |= 1 << at;
            } else {
                *verdict = Verdict::Drop;
                dropped += 1;
            }
        }
        self.drop_frames(input, DropReason::ReversePath, dropped);
        kept
    }
}
