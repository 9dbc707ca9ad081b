//! Options in IPv4 headers (RFC 791 3.1): iterating over and validating them. [`record`] fills in
//! record route and timestamp options, [`source_route`] follows source routes.

use core::fmt;
pub mod record;
pub mod source_route;

const END: u8 = 0;
const NOP: u8 = 1;
/// The type of the record route option.
pub const RECORD_ROUTE: u8 = 7;
/// The type of the timestamp option.
pub const TIMESTAMP: u8 = 68;
/// The type of the loose source route option.
pub const LOOSE_SOURCE_ROUTE: u8 = 131;
/// The type of the strict source route option.
pub const STRICT_SOURCE_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// The copied flag in an option's type: every fragment carries the option.
pub const COPIED: u8 = 0x80;

/// The length of a router alert option, in bytes (RFC 2113 2.1).
const ROUTER_ALERT_LEN: usize = 4;

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpOption<'a> {
    /// Its offset in the header's options.
    pub at: usize,
    /// Its type.
    pub kind: u8,
    /// All its bytes.
    pub bytes: &'a [u8],
}

/// A malformed option: the offset of the octet that is wrong, in the header's options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub usize);

/// The reason why a packet with these options is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A source route that isn't allowed.
    SourceRoute,
    /// A malformed option.
    Malformed(Malformed),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed IP options at octet {}", self.0)
    }
}

impl core::error::Error for Malformed {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceRoute => f.write_str("a source route"),
            Self::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

impl core::error::Error for Fault {}

/// Returns an iterator over the options without padding; it ends after a malformed option.
pub fn options(all: &[u8]) -> impl Iterator<Item = Result<IpOption<'_>, Malformed>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        loop {
            let rest = all.get(at..)?;
            let kind = *rest.first()?;
            match kind {
                END => return None,
                NOP => at += 1,
                _ => {
                    let start = at;
                    let len = rest.get(1).copied().map_or(0, usize::from);
                    let Some(bytes) = rest.get(..len).filter(|b| b.len() >= 2) else {
                        at = usize::MAX;
                        // The length, if there is one.
                        let wrong = start + usize::from(rest.len() > 1);
                        return Some(Err(Malformed(wrong)));
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

/// Checks that all options are well formed, and that there is no source route unless `source_route`
/// is `true`. Unknown options are ignored (RFC 1812 5.3.13.1).
///
/// # Errors
/// The first [`Fault`].
pub fn check(all: &[u8], source_route: bool) -> Result<(), Fault> {
    let mut seen = 0u8;
    for option in options(all) {
        let option = option.map_err(Fault::Malformed)?;
        let malformed = |at| Fault::Malformed(Malformed(option.at + at));
        let mut once = |bit: u8| {
            let again = seen & bit != 0;
            seen |= bit;
            if again { Err(malformed(0)) } else { Ok(()) }
        };
        match option.kind {
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE if !source_route => {
                return Err(Fault::SourceRoute);
            }
            // At most one source route of either type (RFC 1812 5.2.4.1).
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => {
                once(4)?;
                record::route_room(option.bytes).map_err(malformed)?;
            }
            RECORD_ROUTE => {
                once(1)?;
                record::route_room(option.bytes).map_err(malformed)?;
            }
            TIMESTAMP => {
                once(2)?;
                record::timestamp_room(option.bytes).map_err(malformed)?;
            }
            ROUTER_ALERT if option.bytes.len() != ROUTER_ALERT_LEN => return Err(malformed(1)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walk() {
        let all = [NOP, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, END, 9, 9, 9];
        assert_eq!(options(&all).count(), 2);
        assert_eq!(check(&all, false), Ok(()));
        // Unknown ones, and a router alert of an unknown value.
        assert_eq!(check(&[99, 2, 148, 4, 0, 7, 130, 3, 1], false), Ok(()));
    }

    #[test]
    fn malformed() {
        for (all, at) in [
            (&[7u8][..], 0),
            (&[7, 0, 0, 0], 1),
            (&[7, 1, 0, 0], 1),
            (&[7, 5, 4, 0], 1),
            (&[7, 2, 0, 0], 1),
            (&[7, 3, 3, 0], 2),
            (&[1, 7, 6, 4, 0, 0, 0], 3),
            (&[1, 1, 1, 68], 3),
            (&[68, 3, 5, 0], 1),
            (&[68, 8, 4, 0, 0, 0, 0, 0], 2),
            (&[68, 8, 5, 1, 0, 0, 0, 0], 2),
            (&[68, 8, 6, 0, 0, 0, 0, 0], 2),
            (&[68, 8, 8, 3, 0, 0, 0, 0], 2),
            (&[68, 8, 9, 0xf0, 0, 0, 0, 0], 3),
            (&[148, 3, 0, 0], 1),
            (&[1, 148, 5, 0, 0, 0], 2),
            (&[7, 3, 4, 7, 3, 4], 3),
            (&[68, 4, 5, 0, 68, 4, 5, 0], 4),
            (&[131, 2, 0, 0], 1),
            (&[1, 131, 7, 3, 0, 0, 0, 0], 3),
            (&[137, 7, 5, 0, 0, 0, 0, 0], 2),
            (&[131, 3, 4, 137, 3, 4], 3),
        ] {
            let fault = Err(Fault::Malformed(Malformed(at)));
            assert_eq!(check(all, true), fault, "{all:?}");
        }
        for all in [&[131, 3, 4, 0][..], &[1, 137, 3, 4]] {
            assert_eq!(check(all, true), Ok(()), "{all:?}");
            assert_eq!(check(all, false), Err(Fault::SourceRoute), "{all:?}");
        }
    }
}
