//! Parsers of addresses, networks and gateways for all formats of the configuration. Errors are
//! messages in which unprintable characters are escaped.

use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

use crate::draft::DraftVia;
use wire::addr::{Mac, Network};

/// The minimum MTU of a link, in bytes (RFC 791 3.2).
pub(crate) const MTU_MIN: u16 = 68;

/// Removes the byte order mark that some editors add.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}

/// Parses `ADDRESS[%INTERFACE][@WEIGHT]` (RFC 4007 11).
pub(crate) fn via(text: &str) -> Result<DraftVia, String> {
    let (address, weight) = match text.split_once('@') {
        None => (text, 1),
        Some((address, weight)) => match weight.parse::<u8>() {
            Ok(number) if number > 0 && !text.contains('+') => (address, number),
            _ => {
                return Err(format!(
                    "weight {weight:?} of {address} isn't a number from 1 to 255"
                ));
            }
        },
    };
    let (written, zone) = match address.split_once('%') {
        None => (address, None),
        Some((written, zone)) => (written, Some(String::from(zone))),
    };
    Ok(DraftVia {
        address: self::address(written)?,
        zone,
        weight,
    })
}

/// Reads an IP address.
pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} isn't an IP address (such as 10.0.0.1 or 2001:db8::1)"))
}

/// Reads an address with a prefix length.
pub(crate) fn network(text: &str) -> Result<Network, String> {
    text.parse().map_err(|_| {
        let hint = if text.parse::<IpAddr>().is_ok() {
            "lacks its prefix length (such as /24)"
        } else {
            "isn't an address with a prefix length (such as 10.0.0.1/24)"
        };
        format!("{text:?} {hint}")
    })
}

/// Reads a MAC address.
pub(crate) fn mac(text: &str) -> Result<Mac, String> {
    text.parse()
        .map_err(|_| format!("{text:?} isn't a MAC address (such as 02:00:00:00:00:01)"))
}
