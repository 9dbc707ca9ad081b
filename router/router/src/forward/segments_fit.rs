//! Checks if the segments of a large TCP frame (GSO) fit where the frame itself doesn't.

use wire::{be16, ipv4, ipv6};

use crate::frame::{ETHERNET_LEN, FrameMeta, Header};

/// The shortest TCP header and the longest. In IPv6 its length is beyond the bytes at hand.
const TCP_HEADER_MIN: u32 = 20;
const TCP_HEADER_MAX: u32 = 60;
/// Bytes of the Ethernet and IPv6 headers.
const HEADERS6: u32 = (ETHERNET_LEN + ipv6::HEADER_LEN) as u32;
/// Where the next header is in an IPv6 frame.
const NEXT_HEADER: usize = ETHERNET_LEN + 6;

/// Returns `true` if each segment of an aggregate fits into a frame of `max_len` bytes. TCP's
/// header begins behind a plain IPv4 header.
#[cold]
pub(crate) fn segments_fit4(header: &Header, meta: &FrameMeta, max_len: u32) -> bool {
    segments_fit(&header.0, ipv4::HEADER_LEN, meta, max_len)
}

/// The same for IPv6. Where the options of TCP decide, the segments fit if those that fit the link
/// that the aggregate came from, with frames of `link_max`, do: as segments they would have had to
/// pass it. If that doesn't tell, the slow path sees the whole TCP header.
#[cold]
pub(crate) fn segments_fit6(
    header: &Header,
    meta: &FrameMeta,
    link_max: u32,
    max_len: u32,
) -> bool {
    let tcp = header.0[NEXT_HEADER] == ipv6::TCP;
    let least = HEADERS6 + TCP_HEADER_MIN + u32::from(meta.gso_size);
    let most = HEADERS6 + TCP_HEADER_MAX + u32::from(meta.gso_size);
    let passed = (least..=max_len).contains(&link_max);
    meta.gso_size != 0 && tcp && (most <= max_len || passed)
}

/// The same for an IP header of any length and family, without extension headers.
pub(crate) fn segments_fit(
    frame: &[u8],
    header_len: usize,
    meta: &FrameMeta,
    max_len: u32,
) -> bool {
    let version = frame.get(ETHERNET_LEN).map_or(0, |b| b >> 4);
    let protocol = frame.get(ETHERNET_LEN + if version == 6 { 6 } else { 9 });
    if meta.gso_size == 0 || max_len == 0 || protocol != Some(&ipv4::TCP) {
        return false;
    }
    let headers = ETHERNET_LEN + header_len;
    let tcp = usize::from(be16(frame, headers + 12) >> 12) * 4;
    headers + tcp + usize::from(meta.gso_size) <= max_len as usize
}
