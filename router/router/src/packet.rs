//! A packet in the slow path, whose header is parsed once.

use alloc::vec::Vec;
use core::net::IpAddr;

use wire::ipv4::{Ipv4, Unreadable};
use wire::ipv4_options::source_route::Hop;
use wire::ipv6::Ipv6;

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, FrameFlags, FrameMeta, InterfaceId};

/// The validated header of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ip {
    /// That of IPv4.
    V4(Ipv4),
    /// That of IPv6.
    V6(Ipv6),
}

impl Ip {
    /// Returns the length of the packet in bytes, header included.
    fn total_len(&self) -> usize {
        match self {
            Self::V4(ip) => ip.total_len,
            Self::V6(ip) => ip.total_len,
        }
    }
}

/// A packet behind an Ethernet header, without padding.
///
/// Its bytes hold all of the Ethernet header and of the packet that the IP header announces.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    bytes: Vec<u8>,
    ip: Ip,
    /// Its length, GSO segment length and checksum state.
    pub(crate) meta: FrameMeta,
    /// The interface that it was received on or, if the router made it, that its cause was received
    /// on.
    pub(crate) input: InterfaceId,
    /// `true` if the router made it.
    pub(crate) originated: bool,
    /// `true` for segments other than the first of a large frame, which cause no errors.
    pub(crate) later_segment: bool,
    /// The hop of its source route that it takes here. The header is only changed when it is sent.
    pub(crate) hop: Option<Hop>,
}

impl Packet {
    /// Creates one of a received frame, with the header `ip` that was read from its bytes.
    pub(crate) fn received(bytes: Vec<u8>, meta: FrameMeta, input: InterfaceId, ip: Ip) -> Self {
        let later = FrameFlags::LATER_SEGMENT;
        let mut packet = Self {
            bytes,
            ip,
            meta: FrameMeta {
                flags: meta.flags - later,
                ..meta
            },
            input,
            originated: false,
            later_segment: meta.flags.contains(later),
            hop: None,
        };
        packet.trim();
        packet
    }

    /// Creates a received packet that was reassembled, behind the Ethernet header of one of its
    /// fragments or one of zeros.
    ///
    /// # Errors
    ///
    /// The reason why its header is invalid.
    pub(crate) fn reassembled(
        ethernet: &[u8; ETHERNET_LEN],
        packet: &[u8],
        input: InterfaceId,
    ) -> Result<Self, DropReason> {
        let bytes = [&ethernet[..], packet].concat();
        let mut packet = Self::own(bytes, input)?;
        packet.originated = false;
        Ok(packet)
    }

    /// Creates a packet of the router's own, behind room for the Ethernet header. `cause` is where
    /// what caused it was received.
    ///
    /// # Errors
    ///
    /// The reason why its header is invalid.
    pub(crate) fn own(bytes: Vec<u8>, cause: InterfaceId) -> Result<Self, DropReason> {
        let mut packet = Self {
            ip: read(&bytes)?,
            meta: FrameMeta::plain(bytes.len()),
            bytes,
            input: cause,
            originated: true,
            later_segment: false,
            hop: None,
        };
        packet.trim();
        Ok(packet)
    }

    /// Creates a fragment of this packet, behind room for the Ethernet header.
    ///
    /// # Errors
    ///
    /// The reason why its header is invalid.
    pub(crate) fn fragment(&self, bytes: Vec<u8>) -> Result<Self, DropReason> {
        let mut fragment = Self::own(bytes, self.input)?;
        (fragment.originated, fragment.hop) = (self.originated, self.hop);
        fragment.later_segment = self.later_segment;
        Ok(fragment)
    }

    /// Removes the padding.
    fn trim(&mut self) {
        self.bytes.truncate(ETHERNET_LEN + self.ip.total_len());
        self.meta.len = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
    }

    /// Returns the IP header.
    pub(crate) fn ip(&self) -> Ip {
        self.ip
    }

    /// Returns the source address.
    pub(crate) fn source(&self) -> IpAddr {
        match self.ip {
            Ip::V4(ip) => ip.source.into(),
            Ip::V6(ip) => ip.source.into(),
        }
    }

    /// Returns the destination address, as the header has it.
    pub(crate) fn destination(&self) -> IpAddr {
        match self.ip {
            Ip::V4(ip) => ip.destination.into(),
            Ip::V6(ip) => ip.destination.into(),
        }
    }

    /// Returns the IP packet.
    pub(crate) fn ip_bytes(&self) -> &[u8] {
        self.bytes.get(ETHERNET_LEN..).unwrap_or(&[])
    }

    /// Returns the bytes of the IPv4 header with its options, or of the fixed IPv6 header.
    pub(crate) fn header(&self) -> &[u8] {
        let len = match self.ip {
            Ip::V4(ip) => ip.header_len,
            Ip::V6(_) => wire::ipv6::HEADER_LEN,
        };
        self.ip_bytes().get(..len).unwrap_or(&[])
    }

    /// Returns the whole frame.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the whole frame, for its headers to be completed.
    pub(crate) fn into_frame(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the Ethernet header.
    pub(crate) fn ethernet(&self) -> [u8; ETHERNET_LEN] {
        self.bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Returns the source MAC address.
    pub(crate) fn source_mac(&self) -> [u8; 6] {
        let mac = self.bytes.get(6..12).and_then(|b| b.first_chunk());
        mac.copied().unwrap_or_default()
    }

    /// Returns `true` if the destination MAC address is the broadcast or a multicast address.
    pub(crate) fn is_link_group(&self) -> bool {
        self.bytes.first().is_some_and(|b| b & 1 != 0)
    }

    /// Changes the IP packet, which may get shorter but not longer, and reads its header again.
    ///
    /// # Errors
    ///
    /// The reason why the new header is invalid; the packet must then be dropped.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut [u8])) -> Result<(), DropReason> {
        change(self.bytes.get_mut(ETHERNET_LEN..).unwrap_or(&mut []));
        self.ip = read(&self.bytes)?;
        self.trim();
        Ok(())
    }

    /// Completes the transport checksum if that was left to the link.
    pub(crate) fn complete_checksum(&mut self) {
        if self.meta.flags.contains(FrameFlags::CSUM_BLANK) {
            self.meta.flags = FrameFlags::empty();
            wire::offload::complete_checksum(&mut self.bytes);
        }
    }
}

/// Reads the IP header of a whole frame.
fn read(frame: &[u8]) -> Result<Ip, DropReason> {
    let packet = frame.get(ETHERNET_LEN..).unwrap_or(&[]);
    if packet.first().is_some_and(|b| b >> 4 == 6) {
        return Ok(Ip::V6(Ipv6::parse(packet, packet.len())?));
    }
    match Ipv4::parse(packet, packet.len()) {
        Ok(ip) => Ok(Ip::V4(ip)),
        Err(Unreadable::Bad(error)) => Err(error.into()),
        Err(Unreadable::Incomplete) => Err(DropReason::Truncated),
    }
}

#[cfg(test)]
mod tests;
