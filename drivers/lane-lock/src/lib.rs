#![doc = include_str!("../README.md")]
#![no_std]
#![expect(
    unsafe_code,
    reason = "what all read is written by who holds every lane's lock"
)]

extern crate alloc;

#[cfg(test)]
mod model;
mod publish;
mod sync;
mod ticket;

use alloc::alloc::Layout;
use alloc::vec::Vec;
use core::marker::PhantomData;

use spin::RelaxStrategy;

pub use self::publish::{Mailbox, Publisher};
use self::sync::UnsafeCell;
use self::ticket::{TicketGuard, TicketLock};

/// The maximum number of lanes.
pub const MAX_LANES: usize = 8;

/// The number of bytes that a processor may fetch together: two cache lines.
const APART: usize = 128;

/// Returns the layout that an allocator should use for a block, so that what one CPU writes never
/// shares a cache line with what another reads. Layouts of small blocks are unchanged: these
/// contain nothing that is written for each frame, and there are many.
#[must_use]
pub fn apart(layout: Layout) -> Layout {
    if layout.size() < APART {
        return layout;
    }
    let aligned = layout.align_to(APART).map(|layout| layout.pad_to_align());
    aligned.unwrap_or(layout)
}

/// A lane's lock and state, separated from everything else: processors fetch cache lines in pairs.
#[repr(align(128))]
struct Lane<L, R>(TicketLock<L, R>);

/// A lock for two kinds of state: what each CPU has to itself (`L`, its *lane*) and what all of
/// them read (`S`).
///
/// [`LaneLock::enter`] gives a CPU exclusive access to its lane and shared access to the rest, and
/// writes to no memory that another CPU uses. [`LaneLock::stop_all`] gives one CPU exclusive access
/// to everything, once all lanes have been left. The lock is fair: neither can starve the other.
/// `R` is the strategy for waiting.
pub struct LaneLock<L, S, R: RelaxStrategy> {
    lanes: Vec<Lane<L, R>>,
    shared: UnsafeCell<S>,
}

// SAFETY: a lane is used by one CPU at a time; what is shared is read by several at a time, or
// written by one that holds the locks of all lanes.
unsafe impl<L: Send, S: Send + Sync, R: RelaxStrategy> Sync for LaneLock<L, S, R> {}

impl<L, S, R: RelaxStrategy> LaneLock<L, S, R> {
    /// Creates a lock with at least one lane, since lanes' locks protect the shared state. Lanes
    /// beyond [`MAX_LANES`] are ignored.
    #[must_use]
    pub fn new(first: L, others: impl IntoIterator<Item = L>, shared: S) -> Self {
        let lanes = core::iter::once(first).chain(others).take(MAX_LANES);
        Self {
            lanes: lanes.map(|lane| Lane(TicketLock::new(lane))).collect(),
            shared: UnsafeCell::new(shared),
        }
    }

    /// Returns the number of lanes, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Enters a lane, after waiting until nobody else is in it. Returns `None` if there is no lane
    /// with this number.
    #[inline]
    pub fn enter(&self, lane: usize) -> Option<Entered<'_, L, S, R>> {
        let lane = self.lanes.get(lane)?.0.lock();
        Some(Entered {
            lane,
            shared: &self.shared,
            read: PhantomData,
        })
    }

    /// Waits until all lanes have been left, and keeps others from entering. Deadlocks if the
    /// caller is in a lane.
    pub fn stop_all(&self) -> Stopped<'_, L, S, R> {
        let mut lanes = heapless::Vec::new();
        for lane in &self.lanes {
            // There are at most `MAX_LANES`, for which it has room.
            let _ = lanes.push(lane.0.lock());
        }
        Stopped {
            lanes,
            shared: &self.shared,
            written: PhantomData,
        }
    }
}

/// A guard of an entered lane.
pub struct Entered<'a, L, S, R: RelaxStrategy> {
    lane: TicketGuard<'a, L, R>,
    shared: &'a UnsafeCell<S>,
    read: PhantomData<&'a S>,
}

impl<L, S, R: RelaxStrategy> Entered<'_, L, S, R> {
    /// Returns the lane and the shared state.
    #[inline]
    pub fn parts(&mut self) -> (&mut L, &S) {
        // SAFETY: nobody writes what is shared without the lock of this lane, which is held as
        // long as `self` lives.
        let shared = self.shared.with(|shared| unsafe { &*shared });
        (&mut self.lane, shared)
    }
}

/// A guard of everything, while no lane is entered.
pub struct Stopped<'a, L, S, R: RelaxStrategy> {
    lanes: heapless::Vec<TicketGuard<'a, L, R>, MAX_LANES>,
    shared: &'a UnsafeCell<S>,
    written: PhantomData<&'a mut S>,
}

impl<L, S, R: RelaxStrategy> Stopped<'_, L, S, R> {
    /// Returns the shared state and all lanes.
    pub fn parts(&mut self) -> (&mut S, impl ExactSizeIterator<Item = &mut L>) {
        // SAFETY: the locks of all lanes are held, so nobody else reads or writes it; the borrow
        // of `self` lets it be borrowed once.
        let shared = self.shared.with_mut(|shared| unsafe { &mut *shared });
        (shared, self.lanes.iter_mut().map(|lane| &mut **lane))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn lanes_are_apart() {
        assert!(align_of::<Lane<u8, spin::Spin>>() >= 128);
    }
}
