//! A packet on its way through the slow path: read once, where it enters.

use alloc::vec::Vec;
use core::net::IpAddr;

use wire::ipv4::{Ipv4, Unreadable};
use wire::ipv4_options::source_route::Hop;
use wire::ipv6::Ipv6;

use crate::DropReason;
use crate::frame::{ETHERNET_LEN, FrameFlags, FrameMeta, InterfaceId};

/// The checked header of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ip {
    /// Of IPv4.
    V4(Ipv4),
    /// Of IPv6.
    V6(Ipv6),
}

impl Ip {
    /// Bytes in the packet, header included.
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
    /// Its GSO size and what is known of its checksum.
    pub(crate) meta: FrameMeta,
    /// Where it came in, or what came in there caused it.
    pub(crate) input: InterfaceId,
    /// Whether the router made it.
    pub(crate) originated: bool,
    /// The step that it takes here on its source route; until it is sent, its header is as it
    /// came.
    pub(crate) hop: Option<Hop>,
}

impl Packet {
    /// A received frame whose header was read as `ip`.
    pub(crate) fn received(bytes: Vec<u8>, meta: FrameMeta, input: InterfaceId, ip: Ip) -> Self {
        let mut packet = Self {
            bytes,
            ip,
            meta,
            input,
            originated: false,
            hop: None,
        };
        packet.trim();
        packet
    }

    /// A received packet that was made of fragments, behind the Ethernet header of one of them or
    /// one of zeros.
    ///
    /// # Errors
    ///
    /// What is wrong with its header.
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

    /// A packet of the router's own, behind room for the Ethernet header. `cause` is where what
    /// caused it came in.
    ///
    /// # Errors
    ///
    /// What is wrong with its header.
    pub(crate) fn own(bytes: Vec<u8>, cause: InterfaceId) -> Result<Self, DropReason> {
        let mut packet = Self {
            ip: read(&bytes)?,
            meta: FrameMeta::plain(bytes.len()),
            bytes,
            input: cause,
            originated: true,
            hop: None,
        };
        packet.trim();
        Ok(packet)
    }

    /// A part of this packet, as a packet of its own on the same way.
    ///
    /// # Errors
    ///
    /// What is wrong with its header.
    pub(crate) fn fragment(&self, bytes: Vec<u8>) -> Result<Self, DropReason> {
        let mut fragment = Self::own(bytes, self.input)?;
        (fragment.originated, fragment.hop) = (self.originated, self.hop);
        Ok(fragment)
    }

    /// Takes off the padding.
    fn trim(&mut self) {
        self.bytes.truncate(ETHERNET_LEN + self.ip.total_len());
        self.meta.len = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
    }

    /// The IP header.
    pub(crate) fn ip(&self) -> Ip {
        self.ip
    }

    /// The source address.
    pub(crate) fn source(&self) -> IpAddr {
        match self.ip {
            Ip::V4(ip) => ip.source.into(),
            Ip::V6(ip) => ip.source.into(),
        }
    }

    /// The destination address, as the header has it.
    pub(crate) fn destination(&self) -> IpAddr {
        match self.ip {
            Ip::V4(ip) => ip.destination.into(),
            Ip::V6(ip) => ip.destination.into(),
        }
    }

    /// Bytes from the IP header to the end.
    pub(crate) fn ip_bytes(&self) -> &[u8] {
        self.bytes.get(ETHERNET_LEN..).unwrap_or(&[])
    }

    /// The IPv4 header with its options, or the fixed IPv6 header.
    pub(crate) fn header(&self) -> &[u8] {
        let len = match self.ip {
            Ip::V4(ip) => ip.header_len,
            Ip::V6(_) => wire::ipv6::HEADER_LEN,
        };
        self.ip_bytes().get(..len).unwrap_or(&[])
    }

    /// The whole frame.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole frame, for its headers to be completed.
    pub(crate) fn into_frame(self) -> Vec<u8> {
        self.bytes
    }

    /// The Ethernet header of its frame.
    pub(crate) fn ethernet(&self) -> [u8; ETHERNET_LEN] {
        self.bytes.first_chunk().copied().unwrap_or_default()
    }

    /// The MAC address that its frame came from.
    pub(crate) fn source_mac(&self) -> [u8; 6] {
        let mac = self.bytes.get(6..12).and_then(|b| b.first_chunk());
        mac.copied().unwrap_or_default()
    }

    /// Returns `true` if its frame was for a group of stations.
    pub(crate) fn is_link_group(&self) -> bool {
        self.bytes.first().is_some_and(|b| b & 1 != 0)
    }

    /// Changes the bytes from the IP header on, which keep their number, and reads the header
    /// again.
    ///
    /// # Errors
    ///
    /// What is wrong with the new header.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut [u8])) -> Result<(), DropReason> {
        change(self.bytes.get_mut(ETHERNET_LEN..).unwrap_or(&mut []));
        self.ip = read(&self.bytes)?;
        self.trim();
        Ok(())
    }

    /// Completes the transport checksum if its sender left that to the link.
    pub(crate) fn complete_checksum(&mut self) {
        if self.meta.flags.contains(FrameFlags::CSUM_BLANK) {
            self.meta.flags = FrameFlags::empty();
            wire::offload::complete_checksum(&mut self.bytes);
        }
    }
}

/// Reads the IP header of a frame of the router's own.
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
