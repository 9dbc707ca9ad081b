//! The slow path for IPv6 (RFC 8200): forwarding what the fast path doesn't, and sending what
//! the router says itself.

use core::net::Ipv6Addr;

use crate::DropReason;
use crate::drop_reason::Refused;
use crate::forward::ipv4::segments_fit_at;
use crate::frame::{ETHERNET_LEN, FrameMeta, InterfaceId};
use crate::route::target::Target;
use crate::router::{Egress, Router};
use crate::slow::next_hop::NextHop;
use crate::slow::packet::Waiting;
use crate::time::Instant;
use wire::icmp_error::IcmpError;
use wire::ipv6::{HEADER_LEN, Ipv6, MIN_MTU};
use wire::ipv6_extension;
use wire::ipv6_fragment;

impl Router {
    /// Sends an IPv6 packet, received or our own, on its way.
    pub(crate) fn route6(&mut self, now: Instant, mut waiting: Waiting, out: &mut dyn Egress) {
        let input = waiting.input;
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let ip = match Ipv6::parse(packet, packet.len()) {
            Ok(ip) => ip,
            Err(error) => return self.drop_frames(input, error.into(), 1),
        };
        let (target, route_mtu) = self.target6(input, packet, &ip, waiting.originated);
        // Padding ends here.
        waiting.bytes.truncate(ETHERNET_LEN + ip.total_len);
        waiting.meta.len = u32::try_from(waiting.bytes.len()).unwrap_or(u32::MAX);
        let destination = ip.destination.into();
        let neighbor = match self.next_hop(now, target, destination, &waiting, out) {
            None => return,
            Some(NextHop::Local) => return self.deliver6(now, waiting, &ip, out),
            Some(NextHop::Neighbor(neighbor)) => neighbor,
        };
        if !waiting.originated && !self.may_forward(now, &waiting, &ip, out) {
            return;
        }
        let Some((index, mtu)) = self.within_reach(input, neighbor) else {
            return;
        };
        self.redirect(now, &waiting, target, out);
        let mtu = mtu.min(route_mtu.unwrap_or(u16::MAX));
        let max_len = u32::from(mtu) + ETHERNET_LEN as u32;
        // Beyond the link the path may be narrower, and the router doesn't remember how much.
        let own_max = match target {
            Target::OnLink(_) => mtu.into(),
            _ => MIN_MTU.min(mtu.into()),
        };
        if waiting.originated && ip.total_len > own_max {
            self.fragment6(now, index, &waiting, &ip, own_max, out);
        } else if ip.total_len <= usize::from(mtu)
            || segments_fit_at(&waiting.bytes, HEADER_LEN, &waiting.meta, max_len)
        {
            self.send_to(now, index, waiting, out);
        } else {
            self.drop_frames(input, DropReason::TooBig, 1);
            self.report(now, &waiting, IcmpError::FragmentationNeeded(mtu), out);
        }
    }

    /// Where a packet goes. Link-local addresses and groups are on the link of the packet:
    /// for one of our own, that which caused it.
    fn target6(
        &self,
        input: InterfaceId,
        packet: &[u8],
        ip: &Ipv6,
        originated: bool,
    ) -> (Target, Option<u16>) {
        let destination = ip.destination;
        if destination.is_multicast() {
            // The router listens to it, or the packet would not be here.
            return (Target::Local, None);
        }
        if !destination.is_unicast_link_local() {
            let table = &self.vrfs.get(self.vrf_of(input)).fib6;
            let answer = table.lookup(destination.to_bits());
            return self.vrfs.settle(answer, packet, self.flow_key);
        }
        let v6 = self.links.get(input.index()).and_then(|l| l.v6.as_ref());
        let ours = v6.is_some_and(|v6| v6.usable().any(|n| n.address == destination));
        let target = if ours {
            Target::Local
        } else if originated {
            Target::OnLink(input.0)
        } else {
            Target::Drop(DropReason::BeyondScope)
        };
        (target, None)
    }

    /// Whether a received packet for others may go on. If not, it is dropped.
    fn may_forward(
        &mut self,
        now: Instant,
        waiting: &Waiting,
        ip: &Ipv6,
        out: &mut dyn Egress,
    ) -> bool {
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let refused = if ip.source.is_unicast_link_local() {
            Refused(DropReason::BeyondScope, Some(IcmpError::BeyondScope))
        } else if ip.hop_limit <= 1 {
            Refused(DropReason::TtlExpired, Some(IcmpError::TimeExceeded))
        } else if let Err(refused) =
            ipv6_extension::check_hop_by_hop(packet, ip).map_err(Refused::from)
        {
            refused
        } else {
            return true;
        };
        let Refused(reason, error) = refused;
        self.drop_frames(waiting.input, reason, 1);
        if let Some(error) = error {
            self.report(now, waiting, error, out);
        }
        false
    }

    /// Sends a packet of our own in fragments of at most `mtu` bytes.
    fn fragment6(
        &mut self,
        now: Instant,
        index: usize,
        waiting: &Waiting,
        ip: &Ipv6,
        mtu: usize,
        out: &mut dyn Egress,
    ) {
        let ident = u32::try_from(self.random(u32::MAX.into())).unwrap_or(0);
        let packet = waiting.bytes.get(ETHERNET_LEN..).unwrap_or(&[]);
        let mut pieces = alloc::vec::Vec::new();
        ipv6_fragment::fragment(packet, ip, mtu, ident, ETHERNET_LEN, |p| pieces.push(p));
        if pieces.is_empty() {
            return self.drop_frames(waiting.input, DropReason::TooBig, 1);
        }
        let more = pieces.len() as u64 - 1;
        self.with_counters(waiting.input, |c| c.originated += more);
        for bytes in pieces {
            let piece = Waiting {
                meta: FrameMeta::plain(bytes.len()),
                bytes,
                input: waiting.input,
                originated: true,
                hop: None,
            };
            self.send_to(now, index, piece, out);
        }
    }

    /// Whether this is one of the router's unicast addresses, as seen from an interface.
    pub(crate) fn is_local6(&self, input: InterfaceId, address: Ipv6Addr) -> bool {
        if address.is_unicast_link_local() {
            let v6 = self.links.get(input.index()).and_then(|l| l.v6.as_ref());
            return v6.is_some_and(|v6| v6.usable().any(|n| n.address == address));
        }
        // Or of a table that a route leads to.
        let (vrf, _) = self.vrfs.find(self.vrf_of(input), address.into());
        let links = self.links.iter().filter(|l| l.vrf == vrf);
        links
            .filter_map(|l| l.v6.as_ref())
            .any(|v6| v6.usable().any(|n| n.address == address))
    }
}
