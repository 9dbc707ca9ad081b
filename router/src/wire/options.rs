//! Options in IPv4 headers (RFC 791 3.1).

use core::net::Ipv4Addr;

use super::{be16, put};
use crate::DropReason;

const END: u8 = 0;
const NOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Set in the kind of an option that every fragment carries.
pub(crate) const COPIED: u8 = 0x80;

/// One option: where it begins in the header's options and all its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IpOption<'a> {
    pub(crate) at: usize,
    pub(crate) kind: u8,
    pub(crate) bytes: &'a [u8],
}

/// The options, without those that only pad; ends after a malformed one.
pub(crate) fn options(all: &[u8]) -> impl Iterator<Item = Result<IpOption<'_>, DropReason>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        loop {
            let rest = all.get(at..)?;
            let kind = *rest.first()?;
            match kind {
                END => return None,
                NOP => at += 1,
                _ => {
                    let len = rest.get(1).copied().map_or(0, usize::from);
                    let start = at;
                    let Some(bytes) = rest.get(..len).filter(|b| b.len() >= 2) else {
                        at = usize::MAX;
                        return Some(Err(DropReason::BadOptions));
                    };
                    at += len;
                    return Some(Ok(IpOption {
                        at: start,
                        kind,
                        bytes,
                    }));
                }
            }
        }
    })
}

/// Checks that all options are well formed and none is a source route.
pub(crate) fn check(all: &[u8]) -> Result<(), DropReason> {
    for option in options(all) {
        let option = option?;
        match option.kind {
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(DropReason::SourceRoute),
            RECORD_ROUTE => {
                let pointer = option.bytes.get(2).copied().unwrap_or(0);
                if pointer < 4 {
                    return Err(DropReason::BadOptions);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Enters `address` into a record-route option that has room, and says whether it did (the
/// header's checksum is then to be computed anew). `header` is the whole IPv4 header.
pub(crate) fn record_route(header: &mut [u8], address: Ipv4Addr) -> bool {
    const FIXED: usize = super::ipv4::HEADER_LEN;
    let found = header.get(FIXED..).and_then(|all| {
        options(all)
            .filter_map(Result::ok)
            .find(|o| o.kind == RECORD_ROUTE)
            .map(|o| (o.at, o.bytes.len()))
    });
    let Some((at, len)) = found else { return false };
    // Kind and length fill the first two bytes; the pointer counts from 1.
    let pointer = usize::from(be16(header, FIXED + at + 1) & 0xff);
    if pointer < 4 || pointer + 3 > len {
        return false;
    }
    put(header, FIXED + at + pointer - 1, &address.octets());
    let next = u8::try_from(pointer + 4).unwrap_or(u8::MAX);
    put(header, FIXED + at + 2, &[next]);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walk() {
        let all = [NOP, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, END, 9, 9, 9];
        assert_eq!(options(&all).count(), 2);
        assert_eq!(check(&all), Ok(()));
    }

    #[test]
    fn malformed() {
        for (all, reason) in [
            (&[7u8][..], DropReason::BadOptions),
            (&[7, 0, 0, 0], DropReason::BadOptions),
            (&[7, 1, 0, 0], DropReason::BadOptions),
            (&[7, 5, 4, 0], DropReason::BadOptions),
            (&[7, 3, 3, 0], DropReason::BadOptions),
            (&[1, 1, 1, 68], DropReason::BadOptions),
            (&[131, 3, 4, 0], DropReason::SourceRoute),
            (&[1, 137, 3, 4], DropReason::SourceRoute),
        ] {
            assert_eq!(check(all), Err(reason), "{all:?}");
        }
    }

    #[test]
    fn a_route_is_recorded_until_it_is_full() {
        let mut header = [0u8; 32];
        header[20..32].copy_from_slice(&[NOP, 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(record_route(&mut header, Ipv4Addr::new(1, 2, 3, 4)));
        assert!(record_route(&mut header, Ipv4Addr::new(5, 6, 7, 8)));
        assert!(!record_route(&mut header, Ipv4Addr::new(9, 9, 9, 9)));
        assert_eq!(header[20..32], [NOP, 7, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
