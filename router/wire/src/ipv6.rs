//! IPv6 headers (RFC 8200 3).

use core::net::Ipv6Addr;

use super::{be16, be128, put};
use crate::Error;

/// The length of the fixed header, in bytes.
pub const HEADER_LEN: usize = 40;
/// The largest packet that every link carries (RFC 8200 5).
pub const MIN_MTU: usize = 1280;

/// The next header number of hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// The next header number of TCP.
pub const TCP: u8 = 6;
/// The next header number of UDP.
pub const UDP: u8 = 17;
/// The next header number of a routing header.
pub const ROUTING: u8 = 43;
/// The next header number of a fragment header.
pub const FRAGMENT: u8 = 44;
/// The next header number of ICMPv6.
pub const ICMP: u8 = 58;
/// The "no next header" number (RFC 8200 4.7).
pub const NO_NEXT: u8 = 59;
/// The next header number of destination options.
pub const DESTINATION: u8 = 60;
/// The next header number of a mobility header (RFC 6275 6.1).
pub const MOBILITY: u8 = 135;

/// The hop limit of packets that must not have been forwarded (RFC 4861 3.1).
pub const ON_LINK_HOPS: u8 = 255;
/// The hop limit of other packets sent by the router.
pub const DEFAULT_HOPS: u8 = 64;

/// The link-local group of all nodes (RFC 4291 2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The link-local group of all routers (RFC 4291 2.7.1).
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// A validated header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6 {
    /// The length of the packet including the header, in bytes.
    pub total_len: usize,
    /// The next header number.
    pub next_header: u8,
    /// The hop limit.
    pub hop_limit: u8,
    /// The source address.
    pub source: Ipv6Addr,
    /// The destination address.
    pub destination: Ipv6Addr,
}

impl Ipv6 {
    /// Parses and validates the header (RFC 8200 3) of a packet. `bytes` is the start of the
    /// packet, `len` its length including link-layer padding.
    ///
    /// # Errors
    /// The reason why the header is invalid.
    pub fn parse(bytes: &[u8], len: usize) -> Result<Self, Error> {
        let header = bytes
            .get(..len)
            .unwrap_or(bytes)
            .get(..HEADER_LEN)
            .ok_or(Error::Truncated)?;
        let byte = |at: usize| header.get(at).copied().unwrap_or(0);
        if byte(0) >> 4 != 6 {
            return Err(Error::BadVersion);
        }
        let total_len = HEADER_LEN + usize::from(be16(header, 4));
        // A hop-by-hop header takes 8 bytes; with a payload length of 0 this is a jumbogram (RFC
        // 2675).
        let jumbo = byte(6) == HOP_BY_HOP && total_len == HEADER_LEN;
        if total_len > len || jumbo {
            return Err(Error::BadTotalLength);
        }
        Ok(Self {
            total_len,
            next_header: byte(6),
            hop_limit: byte(7),
            source: Ipv6Addr::from_bits(be128(header, 8)),
            destination: Ipv6Addr::from_bits(be128(header, 24)),
        })
    }

    /// Returns the header's bytes, with a traffic class and flow label of 0.
    pub fn header(&self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        let payload = self.total_len.saturating_sub(HEADER_LEN);
        put(&mut header, 0, &[0x60]);
        let payload = u16::try_from(payload).unwrap_or(u16::MAX);
        put(&mut header, 4, &payload.to_be_bytes());
        put(&mut header, 6, &[self.next_header, self.hop_limit]);
        put(&mut header, 8, &self.source.octets());
        put(&mut header, 24, &self.destination.octets());
        header
    }
}

/// Returns `true` if no packet on the wire may have this source address: multicast (RFC 4291 2.7),
/// loopback (2.5.3), IPv4-mapped (2.5.5.2). The unspecified address is used by hosts without an
/// address.
pub fn is_martian_source(source: Ipv6Addr) -> bool {
    source.is_multicast() || source.is_loopback() || source.to_bits() >> 32 == 0xffff
}

/// Returns `true` if an address with this first octet may be a martian.
pub fn may_be_martian_octet(octet: u8) -> bool {
    matches!(octet, 0 | 0xfe | 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::ipv6_packet as packet;
    use alloc::vec::Vec;

    #[test]
    fn good_and_padded() {
        let packet = packet(UDP, 64, &[1, 2, 3, 4]);
        let parsed = Ipv6::parse(&packet, packet.len()).unwrap();
        assert_eq!(
            (parsed.total_len, parsed.next_header, parsed.hop_limit),
            (44, UDP, 64)
        );
        assert_eq!(parsed.header(), packet[..40]);
        assert_eq!(Ipv6::parse(&packet, 46), Ok(parsed));
    }

    #[test]
    fn malformed() {
        type Break = fn(&mut Vec<u8>);
        let cases: [(&str, Break, Error); 7] = [
            ("empty", |p| p.clear(), Error::Truncated),
            ("39 bytes", |p| p.truncate(39), Error::Truncated),
            ("version 4", |p| p[0] = 0x45, Error::BadVersion),
            ("version 7", |p| p[0] = 0x70, Error::BadVersion),
            ("payload 9", |p| p[5] = 9, Error::BadTotalLength),
            (
                "payload 65535",
                |p| p[4..6].fill(255),
                Error::BadTotalLength,
            ),
            ("jumbogram", |p| p[4..7].fill(0), Error::BadTotalLength),
        ];
        for (what, damage, reason) in cases {
            let mut bad = packet(UDP, 64, &[0; 8]);
            damage(&mut bad);
            assert_eq!(Ipv6::parse(&bad, bad.len()), Err(reason), "{what}");
        }
    }
}
