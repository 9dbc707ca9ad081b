//! Extension headers of IPv6 packets (RFC 8200 4).

use super::icmp_error::{IcmpError, Parameter};
use super::ipv4::AUTHENTICATION;
use super::ipv6::{self, HEADER_LEN, Ipv6};
use super::{be16, be32};
use crate::Error;
use core::fmt;

/// The maximum number of extension headers that are parsed (RFC 8883 expects nodes to have such
/// limits).
const HEADERS_MAX: usize = 8;
/// The maximum number of options in one of them.
const OPTIONS_MAX: usize = 16;

const PAD1: u8 = 0;
const PADN: u8 = 1;
const ROUTER_ALERT: u8 = 5;

/// What follows the extension headers of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// An upper-layer header.
    Upper {
        /// Its next header number.
        protocol: u8,
        /// Its offset in the packet.
        at: usize,
    },
    /// A fragment.
    Fragment(Fragment),
    /// No next header (RFC 8200 4.7).
    Nothing,
}

/// A parsed fragment header (RFC 8200 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// The header's offset in the packet.
    pub at: usize,
    /// The offset of the preceding header's next header field.
    pub link: usize,
    /// The next header number of the fragmented payload.
    pub next_header: u8,
    /// The fragment offset, in bytes.
    pub offset: usize,
    /// The more-fragments flag.
    pub more: bool,
    /// The identification.
    pub ident: u32,
}

/// The reason why a packet is rejected, and the ICMPv6 error to report, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused(pub Error, pub Option<IcmpError>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Refused {}

fn malformed() -> Refused {
    Refused(Error::BadOptions, None)
}

fn problem(what: Parameter, at: usize) -> Refused {
    let at = u32::try_from(at).unwrap_or(u32::MAX);
    let reason = match what {
        Parameter::NextHeader => Error::UnknownProtocol,
        _ => Error::BadOptions,
    };
    Refused(reason, Some(IcmpError::Parameter(what, at)))
}

/// Walks the extension headers (RFC 8200 4) of a packet for this node.
///
/// # Errors
/// The reason why the packet is rejected, and the ICMPv6 error about it.
pub fn walk(packet: &[u8], ip: &Ipv6) -> Result<Content, Refused> {
    let packet = packet.get(..ip.total_len).unwrap_or(packet);
    let (mut kind, mut at, mut link) = (ip.next_header, HEADER_LEN, 6);
    for count in 0..HEADERS_MAX {
        let header = packet.get(at..).unwrap_or(&[]);
        match kind {
            ipv6::HOP_BY_HOP if count != 0 => return Err(problem(Parameter::NextHeader, link)),
            ipv6::HOP_BY_HOP | ipv6::DESTINATION => options(packet, at)?,
            ipv6::ROUTING => {
                // Type 0 is rejected (RFC 5095), and no other type is supported.
                let left = header.get(3).ok_or_else(malformed)?;
                if *left != 0 {
                    return Err(problem(Parameter::Field, at + 2));
                }
            }
            ipv6::FRAGMENT => {
                let header = header.get(..8).ok_or_else(malformed)?;
                let place = be16(header, 2);
                return Ok(Content::Fragment(Fragment {
                    at,
                    link,
                    next_header: header.first().copied().unwrap_or(ipv6::NO_NEXT),
                    offset: usize::from(place & !7),
                    more: place & 1 != 0,
                    ident: be32(header, 4),
                }));
            }
            ipv6::NO_NEXT => return Ok(Content::Nothing),
            ipv6::TCP | ipv6::UDP | ipv6::ICMP => {
                return Ok(Content::Upper { protocol: kind, at });
            }
            _ => return Err(problem(Parameter::NextHeader, link)),
        }
        let (next, len) = extent(packet, at).ok_or_else(malformed)?;
        (link, kind, at) = (at, next, at + len);
    }
    Err(malformed())
}

