//! Values that a writer replaces while lanes continue with the one they have.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::sync::{AtomicU32, Ordering, UnsafeCell};

/// Empty: nothing was left, or it was taken.
const EMPTY: u32 = 0;
/// A value waits to be taken.
const FULL: u32 = 1;
/// One side has exclusive access to the cell.
const BUSY: u32 = 2;

/// A slot in which the writer leaves the newest value for one lane.
///
/// Neither side ever waits for the other, whose virtual CPU may not be running.
#[repr(align(128))]
pub struct Mailbox<T> {
    state: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is reached only by the side that changed the state to `BUSY`, and the next one
// to do so sees what that side did, by the release and acquire on the state.
unsafe impl<T: Send> Sync for Mailbox<T> {}
// SAFETY: it owns its value.
unsafe impl<T: Send> Send for Mailbox<T> {}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self {
            state: AtomicU32::new(EMPTY),
            value: UnsafeCell::new(None),
        }
    }
}

impl<T> Mailbox<T> {
    /// Changes the state from `from` to [`BUSY`]. Returns `false` if it isn't `from`.
    fn claim(&self, from: u32) -> bool {
        let (order, failed) = (Ordering::Acquire, Ordering::Relaxed);
        let claimed = self.state.compare_exchange(from, BUSY, order, failed);
        claimed.is_ok()
    }

    /// Leaves a value. Returns the previous one if it hasn't been taken.
    ///
    /// # Errors
    ///
    /// Returns the value if the lane is just taking the previous one.
    pub fn put(&self, value: T) -> Result<Option<T>, T> {
        if !self.claim(EMPTY) && !self.claim(FULL) {
            return Err(value);
        }
        let old = self.value.with_mut(|cell| {
            // SAFETY: the state is `BUSY`, and this side made it so.
            unsafe { (*cell).replace(value) }
        });
        self.state.store(FULL, Ordering::Release);
        Ok(old)
    }

    /// Takes the value if there is one. Costs a single load if there isn't.
    #[inline(always)]
    pub fn take(&self) -> Option<T> {
        if self.state.load(Ordering::Relaxed) != FULL {
            return None;
        }
        self.take_waiting()
    }

    #[cold]
    fn take_waiting(&self) -> Option<T> {
        if !self.claim(FULL) {
            return None;
        }
        let value = self.value.with_mut(|cell| {
            // SAFETY: the state is `BUSY`, and this side made it so.
            unsafe { (*cell).take() }
        });
        self.state.store(EMPTY, Ordering::Release);
        value
    }
}

/// The writer's side: the newest value, and older ones that lanes may still read.
///
/// A lane takes a new value between two bursts ([`Mailbox::take`]), and thereby releases the
/// previous one. Values that no lane has any more are freed by the writer, never by a lane.
pub struct Publisher<T> {
    newest: Arc<T>,
    retired: Vec<Arc<T>>,
    /// The lanes whose mailbox was busy when the newest value was published, a bit for each.
    undelivered: u64,
}

impl<T> Publisher<T> {
    /// Creates a publisher with a first value, which lanes initially get from
    /// [`Publisher::newest`].
    pub fn new(value: T) -> Self {
        Self {
            newest: Arc::new(value),
            retired: Vec::new(),
            undelivered: 0,
        }
    }

    /// Returns the newest value.
    pub fn newest(&self) -> &Arc<T> {
        &self.newest
    }

    /// Publishes a value to all lanes. [`Publisher::deliver`] has to be called until it returns
    /// `true`.
    pub fn publish(&mut self, value: T, lanes: &[Mailbox<Arc<T>>]) {
        let old = core::mem::replace(&mut self.newest, Arc::new(value));
        self.retired.push(old);
        self.undelivered = (1 << lanes.len().min(63)) - 1;
        self.deliver(lanes);
    }

    /// Delivers the newest value to lanes whose mailbox was busy, and frees values that no lane
    /// reads any more. Returns `true` if it has been delivered to all lanes.
    pub fn deliver(&mut self, lanes: &[Mailbox<Arc<T>>]) -> bool {
        for (at, lane) in lanes.iter().enumerate() {
            if self.undelivered >> at & 1 != 0 && lane.put(self.newest.clone()).is_ok() {
                self.undelivered &= !(1 << at);
            }
        }
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        self.undelivered == 0
    }

    /// Returns the number of older values that lanes may still read.
    pub fn retired(&self) -> usize {
        self.retired.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc as LoomArc;
    use loom::thread;

    #[test]
    fn a_lane_sees_values_in_order_and_the_last_one_in_the_end() {
        loom::model(|| {
            let mailbox = LoomArc::new(Mailbox::default());
            let reader = LoomArc::clone(&mailbox);
            let lane = thread::spawn(move || {
                let mut seen = 0u32;
                for _ in 0..2 {
                    if let Some(value) = reader.take() {
                        assert!(value > seen, "{value} after {seen}");
                        seen = value;
                    }
                }
                seen
            });
            let mut left = true;
            for value in 1..=2 {
                left = mailbox.put(value).is_ok();
            }
            let seen = lane.join().unwrap();
            // What couldn't be left is left on the next try, when nobody is taking.
            if !left {
                assert!(mailbox.put(2).is_ok());
            }
            let last = mailbox.take();
            assert!(last == Some(2) || seen == 2);
        });
    }

    #[test]
    fn the_writer_frees_what_no_lane_reads() {
        loom::model(|| {
            let lanes = LoomArc::new([Mailbox::default()]);
            let theirs = LoomArc::clone(&lanes);
            let mut writer = Publisher::new(0u32);
            let mut mine = writer.newest().clone();
            let lane = thread::spawn(move || {
                for _ in 0..2 {
                    if let Some(new) = theirs[0].take() {
                        // The writer has it too: to drop it frees nothing here.
                        assert!(Arc::strong_count(&mine) > 1);
                        mine = new;
                    }
                }
                mine
            });
            writer.publish(1, &*lanes);
            let mine = lane.join().unwrap();
            assert!(writer.deliver(&*lanes));
            drop(lanes[0].take());
            drop(mine);
            writer.deliver(&*lanes);
            assert_eq!(writer.retired(), 0);
        });
    }
}
