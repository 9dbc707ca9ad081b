//! Router advertisements (RFC 4861 4.2) with their options.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::icmpv6::ROUTER_ADVERTISEMENT;
use super::nd::{SOURCE_ADDRESS, push_station};
use super::put;
use crate::addr::Mac;
use crate::config::{AdvertiseConfig, Preference};

const PREFIX: u8 = 3;
const MTU: u8 = 5;
const ROUTE: u8 = 24;
const RDNSS: u8 = 25;
const DNSSL: u8 = 31;

/// A prefix as it is advertised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Prefix {
    pub(crate) first: u128,
    pub(crate) len: u8,
    pub(crate) on_link: bool,
    pub(crate) autonomous: bool,
    pub(crate) valid_s: u32,
    pub(crate) preferred_s: u32,
}

fn preference_bits(preference: Preference) -> u8 {
    match preference {
        Preference::High => 0b01 << 3,
        Preference::Medium => 0,
        Preference::Low => 0b11 << 3,
    }
}

/// The message, its checksum still to be filled. `lifetime_s` is that as a default router:
/// 0 when the router stops to be one.
pub(crate) fn message(
    config: &AdvertiseConfig,
    lifetime_s: u16,
    station: Mac,
    mtu: u16,
    prefixes: &[Prefix],
) -> Vec<u8> {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    // Not a default router, it has no preference as one (RFC 4191 2.2).
    let preference = if lifetime_s == 0 {
        0
    } else {
        preference_bits(config.preference)
    };
    let flags = flag(config.managed, 0x80) | flag(config.other, 0x40) | preference;
    let mut bytes = alloc::vec![ROUTER_ADVERTISEMENT, 0, 0, 0, config.hop_limit, flags];
    bytes.extend_from_slice(&lifetime_s.to_be_bytes());
    bytes.extend_from_slice(&config.reachable_time_ms.to_be_bytes());
    bytes.extend_from_slice(&config.retrans_timer_ms.to_be_bytes());
    push_station(&mut bytes, SOURCE_ADDRESS, station);
    let mut option = [0; 8];
    put(&mut option, 0, &[MTU, 1]);
    put(&mut option, 4, &u32::from(mtu).to_be_bytes());
    bytes.extend_from_slice(&option);
    for prefix in prefixes {
        let mut option = [0; 32];
        let flags = flag(prefix.on_link, 0x80) | flag(prefix.autonomous, 0x40);
        put(&mut option, 0, &[PREFIX, 4, prefix.len, flags]);
        put(&mut option, 4, &prefix.valid_s.to_be_bytes());
        put(&mut option, 8, &prefix.preferred_s.to_be_bytes());
        put(&mut option, 16, &prefix.first.to_be_bytes());
        bytes.extend_from_slice(&option);
    }
    for route in &config.routes {
        // Shorter prefixes leave out what they don't fix (RFC 4191 2.3).
        let units = match route.prefix.len {
            0 => 1,
            1..=64 => 2,
            _ => 3,
        };
        let mut option = [0; 24];
        let bits = preference_bits(route.preference);
        put(&mut option, 0, &[ROUTE, units, route.prefix.len, bits]);
        put(&mut option, 4, &route.lifetime_s.to_be_bytes());
        put(&mut option, 8, &route.prefix.first().to_be_bytes());
        bytes.extend_from_slice(option.get(..usize::from(units) * 8).unwrap_or(&option));
    }
    if !config.dns.is_empty() {
        push_list(&mut bytes, RDNSS, config.dns_lifetime_s, |list| {
            list.extend(config.dns.iter().flat_map(Ipv6Addr::octets));
        });
    }
    if !config.dns_search.is_empty() {
        push_list(&mut bytes, DNSSL, config.dns_lifetime_s, |list| {
            config
                .dns_search
                .iter()
                .for_each(|name| push_name(list, name));
        });
    }
    bytes
}

/// Appends an option of RFC 8106: a lifetime, then a list, padded to units of 8 bytes.
fn push_list(bytes: &mut Vec<u8>, kind: u8, lifetime_s: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut option = alloc::vec![kind, 0, 0, 0];
    option.extend_from_slice(&lifetime_s.to_be_bytes());
    fill(&mut option);
    option.resize(option.len().next_multiple_of(8), 0);
    let units = u8::try_from(option.len() / 8).unwrap_or(u8::MAX);
    put(&mut option, 1, &[units]);
    bytes.extend_from_slice(&option);
}

/// Appends a name as DNS writes it (RFC 1035 3.1).
fn push_name(bytes: &mut Vec<u8>, name: &str) {
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
}
