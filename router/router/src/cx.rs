//! The context of a step, which protocol machines get in addition to their own state.

use alloc::vec::Vec;

use wire::icmp_error::IcmpError;

use crate::forward::lane::Lane;
use crate::frame::{FrameMeta, InterfaceId};
use crate::outbox::{Job, Outbox};
use crate::packet::Packet;
use crate::rng::Rng;
use crate::time::Instant;
use crate::{Counters, DropReason};

/// The time, counters, randomness, and where output goes.
#[derive(Debug)]
pub(crate) struct Cx<'a> {
    /// The time of the step.
    pub(crate) now: Instant,
    /// The counters of the slow path.
    pub(crate) stats: &'a mut Lane,
    /// The source of unpredictable numbers.
    pub(crate) rng: &'a mut Rng,
    /// Where the step leaves what is to be done after it.
    pub(crate) out: &'a mut Outbox,
}

impl Cx<'_> {
    /// Counts frames that are dropped.
    pub(crate) fn drop_frames(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.stats.drop_frames(interface, reason, frames);
    }

    /// Updates an interface's counters.
    pub(crate) fn count(&mut self, interface: InterfaceId, f: impl FnOnce(&mut Counters)) {
        self.stats.with_counters(interface, f);
    }

    /// Sends a frame. Returns `false` if there is no room for it; it is then counted as dropped.
    pub(crate) fn send(&mut self, interface: InterfaceId, frame: Vec<u8>, meta: FrameMeta) -> bool {
        self.out.send(interface, frame, meta, self.stats)
    }

    /// Sends a whole frame that the router made, and counts it as originated. Returns `false` if there
    /// is no room for it; it counts as dropped then.
    pub(crate) fn send_originated(&mut self, interface: InterfaceId, frame: Vec<u8>) -> bool {
        self.count(interface, |c| c.originated += 1);
        let meta = FrameMeta::plain(frame.len());
        self.send(interface, frame, meta)
    }

    /// Queues a packet made by the router for routing. `bytes` begins with room for the Ethernet
    /// header; `cause` is the interface on which the packet's cause was received.
    pub(crate) fn originate(&mut self, cause: InterfaceId, bytes: Vec<u8>) {
        self.count(cause, |c| c.originated += 1);
        match Packet::own(bytes, cause) {
            Ok(packet) => self.route(packet),
            Err(reason) => self.drop_frames(cause, reason, 1),
        }
    }

    /// Queues a packet for routing.
    pub(crate) fn route(&mut self, packet: Packet) {
        self.out.push(Job::Route(packet), self.stats);
    }

    /// Queues an ICMP error about a packet.
    pub(crate) fn report(&mut self, packet: Packet, error: IcmpError) {
        self.out.push(Job::Report(packet, error), self.stats);
    }
}

#[cfg(test)]
pub(crate) mod fixture;
