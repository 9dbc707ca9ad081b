//! How much is read from a vif: see [`crate::intake`].

use netfront_rs::Budget;
use page_pool::HomeId;
use router::{BURST, InterfaceId};
use xen_hal::Hal;

use crate::egress::room_for_copies;
use crate::intake::{UNREAD_NS, Unread};
use crate::vif::Vif;
use crate::worker::Worker;

/// How much may be read from a vif.
pub(crate) struct Allowance {
    pub(crate) budget: Budget,
    /// Pages that its home may lend to all outputs together.
    pub(crate) spare: usize,
}

impl<H: Hal> Worker<H> {
    /// How much is to be read from vif `index` now. `None` if its frames are left unread.
    #[inline]
    pub(crate) fn allowance(&mut self, index: usize, now: u64) -> Option<Allowance> {
        let vif = self.vifs.get(index)?.as_ref()?;
        let pool = self.pools.get(vif.pool)?.as_ref()?;
        let home = vif.queue.home();
        let spare = pool.lendable(home);
        // What an output gets that has nothing yet.
        let most = pool.share(home).min(spare);
        let (least, slots) = (vif.enough.min(most), vif.slots);
        let mut room = most;
        let mut outputs = vif.intake.outputs;
        while outputs != 0 {
            room = room.min(self.room_at(outputs.trailing_zeros() as usize, vif.pool, home));
            outputs &= outputs - 1;
        }
        if room < least {
            if !self.is_read_all_the_same(index, least, now) {
                return None;
            }
            room = most;
        } else if let Some(vif) = self.vifs.get_mut(index)?.as_mut() {
            vif.intake.unread = None;
            vif.intake.owed = 0;
        }
        let budget = Budget {
            frames: BURST,
            // The largest frame must not stay for ever.
            slots: room.max(slots),
            large: usize::MAX,
        };
        Some(Allowance { budget, spare })
    }

    /// Slots of the transmit ring of vif `out` that frames from pages of `home` may have. The
    /// index of that home's pool is `from`.
    #[inline]
    fn room_at(&self, out: usize, from: usize, home: HomeId) -> usize {
        match self.vifs.get(out) {
            Some(Some(to)) if to.up && to.waiting.is_empty() => {
                let free = to.queue.tx_free();
                match self.pools.get(to.pool) {
                    Some(Some(pool)) if to.pool == from => {
                        free.min(pool.lendable_to(to.queue.id(), home))
                    }
                    Some(Some(pool)) => free.min(room_for_copies(pool, to.copies, to.segments)),
                    _ => usize::MAX,
                }
            }
            // What waits there is to go first.
            Some(Some(to)) if to.up => 0,
            // What is for it is dropped at once.
            Some(Some(_)) => usize::MAX,
            _ => self.handoff_room(out, from, home),
        }
    }

    /// The same for a vif that has no queue here.
    #[cold]
    fn handoff_room(&self, out: usize, from: usize, home: HomeId) -> usize {
        let pool = self.pools.get(from).and_then(Option::as_ref);
        let share = pool.map_or(0, |pool| pool.share(home));
        self.handoffs.room(InterfaceId(out as u8), share)
    }

    /// Whether frames of vif `index` are read though there is room for less than `least` slots
    /// where they are expected to go.
    #[cold]
    fn is_read_all_the_same(&mut self, index: usize, least: usize, now: u64) -> bool {
        let Some(vif) = self.vifs.get(index).and_then(Option::as_ref) else {
            return false;
        };
        if vif.intake.owed > 0 {
            return true;
        }
        let (unread, there) = (vif.intake.unread, vif.queue.rx_available());
        let until = match unread {
            Some(unread) => unread.until,
            None if self.is_worth_waiting(vif, least, now) => now + UNREAD_NS,
            None => now,
        };
        let read = now >= until;
        if let Some(vif) = self.vifs.get_mut(index).and_then(Option::as_mut) {
            let since = unread.map_or(now, |unread| unread.since);
            vif.intake.unread = (!read).then_some(Unread { since, until });
            vif.intake.owed = if read { there } else { 0 };
        }
        read
    }

    /// Returns `true` if some of the outputs that have no room for what comes from a vif may soon
    /// have some.
    fn is_worth_waiting(&self, vif: &Vif<H>, least: usize, now: u64) -> bool {
        let full = (0..self.vifs.len()).filter(|&out| {
            vif.intake.outputs >> out & 1 != 0
                && self.room_at(out, vif.pool, vif.queue.home()) < least
        });
        let moves = |out: usize| match self.vifs.get(out) {
            Some(Some(to)) => now.saturating_sub(to.progress) <= UNREAD_NS,
            // Another CPU's; it is tried soon.
            _ => true,
        };
        full.into_iter().any(moves)
    }
}
