//! How much is read from a vif: see [`crate::intake`].

use netfront_rs::Budget;
use page_pool::HomeId;
use router::{BURST, InterfaceId};
use xen_hal::Hal;

use crate::egress::room_for_copies;
use crate::intake::FullOutputs;
use crate::vif::Vif;
use crate::worker::Worker;

/// How much may be read from a vif.
pub(crate) struct Allowance {
    pub(crate) budget: Budget,
    /// Pages that its home may lend to all outputs together.
    pub(crate) spare: usize,
}

impl<H: Hal> Worker<H> {
    /// Returns how much is to be read from vif `index` now. `None` if its frames are left unread.
    #[inline]
    pub(crate) fn allowance(&mut self, index: usize, now: u64) -> Option<Allowance> {
        let vif = self.vifs.get(index)?.as_ref()?;
        let pool = self.pools.get(vif.pool)?.as_ref()?;
        let home = vif.queue.home();
        let spare = pool.lendable(home);
        // What an output takes that has nothing yet.
        let most = vif.most.min(spare);
        let least = vif.enough.min(most);
        let outputs = vif.intake.outputs & !vif.intake.given_up;
        let mut room = most.min(self.least_room(outputs, vif.pool, home));
        if room < least {
            room = most.min(self.room_of_rest(index, least, now)?);
        }
        let budget = Budget {
            frames: BURST,
            slots: room,
            large: usize::MAX,
        };
        Some(Allowance { budget, spare })
    }

    /// Returns the least that any of `outputs`, a bit for each vif, has of [`Worker::room_at`].
    #[inline]
    fn least_room(&self, mut outputs: u64, from: usize, home: HomeId) -> usize {
        let mut room = usize::MAX;
        while outputs != 0 {
            room = room.min(self.room_at(outputs.trailing_zeros() as usize, from, home));
            outputs &= outputs - 1;
        }
        room
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

    /// To be asked where frames of vif `index` are expected to go if there is room for less than
    /// `least`. Returns the room of the outputs that aren't given up, to be read for all the same;
    /// `None` if frames are to be left unread.
    #[cold]
    pub(crate) fn room_of_rest(&mut self, index: usize, least: usize, now: u64) -> Option<usize> {
        let vif = self.vifs.get(index)?.as_ref()?;
        let (from, home, intake) = (vif.pool, vif.queue.home(), &vif.intake);
        let outputs = intake.outputs & !intake.given_up;
        let is_full = |out: &usize| {
            outputs.checked_shr(*out as u32).unwrap_or(0) & 1 != 0
                && self.room_at(*out, from, home) < least
        };
        let full = (0..u64::BITS as usize).filter(is_full);
        let mut gone = FullOutputs::default();
        for out in full {
            gone.vifs |= 1 << out;
            gone.progress = gone.progress.max(self.progress(out, now));
        }
        let rest = self.least_room(outputs & !gone.vifs, from, home);
        gone.are_all = self.is_there_none_but(index, gone.vifs);
        let sleeps = self.stats.sleeps;
        let vif = self.vifs.get_mut(index)?.as_mut()?;
        if vif.intake.leaves_unread(&gone, now, sleeps) {
            return None;
        }
        if vif.intake.given_up == 0 {
            vif.intake.owed = vif.queue.rx_available();
        }
        vif.intake.given_up |= gone.vifs;
        Some(rest)
    }

    /// When vif `out`, which has no room, last completed something, in ns.
    fn progress(&self, out: usize, now: u64) -> u64 {
        match self.vifs.get(out) {
            Some(Some(to)) => to.progress,
            // Another CPU's; it is tried soon.
            _ => now,
        }
    }

    /// Returns `true` if frames of vif `index` can leave only by `outputs`, a bit for each, or by the
    /// vif itself without tags.
    fn is_there_none_but(&self, index: usize, outputs: u64) -> bool {
        let is_output = |(at, vif): (usize, &Option<Vif<H>>)| match vif {
            Some(vif) if at == index => !vif.tags,
            Some(_) => outputs >> at & 1 != 0,
            None => true,
        };
        self.handoffs.len() == 0 && self.vifs.iter().enumerate().all(is_output)
    }
}
