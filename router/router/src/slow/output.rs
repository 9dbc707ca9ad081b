//! Sending: to a neighbor, or to a queue until it is known, and what the router says itself.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, FrameMeta, InterfaceId};
use crate::neighbor::table::State;
use crate::router::{Egress, Router};
use crate::slow::packet::Waiting;
use crate::time::Instant;
use wire::addr::Mac;
use wire::icmp_error::IcmpError;
use wire::{ethernet, put};

/// Frames that may wait for one neighbour.
const NEIGHBOR_QUEUE: usize = 8;
/// Frames that may wait for all neighbours together.
const WAITING_FRAMES: usize = 256;
/// Bytes that may wait for all neighbours together.
const WAITING_BYTES: usize = 96 * 1024;

impl Router {
    /// Sends a packet that fits to a neighbour, or keeps it until the neighbour is known.
    pub(crate) fn send_to(
        &mut self,
        now: Instant,
        index: usize,
        waiting: Waiting,
        out: &mut dyn Egress,
    ) {
        let Some(state) = self.neighbors.entry(index).map(|e| e.state) else {
            return self.drop_frames(waiting.input, DropReason::NeighborTableFull, 1);
        };
        match state {
            State::Reachable | State::Delay | State::Probe(_) | State::Static => {
                self.finish(now, index, waiting, out);
            }
            State::Stale => {
                self.use_stale(now, index);
                self.finish(now, index, waiting, out);
            }
            State::Failed => {
                self.drop_frames(waiting.input, DropReason::NeighborUnreachable, 1);
                self.report(now, &waiting, IcmpError::HostUnreachable, out);
            }
            State::Idle => {
                self.wait(index, waiting);
                self.start_resolution(now, index, out);
            }
            State::Incomplete(_) | State::Free => self.wait(index, waiting),
        }
    }

    /// Keeps a frame until its neighbour is known. The newest frames are kept (RFC 1122
    /// 2.3.2.2).
    fn wait(&mut self, index: usize, waiting: Waiting) {
        let len = waiting.bytes.len();
        let full = self.neighbors.waiting_frames >= WAITING_FRAMES
            || self.neighbors.waiting_bytes + len > WAITING_BYTES;
        let Some(entry) = self.neighbors.entry_mut(index).filter(|_| !full) else {
            return self.drop_frames(waiting.input, DropReason::NeighborQueueFull, 1);
        };
        let oldest = (entry.queue.len() >= NEIGHBOR_QUEUE).then(|| entry.queue.remove(0));
        entry.queue.push(waiting);
        self.neighbors.waiting_frames += 1;
        self.neighbors.waiting_bytes += len;
        if let Some(oldest) = oldest {
            self.neighbors.waiting_frames -= 1;
            self.neighbors.waiting_bytes -= oldest.bytes.len();
            self.drop_frames(oldest.input, DropReason::NeighborQueueFull, 1);
        }
    }

    /// Gives a packet its last touches and sends it to a known neighbour.
    fn finish(&mut self, now: Instant, index: usize, waiting: Waiting, out: &mut dyn Egress) {
        let ipv6 = waiting.is_ipv6();
        let Some(neighbor) = self.neighbors.entry(index).map(|e| e.address) else {
            return;
        };
        let Some(adjacency) = self.neighbors.adjacencies.get_mut(index) else {
            return;
        };
        adjacency.touch();
        let (interface, stations) = (InterfaceId(adjacency.out), adjacency.stations);
        let Waiting {
            mut bytes,
            meta,
            input,
            originated,
            hop,
        } = waiting;
        let kind = if ipv6 { ethernet::IPV6 } else { ethernet::IPV4 };
        put(&mut bytes, 0, &stations);
        put(&mut bytes, 12, &kind.to_be_bytes());
        if !originated && let Some(packet) = bytes.get_mut(ETHERNET_LEN..) {
            if ipv6 {
                let [hops] = packet
                    .get(7..)
                    .and_then(|b| b.first_chunk().copied())
                    .unwrap_or([1]);
                put(packet, 7, &[hops.saturating_sub(1)]);
            } else {
                self.decrement_ttl_and_record(now, input, interface, neighbor, hop, packet);
            }
        }
        let _ = self.emit(interface, &bytes, meta, out);
    }

    /// Hands a frame to the caller and counts what becomes of it. Whether there was room.
    pub(crate) fn emit(
        &mut self,
        interface: InterfaceId,
        frame: &[u8],
        meta: FrameMeta,
        out: &mut dyn Egress,
    ) -> bool {
        if out.send(interface, frame, meta).is_err() {
            self.drop_frames(interface, DropReason::TxFull, 1);
            return false;
        }
        if let Some(traffic) = self.own_lane.traffic.get_mut(interface.index()) {
            traffic.packets += 1;
            traffic.bytes += frame.len() as u64;
        }
        true
    }

    /// Sends a packet of our own; `bytes` has room for the Ethernet header. `cause` is
    /// where the packet came in that made us.
    pub(crate) fn originate(
        &mut self,
        now: Instant,
        cause: InterfaceId,
        bytes: Vec<u8>,
        out: &mut dyn Egress,
    ) {
        self.with_counters(cause, |c| c.originated += 1);
        let meta = FrameMeta::plain(bytes.len());
        self.route(
            now,
            Waiting {
                bytes,
                meta,
                input: cause,
                originated: true,
                hop: None,
            },
            out,
        );
    }

    /// Sends an IPv6 packet of the router's own to its group on a link; the frame's Ethernet
    /// header is still to be filled. Whether there was room.
    pub(crate) fn send_group(
        &mut self,
        interface: InterfaceId,
        frame: Vec<u8>,
        out: &mut dyn Egress,
    ) -> bool {
        let destination = wire::be128(&frame, ETHERNET_LEN + 24);
        let station = Mac::of_group(Ipv6Addr::from_bits(destination));
        self.send_own(interface, station, frame, out)
    }

    pub(crate) fn send_own(
        &mut self,
        interface: InterfaceId,
        station: Mac,
        mut frame: Vec<u8>,
        out: &mut dyn Egress,
    ) -> bool {
        let Some(link) = self.links.get(interface.index()).filter(|l| l.up) else {
            return false;
        };
        let header = ethernet::Ethernet {
            destination: station,
            source: link.mac,
            kind: ethernet::IPV6,
        };
        header.emit(&mut frame);
        self.with_counters(interface, |c| c.originated += 1);
        self.emit(interface, &frame, FrameMeta::plain(frame.len()), out)
    }
}
