//! Packets for tests.

use alloc::vec;
use alloc::vec::Vec;

use crate::ipv6::Ipv6;
use crate::{checksum, ipv4, ipv6, put};

/// Returns an IPv4 packet from 10.0.0.9 to 10.0.1.9 with a correct header.
///
/// # Panics
///
/// If the packet would be longer than 65,535 bytes.
#[must_use]
pub fn ipv4_packet(protocol: u8, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0u8; ipv4::HEADER_LEN];
    put(&mut packet, 0, &[0x45]);
    let total = u16::try_from(ipv4::HEADER_LEN + payload.len()).unwrap();
    put(&mut packet, 2, &total.to_be_bytes());
    put(&mut packet, 4, &[0x12, 0x34]);
    put(&mut packet, 8, &[ttl, protocol]);
    put(&mut packet, 12, &[10, 0, 0, 9]);
    put(&mut packet, 16, &[10, 0, 1, 9]);
    checksum::fill(&mut packet, 10);
    packet.extend_from_slice(payload);
    packet
}

/// Returns an IPv6 packet from 2001:db8::9 to 2001:db8:1::9.
#[must_use]
pub fn ipv6_packet(next_header: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6 {
        total_len: ipv6::HEADER_LEN + payload.len(),
        next_header,
        hop_limit,
        source: "2001:db8::9".parse().unwrap(),
        destination: "2001:db8:1::9".parse().unwrap(),
    };
    [&header.header()[..], payload].concat()
}
