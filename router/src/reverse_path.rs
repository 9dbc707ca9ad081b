//! Whether packets come from where their sources are: ingress filtering (RFC 2827, RFC 3704).

use core::net::IpAddr;

use crate::DropReason;
use crate::config::ReversePath;
use crate::fib::Target;
use crate::frame::{BURST, ETHERNET_LEN, Header, InterfaceId, Verdict};
use crate::router::Router;

impl Router {
    /// Whether an interface may receive packets from this address.
    pub(crate) fn is_expected(
        &self,
        rule: ReversePath,
        input: InterfaceId,
        source: IpAddr,
    ) -> bool {
        let target = match source {
            IpAddr::V4(source) => self.fib.lookup(source.to_bits()),
            IpAddr::V6(source) => Target::from_number(self.fib6.lookup(source.to_bits())),
        };
        self.leads_to(rule, input, target)
    }

    /// Whether a lookup's answer for a source allows it on an interface.
    #[inline(always)]
    fn leads_to(&self, rule: ReversePath, input: InterfaceId, target: Target) -> bool {
        match target {
            Target::Local | Target::Nowhere(_) => false,
            _ if rule == ReversePath::Loose => true,
            Target::OnLink(at) => at == input.0,
            Target::Neighbor(index) => {
                let adjacency = self.neighbors.adjacencies.get(index as usize);
                adjacency.is_some_and(|a| a.out == input.0)
            }
            Target::Group(group) => self.has_member(group, input),
        }
    }

    /// Whether one of a group's members is a neighbour on an interface.
    #[inline(never)]
    fn has_member(&self, group: u32, input: InterfaceId) -> bool {
        let neighbor = |target| match target {
            Target::Neighbor(index) => self.neighbors.adjacencies.get(index as usize),
            _ => None,
        };
        let mut members = self.fib.members(group).filter_map(neighbor);
        members.any(|a| a.out == input.0)
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
        let leads = |target| self.leads_to(rule, input, target);
        let kept = if ipv6 {
            let source = |h: &Header| u128::from_be_bytes(h.bytes_at(ETHERNET_LEN + 8));
            let lookup = |source| Target::from_number(self.fib6.lookup(source));
            filter(headers, which, source, |source| leads(lookup(source)))
        } else {
            let source = |h: &Header| u32::from_be_bytes(h.bytes_at(ETHERNET_LEN + 12));
            filter(headers, which, source, |source| {
                leads(self.fib.lookup(source))
            })
        };
        let dropped = which & !kept;
        if dropped != 0 {
            for (at, verdict) in verdicts.iter_mut().enumerate().take(BURST) {
                if dropped >> at & 1 != 0 {
                    *verdict = Verdict::Drop;
                }
            }
            let count = dropped.count_ones().into();
            self.drop_frames(input, DropReason::ReversePath, count);
        }
        kept
    }
}

/// Those of the frames in `which` whose sources are expected. A train of frames has one source,
/// which is asked for once.
#[inline(always)]
fn filter<A: Copy + Eq>(
    headers: &[Header],
    which: u64,
    source: impl Fn(&Header) -> A,
    is_expected: impl Fn(A) -> bool,
) -> u64 {
    let mut kept = 0;
    let mut last = None;
    for (at, header) in headers.iter().enumerate().take(BURST) {
        if which >> at & 1 == 0 {
            continue;
        }
        let source = source(header);
        let expected = match last {
            Some((asked, answer)) if asked == source => answer,
            _ => is_expected(source),
        };
        last = Some((source, expected));
        kept |= u64::from(expected) << at;
    }
    kept
}