/// Checks the result of [`walk`] and returns it. A fragment with more to come must have a multiple
/// of 8 bytes, and no fragment may end beyond the largest payload (RFC 8200 4.5).
///
/// # Errors
/// The reason why the fragment is rejected, and the ICMPv6 error about it.
pub fn check_fragment(content: Content, ip: &Ipv6) -> Result<Content, Refused> {
    const PAYLOAD_LEN_AT: usize = 4;
    let Content::Fragment(fragment) = content else {
        return Ok(content);
    };
    let wrong = |at: usize| {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let error = IcmpError::Parameter(Parameter::Field, at);
        Err(Refused(Error::BadFragment, Some(error)))
    };
    let len = ip.total_len.saturating_sub(fragment.at + 8);
    if fragment.more && !len.is_multiple_of(8) {
        return wrong(PAYLOAD_LEN_AT);
    }
    if fragment.at - HEADER_LEN + fragment.offset + len > usize::from(u16::MAX) {
        return wrong(fragment.at + 2);
    }
    Ok(content)
}

/// Checks the hop-by-hop options (RFC 8200 4.3) of a packet to be forwarded, if it has any.
///
/// # Errors
/// The reason why the packet is dropped, and the ICMPv6 error about it.
pub fn check_hop_by_hop(packet: &[u8], ip: &Ipv6) -> Result<(), Refused> {
    if ip.next_header == ipv6::HOP_BY_HOP {
        options(packet.get(..ip.total_len).unwrap_or(packet), HEADER_LEN)
    } else {
        Ok(())
    }
}

/// Returns the next header number and the length of the header at `at`; `None` if it is truncated.
fn extent(packet: &[u8], at: usize) -> Option<(u8, usize)> {
    let next = *packet.get(at)?;
    let len = 8 + usize::from(*packet.get(at + 1)?) * 8;
    packet.get(at..at + len).map(|_| (next, len))
}

/// Returns the length of an authentication header in bytes; `None` if it is truncated. Its length
/// field is in units of 4 bytes in both families (RFC 4302 2.2).
pub(crate) fn authentication_len(header: &[u8]) -> Option<usize> {
    let len = 8 + usize::from(*header.get(1)?) * 4;
    (header.len() >= len).then_some(len)
}

/// Checks the options of the header at `at` (RFC 8200 4.2).
fn options(packet: &[u8], at: usize) -> Result<(), Refused> {
    let (_, len) = extent(packet, at).ok_or_else(malformed)?;
    let (mut option, end) = (at + 2, at + len);
    let mut seen = 0;
    while option < end {
        let kind = packet.get(option).copied().unwrap_or(PAD1);
        if kind == PAD1 {
            option += 1;
            continue;
        }
        let data = packet.get(option + 1).copied().unwrap_or(u8::MAX);
        let next = option + 2 + usize::from(data);
        seen += 1;
        if next > end || seen > OPTIONS_MAX {
            return Err(malformed());
        }
        // The two highest bits give the action for an unknown option.
        match (kind, kind >> 6) {
            (PADN, _) => {}
            (ROUTER_ALERT, _) if data == 2 => {}
            (ROUTER_ALERT, _) => return Err(malformed()),
            (_, 0) => {}
            (_, 1) => return Err(malformed()),
            (_, 2) => return Err(problem(Parameter::OptionEvenForMulticast, option)),
            _ => return Err(problem(Parameter::Option, option)),
        }
        option = next;
    }
    Ok(())
}

/// Returns `true` if a packet with valid options has the router alert option for MLD (RFC 2711
/// 2.1).
pub fn has_mld_router_alert(packet: &[u8], ip: &Ipv6) -> bool {
    let options = extent(packet, HEADER_LEN).filter(|_| ip.next_header == ipv6::HOP_BY_HOP);
    let end = options.map_or(0, |(_, len)| HEADER_LEN + len);
    let mut rest = packet.get(HEADER_LEN + 2..end).unwrap_or(&[]);
    loop {
        rest = match rest {
            [ROUTER_ALERT, 2, 0, 0, ..] => return true,
            [PAD1, after @ ..] => after,
            [_, len, after @ ..] => after.get(usize::from(*len)..).unwrap_or(&[]),
            _ => return false,
        };
    }
}

