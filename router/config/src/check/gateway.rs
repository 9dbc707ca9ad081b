//! Gateways of routes: on which link each is.

use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

use super::ConfigError;
use super::check::{is_link_local, named, not_a_loopback};
use super::draft::{At, DraftVia};
use super::model::{InterfaceConfig, Via};
use super::vrf::{same_vrf, vrf_name};
use wire::addr::Network;

/// What a route puts on the link of an interface (an index).
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnLink {
    /// The table of the route.
    pub(crate) vrf: usize,
    pub(crate) prefix: Network,
    pub(crate) interface: usize,
}

/// Where gateways of a route can be: on the links of a table's interfaces.
pub(crate) struct Gateways<'a> {
    pub(crate) interfaces: &'a [InterfaceConfig],
    pub(crate) on_link: &'a [OnLink],
    pub(crate) names: &'a [&'a str],
    /// The names of all tables.
    pub(crate) vrfs: &'a [String],
    pub(crate) vrf: usize,
}

impl Gateways<'_> {
    /// The link of a gateway of a route for `prefix`.
    pub(crate) fn via(&self, prefix: Network, gateway: &At<DraftVia>) -> Result<Via, ConfigError> {
        let DraftVia {
            address,
            ref zone,
            weight,
        } = gateway.value;
        let fail = |text: String| Err(ConfigError::new(gateway.line, text));
        if address.is_ipv4() != prefix.address.is_ipv4() {
            return fail(format!("gateway {address} isn't of the family of {prefix}"));
        }
        if is_link_local(address) {
            return self.link_local_via(gateway);
        }
        if let Some(zone) = zone {
            return fail(format!(
                "gateway {address}%{zone}: only link-local addresses (fe80::/64) name their interface"
            ));
        }
        let interfaces = self.interfaces.iter().enumerate();
        for (interface, config) in interfaces.filter(|(_, i)| i.vrf == self.vrf) {
            for network in config.addresses.iter().copied() {
                if network.address == address {
                    return fail(format!(
                        "gateway {address} is this router (interface {})",
                        config.name
                    ));
                }
                if network.contains(address) {
                    let end = network.v4().is_some_and(|n| {
                        n.broadcast().map(IpAddr::V4) == Some(address)
                            || n.network_address().map(IpAddr::V4) == Some(address)
                    });
                    if end {
                        return fail(format!(
                            "gateway {address} isn't a host address of {network}"
                        ));
                    }
                    // Another address of this network may still turn out to be the gateway.
                    let own = config.addresses.iter().any(|a| a.address == address);
                    if !own {
                        return Ok(Via {
                            address,
                            interface,
                            weight,
                        });
                    }
                }
            }
        }
        // A route may put it on a link, beside a single address there.
        let nearest = self
            .on_link
            .iter()
            .filter(|o| o.vrf == self.vrf && o.prefix.contains(address))
            .max_by_key(|o| o.prefix.len);
        if let Some(&OnLink { interface, .. }) = nearest {
            return Ok(Via {
                address,
                interface,
                weight,
            });
        }
        let on = |i: &&InterfaceConfig| i.addresses.iter().any(|a| a.contains(address));
        let hint = match self.interfaces.iter().find(on) {
            Some(i) => format!(
                " in vrf {} (did you mean vrf \"{}\"?)",
                vrf_name(self.vrfs, self.vrf),
                vrf_name(self.vrfs, i.vrf)
            ),
            None => String::new(),
        };
        fail(format!(
            "gateway {address} isn't on the network of any interface{hint}"
        ))
    }

    /// A gateway whose address means something on its link only.
    fn link_local_via(&self, gateway: &At<DraftVia>) -> Result<Via, ConfigError> {
        let Self {
            interfaces, names, ..
        } = *self;
        let DraftVia {
            address,
            ref zone,
            weight,
        } = gateway.value;
        let fail = |text: String| Err(ConfigError::new(gateway.line, text));
        let has_v6 = |i: &&InterfaceConfig| i.addresses.iter().any(|a| a.address.is_ipv6());
        let Some(zone) = zone else {
            let example = interfaces.iter().find(has_v6).map_or("wan", |i| &i.name);
            return fail(format!(
                "gateway {address} is link-local and must name its interface (did you mean \"{address}%{example}\"?)"
            ));
        };
        let zone = At {
            line: gateway.line,
            value: zone.clone(),
        };
        let interface = named(names, &zone)?;
        not_a_loopback(interfaces, interface, gateway.line)?;
        same_vrf(self.vrfs, interfaces.get(interface), self.vrf, gateway.line)?;
        match interfaces.get(interface).filter(has_v6) {
            None => fail(format!(
                "gateway {address}: {} has no IPv6 address (fe80::1/64 would do)",
                zone.value
            )),
            Some(i) if i.addresses.iter().any(|a| a.address == address) => fail(format!(
                "gateway {address} is this router (interface {})",
                zone.value
            )),
            Some(_) => Ok(Via {
                address,
                interface,
                weight,
            }),
        }
    }
}
