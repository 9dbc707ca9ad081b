//! One vif as a worker has it: a queue, and what becomes of its transmit ring.

use netfront_rs::{PeerFault, Queue};
use page_pool::PagePool;
use router::{BURST, InterfaceId};
use xen_hal::Hal;

use crate::segmentation::{PendingSegments, STUCK_NS};

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
    /// When the backend last completed a burst, or had nothing to do, in ns.
    pub(crate) progress: u64,
    /// Slots that it completed since then.
    pub(crate) completed: usize,
    /// Frames of the router's own on the ring since the backend last completed something.
    pub(crate) unanswered: usize,
    /// Its backend takes every large frame as it is, and none leaves with a tag.
    pub(crate) takes_large: bool,
    /// A large frame that it doesn't take, of which segments wait for room.
    pub(crate) pending: Option<PendingSegments>,
}

impl<H: Hal> Vif<H> {
    /// Returns `true` if the transmit ring is full and its backend makes no progress.
    pub(crate) fn is_stuck(&self, now: u64) -> bool {
        self.queue.tx_free() < BURST && now.saturating_sub(self.progress) > STUCK_NS
    }

    /// Takes completed pages from the transmit ring. Returns `true` if the backend broke the
    /// protocol there.
    pub(crate) fn reap(&mut self, pools: &mut [Option<PagePool<H>>], now: u64) -> bool {
        let Some(pool) = pools.get_mut(self.pool).and_then(Option::as_mut) else {
            return false;
        };
        match self.queue.reap(pool) {
            Ok(count) => {
                self.completed += count;
                if count > 0 {
                    self.unanswered = 0;
                }
                // A trickle is no progress: a vif with a rate limit holds up nobody else.
                if self.completed >= BURST || self.queue.tx_in_flight() == 0 {
                    self.completed = 0;
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
}
