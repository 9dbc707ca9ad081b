//! A packet on its way through the slow path.

use alloc::vec::Vec;

use crate::frame::{ETHERNET_LEN, FrameFlags, FrameMeta, InterfaceId};
use wire::ipv4_options::source_route::Hop;

/// A frame on its way through the slow path, or waiting there.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) bytes: Vec<u8>,
    pub(crate) meta: FrameMeta,
    /// Where it came in, or what came in there caused it.
    pub(crate) input: InterfaceId,
    /// Whether the router made it.
    pub(crate) originated: bool,
    /// The step that it takes here on its source route; until it is sent, its header is as it
    /// came.
    pub(crate) hop: Option<Hop>,
}

impl Waiting {
    /// Whether an IPv6 packet follows the Ethernet header, which may still be empty.
    pub(crate) fn is_ipv6(&self) -> bool {
        self.bytes.get(ETHERNET_LEN).is_some_and(|b| b >> 4 == 6)
    }
}

/// Completes the transport checksum of a packet that still lacks it.
pub(crate) fn complete_checksum(waiting: &mut Waiting) {
    if waiting.meta.flags.contains(FrameFlags::CSUM_BLANK) {
        waiting.meta.flags = FrameFlags::empty();
        wire::offload::complete_checksum(&mut waiting.bytes);
    }
}
