//! How a worker hands frames to another one.

use router::InterfaceId;
use router::vlan::Tags;
use xen_hal::Hal;

use crate::handoff_queue::{Outcome, take_over};
use crate::worker::Worker;

impl<H: Hal> Worker<H> {
    /// The vif of the frame that waits longest. `None` if none waits.
    pub(crate) fn handoff_vif(&self) -> Option<InterfaceId> {
        let out = self.handoff.first()?.out;
        Some(self.ports.get(out.index()).map_or(out, |&(vif, _)| vif))
    }

    /// Hands the frame that waits longest to `target`, or drops it if there is none, or if it can't
    /// leave there. Returns `true` if it is gone.
    pub(crate) fn hand_to(&mut self, target: Option<&mut Worker<H>>, now: u64) -> bool {
        let Some((first, segmenter)) = self.handoff.first_mut() else {
            return false;
        };
        let Some(pool) = self.pools.get_mut(first.pool).and_then(Option::as_mut) else {
            // Frames don't outlive their pools.
            return self.handoff.pop().is_some();
        };
        let out = first.out;
        let outcome = target.map_or(Outcome::Dropped, |target| {
            let &(vif, tags) = target.ports.get(out.index()).unwrap_or(&(out, Tags::NONE));
            let vif = target.vifs.get_mut(vif.index()).and_then(Option::as_mut);
            match vif.filter(|vif| vif.up) {
                Some(vif) => take_over(vif, &mut target.pools, (first, segmenter), pool, tags, now),
                None => Outcome::Dropped,
            }
        });
        if matches!(outcome, Outcome::Waits) {
            return false;
        }
        if let Some((remaining, out, frame)) = self.handoff.pop() {
            if matches!(outcome, Outcome::Dropped) {
                self.lane.count_tx_full(out, 1, remaining as u64);
            }
            pool.free(frame);
        }
        true
    }

    /// Drops all frames that wait.
    pub(crate) fn drop_handoff(&mut self) {
        while self.has_handoff() {
            self.hand_to(None, 0);
        }
    }
}
