//! IPv4 headers (RFC 791), validated as required by RFC 1812 5.2.2.

use core::fmt;
use core::net::Ipv4Addr;

use super::{be16, be32, checksum};
use crate::Error;

/// The length of a header without options, in bytes.
pub const HEADER_LEN: usize = 20;

/// The offset of the source address in a header.
pub const SOURCE: usize = 12;
/// The offset of the destination address.
pub const DESTINATION: usize = 16;

/// The protocol number of ICMP.
pub const ICMP: u8 = 1;
/// The protocol number of TCP.
pub const TCP: u8 = 6;
/// The protocol number of UDP.
pub const UDP: u8 = 17;
/// The protocol number of an authentication header, in both families (RFC 4302).
pub const AUTHENTICATION: u8 = 51;

/// "Don't fragment", in the word of flags and fragment offset.
pub const DF: u16 = 0x4000;
/// "More fragments", in the same word.
pub const MF: u16 = 0x2000;
/// The fragment offset, in units of 8 bytes, in the same word.
pub const OFFSET: u16 = 0x1fff;

/// A validated header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4 {
    /// The length of the header, in bytes.
    pub header_len: usize,
    /// The length of the packet including the header, in bytes.
    pub total_len: usize,
    /// Flags and fragment offset.
    pub fragment: u16,
    /// Time to live.
    pub ttl: u8,
    /// The protocol number.
    pub protocol: u8,
    /// The source address.
    pub source: Ipv4Addr,
    /// The destination address.
    pub destination: Ipv4Addr,
}

/// The reason why a header couldn't be parsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// The packet is invalid.
    Bad(Error),
    /// The header extends beyond the available bytes.
    Incomplete,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(error) => error.fmt(f),
            Self::Incomplete => f.write_str("the header goes on beyond the bytes at hand"),
        }
    }
}

impl core::error::Error for Unreadable {}

impl Ipv4 {
    /// Parses and validates the header (RFC 791 3.1) of a packet. `bytes` is the start of the
    /// packet, `len` its length including link-layer padding.
    ///
    /// # Errors
    /// [`Unreadable::Bad`] with what is wrong, [`Unreadable::Incomplete`] if the header has options
    /// beyond `bytes`.
    pub fn parse(bytes: &[u8], len: usize) -> Result<Self, Unreadable> {
        let bad = |reason| Err(Unreadable::Bad(reason));
        let bytes = bytes.get(..len).unwrap_or(bytes);
        let Some(first) = bytes.get(..HEADER_LEN).and_then(|b| b.first()) else {
            return bad(Error::Truncated);
        };
        if first >> 4 != 4 {
            return bad(Error::BadVersion);
        }
        let header_len = usize::from(first & 15) * 4;
        if header_len < HEADER_LEN || header_len > len {
            return bad(Error::BadHeaderLength);
        }
        let total_len = usize::from(be16(bytes, 2));
        if total_len < header_len || total_len > len {
            return bad(Error::BadTotalLength);
        }
        let Some(header) = bytes.get(..header_len) else {
            return Err(Unreadable::Incomplete);
        };
        if checksum::sum(header) != 0xffff {
            return bad(Error::BadChecksum);
        }
        Ok(Self::read(header, header_len))
    }

    /// Parses a header that is known to be valid.
    fn read(header: &[u8], header_len: usize) -> Self {
        let byte = |at: usize| header.get(at).copied().unwrap_or(0);
        Self {
            header_len,
            total_len: usize::from(be16(header, 2)),
            fragment: be16(header, 6),
            ttl: byte(8),
            protocol: byte(9),
            source: Ipv4Addr::from_bits(be32(header, SOURCE)),
            destination: Ipv4Addr::from_bits(be32(header, DESTINATION)),
        }
    }

    /// Returns `true` if this is a fragment other than the first.
    pub fn is_later_fragment(&self) -> bool {
        self.fragment & OFFSET != 0
    }
}

/// Returns `true` if this can't be the source address of any host (RFC 1812 5.3.7).
pub fn is_martian_source(source: Ipv4Addr) -> bool {
    matches!(source.octets()[0], 0 | 127 | 224..=255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::ipv4_packet as packet;
    use alloc::vec::Vec;

    #[test]
    fn good_and_padded() {
        let packet = packet(UDP, 64, &[1, 2, 3, 4, 5, 6, 7, 8]);
        let parsed = Ipv4::parse(&packet, packet.len()).unwrap();
        assert_eq!(
            (parsed.header_len, parsed.total_len, parsed.ttl),
            (20, 28, 64)
        );
        assert_eq!(parsed.destination, Ipv4Addr::new(10, 0, 1, 9));
        assert_eq!(Ipv4::parse(&packet, 46), Ok(parsed));
    }

    #[test]
    fn malformed() {
        type Break = fn(&mut Vec<u8>);
        let cases: [(&str, Break, Error); 11] = [
            ("empty", |p| p.clear(), Error::Truncated),
            ("19 bytes", |p| p.truncate(19), Error::Truncated),
            ("version 6", |p| p[0] = 0x65, Error::BadVersion),
            ("version 0", |p| p[0] = 0x05, Error::BadVersion),
            ("4 words", |p| p[0] = 0x44, Error::BadHeaderLength),
            ("15 words", |p| p[0] = 0x4f, Error::BadHeaderLength),
            ("total 19", |p| p[3] = 19, Error::BadTotalLength),
            ("total 29", |p| p[3] = 29, Error::BadTotalLength),
            ("total 65535", |p| p[2..4].fill(255), Error::BadTotalLength),
            ("checksum", |p| p[10] ^= 1, Error::BadChecksum),
            ("payload cut", |p| p.truncate(27), Error::BadTotalLength),
        ];
        for (what, damage, reason) in cases {
            let mut bad = packet(UDP, 64, &[0; 8]);
            damage(&mut bad);
            assert_eq!(
                Ipv4::parse(&bad, bad.len()),
                Err(Unreadable::Bad(reason)),
                "{what}"
            );
        }
        let mut options = packet(UDP, 64, &[0; 40]);
        options[0] = 0x4f;
        assert_eq!(Ipv4::parse(&options[..50], 60), Err(Unreadable::Incomplete));
    }
}
