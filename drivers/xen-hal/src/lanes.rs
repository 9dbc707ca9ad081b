//! State that several CPUs work on, each mostly on what it has for itself.
//!
//! A CPU that enters its lane takes one lock, which no other CPU wants as long as nobody calls
//! [`Lanes::stop_all`]; whoever does has everything to itself. Locks are served in the order in
//! which they were asked for, so neither of the two can starve the other.

#![expect(unsafe_code, reason = "shares what its locks protect")]

use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Index, IndexMut};

use spin::mutex::{TicketMutex, TicketMutexGuard};
use spin::relax::{RelaxStrategy, Spin};

/// What one CPU has for itself, and its lock. Two cache lines, as processors fetch them in pairs.
#[repr(align(128))]
struct Lane<L, R>(TicketMutex<L, R>);

/// State of two kinds: what each CPU has for itself (`L`, its lane) and what all of them read
/// (`S`). `R` is how to wait for a lock.
///
/// One CPU may hold one [`Entered`] or [`Stopped`] at a time: it would wait for itself.
pub struct Lanes<L, S, R = Spin> {
    /// Never empty: their locks are what protects `shared`.
    lanes: Vec<Lane<L, R>>,
    shared: UnsafeCell<S>,
}

// SAFETY: a lane is reached by one thread at a time, which moves `L` between threads. `shared`
// is read by several (`Entered`), for which `S` is `Sync`, and changed by one that excludes all
// others (`Stopped`), which moves it between threads.
unsafe impl<L: Send, S: Send + Sync, R> Sync for Lanes<L, S, R> {}

impl<L, S, R> Lanes<L, S, R> {
    /// Makes one lane of each element of `lanes`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn new(lanes: Vec<L>, shared: S) -> Self {
        assert!(!lanes.is_empty(), "no lanes");
        let lane = |state| Lane(TicketMutex::new(state));
        Self {
            lanes: lanes.into_iter().map(lane).collect(),
            shared: UnsafeCell::new(shared),
        }
    }

    /// How many lanes there are: one or more, for ever.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    #[inline]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }
}

impl<L, S, R: RelaxStrategy> Lanes<L, S, R> {
    /// Enters a lane, once whoever asked for it before has left. This writes to memory of that
    /// lane only, which no other CPU looks at in the meantime.
    ///
    /// # Panics
    /// If there is no such lane.
    #[inline]
    pub fn enter(&self, lane: usize) -> Entered<'_, L, S, R> {
        Entered {
            lane: self.lanes[lane].0.lock(),
            shared: &self.shared,
        }
    }

    /// Waits until every lane was left, and keeps all of them closed.
    pub fn stop_all(&self) -> Stopped<'_, L, S, R> {
        for lane in &self.lanes {
            // `Stopped` unlocks it.
            core::mem::forget(lane.0.lock());
        }
        Stopped { all: self }
    }
}

/// One lane, and a look at what is shared.
#[must_use = "the lane is left when this is dropped"]
pub struct Entered<'a, L, S, R = Spin> {
    lane: TicketMutexGuard<'a, L, R>,
    shared: &'a UnsafeCell<S>,
}

impl<L, S, R> Entered<'_, L, S, R> {
    /// The lane, and what is shared.
    #[inline]
    pub fn parts(&mut self) -> (&mut L, &S) {
        // SAFETY: `shared` is changed only by who holds the locks of all lanes, of which there
        // is at least this one; the reference ends before the lock is given up.
        let shared = unsafe { &*self.shared.get() };
        (&mut self.lane, shared)
    }
}

/// All lanes, and what is shared.
#[must_use = "the lanes go on when this is dropped"]
pub struct Stopped<'a, L, S, R = Spin> {
    all: &'a Lanes<L, S, R>,
}

impl<L, S, R> Stopped<'_, L, S, R> {
    /// What is shared, and the lanes.
    #[inline]
    pub fn parts(&mut self) -> (&mut S, LanesMut<'_, L, R>) {
        // SAFETY: whoever reads `shared` or changes it holds the lock of a lane, and all of them
        // are held by `self`, which is borrowed as long as the reference lives.
        let shared = unsafe { &mut *self.all.shared.get() };
        let lanes = LanesMut {
            lanes: &self.all.lanes,
            owned: PhantomData,
        };
        (shared, lanes)
    }
}

impl<L, S, R> Drop for Stopped<'_, L, S, R> {
    fn drop(&mut self) {
        for lane in &self.all.lanes {
            // SAFETY: `stop_all` locked it, and nobody else unlocks it.
            unsafe { lane.0.force_unlock() };
        }
    }
}

/// All lanes, while they are stopped.
pub struct LanesMut<'a, L, R = Spin> {
    /// All locked by the [`Stopped`] that this borrows from.
    lanes: &'a [Lane<L, R>],
    owned: PhantomData<&'a mut L>,
}

impl<L, R> LanesMut<'_, L, R> {
    /// How many there are: one or more.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// One after the other.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut L> {
        self.lanes.iter().map(|lane| {
            // SAFETY: locked by whom this borrows from, and each lane comes once while `self`
            // is borrowed.
            unsafe { &mut *lane.0.as_mut_ptr() }
        })
    }
}

impl<L, R> Index<usize> for LanesMut<'_, L, R> {
    type Output = L;

    fn index(&self, lane: usize) -> &L {
        // SAFETY: locked by whom this borrows from; changes need `&mut self`.
        unsafe { &*self.lanes[lane].0.as_mut_ptr() }
    }
}

