//! IPv6 headers (RFC 8200 3).

use core::net::Ipv6Addr;

use super::{be16, be128, put};
use crate::DropReason;

/// Bytes in the fixed header.
pub(crate) const HEADER_LEN: usize = 40;
/// The largest packet that every link carries (RFC 8200 5).
pub(crate) const MIN_MTU: usize = 1280;

pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const ICMP: u8 = 58;
pub(crate) const NO_NEXT: u8 = 59;
pub(crate) const DESTINATION: u8 = 60;

/// The hop limit of packets that must not have been forwarded (RFC 4861 3.1).
pub(crate) const ON_LINK_HOPS: u8 = 255;
/// The hop limit of other packets of the router's own.
pub(crate) const DEFAULT_HOPS: u8 = 64;

/// What a checked header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ipv6 {
    /// Bytes in the packet, header included.
    pub(crate) total_len: usize,
    pub(crate) next_header: u8,
    pub(crate) hop_limit: u8,
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
}

impl Ipv6 {
    /// Reads and checks the header of a packet of which `bytes` are at hand and which has
    /// `len` bytes with link-layer padding.
    pub(crate) fn parse(bytes: &[u8], len: usize) -> Result<Self, DropReason> {
        let header = bytes
            .get(..len)
            .unwrap_or(bytes)
            .get(..HEADER_LEN)
            .ok_or(DropReason::Truncated)?;
        let byte = |at: usize| header.get(at).copied().unwrap_or(0);
        if byte(0) >> 4 != 6 {
            return Err(DropReason::BadVersion);
        }
        let total_len = HEADER_LEN + usize::from(be16(header, 4));
        // A hop-by-hop header needs 8 bytes; without any this is a jumbogram (RFC 2675).
        let jumbo = byte(6) == HOP_BY_HOP && total_len == HEADER_LEN;
        if total_len > len || jumbo {
            return Err(DropReason::BadTotalLength);
        }
        Ok(Self {
            total_len,
            next_header: byte(6),
            hop_limit: byte(7),
            source: Ipv6Addr::from_bits(be128(header, 8)),
            destination: Ipv6Addr::from_bits(be128(header, 24)),
        })
    }

    /// The header of a packet of the router's own.
    pub(crate) fn header(&self) -> [u8; HEADER_LEN] {
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

/// Whether no packet on a wire may come from this address, whatever the networks here: groups
/// (RFC 4291 2.7), loopback (2.5.3), IPv4-mapped (2.5.5.2). The unspecified address is for
/// hosts that have no other yet.
pub(crate) fn is_martian_source(source: Ipv6Addr) -> bool {
    source.is_multicast() || source.is_loopback() || source.to_bits() >> 32 == 0xffff
}

/// Whether an address with this first octet needs a closer look.
pub(crate) fn is_doubtful_octet(octet: u8) -> bool {
    matches!(octet, 0 | 0xfe | 0xff)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A packet from 2001:db8::9 to 2001:db8:1::9.
    pub(crate) fn packet(next_header: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
        let header = Ipv6 {
            total_len: HEADER_LEN + payload.len(),
            next_header,
            hop_limit,
            source: "2001:db8::9".parse().unwrap(),
            destination: "2001:db8:1::9".parse().unwrap(),
        };
        [&header.header()[..], payload].concat()
    }

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
        let cases: [(&str, Break, DropReason); 7] = [
            ("empty", |p| p.clear(), DropReason::Truncated),
            ("39 bytes", |p| p.truncate(39), DropReason::Truncated),
            ("version 4", |p| p[0] = 0x45, DropReason::BadVersion),
            ("version 7", |p| p[0] = 0x70, DropReason::BadVersion),
            ("payload 9", |p| p[5] = 9, DropReason::BadTotalLength),
            (
                "payload 65535",
                |p| p[4..6].fill(255),
                DropReason::BadTotalLength,
            ),
            ("jumbogram", |p| p[4..7].fill(0), DropReason::BadTotalLength),
        ];
        for (what, damage, reason) in cases {
            let mut bad = packet(UDP, 64, &[0; 8]);
            damage(&mut bad);
            assert_eq!(Ipv6::parse(&bad, bad.len()), Err(reason), "{what}");
        }
    }
}
