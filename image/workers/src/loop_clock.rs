//! The clock of a loop. Reading the clock takes a thousand instructions where Xen emulates the
//! time-stamp counter, more than a frame does.

use kernel::{run_state, time};

/// The number of busy turns per reading of the clock. A turn takes microseconds.
const TURNS: u32 = 4;

/// A cached system time.
pub struct LoopClock {
    now: u64,
    turns: u32,
}

impl LoopClock {
    /// Reads the clock.
    pub fn look() -> Self {
        Self {
            now: time::now(),
            turns: 0,
        }
    }

    /// Returns the last known time, in ns.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Called after a turn that is followed by another immediately.
    pub fn turned(&mut self) {
        self.turns += 1;
        if self.turns == TURNS {
            *self = Self::look();
        }
    }

    /// Called before a sleep, when the time has been read anyway.
    pub fn set(&mut self, now: u64) {
        *self = Self { now, turns: 0 };
    }

    /// Called after a sleep. If there was none, the time is unchanged.
    pub fn woke(&mut self) {
        self.now = self.now.max(run_state::running_since());
    }
}
