//! Why a request failed.

use core::fmt;

use xen_ring::Corrupt;

use crate::wire::Errno;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// xenstored refused.
    Refused(Errno),
    /// The path is empty, too long, or has a NUL in it. It wasn't sent.
    BadPath,
    /// The request, or a directory, is too large. A request wasn't sent.
    TooLarge,
    /// The reply makes no sense.
    Malformed,
    /// The value isn't UTF-8.
    NotText,
    /// The transaction met others every time it was tried.
    Conflict,
    /// xenstored's stream can't be followed: nothing more can be asked of it.
    Oversize(u32),
    /// xenstored broke the ring: nothing more can be asked of it.
    Corrupt(Corrupt),
}

impl StoreError {
    /// Returns `true` if the node isn't there, as far as this domain may know. xenstored says
    /// "access denied" when the nearest parent that exists can't be read.
    #[must_use]
    pub fn is_missing(self) -> bool {
        matches!(self, Self::Refused(Errno::NoEntry | Errno::Access))
    }

    /// Returns `true` if the connection to xenstored is lost.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Oversize(_) | Self::Corrupt(_))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => write!(f, "xenstore refused ({errno})"),
            Self::BadPath => f.write_str("not a xenstore path"),
            Self::TooLarge => f.write_str("too large for xenstore"),
            Self::Malformed => f.write_str("xenstore's reply makes no sense"),
            Self::NotText => f.write_str("the value in xenstore is not text"),
            Self::Conflict => f.write_str("the xenstore transaction always met another one"),
            Self::Oversize(len) => write!(f, "xenstore is lost: it sent a message of {len} bytes"),
            Self::Corrupt(corrupt) => write!(f, "xenstore is lost: {corrupt}"),
        }
    }
}

impl core::error::Error for StoreError {}
