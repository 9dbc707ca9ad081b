//! The time as a loop knows it. A look at the clock takes a thousand instructions where Xen
//! emulates the time-stamp counter, more than a frame does.

use kernel::{run_state, time};

/// Busy turns by one look at the clock. A turn takes microseconds.
const TURNS: u32 = 4;

/// The system time, not always looked up.
pub struct LoopClock {
    now: u64,
    turns: u32,
}

impl LoopClock {
    /// Looks at the clock.
    pub fn look() -> Self {
        Self {
            now: time::now(),
            turns: 0,
        }
    }

    /// Returns what the time was when it was last known, in ns.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// After a turn that is followed by another at once.
    pub fn turned(&mut self) {
        self.turns += 1;
        if self.turns == TURNS {
            *self = Self::look();
        }
    }

    /// Before a sleep, when the time was looked up anyway.
    pub fn set(&mut self, now: u64) {
        *self = Self { now, turns: 0 };
    }

    /// After a sleep. Without one the time is still what it was.
    pub fn woke(&mut self) {
        self.now = self.now.max(run_state::running_since());
    }
}
