//! Exponential backoff.

use alloc::string::String;
use core::fmt;

/// The pause after a first failure; it doubles with each further one.
pub const MIN_BACKOFF_NS: u64 = 1_000_000_000;
/// The maximum pause, and the time that a connection must have lasted for the next failure to count
/// as the first.
pub const MAX_BACKOFF_NS: u64 = 30_000_000_000;

/// The state of the backoff, and the last reported problem.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    /// The last logged reason why the device couldn't be set up; empty if it has been connected
    /// since.
    pub(crate) complaint: String,
}

impl Backoff {
    /// Returns the pause that is due after a failure, in nanoseconds.
    pub(crate) fn after_failure(&mut self) -> u64 {
        let pause_ns = Self::pause_ns(self.failures);
        self.failures = self.failures.saturating_add(1).min(32);
        pause_ns
    }

    /// Returns the pause that is due after a connection has ended without an error, in nanoseconds:
    /// none after the first one.
    pub(crate) fn after_end(&mut self) -> u64 {
        let pause_ns = self.failures.checked_sub(1).map_or(0, Self::pause_ns);
        self.failures = self.failures.saturating_add(1).min(32);
        pause_ns
    }

    fn pause_ns(doublings: u32) -> u64 {
        (MIN_BACKOFF_NS << doublings.min(5)).min(MAX_BACKOFF_NS)
    }

    /// The next failure counts as the first.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A pause in nanoseconds, as a log line has it.
pub(crate) struct Again(pub(crate) u64);

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retrying in {} s", self.0 / 1_000_000_000)
    }
}
