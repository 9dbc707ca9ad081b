//! The redirect message of Neighbor Discovery (RFC 4861 4.5).

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::icmpv6::REDIRECT;
use super::ipv6::{HEADER_LEN, MIN_MTU};
use super::ndp::{TARGET_ADDRESS, push_link_layer_address};
use crate::addr::Mac;

/// The type of the redirected header option.
const REDIRECTED_HEADER: u8 = 4;

/// Returns a redirect message: `target`, with its MAC address if known, is the better first hop for
/// `destination`. The caller fills in the checksum.
pub fn message(
    target: Ipv6Addr,
    destination: Ipv6Addr,
    link_layer_address: Option<Mac>,
    packet: &[u8],
) -> Vec<u8> {
    let mut bytes = alloc::vec![REDIRECT, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(&target.octets());
    bytes.extend_from_slice(&destination.octets());
    if let Some(link_layer_address) = link_layer_address {
        push_link_layer_address(&mut bytes, TARGET_ADDRESS, link_layer_address);
    }
    // The room and the part of it that is used are multiples of 8.
    let room = MIN_MTU - HEADER_LEN - bytes.len() - 8;
    let quote = packet.get(..room).unwrap_or(packet);
    let words = 1 + quote.len().div_ceil(8);
    bytes.extend_from_slice(&[REDIRECTED_HEADER, u8::try_from(words).unwrap_or(0)]);
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(quote);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_well_formed_and_bounded() {
        let (target, to) = (Ipv6Addr::from_bits(7), Ipv6Addr::from_bits(9));
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        for (link_layer_address, quoted, len) in [
            (None, 51, 40 + 8 + 56),
            (Some(mac), 51, 48 + 8 + 56),
            (Some(mac), 4000, MIN_MTU - HEADER_LEN),
        ] {
            let message = message(target, to, link_layer_address, &alloc::vec![6; quoted]);
            assert_eq!(message.len(), len);
            let at = if link_layer_address.is_some() { 48 } else { 40 };
            assert_eq!(message[at], REDIRECTED_HEADER);
            assert_eq!(usize::from(message[at + 1]) * 8, len - at);
        }
    }
}
