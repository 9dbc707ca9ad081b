#![doc = include_str!("../README.md")]
#![no_std]
#![expect(
    unsafe_code,
    reason = "what all read is written by who holds every lane's lock"
)]

extern crate alloc;

use alloc::alloc::Layout;
use alloc::vec::Vec;
use core::cell::UnsafeCell;

use spin::RelaxStrategy;
use spin::mutex::{TicketMutex, TicketMutexGuard};

/// Most lanes.
pub const MAX_LANES: usize = 8;

/// Bytes that a processor may fetch together: two cache lines.
const APART: usize = 128;

/// How an allocator must lay out a block so that what one CPU writes never shares a cache line with
/// what another reads. Smaller blocks than that stay as they are: they hold nothing that is
/// written for each frame, and are many.
#[must_use]
pub fn apart(layout: Layout) -> Layout {
    if layout.size() < APART {
        return layout;
    }
    let aligned = layout.align_to(APART).map(|layout| layout.pad_to_align());
    aligned.unwrap_or(layout)
}

/// One lane's lock and what it has, apart from all else: processors fetch cache lines in pairs.
#[repr(align(128))]
struct Lane<L, R: RelaxStrategy>(TicketMutex<L, R>);

/// State of two kinds: what each CPU has for itself (`L`, its *lane*) and what all of them read
/// (`S`).
///
/// [`LaneLock::enter`] gives a CPU its lane and a view of what is shared, and writes to no memory
/// that another CPU uses. [`LaneLock::stop_all`] gives everything to one, once all lanes are left.
/// Both take their turn: neither can keep the other from it for ever. `R` says how to wait.
pub struct LaneLock<L, S, R: RelaxStrategy> {
    lanes: Vec<Lane<L, R>>,
    shared: UnsafeCell<S>,
}

// SAFETY: a lane is used by one CPU at a time; what is shared is read by several at a time, or
// written by one that holds the locks of all lanes.
unsafe impl<L: Send, S: Send + Sync, R: RelaxStrategy> Sync for LaneLock<L, S, R> {}

impl<L, S, R: RelaxStrategy> LaneLock<L, S, R> {
    /// Puts them together: there is a first lane, without whose lock nothing would be safe. LaneLock
    /// beyond [`MAX_LANES`] are left out.
    #[must_use]
    pub fn new(first: L, others: impl IntoIterator<Item = L>, shared: S) -> Self {
        let lanes = core::iter::once(first).chain(others).take(MAX_LANES);
        Self {
            lanes: lanes.map(|lane| Lane(TicketMutex::new(lane))).collect(),
            shared: UnsafeCell::new(shared),
        }
    }

    /// How many lanes there are: one at least.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Enters a lane, if there is one of that number, once nobody else is in it.
    #[inline]
    pub fn enter(&self, lane: usize) -> Option<Entered<'_, L, S, R>> {
        let lane = self.lanes.get(lane)?.0.lock();
        // SAFETY: nobody writes what is shared without the lock of this lane, which the result
        // holds as long as it lives.
        let shared = unsafe { &*self.shared.get() };
        Some(Entered { lane, shared })
    }

    /// Waits until all lanes are left, and keeps them so. Whoever is in a lane waits for ever.
    pub fn stop_all(&self) -> Stopped<'_, L, S, R> {
        let mut lanes = heapless::Vec::new();
        for lane in &self.lanes {
            // There are no more than it has room for.
            let _ = lanes.push(lane.0.lock());
        }
        Stopped {
            lanes,
            shared: &self.shared,
        }
    }
}

/// A lane, entered.
pub struct Entered<'a, L, S, R: RelaxStrategy> {
    lane: TicketMutexGuard<'a, L, R>,
    shared: &'a S,
}

impl<L, S, R: RelaxStrategy> Entered<'_, L, S, R> {
    /// The lane, and what is shared.
    #[inline]
    pub fn parts(&mut self) -> (&mut L, &S) {
        (&mut self.lane, self.shared)
    }
}

/// Everything, while no lane is entered.
pub struct Stopped<'a, L, S, R: RelaxStrategy> {
    lanes: heapless::Vec<TicketMutexGuard<'a, L, R>, MAX_LANES>,
    shared: &'a UnsafeCell<S>,
}

impl<L, S, R: RelaxStrategy> Stopped<'_, L, S, R> {
    /// What is shared, and all lanes.
    pub fn parts(&mut self) -> (&mut S, impl ExactSizeIterator<Item = &mut L>) {
        // SAFETY: the locks of all lanes are held, so nobody else reads or writes it; the borrow
        // of `self` lets it be borrowed once.
        let shared = unsafe { &mut *self.shared.get() };
        (shared, self.lanes.iter_mut().map(|lane| &mut **lane))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    /// Lets whoever holds the lock run.
    struct Patient;

    impl RelaxStrategy for Patient {
        fn relax() {
            thread::yield_now();
        }
    }

    type TestLock<L, S> = LaneLock<L, S, Patient>;

    #[test]
    fn blocks_are_apart() {
        for (size, align, wanted) in [(1, 1, (1, 1)), (127, 8, (127, 8)), (128, 8, (128, 128))]
            .into_iter()
            .chain([(129, 1, (256, 128)), (4096, 4096, (4096, 4096))])
        {
            let layout = apart(Layout::from_size_align(size, align).unwrap());
            assert_eq!((layout.size(), layout.align()), wanted);
        }
        let most = Layout::from_size_align(isize::MAX as usize, 1).unwrap();
        assert_eq!(apart(most), most);
    }

    #[test]
    fn lanes_are_apart_from_each_other() {
        assert!(align_of::<Lane<u8, Patient>>() >= 128);
        let lanes = TestLock::new(1, [2, 3], 10);
        assert_eq!(lanes.len(), 3);
        let (mut one, mut two) = (lanes.enter(0).unwrap(), lanes.enter(2).unwrap());
        assert_eq!(one.parts(), (&mut 1, &10));
        assert_eq!(two.parts(), (&mut 3, &10));
        assert!(lanes.enter(3).is_none());
        assert_eq!(TestLock::new((), [(); 20], ()).len(), MAX_LANES);
    }

    /// What is shared is two numbers that whoever reads them must find equal.
    #[test]
    fn nobody_sees_a_change_half_done() {
        const CHANGES: u64 = 2000;
        let lanes = TestLock::new(0u64, [0, 0], [0u64; 2]);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for at in 0..lanes.len() {
                let (lanes, done) = (&lanes, &done);
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        let mut entered = lanes.enter(at).unwrap();
                        let (turns, shared) = entered.parts();
                        assert_eq!(shared[0], shared[1]);
                        *turns += 1;
                    }
                });
            }
            // Neither side keeps the other from its turn: each change is followed by turns of
            // every lane before the last one is made.
            for _ in 0..CHANGES {
                let mut stopped = lanes.stop_all();
                let (shared, _) = stopped.parts();
                shared[0] += 1;
                core::hint::black_box(&shared);
                shared[1] += 1;
            }
            while lanes.stop_all().parts().1.any(|turns| *turns < CHANGES) {}
            done.store(true, Ordering::Relaxed);
        });
        let mut stopped = lanes.stop_all();
        let (shared, turns) = stopped.parts();
        assert_eq!(shared[0], CHANGES);
        assert!(turns.len() == 3);
    }
}
