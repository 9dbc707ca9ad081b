//! IPv4 packets on the slow path.

use alloc::vec::Vec;

use wire::icmp_error::IcmpError;
use wire::ipv4::{DF, Ipv4};
use wire::{checksum, ipv4_fragment, put};

use crate::DropReason;
use crate::forward::segments_fit::segments_fit;
use crate::frame::ETHERNET_LEN;
use crate::packet::{Ip, Packet};
use crate::slow::next_hop::{NeighborRef, NextHop};
use crate::slow::source_route::is_as_strict;
use crate::step::Step;

impl Step<'_> {
    /// Routes an IPv4 packet, received or made by the router.
    pub(crate) fn route4(&mut self, packet: Packet, ip: &Ipv4) {
        let input = packet.input;
        let destination = packet.hop.map_or(ip.destination, |hop| hop.destination);
        let found = self.tables.route_to(input, destination.into());
        let (target, route_mtu) =
            self.tables
                .vrfs
                .settle(found.number(), packet.ip_bytes(), self.tables.flow_key);
        let vrf = self.tables.vrf_of(input);
        if packet.originated && self.tables.is_network_end(vrf, destination) {
            // A reversed source route may contain it, but the router never sends to the limited
            // broadcast.
            return self.cx.drop_frames(input, DropReason::Broadcast, 1);
        }
        let neighbor = match self.next_hop(target, destination.into(), &packet) {
            None => return,
            Some(NextHop::Local) => return self.deliver4(packet, ip),
            Some(NextHop::Neighbor(neighbor)) => neighbor,
        };
        if !packet.originated && ip.ttl <= 1 {
            self.cx.drop_frames(input, DropReason::TtlExpired, 1);
            return self.report(&packet, IcmpError::TimeExceeded);
        }
        if !is_as_strict(self.tables, &packet, target) {
            self.cx.drop_frames(input, DropReason::SourceRoute, 1);
            return self.report(&packet, IcmpError::SourceRouteFailed);
        }
        let Some(mtu) = self.within_reach(input, neighbor) else {
            return;
        };
        self.redirect(&packet, target);
        let mtu = mtu.min(route_mtu.unwrap_or(u16::MAX));
        let max_len = u32::from(mtu) + ETHERNET_LEN as u32;
        if ip.total_len <= usize::from(mtu) || segments_fit(&packet.meta, max_len) {
            if let Some(index) = self.arrive(input, neighbor, 1) {
                self.send_to(index, packet);
            }
        } else if ip.fragment & DF != 0 && !packet.originated {
            self.cx.drop_frames(input, DropReason::TooBig, 1);
            self.report(&packet, IcmpError::FragmentationNeeded(mtu));
        } else {
            self.fragment4(neighbor, packet, mtu);
        }
    }

    fn fragment4(&mut self, neighbor: NeighborRef, mut packet: Packet, mtu: u16) {
        packet.complete_checksum();
        let input = packet.input;
        if packet.originated {
            // smoltcp doesn't set the identification, and sets "don't fragment".
            self.state.ident = self.state.ident.wrapping_add(1);
            let ident = self.state.ident;
            let header_len = packet.header().len();
            let numbered = packet.edit(|bytes| {
                put(bytes, 4, &ident.to_be_bytes());
                put(bytes, 6, &[0, 0]);
                if let Some(header) = bytes.get_mut(..header_len) {
                    checksum::fill(header, 10);
                }
            });
            if let Err(reason) = numbered {
                return self.cx.drop_frames(input, reason, 1);
            }
        }
        let Ip::V4(ip) = packet.ip() else {
            return;
        };
        let mut fragments: Vec<Vec<u8>> = Vec::new();
        let bytes = packet.ip_bytes();
        let count = ipv4_fragment::fragment(bytes, &ip, mtu.into(), ETHERNET_LEN, |fragment| {
            fragments.push(core::mem::take(fragment));
        });
        if count == 0 {
            return self.cx.drop_frames(input, DropReason::TooBig, 1);
        }
        self.send_fragments(neighbor, &packet, fragments);
    }

    /// Sends the fragments of a packet to a neighbor.
    pub(crate) fn send_fragments(
        &mut self,
        neighbor: NeighborRef,
        whole: &Packet,
        fragments: Vec<Vec<u8>>,
    ) {
        let count = fragments.len() as u64;
        let more = count.saturating_sub(1);
        self.cx.count(whole.input, |c| c.originated += more);
        let Some(index) = self.arrive(whole.input, neighbor, count) else {
            return;
        };
        for bytes in fragments {
            match whole.fragment(bytes) {
                Ok(fragment) => self.send_to(index, fragment),
                Err(reason) => self.cx.drop_frames(whole.input, reason, 1),
            }
        }
    }
}
