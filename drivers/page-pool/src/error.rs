//! The pool's error type.

use core::fmt;

use xen_hal::HalError;

/// An error of a [`PagePool`](crate::PagePool).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// The machine has no more pages or grants.
    Hal(HalError),
    /// The limit of pages, which is that of the protocol's ids, is reached.
    TooManyPages,
    /// The home doesn't exist.
    NoSuchHome,
    /// Pages of the home are posted for receiving: close its queues first.
    InUse,
}

impl From<HalError> for PoolError {
    fn from(error: HalError) -> Self {
        PoolError::Hal(error)
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::Hal(error) => error.fmt(f),
            PoolError::TooManyPages => f.write_str("too many packet pages"),
            PoolError::NoSuchHome => f.write_str("no such home of packet pages"),
            PoolError::InUse => f.write_str("packet pages are still posted"),
        }
    }
}

impl core::error::Error for PoolError {}
