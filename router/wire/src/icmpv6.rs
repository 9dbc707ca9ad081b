//! ICMPv6 messages (RFC 4443): their checksum and the packets that carry them.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::ipv6::{self, DEFAULT_HOPS, HEADER_LEN, Ipv6, MIN_MTU};
use super::{checksum, ipv6_extension, put};
use crate::ethernet::ETHERNET_LEN;
use crate::icmp_error::IcmpError;

/// The type of an echo request.
pub const ECHO_REQUEST: u8 = 128;
/// The type of an MLD query.
pub const MLD_QUERY: u8 = 130;
/// The type of an MLD version 1 report.
pub const MLD_REPORT: u8 = 131;
/// The type of an MLD version 1 done.
pub const MLD_DONE: u8 = 132;
/// The type of a router solicitation.
pub const ROUTER_SOLICITATION: u8 = 133;
/// The type of a router advertisement.
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// The type of a neighbor solicitation.
pub const NEIGHBOR_SOLICITATION: u8 = 135;
/// The type of a neighbor advertisement.
pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// The type of a redirect.
pub const REDIRECT: u8 = 137;
/// The type of an MLD version 2 report.
pub const MLDV2_REPORT: u8 = 143;

/// Returns the sum of the pseudo-header (RFC 8200 8.1).
fn pseudo_sum(source: Ipv6Addr, destination: Ipv6Addr, len: usize) -> u64 {
    let len = u64::try_from(len).unwrap_or(0);
    u64::from(checksum::sum(&source.octets()))
        + u64::from(checksum::sum(&destination.octets()))
        + (len >> 16)
        + (len & 0xffff)
        + u64::from(ipv6::ICMP)
}

/// Returns `true` if the checksum of a message is right.
pub fn verifies(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> bool {
    let sum = pseudo_sum(source, destination, message.len()) + u64::from(checksum::sum(message));
    checksum::fold(sum) == 0xffff
}

/// Fills in the checksum of a message.
pub fn fill_checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &mut [u8]) {
    put(message, 2, &[0, 0]);
    let sum = pseudo_sum(source, destination, message.len()) + u64::from(checksum::sum(message));
    let value = !checksum::fold(sum);
    put(message, 2, &value.to_be_bytes());
}

/// Returns an IPv6 packet with a message, after `headroom` zero bytes.
pub fn packet(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    headroom: usize,
    mut message: Vec<u8>,
) -> Vec<u8> {
    fill_checksum(source, destination, &mut message);
    let header = Ipv6 {
        total_len: HEADER_LEN + message.len(),
        next_header: ipv6::ICMP,
        hop_limit,
        source,
        destination,
    };
    let mut packet = Vec::with_capacity(headroom + header.total_len);
    packet.resize(headroom, 0);
    packet.extend_from_slice(&header.header());
    packet.extend_from_slice(&message);
    packet
}

/// Returns `true` if the packet itself permits an ICMPv6 error about it (RFC 4443 2.4 (e)). `group`
/// is `true` if it was sent to a multicast MAC or IPv6 address.
pub fn may_answer(packet: &[u8], ip: &Ipv6, error: IcmpError, group: bool) -> bool {
    let nobody = ip.source.is_unspecified() || ip.source.is_multicast();
    if nobody || (group && !error.is_reported_for_multicast()) {
        return false;
    }
    match ipv6_extension::upper(packet, ip) {
        // Fragments other than the first don't show the type, nor possibly whether they are ICMP.
        Some((ipv6::ICMP, None)) => false,
        Some((ipv6::ICMP, Some(at))) => packet
            .get(at)
            .is_some_and(|&kind| kind >= 128 && kind != REDIRECT),
        Some(_) => true,
        // The protocol can't be determined.
        None => false,
    }
}

/// Returns a frame with an ICMPv6 error about `original`. The caller fills in the Ethernet header.
pub fn error_frame(
    error: IcmpError,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    original: &[u8],
) -> Vec<u8> {
    let (kind, code, detail) = error.v6();
    let quote_max = MIN_MTU - HEADER_LEN - 8;
    let quote = original.get(..quote_max).unwrap_or(original);
    let mut message = Vec::with_capacity(8 + quote.len());
    message.extend_from_slice(&[kind, code, 0, 0]);
    message.extend_from_slice(&detail.to_be_bytes());
    message.extend_from_slice(quote);
    packet(source, destination, DEFAULT_HOPS, ETHERNET_LEN, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::ipv6_packet as make;

    #[test]
    fn messages_are_well_formed_and_bounded() {
        let a: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let b: Ipv6Addr = "2001:db8::9".parse().unwrap();
        for (len, total) in [(8, 96), (1400, 1280)] {
            let original = make(ipv6::UDP, 1, &alloc::vec![0; len]);
            let frame = error_frame(IcmpError::FragmentationNeeded(1400), a, b, &original);
            let ip = Ipv6::parse(&frame[14..], frame.len() - 14).unwrap();
            assert_eq!((ip.total_len, ip.next_header), (total, ipv6::ICMP));
            assert_eq!((ip.source, ip.destination), (a, b));
            assert!(verifies(a, b, &frame[54..]));
            assert_eq!(frame[54..56], [2, 0]);
            assert_eq!(frame[58..62], 1400u32.to_be_bytes());
            assert_eq!(frame[62..], original[..total - 48]);
        }
    }

    #[test]
    fn what_gets_no_answer() {
        let answered = |packet: &[u8], error, group| {
            may_answer(
                packet,
                &Ipv6::parse(packet, packet.len()).unwrap(),
                error,
                group,
            )
        };
        let exceeded = IcmpError::TimeExceeded;
        for (kind, wanted) in [
            (1, false),
            (4, false),
            (127, false),
            (128, true),
            (137, false),
            (255, true),
        ] {
            let direct = make(ipv6::ICMP, 1, &[kind, 0, 0, 0]);
            assert_eq!(answered(&direct, exceeded, false), wanted, "type {kind}");
            let behind = make(
                ipv6::DESTINATION,
                1,
                &[58, 0, 1, 4, 0, 0, 0, 0, kind, 0, 0, 0],
            );
            assert_eq!(
                answered(&behind, exceeded, false),
                wanted,
                "type {kind} behind options"
            );
        }
        let later = make(ipv6::FRAGMENT, 1, &[58, 0, 0, 8, 0, 0, 0, 0, 128, 0, 0, 0]);
        assert!(!answered(&later, exceeded, false));
        let udp = make(ipv6::UDP, 1, &[0; 8]);
        assert!(answered(&udp, exceeded, false) && !answered(&udp, exceeded, true));
        assert!(answered(&udp, IcmpError::FragmentationNeeded(1280), true));
        let mut unspecified = udp.clone();
        unspecified[8..24].fill(0);
        assert!(!answered(&unspecified, exceeded, false));
    }
}
