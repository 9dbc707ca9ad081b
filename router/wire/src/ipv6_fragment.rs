//! Fragmentation of the router's own IPv6 packets (RFC 8200 4.5). Routers don't fragment any
//! others.

use alloc::vec::Vec;

use super::ipv6::{FRAGMENT, HEADER_LEN, Ipv6};
use super::put;

/// Splits a packet without extension headers into fragments of at most `mtu` bytes and passes each
/// to `each`, after `headroom` zero bytes.
pub fn fragment(
    packet: &[u8],
    ip: &Ipv6,
    mtu: usize,
    ident: u32,
    headroom: usize,
    mut each: impl FnMut(Vec<u8>),
) {
    let room = mtu.saturating_sub(HEADER_LEN + 8) & !7;
    let payload = packet.get(HEADER_LEN..ip.total_len).unwrap_or(&[]);
    if room == 0 {
        return;
    }
    let mut at = 0usize;
    while at < payload.len() {
        let end = payload.len().min(at + room);
        let piece = payload.get(at..end).unwrap_or(&[]);
        let header = Ipv6 {
            total_len: HEADER_LEN + 8 + piece.len(),
            next_header: FRAGMENT,
            ..*ip
        };
        let mut place = [ip.next_header, 0, 0, 0, 0, 0, 0, 0];
        let offset = u16::try_from(at).unwrap_or(u16::MAX) | u16::from(end < payload.len());
        put(&mut place, 2, &offset.to_be_bytes());
        put(&mut place, 4, &ident.to_be_bytes());
        let mut frame = Vec::with_capacity(headroom + header.total_len);
        frame.resize(headroom, 0);
        frame.extend_from_slice(&header.header());
        frame.extend_from_slice(&place);
        frame.extend_from_slice(piece);
        each(frame);
        at = end;
    }
}
