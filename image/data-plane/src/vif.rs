//! A worker's part of a vif: a queue, with the state of both directions.

use netfront_rs::{PeerFault, Queue};
use page_pool::{HomeId, PagePool};
use router::{BURST, InterfaceId};
use xen_hal::Hal;

use crate::allotment::Allotment;
use crate::egress::Output;
use crate::intake::Intake;
use crate::waiting::{MAX_AGE_NS, WaitingFrames};

/// Segments that leave by a vif in one turn: as many as frames of a burst.
const SEGMENTS_PER_TURN: usize = BURST;

/// A vif that packets flow through, or will once its backend is connected.
pub(crate) struct Vif<H: Hal> {
    pub(crate) queue: Queue<H>,
    /// Index of its backend's pool.
    pub(crate) pool: usize,
    pub(crate) interface: InterfaceId,
    /// How the backend broke the protocol, until the control plane is told.
    pub(crate) fault: Option<PeerFault>,
    /// The backend is connected.
    pub(crate) up: bool,
    /// Slots of a transmit ring that the largest frame it receives needs.
    pub(crate) slots: usize,
    /// Its pages.
    pub(crate) allotment: Allotment,
    /// It has sub-interfaces.
    pub(crate) tags: bool,
    /// What any output takes of it that has nothing yet.
    pub(crate) most: usize,
    /// Room that there is to be for what is read, where all is well.
    pub(crate) enough: usize,
    /// Most frames that are worth an event: where pages are few, the backend needs some meanwhile.
    pub(crate) most_a_wake: u32,
    /// When the backend last completed something, or had nothing to do, in ns.
    pub(crate) progress: u64,
    /// Frames of the router's own on the ring since the backend last completed something.
    pub(crate) unanswered: usize,
    /// The homes of copies and of segments that leave by it.
    pub(crate) copies: HomeId,
    pub(crate) segments: HomeId,
    /// What it receives, and where that goes.
    pub(crate) intake: Intake,
    /// Frames that wait to leave by it.
    pub(crate) waiting: WaitingFrames,
    /// Segments that may still leave by it in this turn.
    pub(crate) segments_left: usize,
}

impl<H: Hal> Vif<H> {
    /// Takes completed pages from the transmit ring. Returns `true` if the backend broke the
    /// protocol there.
    pub(crate) fn reap(&mut self, pools: &mut [Option<PagePool<H>>], now: u64) -> bool {
        self.segments_left = SEGMENTS_PER_TURN;
        let Some(pool) = pools.get_mut(self.pool).and_then(Option::as_mut) else {
            return false;
        };
        match self.queue.reap(pool) {
            Ok(count) => {
                if count > 0 || self.queue.tx_in_flight() == 0 {
                    self.unanswered = 0;
                    self.progress = now;
                }
                false
            }
            Err(fault) => {
                // The control plane does the rest.
                self.up = false;
                self.fault = Some(fault);
                true
            }
        }
    }

    /// Returns `true` if its backend has completed nothing for as long as frames may wait.
    pub(crate) fn hangs(&self, now: u64) -> bool {
        now.saturating_sub(self.progress) > MAX_AGE_NS
    }

    /// Returns where frames leave by it, and those that wait for that. `pool` is its backend's
    /// pool.
    pub(crate) fn output<'a>(
        &'a mut self,
        pool: &'a mut PagePool<H>,
    ) -> (Output<'a, H>, &'a mut WaitingFrames, &'a mut usize) {
        let output = Output {
            queue: &mut self.queue,
            pool,
            copies: self.copies,
            segments: self.segments,
        };
        (output, &mut self.waiting, &mut self.segments_left)
    }

    /// Returns `true` if plain frames of pool `from` can leave by it as they are, as far as there
    /// is room.
    #[inline(always)]
    pub(crate) fn takes_plain(&self, from: usize) -> bool {
        self.up && self.pool == from && self.waiting.is_empty()
    }

    /// Returns `true` if it stopped sending segments only because these were enough for a turn.
    pub(crate) fn has_more_segments(&self) -> bool {
        self.segments_left == 0 && !self.waiting.is_empty()
    }
}
