//! What a sender left for its network card to do.

use crate::frame::ETHERNET_LEN;
use crate::wire::checksum;
use crate::wire::ipv4::{self, Ipv4};

/// Completes the TCP or UDP checksum of an Ethernet frame with an IPv4 packet whose checksum
/// field holds the sum of the pseudo header only ([`FrameFlags::CSUM_BLANK`]). Other frames,
/// and fragments, stay as they are.
///
/// [`FrameFlags::CSUM_BLANK`]: crate::FrameFlags::CSUM_BLANK
pub fn complete_checksum(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(ETHERNET_LEN..) else {
        return;
    };
    if let Ok(ip) = Ipv4::parse(packet, packet.len())
        && ip.fragment & (ipv4::MF | ipv4::OFFSET) == 0
        && let Some(segment) = packet.get_mut(ip.header_len..ip.total_len)
    {
        checksum::complete(ip.protocol, segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checksum::{checksum, sum};
    use alloc::vec::Vec;

    /// A UDP packet in an Ethernet frame whose checksum field holds the pseudo header's sum.
    fn frame(payload: &[u8]) -> Vec<u8> {
        let udp_len = 8 + payload.len() as u16;
        let mut frame = [0; ETHERNET_LEN].to_vec();
        frame.extend([0x45, 0]);
        frame.extend((20 + udp_len).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 1, 2]);
        let header = checksum(&frame[ETHERNET_LEN..]);
        frame[ETHERNET_LEN + 10..][..2].copy_from_slice(&header.to_be_bytes());
        frame.extend([0x12, 0x34, 0x00, 0x35]);
        frame.extend(udp_len.to_be_bytes());
        frame.extend(sum(&pseudo_header(udp_len)).to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn pseudo_header(len: u16) -> [u8; 12] {
        let [high, low] = len.to_be_bytes();
        [10, 0, 0, 1, 10, 0, 1, 2, 0, 17, high, low]
    }

    #[test]
    fn a_completed_checksum_verifies() {
        for payload in [&b""[..], b"x", b"odd", b"some words"] {
            let mut bytes = frame(payload);
            complete_checksum(&mut bytes);
            let segment = &bytes[ETHERNET_LEN + 20..];
            let mut all = pseudo_header(segment.len() as u16).to_vec();
            all.extend(segment);
            assert_eq!(sum(&all), 0xffff, "{payload:?}");
        }
    }

    #[test]
    fn what_is_not_a_whole_packet_is_left_alone() {
        let whole = frame(b"payload");
        for len in 0..whole.len() - 1 {
            let mut cut = whole[..len].to_vec();
            complete_checksum(&mut cut);
            assert_eq!(cut, whole[..len]);
        }
    }
}
