//! Types that the caller and the router exchange about frames.

use bitflags::bitflags;

/// The number of bytes of a frame that [`Router::process`](crate::Router::process) uses.
pub const HEADER_LEN: usize = 64;

/// The maximum number of frames that [`Router::process`](crate::Router::process) handles together.
pub const BURST: usize = 64;

pub use wire::ethernet::ETHERNET_LEN;

/// A private copy of the first bytes of a frame, beginning at the Ethernet destination.
///
/// Bytes beyond the frame's length may have any value.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Header(pub [u8; HEADER_LEN]);

impl Default for Header {
    fn default() -> Self {
        Self([0; HEADER_LEN])
    }
}

bitflags! {
    /// Flags of a frame.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct FrameFlags: u8 {
        /// The transport checksum field contains only the sum of the pseudo-header, and has to be
        /// completed before the frame reaches a wire.
        const CSUM_BLANK = 1;
        /// The payload is known to be intact; its checksum need not be verified.
        const DATA_VALIDATED = 2;
        /// A segment of a received large frame, other than the first. Only used with
        /// [`Router::punt`](crate::Router::punt) and [`Lane::punt`](crate::Lane::punt).
        const LATER_SEGMENT = 4;
    }
}

/// What the caller knows about a frame besides its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameMeta {
    /// The length of the frame including the Ethernet header, in bytes.
    pub len: u32,
    /// The length of the IP packet of each segment but the last of a large frame, in bytes
    /// ([`FrameMeta::segment_len_of`]); 0 for an ordinary frame.
    pub segment_len: u16,
    /// The state of the transport checksum.
    pub flags: FrameFlags,
}

impl FrameMeta {
    /// Returns the length of the segments of a large frame of `len` bytes that begins with `head`,
    /// with or without tags, and has `gso_size` bytes of payload per segment. Returns [`u16::MAX`],
    /// which exceeds any MTU, if the length can't be determined.
    pub fn segment_len_of(head: &[u8], len: u32, gso_size: u16) -> u16 {
        let headers = wire::offload::tcp_headers_len(head, len as usize);
        let headers = headers.and_then(|len| u16::try_from(len).ok());
        headers.map_or(u16::MAX, |headers| headers.saturating_add(gso_size))
    }

    /// Returns an ordinary frame of `len` bytes with a complete checksum.
    pub fn plain(len: usize) -> Self {
        Self {
            len: u32::try_from(len).unwrap_or(u32::MAX),
            segment_len: 0,
            flags: FrameFlags::empty(),
        }
    }
}

/// The number of an interface, which it keeps over changes of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct InterfaceId(pub u8);

impl InterfaceId {
    /// Returns the number as an index into arrays with an entry per interface.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

pub use config::{MAX_INTERFACES, MAX_VIFS};

/// The decision about a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Write back [as many bytes](crate::stages::Stages::WRITTEN_BACK) of the header as may have changed and
    /// send the frame on this interface.
    Forward(InterfaceId),
    /// Hand the frame to [`Router::punt`](crate::Router::punt).
    Punt,
    /// Drop the frame. It has been counted.
    Drop,
    /// Remove the tags ([`Header::untag`]) and process the frame again, as received on this
    /// interface. The tags are the first bytes after the two MAC addresses.
    Tagged(InterfaceId),
}

/// What the verdicts about several frames have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdicts {
    /// All are [`Verdict::Forward`] to this interface.
    AllTo(InterfaceId),
    /// Some are [`Verdict::Tagged`].
    Tagged,
    /// Anything else.
    Mixed,
}