impl<L, R> IndexMut<usize> for LanesMut<'_, L, R> {
    fn index_mut(&mut self, lane: usize) -> &mut L {
        // SAFETY: locked by whom this borrows from, and `self` is borrowed.
        unsafe { &mut *self.lanes[lane].0.as_mut_ptr() }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::vec;
    use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    /// Lets whoever holds the lock run.
    struct Patient;

    impl RelaxStrategy for Patient {
        fn relax() {
            thread::yield_now();
        }
    }

    #[test]
    fn lanes_do_not_share_cache_lines() {
        assert_eq!(align_of::<Lane<u8, Spin>>(), 128);
        assert_eq!(size_of::<Lane<u8, Spin>>(), 128);
    }

    #[test]
    fn different_lanes_are_entered_at_once_and_read_the_same() {
        let lanes = Lanes::<_, _>::new(vec![1, 2], "shared");
        let mut one = lanes.enter(0);
        let mut two = lanes.enter(1);
        *two.parts().0 += 10;
        assert_eq!(one.parts(), (&mut 1, &"shared"));
        assert_eq!(two.parts(), (&mut 12, &"shared"));
        drop((one, two));

        let mut stopped = lanes.stop_all();
        let (shared, mut all) = stopped.parts();
        *shared = "changed";
        all[1] += 1;
        assert_eq!((all.len(), all[1]), (2, 13));
        all.iter_mut().for_each(|lane| *lane += 100);
        drop(stopped);
        assert_eq!(lanes.enter(0).parts(), (&mut 101, &"changed"));
        assert_eq!(lanes.enter(1).parts(), (&mut 113, &"changed"));
        assert_eq!(lanes.len(), 2);
    }

    #[test]
    #[should_panic(expected = "no lanes")]
    fn without_a_lane_nothing_would_be_locked() {
        let _ = Lanes::<u8, u8>::new(vec![], 0);
    }

    #[test]
    fn nobody_sees_half_a_change() {
        const TURNS: u64 = 2000;
        // Both halves of `S` are equal whenever somebody can look.
        let lanes = Lanes::<_, _, Patient>::new(vec![0u64; 3], (0u64, 0u64));
        thread::scope(|scope| {
            for lane in 0..3 {
                let lanes = &lanes;
                scope.spawn(move || {
                    for _ in 0..TURNS {
                        let mut entered = lanes.enter(lane);
                        let (own, shared) = entered.parts();
                        *own += 1;
                        assert_eq!(shared.0, shared.1);
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..TURNS {
                        let mut stopped = lanes.stop_all();
                        let (shared, mut all) = stopped.parts();
                        shared.0 += 1;
                        all.iter_mut().for_each(|lane| *lane += 1);
                        shared.1 += 1;
                    }
                });
            }
        });
        let mut stopped = lanes.stop_all();
        let (shared, all) = stopped.parts();
        assert_eq!(*shared, (2 * TURNS, 2 * TURNS));
        for lane in 0..3 {
            assert_eq!(all[lane], 3 * TURNS);
        }
    }

    /// A way to wait that tells that somebody waits, so that a test knows of a ticket taken.
    macro_rules! observed {
        ($name:ident, $waits:ident) => {
            static $waits: AtomicUsize = AtomicUsize::new(0);
            struct $name;
            impl RelaxStrategy for $name {
                fn relax() {
                    $waits.fetch_add(1, Ordering::Relaxed);
                    thread::yield_now();
                }
            }
        };
    }

    fn until_somebody_waits(waits: &AtomicUsize) {
        while waits.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn who_stops_all_comes_before_the_next_to_enter() {
        observed!(Observed, WAITS);
        let lanes = Lanes::<_, _, Observed>::new(vec![(), ()], false);
        thread::scope(|scope| {
            let entered = lanes.enter(0);
            scope.spawn(|| *lanes.stop_all().parts().0 = true);
            until_somebody_waits(&WAITS);
            drop(entered);
            assert!(*lanes.enter(0).parts().1);
        });
    }

    #[test]
    fn who_enters_comes_before_the_next_to_stop_all() {
        observed!(Observed, WAITS);
        let lanes = Lanes::<_, _, Observed>::new(vec![false, false], ());
        thread::scope(|scope| {
            let stopped = lanes.stop_all();
            scope.spawn(|| *lanes.enter(1).parts().0 = true);
            until_somebody_waits(&WAITS);
            drop(stopped);
            assert!(lanes.stop_all().parts().1[1]);
        });
    }

    #[test]
    fn neither_starves_however_busy_the_other_is() {
        let lanes = Lanes::<_, _, Patient>::new(vec![0u64; 2], 0u64);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for lane in 0..2 {
                let (lanes, done) = (&lanes, &done);
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        *lanes.enter(lane).parts().0 += 1;
                    }
                });
            }
            for _ in 0..500 {
                *lanes.stop_all().parts().0 += 1;
            }
            // Each lane goes on while this one does nothing but stop them.
            let before = lanes
                .stop_all()
                .parts()
                .1
                .iter_mut()
                .map(|lane| *lane)
                .collect::<Vec<_>>();
            let gone_on = |stopped: &mut Stopped<'_, u64, u64, Patient>| {
                let (_, all) = stopped.parts();
                (0..2).all(|lane| all[lane] > before[lane] + 10)
            };
            while !gone_on(&mut lanes.stop_all()) {}
            done.store(true, Ordering::Relaxed);
        });
    }
}
