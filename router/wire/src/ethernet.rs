//! Ethernet II headers.

use super::{be16, put};
use crate::addr::Mac;

/// Bytes of an Ethernet header without tags.
pub const ETHERNET_LEN: usize = 14;

/// The EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// The EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// The EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// The EtherType of a customer's tag, C-TAG (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// The EtherType of a provider's tag, S-TAG (IEEE 802.1ad).
pub const SERVICE_VLAN: u16 = 0x88a8;

/// The minimum length of a frame on a physical Ethernet, without the FCS; shorter frames are
/// padded.
pub const MIN_FRAME: usize = 60;

/// An Ethernet II header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ethernet {
    /// The destination address.
    pub destination: Mac,
    /// The source address.
    pub source: Mac,
    /// The EtherType.
    pub kind: u16,
}

impl Ethernet {
    /// Parses the header. Returns `None` if the frame is too short.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let (destination, rest) = frame.get(..ETHERNET_LEN)?.split_first_chunk()?;
        let (source, kind) = rest.split_first_chunk()?;
        Some(Self {
            destination: Mac(*destination),
            source: Mac(*source),
            kind: be16(kind, 0),
        })
    }

    /// Writes the header at the start of `frame`.
    pub fn emit(self, frame: &mut [u8]) {
        put(frame, 0, &self.destination.0);
        put(frame, 6, &self.source.0);
        put(frame, 12, &self.kind.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_short_frames() {
        let header = Ethernet {
            destination: Mac([1; 6]),
            source: Mac([2; 6]),
            kind: ARP,
        };
        let mut frame = [0xaa; 20];
        header.emit(&mut frame);
        assert_eq!(Ethernet::parse(&frame), Some(header));
        assert_eq!(frame[14..], [0xaa; 6]);
        for len in 0..14 {
            assert_eq!(Ethernet::parse(&frame[..len]), None);
        }
    }
}
