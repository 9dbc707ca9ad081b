//! The outbox: what a step of the slow path leaves to be done. Frames to send, packets to route, ICMP
//! errors to report, notices to log.
//!
//! No step calls back into what called it. It puts what remains here, and
//! [`poll`](crate::slow::poll) works that off in order.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use wire::icmp_error::IcmpError;

use crate::DropReason;
use crate::forward::lane::Lane;
use crate::frame::{FrameMeta, InterfaceId, MAX_INTERFACES};
use crate::packet::Packet;

/// Jobs that may wait. A step leaves no more than two for each packet of one neighbor's queue, and is
/// only taken while those find room.
const JOBS: usize = 64;
/// Room for jobs that has to be there before another step is taken.
const STEP: usize = 16;
/// Notices that may wait.
const NOTICES: usize = 16;

/// Something that is left to be done.
#[derive(Debug)]
pub(crate) enum Job {
    /// Send a packet on its way.
    Route(Packet),
    /// Tell the sender of a packet what became of it, by an ICMP error.
    Report(Packet, IcmpError),
}

/// The outgoing side had no room for a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

impl core::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no room on the outgoing interface")
    }
}

impl core::error::Error for NoRoom {}

/// Takes the frames that the router makes or forwards slowly.
pub trait Egress {
    /// Returns how many frames, each of at most the link's MTU, can be sent on an interface now.
    /// That of an interface whose vif has several counts for all of them.
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
    /// Learns how much room each vif has now. `ports` has each interface with its vif.
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

    /// Queues a whole frame for an interface, and counts it as sent. Returns `false` if there is no
    /// room for it; it counts as dropped ([`DropReason::TxFull`]) then.
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

    /// Queues a job. If too many wait, a packet to route counts as dropped
    /// ([`DropReason::PuntFull`]), and an error as suppressed: its packet was counted before.
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

    /// Takes out the oldest job.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Returns `true` if there is room for all jobs that one step may leave.
    pub(crate) fn has_room(&self) -> bool {
        self.jobs.len() + STEP <= JOBS
    }

    /// Sends the queued frames. One that finds no room after all counts as dropped.
    pub(crate) fn flush(&mut self, egress: &mut dyn Egress, stats: &mut Lane) {
        for (interface, frame, meta) in self.frames.drain(..) {
            if egress.send(interface, &frame, meta).is_err() {
                stats.count_tx_full(interface, 1, meta.len.into());
            }
        }
    }

    /// Keeps a line for the log, unless too many wait.
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
