//! A clock for tests.

use alloc::rc::Rc;
use core::cell::Cell;

use crate::Clock;

/// A clock that a test moves.
#[derive(Clone, Debug, Default)]
pub struct FakeClock(Rc<Cell<u64>>);

impl FakeClock {
    /// Moves the clock.
    pub fn set_ns(&self, now_ns: u64) {
        self.0.set(now_ns);
    }
}

impl Clock for FakeClock {
    fn now_ns(&self) -> u64 {
        self.0.get()
    }
}
