//! IPv4 fragmentation (RFC 791 3.2).

use alloc::vec::Vec;

use super::ipv4::{HEADER_LEN, Ipv4, MF, OFFSET};
use super::{checksum, ipv4_options, put};

/// Splits a packet with a valid header into fragments of at most `mtu` bytes and passes each to
/// `each`, after `headroom` zero bytes. Returns the number of fragments, which is 0 if `mtu` is too
/// small for the header and 8 bytes.
pub fn fragment(
    packet: &[u8],
    ip: &Ipv4,
    mtu: usize,
    headroom: usize,
    mut each: impl FnMut(&mut Vec<u8>),
) -> usize {
    let Some((header, payload)) = packet
        .get(..ip.total_len)
        .and_then(|p| p.split_at_checked(ip.header_len))
    else {
        return 0;
    };
    // The payload of each fragment except the last is a multiple of 8 bytes.
    let room = mtu.saturating_sub(ip.header_len) & !7;
    if room == 0 {
        return 0;
    }
    let later_header = copied_header(header);
    let mut frame = Vec::with_capacity(headroom + mtu);
    let mut count = 0;
    let mut at = 0;
    while at < payload.len() {
        let header = if at == 0 {
            header
        } else {
            later_header.as_slice()
        };
        let end = payload.len().min(at + room);
        frame.clear();
        frame.resize(headroom, 0);
        frame.extend_from_slice(header);
        frame.extend_from_slice(payload.get(at..end).unwrap_or(&[]));
        let offset = usize::from(ip.fragment & OFFSET) + at / 8;
        let Ok(offset) = u16::try_from(offset) else {
            break;
        };
        let more = if end < payload.len() {
            MF
        } else {
            ip.fragment & MF
        };
        let total = u16::try_from(frame.len() - headroom).unwrap_or(u16::MAX);
        if let Some(packet) = frame.get_mut(headroom..) {
            put(packet, 2, &total.to_be_bytes());
            put(packet, 6, &(offset & OFFSET | more).to_be_bytes());
            if let Some(header) = packet.get_mut(..header.len()) {
                checksum::fill(header, 10);
            }
        }
        each(&mut frame);
        count += 1;
        at = end;
    }
    count
}

/// Returns the header of the fragments other than the first, which has only the options with the
/// copied flag.
fn copied_header(header: &[u8]) -> Vec<u8> {
    let mut later: Vec<u8> = header.iter().copied().take(HEADER_LEN).collect();
    for option in
        ipv4_options::options(header.get(HEADER_LEN..).unwrap_or(&[])).filter_map(Result::ok)
    {
        if option.kind & ipv4_options::COPIED != 0 {
            later.extend_from_slice(option.bytes);
        }
    }
    later.resize(later.len().next_multiple_of(4), 0);
    let words = u8::try_from(later.len() / 4).unwrap_or(5);
    put(&mut later, 0, &[0x40 | words]);
    later
}

#[cfg(test)]
mod tests {
    use super::super::{be16, ipv4};
    use super::*;
    use crate::fixtures::ipv4_packet as packet;
    use alloc::vec;
    use proptest::prelude::*;

    fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        let ip = Ipv4::parse(packet, packet.len()).unwrap();
        let mut all = Vec::new();
        let count = fragment(packet, &ip, mtu, 14, |f| all.push(f[14..].to_vec()));
        assert_eq!(count, all.len());
        all
    }

    /// What RFC 791's example procedure would put together again.
    fn reassemble(fragments: &[Vec<u8>]) -> (Vec<u8>, bool) {
        let mut payload = vec![];
        let mut more = true;
        for f in fragments {
            let ip = Ipv4::parse(f, f.len()).unwrap();
            let first = Ipv4::parse(&fragments[0], fragments[0].len())
                .unwrap()
                .fragment
                & OFFSET;
            assert_eq!(
                usize::from((ip.fragment & OFFSET) - first) * 8,
                payload.len()
            );
            payload.extend_from_slice(&f[ip.header_len..ip.total_len]);
            more = ip.fragment & MF != 0;
        }
        (payload, more)
    }

    proptest! {
        #[test]
        fn fragments_make_the_packet_again(
            payload in prop::collection::vec(any::<u8>(), 1..4000),
            mtu in 68usize..1600,
            again in 68usize..1600,
        ) {
            let whole = packet(ipv4::UDP, 64, &payload);
            let once = cut(&whole, mtu);
            prop_assert!(once.iter().all(|f| f.len() <= mtu));
            prop_assert_eq!(reassemble(&once), (payload.clone(), false));
            // Fragments of fragments too, as routers with smaller links behind make them.
            let twice: Vec<_> = once.iter().flat_map(|f| cut(f, again)).collect();
            prop_assert_eq!(reassemble(&twice), (payload, false));
        }
    }

    #[test]
    fn options_are_copied_as_they_ask() {
        let plain = packet(ipv4::UDP, 64, &[0; 100]);
        let mut with = plain[..20].to_vec();
        // Record route isn't copied, router alert is.
        with.extend([7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0]);
        with.extend(&plain[20..]);
        with[0] = 0x48;
        put(&mut with, 2, &132u16.to_be_bytes());
        checksum::fill(&mut with[..32], 10);
        let all = cut(&with, 72);
        assert_eq!(all.len(), 3);
        assert_eq!(all[0][0], 0x48);
        assert_eq!(all[0][20..32], with[20..32]);
        assert_eq!(all[1][0], 0x46);
        assert_eq!(all[1][20..24], [148, 4, 0, 0]);
        assert_eq!(be16(&all[2], 6) & MF, 0);
    }

    #[test]
    fn links_too_small_for_anything() {
        let whole = packet(ipv4::UDP, 64, &[0; 100]);
        assert!(cut(&whole, 27).is_empty());
        assert_eq!(cut(&whole, 28).len(), 13);
    }
}
