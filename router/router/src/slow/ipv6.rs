//! IPv6 packets on the slow path.

use wire::icmp_error::IcmpError;
use wire::ipv6::{Ipv6, MIN_MTU};
use wire::ipv6_extension;
use wire::ipv6_fragment;

use crate::DropReason;
use crate::drop_reason::Refused;
use crate::forward::segments_fit::segments_fit;
use crate::frame::ETHERNET_LEN;
use crate::packet::Packet;
use crate::route::target::Target;
use crate::slow::next_hop::{NeighborRef, NextHop};
use crate::step::Step;
use crate::tables::Tables;

impl Step<'_> {
    /// Routes an IPv6 packet, received or made by the router.
    pub(crate) fn route6(&mut self, packet: Packet, ip: &Ipv6) {
        let input = packet.input;
        let (target, route_mtu) = target6(self.tables, &packet, ip);
        let neighbor = match self.next_hop(target, ip.destination.into(), &packet) {
            None => return,
            Some(NextHop::Local) => return self.deliver6(packet, ip),
            Some(NextHop::Neighbor(neighbor)) => neighbor,
        };
        if !packet.originated && !self.may_forward(&packet, ip) {
            return;
        }
        let Some(mtu) = self.within_reach(input, neighbor) else {
            return;
        };
        self.redirect(&packet, target);
        let mtu = mtu.min(route_mtu.unwrap_or(u16::MAX));
        let max_len = u32::from(mtu) + ETHERNET_LEN as u32;
        // The path MTU may be lower than the link's, and the router doesn't cache path MTUs.
        let own_max = match target {
            Target::OnLink(_) => mtu.into(),
            _ => MIN_MTU.min(mtu.into()),
        };
        if packet.originated && ip.total_len > own_max {
            self.fragment6(neighbor, &packet, ip, own_max);
        } else if ip.total_len <= usize::from(mtu) || segments_fit(&packet.meta, max_len) {
            if let Some(index) = self.arrive(input, neighbor, 1) {
                self.send_to(index, packet);
            }
        } else {
            self.cx.drop_frames(input, DropReason::TooBig, 1);
            self.report(&packet, IcmpError::FragmentationNeeded(mtu));
        }
    }

    /// Returns `true` if a received packet may be forwarded. Otherwise it is dropped.
    fn may_forward(&mut self, packet: &Packet, ip: &Ipv6) -> bool {
        let refused = if ip.source.is_unicast_link_local() {
            Refused(DropReason::BeyondScope, Some(IcmpError::BeyondScope))
        } else if ip.hop_limit <= 1 {
            Refused(DropReason::TtlExpired, Some(IcmpError::TimeExceeded))
        } else if let Err(refused) = ipv6_extension::check_hop_by_hop(packet.ip_bytes(), ip) {
            refused.into()
        } else {
            return true;
        };
        self.refuse(packet, refused);
        false
    }

    /// Drops a packet, and reports the error to its sender, if any.
    pub(crate) fn refuse(&mut self, packet: &Packet, Refused(reason, error): Refused) {
        self.cx.drop_frames(packet.input, reason, 1);
        if let Some(error) = error {
            self.report(packet, error);
        }
    }

    /// Sends a packet of the router's own in fragments of at most `mtu` bytes.
    fn fragment6(&mut self, neighbor: NeighborRef, packet: &Packet, ip: &Ipv6, mtu: usize) {
        let ident = u32::try_from(self.cx.rng.up_to(u32::MAX.into())).unwrap_or(0);
        let mut fragments = alloc::vec::Vec::new();
        let bytes = packet.ip_bytes();
        ipv6_fragment::fragment(bytes, ip, mtu, ident, ETHERNET_LEN, |p| fragments.push(p));
        if fragments.is_empty() {
            let reason = DropReason::TooBig;
            return self.cx.drop_frames(packet.input, reason, 1);
        }
        self.send_fragments(neighbor, packet, fragments);
    }
}

/// Returns the target of a packet. Link-local and multicast addresses are on the packet's link; for
/// a packet made by the router, that is the link of its cause.
fn target6(tables: &Tables, packet: &Packet, ip: &Ipv6) -> (Target, Option<u16>) {
    let input = packet.input;
    let destination = ip.destination;
    if destination.is_multicast() {
        // Packets for groups that the router doesn't listen to have been dropped before.
        return (Target::Local, None);
    }
    if !destination.is_unicast_link_local() {
        let table = &tables.vrfs.get(tables.vrf_of(input)).fib6;
        let answer = table.lookup(destination.to_bits());
        return tables
            .vrfs
            .settle(answer, packet.ip_bytes(), tables.flow_key);
    }
    let target = if tables.is_local6(input, destination) {
        Target::Local
    } else if packet.originated {
        Target::OnLink(input.0)
    } else {
        Target::Drop(DropReason::BeyondScope)
    };
    (target, None)
}
