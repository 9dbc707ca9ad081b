//! The error type of this crate's parsers.

use core::fmt;

/// The reason why a packet is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// Shorter than its headers say.
    Truncated,
    /// The IP version isn't that of the EtherType (RFC 1812 5.2.2 (3)).
    BadVersion,
    /// The IP header length is below 20 bytes or beyond the packet (RFC 1812 5.2.2 (4)).
    BadHeaderLength,
    /// The IP total length is below the header's or beyond the frame (RFC 1812 5.2.2 (5)).
    BadTotalLength,
    /// The IP header checksum is wrong (RFC 1812 5.2.2 (2)).
    BadChecksum,
    /// An IP option is malformed, or unknown with an action that rejects the packet (RFC 8200 4.2).
    BadOptions,
    /// An unrecognized next header (RFC 8200 4).
    UnknownProtocol,
    /// A fragment that can't be part of any packet (RFC 8200 4.5).
    BadFragment,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::BadVersion => "bad IP version",
            Self::BadHeaderLength => "bad IP header length",
            Self::BadTotalLength => "bad IP total length",
            Self::BadChecksum => "bad IP header checksum",
            Self::BadOptions => "bad IP options",
            Self::UnknownProtocol => "unknown protocol",
            Self::BadFragment => "bad fragment",
        })
    }
}

impl core::error::Error for Error {}
