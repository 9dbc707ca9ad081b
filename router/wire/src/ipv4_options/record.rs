//! The IPv4 options that routers fill in: record route and timestamp (RFC 791 3.1, RFC 1812
//! 5.3.13).

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::ops::Range;

use super::{RECORD_ROUTE, TIMESTAMP, options};
use crate::ipv4::HEADER_LEN;
use crate::{be32, checksum, put};

/// The smallest valid pointer of a record route option; pointers count from 1.
const ROUTE_FIRST: usize = 4;
const TIMESTAMP_FIRST: usize = 5;

/// The flags of a timestamp option: timestamps only; an address before each timestamp; timestamps
/// only from the addresses that the sender has prespecified.
const TIMES_ONLY: u8 = 0;
const WITH_ADDRESS: u8 = 1;
const PRESPECIFIED: u8 = 3;

/// What a router records.
pub struct Entry<'a> {
    /// Its address on the link to the next hop.
    pub address: Ipv4Addr,
    /// Milliseconds since boot, of which the lower 31 bits are recorded.
    pub uptime_ms: u64,
    /// Returns `true` for the router's own addresses.
    pub is_local: &'a dyn Fn(Ipv4Addr) -> bool,
}

impl Entry<'_> {
    /// Returns the timestamp. Its highest bit says that it isn't in milliseconds since midnight, as
    /// the router doesn't know the time of day.
    fn time(&self) -> [u8; 4] {
        (self.uptime_ms as u32 | 1 << 31).to_be_bytes()
    }
}

/// Returns the offset of an option's next entry of `len` bytes; `None` if the option is full. Fails
/// with the offset of the octet that is wrong, for instance if the pointer is below `first`.
fn room(option: &[u8], first: usize, len: usize) -> Result<Option<usize>, usize> {
    let pointer = option.get(2).copied().map_or(0, usize::from);
    if pointer < first {
        Err(2)
    } else if pointer > option.len() {
        Ok(None)
    } else if pointer + len - 1 > option.len() {
        Err(2)
    } else {
        Ok(Some(pointer - 1))
    }
}

/// Returns the offset at which a record route option (RFC 791 3.1) has room for an address; `None`
/// if it is full.
///
/// # Errors
/// The offset of the octet of the option that is wrong.
pub fn route_room(option: &[u8]) -> Result<Option<usize>, usize> {
    if option.len() < 3 {
        return Err(1);
    }
    room(option, ROUTE_FIRST, 4)
}

/// Returns the offset at which a timestamp option (RFC 791 3.1) has room for an entry; `None` if it
/// is full.
///
/// # Errors
/// The offset of the octet of the option that is wrong.
pub fn timestamp_room(option: &[u8]) -> Result<Option<usize>, usize> {
    let Some(&flags) = option.get(3) else {
        return Err(1);
    };
    let len = match flags & 15 {
        TIMES_ONLY => 4,
        WITH_ADDRESS | PRESPECIFIED => 8,
        // An unknown flag.
        _ => return Ok(None),
    };
    let found = room(option, TIMESTAMP_FIRST, len)?;
    // The overflow counter can't count another one.
    if found.is_none() && flags & 15 != PRESPECIFIED && flags >> 4 == 15 {
        return Err(3);
    }
    Ok(found)
}

/// Advances an option's pointer.
fn advance(option: &mut [u8], by: u8) {
    if let Some(pointer) = option.get_mut(2) {
        *pointer = pointer.saturating_add(by);
    }
}

fn enter_route(option: &mut [u8], entry: &Entry<'_>) -> bool {
    let Ok(Some(at)) = route_room(option) else {
        return false;
    };
    put(option, at, &entry.address.octets());
    advance(option, 4);
    true
}

fn enter_timestamp(option: &mut [u8], entry: &Entry<'_>) -> bool {
    let kind = option.get(3).copied().unwrap_or(0) & 15;
    match timestamp_room(option) {
        Err(_) => return false,
        Ok(None) => {
            let counted = matches!(kind, TIMES_ONLY | WITH_ADDRESS);
            let Some(flags) = option.get_mut(3).filter(|_| counted) else {
                return false;
            };
            *flags = flags.saturating_add(1 << 4);
        }
        Ok(Some(at)) if kind == TIMES_ONLY => {
            put(option, at, &entry.time());
            advance(option, 4);
        }
        Ok(Some(at)) => {
            if kind == WITH_ADDRESS {
                put(option, at, &entry.address.octets());
            } else if !(entry.is_local)(Ipv4Addr::from_bits(be32(option, at))) {
                return false;
            }
            put(option, at + 4, &entry.time());
            advance(option, 8);
        }
    }
    true
}

/// Returns the range of the first option of a type in a header.
fn find(header: &[u8], kind: u8) -> Option<Range<usize>> {
    let option = options(header.get(HEADER_LEN..)?)
        .filter_map(Result::ok)
        .find(|o| o.kind == kind)?;
    let start = HEADER_LEN + option.at;
    Some(start..start + option.bytes.len())
}

