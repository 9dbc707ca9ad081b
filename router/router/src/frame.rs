//! What the caller and the router exchange about a frame.

use bitflags::bitflags;

/// How many bytes of a frame [`Router::process`](crate::Router::process) looks at.
pub const HEADER_LEN: usize = 64;

/// How many frames [`Router::process`](crate::Router::process) takes in one call.
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
    /// What is known about a frame: first of the checksum of its transport layer.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct FrameFlags: u8 {
        /// The checksum field holds the sum of the pseudo header only and is to be
        /// completed before the frame reaches a wire.
        const CSUM_BLANK = 1;
        /// The payload is known to be intact; its checksum need not be verified.
        const DATA_VALIDATED = 2;
        /// A segment of a large frame that was received as one, and not its first. Only
        /// [`Router::punt`](crate::Router::punt) and [`Lane::punt`](crate::Lane::punt) know it.
        const LATER_SEGMENT = 4;
    }
}

/// What the caller knows about a frame beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameMeta {
    /// Bytes in the whole frame, Ethernet header included.
    pub len: u32,
    /// Bytes of the IP packet that each segment of an aggregate but the last is
    /// ([`FrameMeta::segment_len_of`]), or 0 for an ordinary frame.
    pub segment_len: u16,
    /// The state of the transport checksum.
    pub flags: FrameFlags,
}

impl FrameMeta {
    /// Returns how long the segments are of an aggregate of `len` bytes that begins with `head`, with
    /// tags or without, and carries `gso_size` bytes of payload in each; [`u16::MAX`], more than fit
    /// any link, if it can't be told.
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

/// An interface: its index in [`Config::interfaces`](crate::Config::interfaces).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct InterfaceId(pub u8);

impl InterfaceId {
    /// As an index into arrays with an entry per interface.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

pub use config::{MAX_INTERFACES, MAX_VIFS};

/// What is to become of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Write back [as many bytes](crate::stages::Stages::WRITTEN_BACK) of the header as may have changed and
    /// send the frame on this interface.
    Forward(InterfaceId),
    /// Hand the frame to [`Router::punt`](crate::Router::punt).
    Punt,
    /// Forget the frame. It has been counted.
    Drop,
    /// Take the tags off ([`Header::untag`]) and let the frame be processed again, as one of
    /// this interface. Tags there are always the first bytes behind the two MAC addresses.
    Tagged(InterfaceId),
}

/// What the verdicts about several frames have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdicts {
    /// All are [`Verdict::Forward`] to this interface.
    AllTo(InterfaceId),
    /// Some are [`Verdict::Tagged`].
    Tagged,
    /// Neither is known.
    Mixed,
}
