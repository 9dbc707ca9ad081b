#![doc = include_str!("../README.md")]
#![no_std]
#![expect(
    unsafe_code,
    reason = "who holds a lane's lock has the lane to himself"
)]

extern crate alloc;

#[cfg(test)]
mod model;
mod sync;
mod ticket;

use alloc::alloc::Layout;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use spin::RelaxStrategy;

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

/// What each CPU has for itself: its *lane*.
///
/// A CPU [enters](LaneLock::enter) its lane for each turn, and writes to no memory that another CPU uses. Who
/// has something to do in the lane of another enters it between two of that one's turns: both take their
/// turn, and neither can keep the other from it for ever. `R` is how to wait.
pub struct LaneLock<L, R: RelaxStrategy>(Vec<Lane<L, R>>);

impl<L, R: RelaxStrategy> LaneLock<L, R> {
    /// Creates a lock of these lanes. Those beyond [`MAX_LANES`] are ignored.
    #[must_use]
    pub fn new(lanes: impl IntoIterator<Item = L>) -> Self {
        let lanes = lanes.into_iter().take(MAX_LANES);
        Self(lanes.map(|lane| Lane(TicketLock::new(lane))).collect())
    }

    /// Returns the number of lanes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Enters a lane, after waiting until nobody else is in it. Returns `None` if there is no lane with
    /// this number. Deadlocks if the caller is in it.
    #[inline]
    pub fn enter(&self, lane: usize) -> Option<Entered<'_, L, R>> {
        Some(Entered(self.0.get(lane)?.0.lock()))
    }
}

/// A guard of an entered lane.
pub struct Entered<'a, L, R: RelaxStrategy>(TicketGuard<'a, L, R>);

impl<L, R: RelaxStrategy> Deref for Entered<'_, L, R> {
    type Target = L;

    #[inline]
    fn deref(&self) -> &L {
        &self.0
    }
}

impl<L, R: RelaxStrategy> DerefMut for Entered<'_, L, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut L {
        &mut self.0
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
