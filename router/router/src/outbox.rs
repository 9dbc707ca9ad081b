//! The outbox of the slow path: frames to send, packets to route, ICMP errors to report, notices to
//! log.
//!
//! A step never calls back into its caller: it leaves its output here, and
//! [`poll`](crate::slow::poll) processes it in order.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use wire::icmp_error::IcmpError;

use crate::DropReason;
use crate::forward::lane::Lane;
use crate::frame::{FrameMeta, InterfaceId, MAX_INTERFACES};
use crate::packet::Packet;

/// The maximum number of queued jobs. A step leaves at most two for each packet in one neighbor's
/// queue, and is only taken while there is room for those.
const JOBS: usize = 64;
/// The room for jobs that is required before a step is taken.
const STEP: usize = 16;
/// The maximum number of queued notices.
const NOTICES: usize = 16;

/// A job left to be done.
#[derive(Debug)]
pub(crate) enum Job {
    /// Route a packet.
    Route(Packet),
    /// Report an ICMP error to the sender of a packet.
    Report(Packet, IcmpError),
}

/// Error returned when there is no room to send a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

impl core::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no room on the outgoing interface")
    }
}

impl core::error::Error for NoRoom {}

/// Sends the frames that the router makes, or forwards in the slow path.
pub trait Egress {
    /// Returns the number of frames of at most the link's MTU that can be sent on an interface now.
    /// Interfaces of the same vif share its room.
    fn room(&self, out: InterfaceId) -> usize;

    /// Sends a frame, copying it. `meta.len` is its length.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if it can't be sent now; the router counts it as dropped
    /// ([`DropReason::TxFull`]).
    fn send(&mut self, out: InterfaceId, frame: &[u8], meta: FrameMeta) -> Result<(), NoRoom>;
}

/// What is left to be done; bounded.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// The frames to send, at most as many as there was room for.
    frames: Vec<(InterfaceId, Vec<u8>, FrameMeta)>,
    /// The jobs, oldest first.
    jobs: VecDeque<Job>,
    /// The notices, oldest first.
    notices: Vec<String>,
    /// How many more frames each vif takes, by the interface that is the vif.
    room: [usize; MAX_INTERFACES],
    /// The vif of each interface.
    vifs: [u8; MAX_INTERFACES],
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            jobs: VecDeque::new(),
            notices: Vec::new(),
            room: [0; MAX_INTERFACES],
            vifs: core::array::from_fn(|at| at as u8),
        }
    }
}

impl Outbox {
    /// Determines how much room each vif has now. `ports` maps each interface to its vif.
    pub(crate) fn begin(
        &mut self,
        ports: impl Iterator<Item = (InterfaceId, InterfaceId)>,
        egress: &dyn Egress,
    ) {
        for (interface, vif) in ports {
            let (at, of) = (interface.index(), vif.index());
            if let (Some(vifs), Some(room)) = (self.vifs.get_mut(at), self.room.get_mut(of)) {
                *vifs = vif.0;
                *room = egress.room(vif);
            }
        }
    }

    /// Queues a frame for an interface, and counts it as sent. Returns `false` if there is no room;
    /// it is counted as dropped ([`DropReason::TxFull`]) then.
    pub(crate) fn send(
        &mut self,
        interface: InterfaceId,
        frame: Vec<u8>,
        meta: FrameMeta,
        stats: &mut Lane,
    ) -> bool {
        let vif = self.vifs.get(interface.index()).copied();
        let room = vif.and_then(|vif| self.room.get_mut(usize::from(vif)));
        match room {
            Some(room) if *room > 0 => *room -= 1,
            _ => {
                stats.drop_frames(interface, DropReason::TxFull, 1);
                return false;
            }
        }
        stats.count_sent(interface.0, meta.len);
        self.frames.push((interface, frame, meta));
        true
    }

    /// Queues a job. If the queue is full, a packet to route is counted as dropped
    /// ([`DropReason::PuntFull`]), and an error as suppressed, since its packet has been counted
    /// before.
    pub(crate) fn push(&mut self, job: Job, stats: &mut Lane) {
        if self.jobs.len() < JOBS {
            return self.jobs.push_back(job);
        }
        match job {
            Job::Route(packet) => stats.drop_frames(packet.input, DropReason::PuntFull, 1),
            Job::Report(packet, _) => {
                stats.with_counters(packet.input, |c| c.icmp_suppressed += 1);
            }
        }
    }

    /// Removes and returns the oldest job.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Returns `true` if there is room for all jobs that one step may leave.
    pub(crate) fn has_room(&self) -> bool {
        self.jobs.len() + STEP <= JOBS
    }

    /// Sends the queued frames. Frames for which there is no room after all are counted as dropped.
    pub(crate) fn flush(&mut self, egress: &mut dyn Egress, stats: &mut Lane) {
        for (interface, frame, meta) in self.frames.drain(..) {
            if egress.send(interface, &frame, meta).is_err() {
                stats.count_tx_full(interface, 1, meta.len.into());
            }
        }
    }

    /// Queues a line for the log, unless the queue is full.
    pub(crate) fn notice(&mut self, text: String) {
        if self.notices.len() < NOTICES {
            self.notices.push(text);
        }
    }

    /// Takes the notices, oldest first.
    pub(crate) fn take_notices(&mut self) -> Vec<String> {
        core::mem::take(&mut self.notices)
    }
}

#[cfg(test)]
mod tests;