/// Returns the upper-layer protocol and the offset of its header, which is `None` in a fragment
/// other than the first. Returns `None` if the headers are truncated. Nothing is validated.
pub fn upper(packet: &[u8], ip: &Ipv6) -> Option<(u8, Option<usize>)> {
    let (mut kind, mut at) = (ip.next_header, HEADER_LEN);
    let mut begins = true;
    for _ in 0..HEADERS_MAX {
        match kind {
            AUTHENTICATION if begins => {
                let len = authentication_len(packet.get(at..)?)?;
                kind = *packet.get(at)?;
                at += len;
            }
            ipv6::HOP_BY_HOP | ipv6::DESTINATION | ipv6::ROUTING | ipv6::MOBILITY if begins => {
                let len;
                (kind, len) = extent(packet, at)?;
                at += len;
            }
            ipv6::FRAGMENT if begins => {
                let header = packet.get(at..at + 8)?;
                kind = *header.first()?;
                begins = be16(header, 2) & !7 == 0;
                at += 8;
            }
            _ => return Some((kind, begins.then_some(at))),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::ipv6_packet as packet;

    fn walked(next: u8, payload: &[u8]) -> Result<Content, Refused> {
        let packet = packet(next, 64, payload);
        walk(&packet, &Ipv6::parse(&packet, packet.len()).unwrap())
    }

    #[test]
    fn headers_are_followed() {
        let chain = [
            60, 0, 5, 2, 0, 0, 1, 0, // hop-by-hop: router alert
            43, 0, 1, 4, 0, 0, 0, 0, // destination options
            17, 0, 0, 0, 0, 0, 0, 0, // routing, no segments left
            1, 2, 3, 4, 5, 6, 7, 8,
        ];
        let upper = Content::Upper {
            protocol: 17,
            at: 64,
        };
        assert_eq!(walked(0, &chain), Ok(upper));
        assert_eq!(walked(59, &chain), Ok(Content::Nothing));
        let Ok(Content::Fragment(f)) = walked(44, &[17, 0, 0, 9, 0, 0, 0, 7]) else {
            panic!("a fragment");
        };
        assert_eq!((f.offset, f.more, f.ident, f.link), (8, true, 7, 6));
    }

    #[test]
    fn what_is_refused() {
        let says = |what, at| Some(IcmpError::Parameter(what, at));
        for (name, next, payload, error) in [
            (
                "routing type 0",
                43,
                &[17, 0, 0, 1, 0, 0, 0, 0][..],
                says(Parameter::Field, 42),
            ),
            ("unknown", 200, &[0; 8], says(Parameter::NextHeader, 6)),
            (
                "late hop-by-hop",
                60,
                &[0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0],
                says(Parameter::NextHeader, 40),
            ),
            ("option 01", 60, &[17, 0, 0x41, 4, 0, 0, 0, 0], None),
            (
                "option 10",
                60,
                &[17, 0, 0x81, 4, 0, 0, 0, 0],
                says(Parameter::OptionEvenForMulticast, 42),
            ),
            (
                "option 11",
                60,
                &[17, 0, 1, 0, 0xc1, 2, 0, 0],
                says(Parameter::Option, 44),
            ),
            ("too long an option", 60, &[17, 0, 1, 5, 0, 0, 0, 0], None),
            ("too long a header", 60, &[17, 1, 1, 4, 0, 0, 0, 0], None),
            ("cut", 60, &[17], None),
        ] {
            assert_eq!(walked(next, payload).unwrap_err().1, error, "{name}");
        }
        let endless: alloc::vec::Vec<u8> =
            (0..40).flat_map(|_| [60, 0, 1, 4, 0, 0, 0, 0]).collect();
        assert_eq!(walked(60, &endless).unwrap_err(), malformed());
        let crowded = [&[17u8, 9][..], &[0x1e, 0].repeat(39)].concat();
        assert_eq!(walked(60, &crowded).unwrap_err(), malformed());
        // Unknown options that may be skipped are.
        assert!(walked(60, &[17, 0, 0x1e, 4, 0, 0, 0, 0]).is_ok());
    }
}
