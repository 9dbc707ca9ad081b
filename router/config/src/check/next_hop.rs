//! Targets of routes: gateways, each on the link of an interface, and interfaces.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Places;
use super::address::{self, is_link_local};
use super::interfaces::Interfaces;
use super::vrf;
use crate::draft::{Action, At, DraftTarget, DraftVia};
use crate::error::ConfigError;
use crate::limits::GATEWAYS_MAX;
use crate::model::{InterfaceConfig, RouteTarget, Via};
use wire::addr::Network;

/// The prefixes that routes put on link: by table and prefix, the index of the interface.
pub(crate) type OnLink = Places;

/// Destinations that are never forwarded to, whatever the routes, and what they are.
const NEVER: [(Network, &str); 8] = {
    const fn v4(first: u32, len: u8) -> Network {
        let address = IpAddr::V4(Ipv4Addr::from_bits(first));
        Network { address, len }
    }
    const fn v6(first: u128, len: u8) -> Network {
        let address = IpAddr::V6(Ipv6Addr::from_bits(first));
        Network { address, len }
    }
    [
        (v4(0, 8), "hosts of \"this network\""),
        (v4(0x7f00_0000, 8), "loopback addresses"),
        (v4(0xe000_0000, 4), "multicast groups"),
        (v4(0xf000_0000, 4), "reserved addresses"),
        (v6(0, 127), "the unspecified and the loopback address"),
        (v6(0xffff_0000_0000, 96), "IPv4-mapped addresses"),
        (v6(0xfe80 << 112, 10), "addresses of one link"),
        (v6(0xff << 120, 8), "multicast groups"),
    ]
};

/// What next hops are resolved with.
pub(crate) struct NextHops<'a> {
    pub(crate) interfaces: Interfaces<'a>,
    pub(crate) on_link: OnLink,
}

