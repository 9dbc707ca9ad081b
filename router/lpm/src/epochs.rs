//! When what was taken out of a table can be used again: once each lane has been between two bursts
//! since (quiescent-state-based reclamation, as McKenney and Slingwine's read-copy update has it).
//!
//! A *lane* is a thread that looks up. It says now and then that no lookup of its is under way
//! ([`Lane::quiescent`]): a load of what all share and a store to a cache line of its own. Whoever
//! changes tables begins an epoch after what it took out, and waits for no lane: it looks whether
//! all have seen that epoch.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// What a lane has seen that isn't in any lookup until it says otherwise.
const OFFLINE: u64 = u64::MAX;

/// A lane's part, apart from all else: processors fetch cache lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Seen {
    epoch: AtomicU64,
    taken: AtomicBool,
}

/// The epoch, apart from all else.
#[derive(Debug)]
#[repr(align(128))]
struct Now(AtomicU64);

/// The lanes that look up in one or several tables, and what they have seen.
#[derive(Debug)]
pub struct Epochs {
    now: Now,
    lanes: Box<[Arc<Seen>]>,
}

impl Epochs {
    /// Room for this many lanes, none of which there is yet.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        let lane = |_| {
            Arc::new(Seen {
                epoch: AtomicU64::new(OFFLINE),
                taken: AtomicBool::new(false),
            })
        };
        Self {
            now: Now(AtomicU64::new(0)),
            lanes: (0..lanes).map(lane).collect(),
        }
    }

    /// Returns a lane that isn't online yet. `None` if there are as many as there is room for.
    #[must_use]
    pub fn lane(self: &Arc<Self>) -> Option<Lane> {
        let free = |seen: &&Arc<Seen>| !seen.taken.swap(true, Ordering::AcqRel);
        let seen = self.lanes.iter().find(free)?;
        Some(Lane {
            epochs: self.clone(),
            seen: seen.clone(),
        })
    }

    /// Begins an epoch, and returns it: lookups that begin in it find nothing that the caller took
    /// out before.
    pub fn advance(&self) -> u64 {
        // A lane that loads this or a later epoch also sees what was stored before.
        self.now.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Returns the newest epoch that all lanes have seen: all of their lookups from before it are over. The
    /// largest number if all are offline.
    #[must_use]
    pub fn seen_by_all(&self) -> u64 {
        // Pairs with that of `Lane::online`: a lane that isn't seen here will see what was stored.
        fence(Ordering::SeqCst);
        let seen = |lane: &Arc<Seen>| lane.epoch.load(Ordering::Acquire);
        self.lanes.iter().map(seen).min().unwrap_or(OFFLINE)
    }
}

/// One that looks up. It is offline at first, and must not look up then.
///
/// If one looks up while it is offline, or says it is quiescent from within what it does with an
/// answer, it may get answers of no time: values of prefixes that have nothing to do with the
/// address, or that aren't in the table any more.
#[derive(Debug)]
pub struct Lane {
    epochs: Arc<Epochs>,
    seen: Arc<Seen>,
}

impl Lane {
    /// Begins to look up, as after a sleep.
    pub fn online(&mut self) {
        let now = self.epochs.now.0.load(Ordering::Acquire);
        self.seen.epoch.store(now, Ordering::Relaxed);
        // Lookups must not load anything before others see this.
        fence(Ordering::SeqCst);
    }

    /// Says that no lookup is under way, and no answer of before is used any more: between two
    /// bursts. Begins to look up if it is offline.
    #[inline]
    pub fn quiescent(&mut self) {
        let now = self.epochs.now.0.load(Ordering::Acquire);
        let seen = self.seen.epoch.load(Ordering::Relaxed);
        if seen != now {
            self.see(seen, now);
        }
    }

    /// Says that it has seen the epoch of now, as it hadn't before.
    #[cold]
    fn see(&mut self, seen: u64, now: u64) {
        if seen == OFFLINE {
            return self.online();
        }
        self.saw(now);
    }

    /// Returns the epoch of now if this lane hasn't said yet that it saw it. What was taken out before
    /// that epoch can be read again to see it gone, and then [`saw`](Self::saw) says so.
    #[inline]
    #[must_use]
    pub fn news(&self) -> Option<u64> {
        let now = self.epochs.now.0.load(Ordering::Acquire);
        (self.seen.epoch.load(Ordering::Relaxed) != now).then_some(now)
    }

    /// Says that it saw an epoch, which [`news`](Self::news) told: between two bursts, as
    /// [`quiescent`](Self::quiescent).
    pub fn saw(&mut self, epoch: u64) {
        self.seen.epoch.store(epoch, Ordering::Release);
    }

    /// Returns `true` if it looks up nothing for a while.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.seen.epoch.load(Ordering::Relaxed) == OFFLINE
    }

    /// Looks up nothing for a while, as before a sleep. Nobody waits for it then.
    pub fn offline(&mut self) {
        self.seen.epoch.store(OFFLINE, Ordering::Release);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.offline();
        self.seen.taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_by_all() {
        let epochs = Arc::new(Epochs::new(2));
        assert_eq!(epochs.seen_by_all(), OFFLINE);
        let (mut one, mut two) = (epochs.lane().unwrap(), epochs.lane().unwrap());
        assert!(epochs.lane().is_none());
        one.online();
        assert_eq!(epochs.advance(), 1);
        assert_eq!(epochs.seen_by_all(), 0);
        two.online();
        assert_eq!(epochs.seen_by_all(), 0);
        one.quiescent();
        assert_eq!(epochs.seen_by_all(), 1);
        assert_eq!((epochs.advance(), epochs.advance()), (2, 3));
        two.quiescent();
        assert_eq!(epochs.seen_by_all(), 1);
        one.offline();
        assert_eq!(epochs.seen_by_all(), 3);
        one.quiescent();
        two.quiescent();
        assert_eq!((epochs.advance(), epochs.seen_by_all()), (4, 3));
        one.offline();
        drop(two);
        assert_eq!(epochs.seen_by_all(), OFFLINE);
        assert!(epochs.lane().is_some());
    }

    #[test]
    fn lanes_share_no_cache_lines() {
        assert!(align_of::<Seen>() >= 128 && size_of::<Seen>() >= 128);
        assert!(align_of::<Epochs>() >= 128);
    }
}
