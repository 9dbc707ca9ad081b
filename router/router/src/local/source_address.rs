//! Source address selection for the router's own IPv6 packets (RFC 6724 5).

use core::net::Ipv6Addr;

use crate::frame::InterfaceId;
use crate::tables::Tables;
use wire::addr::Ipv6Network;

/// Returns the scope of an address (RFC 6724 3.1), with the values of multicast scopes.
fn scope(address: Ipv6Addr) -> u8 {
    const LINK: u8 = 2;
    const SITE: u8 = 5;
    const GLOBAL: u8 = 14;
    match address.octets() {
        [0xff, flags_and_scope, ..] => flags_and_scope & 15,
        [0xfe, 0xc0..=0xff, ..] => SITE,
        _ if address.is_unicast_link_local() => LINK,
        _ => GLOBAL,
    }
}

/// Prefixes, their lengths and labels, longest first: the default policy table (RFC 6724 2.1).
const POLICIES: [(Ipv6Addr, u8, u8); 9] = [
    (Ipv6Addr::LOCALHOST, 128, 0),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 4),
    (Ipv6Addr::UNSPECIFIED, 96, 3),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 5),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, 12),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 11),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 13),
    (Ipv6Addr::UNSPECIFIED, 0, 1),
];

/// Returns the label of an address in the policy table; sources should have the destination's
/// label.
fn label(address: Ipv6Addr) -> Option<u8> {
    let within = |&&(address_of, len, _): &&(Ipv6Addr, u8, u8)| {
        Ipv6Network {
            address: address_of,
            len,
        }
        .contains(address)
    };
    POLICIES.iter().find(within).map(|&(_, _, label)| label)
}

/// Returns the best source for packets to `destination` by rules 1, 2, 6 and 8. The caller applies
/// rule 5 by passing the outgoing interface's addresses first; the other rules are about
/// deprecated, temporary and mobile addresses, which the router doesn't have.
fn best(destination: Ipv6Addr, from: impl Iterator<Item = Ipv6Network>) -> Option<Ipv6Addr> {
    let wanted = scope(destination);
    let rank = |network: Ipv6Network| {
        let address = network.address;
        let reach = scope(address);
        let reach = if reach < wanted {
            (0, reach)
        } else {
            (1, u8::MAX - reach)
        };
        let differs = address.to_bits() ^ destination.to_bits();
        let common = differs.leading_zeros().min(network.len.into());
        (
            address == destination,
            reach,
            label(address) == label(destination),
            common,
        )
    };
    // Among equals, the first one wins: the primary address.
    let mut found: Option<Ipv6Network> = None;
    for network in from {
        if found.is_none_or(|f| rank(network) > rank(f)) {
            found = Some(network);
        }
    }
    found.map(|n| n.address)
}

/// Returns the source for the router's own packets from an interface to `destination`. If the
/// interface has no address of sufficient scope, one of another interface in its routing table is
/// used.
pub(crate) fn source6(
    tables: &Tables,
    interface: InterfaceId,
    destination: Ipv6Addr,
) -> Option<Ipv6Addr> {
    let here = tables.interface(interface).and_then(|i| i.v6.as_ref());
    let here = here.into_iter().flat_map(|v6| v6.usable());
    let here = best(destination, here);
    let wide = |a: &Ipv6Addr| scope(*a) >= scope(destination);
    here.filter(wide).or_else(|| {
        let all = tables.interfaces_in(tables.vrf_of(interface));
        let all = all.filter_map(|i| i.v6.as_ref());
        let global = |n: &Ipv6Network| !n.address.is_unicast_link_local();
        best(destination, all.flat_map(|v6| v6.usable()).filter(global))
            .filter(wide)
            .or(here)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use std::net::IpAddr;

    fn networks(texts: &[&str]) -> Vec<Ipv6Network> {
        let network = |t: &&str| t.parse::<wire::addr::Network>().unwrap().v6().unwrap();
        texts.iter().map(network).collect()
    }

    #[test]
    fn rules() {
        let all = networks(&[
            "fe80::1/64",
            "2001:db8:0:1::1/64",
            "2001:db8:0:2::1/64",
            "fd00::1/64",
        ]);
        for (destination, source) in [
            ("fe80::9", "fe80::1"),
            ("ff02::1", "fe80::1"),
            ("ff05::2", "2001:db8:0:1::1"),
            ("2001:db8:0:2::9", "2001:db8:0:2::1"),
            ("2001:db8:9::9", "2001:db8:0:1::1"),
            ("fd00::9", "fd00::1"),
            ("2a00::1", "2001:db8:0:1::1"),
            ("fd00::1", "fd00::1"),
        ] {
            let found = best(destination.parse().unwrap(), all.iter().copied());
            let wanted: IpAddr = source.parse().unwrap();
            assert_eq!(found.map(IpAddr::V6), Some(wanted), "{destination}");
        }
    }

    /// The rows of RFC 6724 10.1 without deprecated, home or temporary addresses, and a row for
    /// each label.
    #[test]
    fn examples() {
        for (destination, sources) in [
            ("2001:db8:1::1", ["fe80::1", "2001:db8:3::1"]),
            ("ff05::1", ["fe80::1", "2001:db8:3::1"]),
            ("2001:db8:1::1", ["2001:db8:2::1", "2001:db8:1::1"]),
            ("fe80::1", ["2001:db8:1::1", "fe80::2"]),
            ("2001:db8:1::1", ["2001:db8:3::2", "2001:db8:1::2"]),
            ("2002:c633:6401::1", ["2001:db8:1::2", "2002:c633:6401::2"]),
            // By prefix alone these would be the other one.
            ("2002::1", ["2003::1", "2002:ffff::1"]),
            ("2001:db8::1", ["2001::1", "2a00::1"]),
            ("2001:0:1::1", ["2001:1::1", "2001:0:ffff::1"]),
            ("2a00::1", ["3ffe::1", "2001:db8::1"]),
            ("3ffe::1", ["3fff::1", "3ffe:ffff::1"]),
            ("fd00::1", ["2001:db8::1", "fc00::1"]),
            ("2001:db8::1", ["fd00::1", "2a00::1"]),
            // A site's own address reaches less far.
            ("2001:db8::1", ["fec0::1", "2a00::1"]),
            ("ff05::1", ["2001:db8::1", "fec0::1"]),
        ] {
            let from = networks(
                &sources
                    .map(|s| std::format!("{s}/64"))
                    .each_ref()
                    .map(|s| s.as_str()),
            );
            let found = best(destination.parse().unwrap(), from.into_iter());
            let wanted: Ipv6Addr = sources[1].parse().unwrap();
            assert_eq!(found, Some(wanted), "{destination}");
        }
        for (address, wanted) in [
            ("::1", 0),
            ("2001:db8::1", 1),
            ("2002::1", 2),
            ("::192.0.2.1", 3),
            ("::ffff:192.0.2.1", 4),
            ("2001::1", 5),
            ("fec0::1", 11),
            ("3ffe::1", 12),
            ("fd00::1", 13),
        ] {
            assert_eq!(label(address.parse().unwrap()), Some(wanted), "{address}");
        }
    }
}
