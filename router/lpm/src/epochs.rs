//! Quiescent-state-based reclamation (McKenney and Slingwine's read-copy update): memory that was
//! removed from a table is reused once every lane has been between two bursts since.
//!
//! A *lane* is a thread that performs lookups. Between bursts it reports that none is in progress
//! ([`Lane::quiescent`]), which takes a load of a shared word and a store to its own cache line. The
//! writer starts an epoch after it removed something and never waits for a lane: it checks whether
//! all lanes have seen that epoch.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// The epoch of a lane that performs no lookups until further notice.
const OFFLINE: u64 = u64::MAX;

/// A lane's state, in a pair of cache lines of its own: processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Seen {
    epoch: AtomicU64,
    taken: AtomicBool,
}

/// The current epoch, in a pair of cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Now(AtomicU64);

/// The lanes that perform lookups in one or more tables, and the epochs they have seen.
#[derive(Debug)]
pub struct Epochs {
    now: Now,
    lanes: Box<[Arc<Seen>]>,
}

impl Epochs {
    /// Creates a set with room for this many lanes.
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

    /// Returns a new lane, which is offline. `None` if there is no room for another one.
    #[must_use]
    pub fn lane(self: &Arc<Self>) -> Option<Lane> {
        let free = |seen: &&Arc<Seen>| !seen.taken.swap(true, Ordering::AcqRel);
        let seen = self.lanes.iter().find(free)?;
        Some(Lane {
            epochs: self.clone(),
            seen: seen.clone(),
        })
    }

    /// Starts an epoch and returns it: lookups that start in it find nothing that the caller removed
    /// before.
    pub fn advance(&self) -> u64 {
        // A lane that loads this or a later epoch also sees what was stored before.
        self.now.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Returns the newest epoch that all lanes have seen: all lookups from before it have ended. Returns
    /// [`u64::MAX`] if all lanes are offline.
    #[must_use]
    pub fn seen_by_all(&self) -> u64 {
        // Pairs with that of `Lane::online`: a lane that isn't seen here will see what was stored.
        fence(Ordering::SeqCst);
        let seen = |lane: &Arc<Seen>| lane.epoch.load(Ordering::Acquire);
        self.lanes.iter().map(seen).min().unwrap_or(OFFLINE)
    }
}

/// A thread that performs lookups. It is offline at first.
///
/// A lookup while the lane is offline, or an answer that is still used when the lane reports a
/// quiescent state, may be wrong at any time: the value of a prefix that doesn't contain the address,
/// or that isn't in the table any more.
#[derive(Debug)]
pub struct Lane {
    epochs: Arc<Epochs>,
    seen: Arc<Seen>,
}

impl Lane {
    /// Goes online, as after a sleep: lookups follow.
    pub fn online(&mut self) {
        let now = self.epochs.now.0.load(Ordering::Acquire);
        self.seen.epoch.store(now, Ordering::Relaxed);
        // Lookups must not load anything before others see this.
        fence(Ordering::SeqCst);
    }

    /// Reports that no lookup is in progress and no earlier answer is used any more, as between two
    /// bursts. Goes online if the lane is offline.
    #[inline]
    pub fn quiescent(&mut self) {
        let now = self.epochs.now.0.load(Ordering::Acquire);
        let seen = self.seen.epoch.load(Ordering::Relaxed);
        if seen != now {
            self.see(seen, now);
        }
    }

    /// Records that it has seen the current epoch, which it hadn't before.
    #[cold]
    fn see(&mut self, seen: u64, now: u64) {
        if seen == OFFLINE {
            return self.online();
        }
        self.saw(now);
    }

    /// Returns the current epoch if this lane hasn't reported it yet. The lane then reads again whatever
    /// it keeps between bursts, and reports the epoch with [`saw`](Self::saw).
    #[inline]
    #[must_use]
    pub fn news(&self) -> Option<u64> {
        let now = self.epochs.now.0.load(Ordering::Acquire);
        (self.seen.epoch.load(Ordering::Relaxed) != now).then_some(now)
    }

    /// Reports an epoch returned by [`news`](Self::news), as [`quiescent`](Self::quiescent) does.
    pub fn saw(&mut self, epoch: u64) {
        self.seen.epoch.store(epoch, Ordering::Release);
    }

    /// Returns `true` if the lane is offline.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.seen.epoch.load(Ordering::Relaxed) == OFFLINE
    }

    /// Goes offline, as before a sleep: no lookups follow, and memory is reused without this lane.
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
