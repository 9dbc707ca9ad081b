//! Sending packets to neighbors, or to their queues until they are resolved.

use wire::icmp_error::IcmpError;
use wire::{ethernet, put};

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::neighbor::table::State;
use crate::packet::{Ip, Packet};
use crate::slow::ipv4_options::decrement_ttl_and_record;
use crate::step::Step;

/// The offset of the hop limit in an IPv6 header.
const HOP_LIMIT: usize = 7;

impl Step<'_> {
    /// Sends a packet that fits the MTU to a neighbor, or queues it until the neighbor is resolved.
    pub(crate) fn send_to(&mut self, index: usize, packet: Packet) {
        let Some(state) = self.state.neighbors.entry(index).map(|e| e.state) else {
            let reason = DropReason::NeighborTableFull;
            return self.cx.drop_frames(packet.input, reason, 1);
        };
        match state {
            State::Reachable | State::Delay | State::Probe(_) | State::Static => {
                self.finish(index, packet);
            }
            State::Stale => {
                self.nud().use_stale(index);
                self.finish(index, packet);
            }
            State::Failed => {
                let reason = DropReason::NeighborUnreachable;
                self.cx.drop_frames(packet.input, reason, 1);
                self.report(&packet, IcmpError::HostUnreachable);
            }
            State::Idle | State::Incomplete(_) | State::Free => self.nud().wait(index, packet),
        }
    }

    /// Completes a packet's headers and sends it to a resolved neighbor.
    fn finish(&mut self, index: usize, packet: Packet) {
        let (Some(key), Some(adjacency)) = (
            self.tables.adjacencies.key(index),
            self.tables.adjacencies.get(index),
        ) else {
            return;
        };
        adjacency.touch();
        let (interface, mac_addresses) = (InterfaceId(adjacency.out()), adjacency.mac_addresses());
        let (ip, originated, meta) = (packet.ip(), packet.originated, packet.meta);
        let (input, hop) = (packet.input, packet.hop);
        let mut frame = packet.into_frame();
        let ethertype = match ip {
            Ip::V4(_) => ethernet::IPV4,
            Ip::V6(_) => ethernet::IPV6,
        };
        put(&mut frame, 0, &mac_addresses);
        put(&mut frame, 12, &ethertype.to_be_bytes());
        if !originated && let Some(bytes) = frame.get_mut(ETHERNET_LEN..) {
            match ip {
                Ip::V4(ip) => {
                    let way = (input, interface, key.address);
                    decrement_ttl_and_record(self.tables, self.cx.now, way, hop, &ip, bytes);
                }
                Ip::V6(ip) => put(bytes, HOP_LIMIT, &[ip.hop_limit.saturating_sub(1)]),
            }
        }
        self.cx.send(interface, frame, meta);
    }
}
