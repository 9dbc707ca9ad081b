//! The context of a step: what a protocol machine is given beside its own state.

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
    /// The source of numbers that others can't foresee.
    pub(crate) rng: &'a mut Rng,
    /// Where the step leaves what is to be done after it.
    pub(crate) out: &'a mut Outbox,
}

impl Cx<'_> {
    /// Counts frames that are dropped.
    pub(crate) fn drop_frames(&mut self, interface: InterfaceId, reason: DropReason, frames: u64) {
        self.stats.drop_frames(interface, reason, frames);
    }

    /// Counts something else.
    pub(crate) fn count(&mut self, interface: InterfaceId, f: impl FnOnce(&mut Counters)) {
        self.stats.with_counters(interface, f);
    }

    /// Sends a whole frame. Returns `false` if there is no room for it; it counts as dropped then.
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

    /// Has a packet of the router's own routed. `bytes` begins with room for the Ethernet header;
    /// `cause` is where what caused it was received.
    pub(crate) fn originate(&mut self, cause: InterfaceId, bytes: Vec<u8>) {
        self.count(cause, |c| c.originated += 1);
        match Packet::own(bytes, cause) {
            Ok(packet) => self.route(packet),
            Err(reason) => self.drop_frames(cause, reason, 1),
        }
    }

    /// Has a packet routed.
    pub(crate) fn route(&mut self, packet: Packet) {
        self.out.push(Job::Route(packet), self.stats);
    }

    /// Has the sender of a packet told what became of it, by an ICMP error.
    pub(crate) fn report(&mut self, packet: Packet, error: IcmpError) {
        self.out.push(Job::Report(packet, error), self.stats);
    }
}

#[cfg(test)]
pub(crate) mod fixture;
