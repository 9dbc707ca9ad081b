//! The error type of requests.

use core::fmt;

use xen_ring::Corrupt;

use crate::wire::Errno;

/// The error type of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// xenstored refused the request.
    Refused(Errno),
    /// The path is empty, too long, or contains a NUL. The request wasn't sent.
    BadPath,
    /// The request, or a directory, is too large. A request wasn't sent.
    TooLarge,
    /// The reply is malformed.
    Malformed,
    /// The value isn't UTF-8.
    NotText,
    /// The transaction conflicted with others in every attempt.
    Conflict,
    /// xenstored announced a message that is too long: the connection is lost.
    Oversize(u32),
    /// xenstored corrupted the ring: the connection is lost.
    Corrupt(Corrupt),
}

impl StoreError {
    /// Returns `true` if the node doesn't exist, as far as this domain may know. xenstored replies
    /// "access denied" if the nearest existing parent can't be read.
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
            Self::Malformed => f.write_str("malformed reply from xenstore"),
            Self::NotText => f.write_str("the value in xenstore is not text"),
            Self::Conflict => f.write_str("the xenstore transaction conflicted in every attempt"),
            Self::Oversize(len) => write!(f, "connection to xenstore lost: message of {len} bytes"),
            Self::Corrupt(corrupt) => write!(f, "connection to xenstore lost: {corrupt}"),
        }
    }
}

impl core::error::Error for StoreError {}
