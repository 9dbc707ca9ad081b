//! Redirects: telling a host that the next hop is on its own link (RFC 1812 5.2.7.2, RFC 4861 8.2).
//!
//! Off unless an interface is told to. Then the fast path hands the first frame of a burst that
//! would go back out to the slow path, as long as one more redirect may be sent.

use core::net::IpAddr;

use crate::frame::{ETHERNET_LEN, Header, InterfaceId, Verdict};
use crate::rate_limit::REDIRECTS;
use crate::route::target::Target;
use crate::router::{Egress, Router};
use crate::slow::ipv4_options::header;
use crate::slow::packet::Waiting;
use crate::time::Instant;
use wire::ipv4_options::source_route::SourceRoute;
use wire::ipv6::ON_LINK_HOPS;
use wire::{be32, be128, icmpv4, icmpv6, ndp_redirect};

/// What a host is to be told, and by which of our addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shortcut {
    from: IpAddr,
    next_hop: IpAddr,
}

impl Router {
    /// Whether an interface may send a redirect now.
    #[inline(always)]
    pub(crate) fn is_redirect_due(&self, now: Instant, input: InterfaceId) -> bool {
        let link = self.links.get(input.index());
        link.is_some_and(|l| l.allow.redirects && l.redirects.has_token(now, REDIRECTS))
    }

    /// Of the frames in `which`, punts the first one whose sender is to be told of a shorter way,
    /// and returns its bit. `answer` has what the table answered for a frame.
    #[cold]
    #[inline(never)]
    pub(crate) fn punt_detour(
        &self,
        input: InterfaceId,
        headers: &[Header],
        verdicts: &mut [Verdict],
        which: u64,
        answer: impl Fn(usize) -> u32,
    ) -> u64 {
        for (at, (header, verdict)) in headers.iter().zip(verdicts).enumerate() {
            if which >> at & 1 == 0 {
                continue;
            }
            let ip = header.0.get(ETHERNET_LEN..).unwrap_or(&[]);
            let (source, destination) = addresses(ip);
            let (target, _) = self.vrfs.settle(answer(at), ip, self.flow_key);
            if self.shortcut(input, source, destination, target).is_some() {
                *verdict = Verdict::Punt;
                return 1 << at;
            }
        }
        0
    }

    /// The way by which packets that came in on `input` had better go, if they go back there.
    fn shortcut(
        &self,
        input: InterfaceId,
        source: IpAddr,
        destination: IpAddr,
        target: Target,
    ) -> Option<Shortcut> {
        let link = self.links.get(input.index())?;
        let next_hop = match target {
            Target::OnLink(at) if at == input.0 => destination,
            Target::Neighbor(index) => {
                let entry = self.neighbors.entry(index as usize)?;
                (entry.interface == input).then_some(entry.address)?
            }
            _ => return None,
        };
        let from = match (source, next_hop) {
            // Both in one network, where our own address is one that the host knows.
            (IpAddr::V4(host), IpAddr::V4(next_hop)) => {
                let both = |n: &&wire::addr::Ipv4Network| n.contains(host) && n.contains(next_hop);
                link.addresses.iter().find(both)?.address.into()
            }
            // Hosts know routers by their link-local addresses only.
            (IpAddr::V6(_), IpAddr::V6(router)) => {
                let known = next_hop == destination || router.is_unicast_link_local();
                let own = link.v6.as_ref()?.source()?;
                known.then_some(own.into())?
            }
            _ => return None,
        };
        let better = next_hop != source && link.has_host(source) && link.has_host(next_hop);
        better.then_some(Shortcut { from, next_hop })
    }

    /// Tells the sender of a packet, which is forwarded nevertheless, of a shorter way. `target`
    /// is where it goes. While a packet waits for the next hop to answer, its sender does too.
    pub(crate) fn redirect(
        &mut self,
        now: Instant,
        waiting: &Waiting,
        target: Target,
        out: &mut dyn Egress,
    ) {
        let input = waiting.input;
        let link = self.links.get(input.index());
        if waiting.originated || !link.is_some_and(|l| l.allow.redirects) {
            return;
        }
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let (source, destination) = addresses(packet);
        let Some(shortcut) = self.shortcut(input, source, destination, target) else {
            return;
        };
        let index = self.neighbors.find(input, shortcut.next_hop);
        let known = |&i: &usize| self.neighbors.entry(i).is_some_and(|e| e.state.is_known());
        let Some(index) = index.filter(known) else {
            return;
        };
        if source.is_ipv4() && !self.may_redirect4(input, packet) {
            return;
        }
        let link = self.links.get_mut(input.index());
        if !link.is_some_and(|l| l.redirects.take(now, REDIRECTS)) {
            return;
        }
        let frame = match (shortcut.from, source, shortcut.next_hop, destination) {
            (IpAddr::V4(from), IpAddr::V4(host), IpAddr::V4(next_hop), _) => {
                icmpv4::redirect_frame(next_hop, from, host, packet)
            }
            (IpAddr::V6(from), IpAddr::V6(host), IpAddr::V6(next_hop), IpAddr::V6(to)) => {
                let station = self.neighbors.station(index);
                let message = ndp_redirect::message(next_hop, to, station, packet);
                icmpv6::packet(from, host, ON_LINK_HOPS, ETHERNET_LEN, message)
            }
            _ => return,
        };
        self.with_counters(input, |c| c.icmp_redirects += 1);
        self.originate(now, input, frame, out);
    }

    /// Whether the sender of an IPv4 packet may be told: not where it chose the way.
    fn may_redirect4(&self, input: InterfaceId, packet: &[u8]) -> bool {
        let chosen = SourceRoute::of(header(packet)).is_some();
        !chosen && self.report4_between(input, packet).is_some()
    }
}

/// Source and destination of a packet whose header is whole.
fn addresses(ip: &[u8]) -> (IpAddr, IpAddr) {
    if ip.first().is_some_and(|b| b >> 4 == 6) {
        let at = |at| IpAddr::V6(be128(ip, at).into());
        (at(8), at(24))
    } else {
        let at = |at| IpAddr::V4(be32(ip, at).into());
        (at(12), at(16))
    }
}
