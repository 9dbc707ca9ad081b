//! Which of the router's IPv6 addresses a packet of its own comes from (RFC 6724 5).

use core::net::Ipv6Addr;

use crate::addr::Ipv6Network;
use crate::frame::InterfaceId;
use crate::router::Router;

/// How far an address means the same (RFC 4007 5), as the numbers in groups.
fn scope(address: Ipv6Addr) -> u8 {
    const LINK: u8 = 2;
    const GLOBAL: u8 = 14;
    match address.octets() {
        [0xff, flags_and_scope, ..] => flags_and_scope & 15,
        _ if address.is_unicast_link_local() => LINK,
        _ => GLOBAL,
    }
}

/// Unique local addresses and others don't go together (RFC 6724 2.1).
fn label(address: Ipv6Addr) -> bool {
    address.is_unique_local()
}

/// The best of some addresses for packets to `destination`: rules 1, 2, 6 and 8.
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
    // Of equals the first one: the primary address.
    let mut found: Option<Ipv6Network> = None;
    for network in from {
        if found.is_none_or(|f| rank(network) > rank(f)) {
            found = Some(network);
        }
    }
    found.map(|n| n.address)
}

impl Router {
    /// The address for packets of the router's own from an interface to `destination`. One
    /// that reaches as far is taken from other interfaces of its table if this one has none.
    pub(crate) fn source6(
        &self,
        interface: InterfaceId,
        destination: Ipv6Addr,
    ) -> Option<Ipv6Addr> {
        let v6 = |at: usize| self.links.get(at).and_then(|l| l.v6.as_ref());
        let here = v6(interface.index()).map(|v6| v6.usable());
        let here = best(destination, here.into_iter().flatten());
        let wide = |a: &Ipv6Addr| scope(*a) >= scope(destination);
        here.filter(wide).or_else(|| {
            let vrf = self.vrf_of(interface);
            let all = self.links.iter().filter(|l| l.vrf == vrf);
            let all = all.filter_map(|l| l.v6.as_ref());
            let global = |n: &Ipv6Network| !n.address.is_unicast_link_local();
            best(destination, all.flat_map(|v6| v6.usable()).filter(global))
                .filter(wide)
                .or(here)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use std::net::IpAddr;

    #[test]
    fn rules() {
        let all: Vec<Ipv6Network> = [
            "fe80::1/64",
            "2001:db8:0:1::1/64",
            "2001:db8:0:2::1/64",
            "fd00::1/64",
        ]
        .iter()
        .map(|t| t.parse::<crate::addr::Network>().unwrap().v6().unwrap())
        .collect();
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
}