impl NextHops<'_> {
    /// Returns the target of a route for `prefix` in the table `vrf`, whose next hops are in the
    /// table `beyond`.
    pub(crate) fn target(
        &self,
        prefix: Network,
        vrf: usize,
        beyond: usize,
        target: &At<DraftTarget>,
    ) -> Result<RouteTarget, ConfigError> {
        if !matches!(target.value, DraftTarget::Drop(_)) {
            forwardable(prefix).map_err(|text| target.error(text))?;
        }
        Ok(match &target.value {
            DraftTarget::Via(gateways) if gateways.len() > GATEWAYS_MAX => {
                let text = format!("route {prefix} has more than {GATEWAYS_MAX} gateways");
                return Err(target.error(text));
            }
            DraftTarget::Via(gateways) => {
                // As large as they are: most routes have one, and there may be many.
                let mut found = Vec::with_capacity(gateways.len());
                for gateway in gateways {
                    found.push(Via {
                        address: gateway.value.address,
                        interface: self.link_of(prefix, beyond, gateway)?,
                        weight: gateway.value.weight,
                    });
                }
                RouteTarget::Via(found)
            }
            DraftTarget::Interface(name) => {
                let (at, interface) = self.interfaces.with_link(target.line, name)?;
                self.interfaces.same_vrf(target.line, interface, beyond)?;
                RouteTarget::Interface(at)
            }
            DraftTarget::Vrf if beyond == vrf => {
                let text = format!("route {prefix} leads to the vrf that it is in");
                return Err(target.error(text));
            }
            DraftTarget::Vrf => RouteTarget::Vrf(beyond),
            DraftTarget::Drop(Action::Blackhole) => RouteTarget::Blackhole,
            DraftTarget::Drop(Action::Unreachable) => RouteTarget::Unreachable,
            DraftTarget::Drop(Action::Prohibit) => RouteTarget::Prohibit,
        })
    }

    /// Returns the interface on whose link a gateway of a route for `prefix` is.
    fn link_of(
        &self,
        prefix: Network,
        vrf: usize,
        gateway: &At<DraftVia>,
    ) -> Result<usize, ConfigError> {
        let DraftVia {
            address, ref zone, ..
        } = gateway.value;
        let fail = |text: String| Err(gateway.error(text));
        if address.is_ipv4() != prefix.address.is_ipv4() {
            return fail(format!("gateway {address} isn't of the family of {prefix}"));
        }
        if let Some(reason) = address::no_host(address) {
            return fail(format!("gateway {address} can't be one: {reason}"));
        }
        if is_link_local(address) {
            return self.link_named(vrf, gateway);
        }
        if let Some(zone) = zone {
            return fail(format!(
                "gateway {address}%{zone}: only link-local addresses (fe80::/64) name their interface"
            ));
        }
        // The gateway is where packets to it would go: the longest match of networks, and of routes
        // that put it on link.
        let mut nearest: Option<(u8, usize)> = None;
        for (at, interface) in self.interfaces.of_vrf(vrf) {
            let network = network_of(interface, address).map_err(|text| gateway.error(text))?;
            nearest = nearest.max(network.map(|len| (len, at)));
        }
        let least = nearest.map_or(0, |(len, _)| len + 1);
        if let Some(interface) = self.routed(vrf, address, least) {
            return Ok(interface);
        }
        if let Some((_, at)) = nearest {
            return Ok(at);
        }
        let Interfaces { all, vrfs } = self.interfaces;
        let on = |i: &&InterfaceConfig| i.addresses.iter().any(|a| a.contains(address));
        let hint = match all.iter().find(on) {
            Some(i) => format!(
                " in vrf {} (did you mean vrf \"{}\"?)",
                vrf::name(vrfs, vrf),
                vrf::name(vrfs, i.vrf)
            ),
            None => String::new(),
        };
        fail(format!(
            "gateway {address} isn't on the network of any interface{hint}"
        ))
    }

    /// Returns the interface on whose link a route of at least this length puts an address.
    fn routed(&self, vrf: usize, address: IpAddr, least: u8) -> Option<usize> {
        if self.on_link.is_empty() {
            return None;
        }
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefixes = (least..=longest)
            .rev()
            .map(|len| Network { address, len }.masked());
        let mut found = prefixes.map(|prefix| self.on_link.get(&(vrf, prefix)).copied());
        found.find_map(|found| found)
    }

    /// Like [`link_of`](Self::link_of), for a link-local gateway, which has to name its interface.
    fn link_named(&self, vrf: usize, gateway: &At<DraftVia>) -> Result<usize, ConfigError> {
        let DraftVia {
            address, ref zone, ..
        } = gateway.value;
        let fail = |text: String| Err(gateway.error(text));
        let has_v6 = |i: &&InterfaceConfig| i.addresses.iter().any(|a| a.address.is_ipv6());
        let Some(zone) = zone else {
            let example = self.interfaces.all.iter().find(has_v6);
            let example = example.map_or("wan", |i| &i.name);
            return fail(format!(
                "gateway {address} is link-local and must name its interface \
                 (did you mean \"{address}%{example}\"?)"
            ));
        };
        let (at, interface) = self.interfaces.with_link(gateway.line, zone)?;
        self.interfaces.same_vrf(gateway.line, interface, vrf)?;
        if !has_v6(&interface) {
            return fail(format!(
                "gateway {address}: {zone} has no IPv6 address (fe80::1/64 would do)"
            ));
        }
        if interface.addresses.iter().any(|a| a.address == address) {
            return fail(format!(
                "gateway {address} is this router (interface {zone})"
            ));
        }
        Ok(at)
    }
}

/// Link-local addresses (RFC 3927 2.7). In practice, networks of links and routes contain parts of
/// the range, so only a route for the whole range is rejected.
const LINK_LOCAL: Network = Network {
    address: IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)),
    len: 16,
};

/// Fails if packets to a prefix are never forwarded. Routes that drop them are allowed.
pub(crate) fn forwardable(prefix: Network) -> Result<(), String> {
    if prefix == LINK_LOCAL {
        return Err(format!(
            "route {prefix}: addresses of one link, of which a part may have a route"
        ));
    }
    let inside = |network: &Network| network.len <= prefix.len && network.contains(prefix.address);
    match NEVER.iter().find(|(network, _)| inside(network)) {
        Some((_, what)) => Err(format!("route {prefix}: {what} are never forwarded to")),
        None => Ok(()),
    }
}

/// Returns the length of the longest network of an interface that a gateway is on; `None` if it is
/// on none.
fn network_of(interface: &InterfaceConfig, gateway: IpAddr) -> Result<Option<u8>, String> {
    let mut longest = None;
    let name = &interface.name;
    for network in &interface.addresses {
        if network.address == gateway {
            return Err(format!(
                "gateway {gateway} is this router (interface {name})"
            ));
        }
        if !network.contains(gateway) {
            continue;
        }
        let is_end = network.v4().is_some_and(|n| {
            let ends = [n.broadcast(), n.network_address()];
            ends.into_iter().flatten().any(|end| end == gateway)
        });
        if is_end {
            return Err(format!(
                "gateway {gateway} isn't a host address of {network}"
            ));
        }
        // The gateway may also be in the network of another address.
        if !interface.addresses.iter().any(|a| a.address == gateway) {
            longest = longest.max(Some(network.len));
        }
    }
    Ok(longest)
}
