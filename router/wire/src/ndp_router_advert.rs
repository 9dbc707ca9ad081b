//! Router advertisements (RFC 4861 4.2) with their options.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::icmpv6::ROUTER_ADVERTISEMENT;
use super::ndp::{SOURCE_ADDRESS, push_link_layer_address};
use super::put;
use crate::addr::{Ipv6Network, Mac};

const PREFIX: u8 = 3;
const MTU: u8 = 5;
const ROUTE: u8 = 24;
const RDNSS: u8 = 25;
const DNSSL: u8 = 31;

/// The preference of a router or route (RFC 4191 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preference {
    /// High.
    High,
    /// Medium, the default.
    Medium,
    /// Low.
    Low,
}

/// A more specific route through this router (RFC 4191 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteInformation {
    /// The destinations; no bit beyond the length is set.
    pub prefix: Ipv6Network,
    /// Its preference.
    pub preference: Preference,
    /// How long it is valid, in seconds.
    pub lifetime_s: u32,
}

/// A prefix information option (RFC 4861 4.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// The prefix as a number; no bit beyond the length is set.
    pub first: u128,
    /// Its length in bits.
    pub len: u8,
    /// The on-link flag.
    pub on_link: bool,
    /// The autonomous address-configuration flag (RFC 4862).
    pub autonomous: bool,
    /// The valid lifetime, in seconds.
    pub valid_s: u32,
    /// The preferred lifetime, in seconds.
    pub preferred_s: u32,
}

/// A router advertisement.
#[derive(Clone, Copy, Debug)]
pub struct RouterAdvert<'a> {
    /// The hop limit for hosts to use; 0 if unspecified.
    pub hop_limit: u8,
    /// Addresses are available by DHCPv6.
    pub managed: bool,
    /// Other configuration is available by DHCPv6.
    pub other: bool,
    /// The preference as a default router.
    pub preference: Preference,
    /// The router lifetime, in seconds: 0 if it isn't a default router.
    pub lifetime_s: u16,
    /// The reachable time for hosts to use, in milliseconds; 0 if unspecified.
    pub reachable_time_ms: u32,
    /// The retransmission timer for hosts to use, in milliseconds; 0 if unspecified.
    pub retrans_timer_ms: u32,
    /// The router's MAC address on the link.
    pub mac: Mac,
    /// The MTU of the link.
    pub mtu: u16,
    /// The prefixes of the link.
    pub prefixes: &'a [Prefix],
    /// More specific routes through this router (RFC 4191).
    pub routes: &'a [RouteInformation],
    /// Recursive DNS servers (RFC 8106).
    pub dns: &'a [Ipv6Addr],
    /// The DNS search list (RFC 8106).
    pub dns_search: &'a [String],
    /// The lifetime of the DNS servers and search list, in seconds.
    pub dns_lifetime_s: u32,
}

fn preference_bits(preference: Preference) -> u8 {
    match preference {
        Preference::High => 0b01 << 3,
        Preference::Medium => 0,
        Preference::Low => 0b11 << 3,
    }
}

impl RouterAdvert<'_> {
    /// Returns the message. The caller fills in the checksum.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        // A router that isn't a default router has no preference (RFC 4191 2.2).
        let preference = if self.lifetime_s == 0 {
            0
        } else {
            preference_bits(self.preference)
        };
        let flags = flag(self.managed, 0x80) | flag(self.other, 0x40) | preference;
        let mut bytes = alloc::vec![ROUTER_ADVERTISEMENT, 0, 0, 0, self.hop_limit, flags];
        bytes.extend_from_slice(&self.lifetime_s.to_be_bytes());
        bytes.extend_from_slice(&self.reachable_time_ms.to_be_bytes());
        bytes.extend_from_slice(&self.retrans_timer_ms.to_be_bytes());
        push_link_layer_address(&mut bytes, SOURCE_ADDRESS, self.mac);
        let mut option = [0; 8];
        put(&mut option, 0, &[MTU, 1]);
        put(&mut option, 4, &u32::from(self.mtu).to_be_bytes());
        bytes.extend_from_slice(&option);
        for prefix in self.prefixes {
            let mut option = [0; 32];
            let flags = flag(prefix.on_link, 0x80) | flag(prefix.autonomous, 0x40);
            put(&mut option, 0, &[PREFIX, 4, prefix.len, flags]);
            put(&mut option, 4, &prefix.valid_s.to_be_bytes());
            put(&mut option, 8, &prefix.preferred_s.to_be_bytes());
            put(&mut option, 16, &prefix.first.to_be_bytes());
            bytes.extend_from_slice(&option);
        }
        for route in self.routes {
            // Shorter prefixes omit their trailing bits (RFC 4191 2.3).
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
        if !self.dns.is_empty() {
            push_list(&mut bytes, RDNSS, self.dns_lifetime_s, |list| {
                list.extend(self.dns.iter().flat_map(Ipv6Addr::octets));
            });
        }
        if !self.dns_search.is_empty() {
            push_list(&mut bytes, DNSSL, self.dns_lifetime_s, |list| {
                self.dns_search
                    .iter()
                    .for_each(|name| push_name(list, name));
            });
        }
        bytes
    }
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

/// Appends a domain name in DNS encoding (RFC 1035 3.1).
fn push_name(bytes: &mut Vec<u8>, name: &str) {
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
}
