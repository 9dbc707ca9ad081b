//! ARP for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use super::{be16, be32, ethernet, put};
use crate::addr::Mac;
use crate::ethernet::ETHERNET_LEN;

/// The operation of a request.
pub const REQUEST: u16 = 1;
/// The operation of a reply.
pub const REPLY: u16 = 2;

/// Bytes of an ARP packet with its Ethernet header.
pub const FRAME_LEN: usize = ETHERNET_LEN + 28;

/// An ARP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// [`REQUEST`] or [`REPLY`].
    pub operation: u16,
    /// The sender hardware address.
    pub sender_mac: Mac,
    /// The sender protocol address.
    pub sender: Ipv4Addr,
    /// The target hardware address.
    pub target_mac: Mac,
    /// The target protocol address.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Parses the bytes after the Ethernet header. Returns `None` if they are too few, if the
    /// packet is for other address types, if it is neither a request nor a reply, or if its sender
    /// hardware address isn't unicast.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let packet: &[u8; 28] = packet.first_chunk()?;
        let mac = |at: usize| packet.get(at..at + 6)?.try_into().ok().map(Mac);
        let kinds = (be16(packet, 0), be16(packet, 2), packet[4], packet[5]);
        let operation = be16(packet, 6);
        let arp = Self {
            operation,
            sender_mac: mac(8)?,
            sender: Ipv4Addr::from_bits(be32(packet, 14)),
            target_mac: mac(18)?,
            target: Ipv4Addr::from_bits(be32(packet, 24)),
        };
        let good = kinds == (1, ethernet::IPV4, 6, 4)
            && matches!(operation, REQUEST | REPLY)
            && arp.sender_mac.is_unicast();
        good.then_some(arp)
    }

    /// Returns a frame with this packet, addressed to `destination`.
    pub fn frame(&self, destination: Mac) -> [u8; FRAME_LEN] {
        let mut frame = [0; FRAME_LEN];
        let header = ethernet::Ethernet {
            destination,
            source: self.sender_mac,
            kind: ethernet::ARP,
        };
        header.emit(&mut frame);
        put(&mut frame, 14, &[0, 1, 8, 0, 6, 4]);
        put(&mut frame, 20, &self.operation.to_be_bytes());
        put(&mut frame, 22, &self.sender_mac.0);
        put(&mut frame, 28, &self.sender.octets());
        put(&mut frame, 32, &self.target_mac.0);
        put(&mut frame, 38, &self.target.octets());
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn sample() -> Arp {
        Arp {
            operation: REQUEST,
            sender_mac: Mac([2, 0, 0, 0, 0, 1]),
            sender: Ipv4Addr::new(10, 0, 0, 1),
            target_mac: Mac([0; 6]),
            target: Ipv4Addr::new(10, 0, 0, 2),
        }
    }

    #[test]
    fn round_trip() {
        let frame = sample().frame(Mac::BROADCAST);
        assert_eq!(Arp::parse(&frame[14..]), Some(sample()));
        let padded: Vec<u8> = frame[14..].iter().copied().chain([0; 18]).collect();
        assert_eq!(Arp::parse(&padded), Some(sample()));
    }

    #[test]
    fn malformed() {
        let good = sample().frame(Mac::BROADCAST);
        let good = &good[14..];
        for len in 0..28 {
            assert_eq!(Arp::parse(&good[..len]), None, "{len} bytes");
        }
        for (what, at, value) in [
            ("hardware type", 1, 6),
            ("protocol type", 2, 0x86),
            ("hardware length", 4, 8),
            ("protocol length", 5, 16),
            ("operation 0", 7, 0),
            ("operation 3", 7, 3),
            ("operation 257", 6, 1),
            ("group sender", 8, 1),
        ] {
            let mut bad = good.to_vec();
            bad[at] = value;
            assert_eq!(Arp::parse(&bad), None, "{what}");
        }
        let mut zero = good.to_vec();
        zero[8..14].fill(0);
        assert_eq!(Arp::parse(&zero), None, "sender without an address");
    }
}