/// Records the address and the time in the options of a header that request it and have room, and
/// updates its checksum.
pub fn enter(header: &mut [u8], entry: &Entry<'_>) {
    let mut changed = false;
    if let Some(option) = find(header, RECORD_ROUTE).and_then(|at| header.get_mut(at)) {
        changed |= enter_route(option, entry);
    }
    if let Some(option) = find(header, TIMESTAMP).and_then(|at| header.get_mut(at)) {
        changed |= enter_timestamp(option, entry);
    }
    if changed {
        checksum::fill(header, 10);
    }
}

/// Returns the options for the reply to an echo request, so that the whole round trip is recorded
/// (RFC 1812 4.3.3.6): the request's record route and timestamp options, with an entry of the
/// router's own.
pub fn for_reply(header: &[u8], entry: &Entry<'_>) -> Vec<u8> {
    let mut all = Vec::new();
    for kind in [RECORD_ROUTE, TIMESTAMP] {
        let at = find(header, kind);
        all.extend_from_slice(at.and_then(|at| header.get(at)).unwrap_or(&[]));
    }
    let mut whole = [&[0; HEADER_LEN][..], &all].concat();
    enter(&mut whole, entry);
    whole.split_off(HEADER_LEN)
}

/// Inserts options, a multiple of 4 bytes, into a packet without options, which begins `headroom`
/// bytes into its frame.
pub fn insert(packet: &mut Vec<u8>, headroom: usize, options: &[u8]) {
    let at = headroom + HEADER_LEN;
    let total = packet.len() - headroom.min(packet.len()) + options.len();
    let (Ok(total), Ok(words)) = (u16::try_from(total), u8::try_from(options.len() / 4)) else {
        return;
    };
    if packet.len() < at || options.is_empty() {
        return;
    }
    packet.splice(at..at, options.iter().copied());
    put(packet, headroom, &[0x45 + words]);
    put(packet, headroom + 2, &total.to_be_bytes());
    if let Some(header) = packet.get_mut(headroom..at + options.len()) {
        checksum::fill(header, 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::ipv4_packet as packet;
    use crate::ipv4::{self, Ipv4};

    const OURS: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);

    fn with_entry<T>(f: impl FnOnce(&Entry<'_>) -> T) -> T {
        f(&Entry {
            address: OURS,
            uptime_ms: 0x0102_0304,
            is_local: &|address| address == OURS,
        })
    }

    fn entered(options: &[u8]) -> Vec<u8> {
        let mut header = [&[0; HEADER_LEN][..], options].concat();
        with_entry(|entry| enter(&mut header, entry));
        header.split_off(HEADER_LEN)
    }

    #[test]
    fn a_route_is_recorded_until_it_is_full() {
        let once = entered(&[1, 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(once, [1, 7, 11, 8, 1, 2, 3, 4, 0, 0, 0, 0]);
        let twice = entered(&once);
        assert_eq!(twice, [1, 7, 11, 12, 1, 2, 3, 4, 1, 2, 3, 4]);
        assert_eq!(entered(&twice), twice);
    }

    #[test]
    fn times_are_entered_as_the_flags_ask() {
        for (before, after) in [
            // The time alone.
            (
                &[68, 8, 5, 0, 0, 0, 0, 0][..],
                &[68, 8, 9, 0, 0x81, 2, 3, 4][..],
            ),
            // Behind our address.
            (
                &[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0],
                &[68, 12, 13, 1, 1, 2, 3, 4, 0x81, 2, 3, 4],
            ),
            // Behind an address given, if it is ours.
            (
                &[68, 12, 5, 3, 1, 2, 3, 4, 0, 0, 0, 0],
                &[68, 12, 13, 3, 1, 2, 3, 4, 0x81, 2, 3, 4],
            ),
            (
                &[68, 12, 5, 3, 9, 9, 9, 9, 0, 0, 0, 0],
                &[68, 12, 5, 3, 9, 9, 9, 9, 0, 0, 0, 0],
            ),
            // Without room it is counted, unless the times wanted are others'.
            (&[68, 8, 9, 0x20, 7, 7, 7, 7], &[68, 8, 9, 0x30, 7, 7, 7, 7]),
            (
                &[68, 12, 13, 0xf3, 9, 9, 9, 9, 0, 0, 0, 0],
                &[68, 12, 13, 0xf3, 9, 9, 9, 9, 0, 0, 0, 0],
            ),
        ] {
            assert_eq!(entered(before), after, "{before:?}");
        }
    }

    #[test]
    fn a_reply_takes_the_records_along() {
        let mut request = [0; HEADER_LEN].to_vec();
        // A router alert isn't taken along.
        request.extend([148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 1]);
        let options = with_entry(|entry| for_reply(&request, entry));
        assert_eq!(options, [7, 7, 8, 1, 2, 3, 4]);
        let options = [&options[..], &[0]].concat();
        let mut reply = [&[0; 14][..], &packet(ipv4::ICMP, 64, &[0; 9])].concat();
        insert(&mut reply, 14, &options);
        let ip = Ipv4::parse(&reply[14..], reply.len() - 14).unwrap();
        assert_eq!((ip.header_len, ip.total_len), (28, 37));
        assert_eq!(reply[34..42], options);
        let plain = with_entry(|entry| for_reply(&[0; HEADER_LEN], entry));
        assert!(plain.is_empty());
    }
}
