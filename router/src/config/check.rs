//! Whether a draft makes sense as a whole.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attach::DraftAttachment;
use super::draft::{At, Draft, DraftInterface, DraftNeighbor, DraftTarget, DraftVia};
use super::model::{Config, InterfaceConfig, NeighborConfig, RouteConfig, RouteTarget, Via};
use super::suggest::did_you_mean;
use super::vrf::Vrfs;
use super::{ConfigError, advertise, attach};
use crate::addr::Network;
use crate::wire::ipv6::{self, MIN_MTU};

pub(super) fn check(mut draft: Draft) -> Result<Config, ConfigError> {
    let hostname = draft.hostname.unwrap_or_else(|| String::from("ringway"));
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    if hostname.is_empty() || hostname.len() > 63 || !hostname.bytes().all(legal) {
        let text = format!("hostname \"{hostname}\" isn't 1 to 63 letters, digits, \"-\" or \".\"");
        return Err(ConfigError::new(0, text));
    }
    if draft.interfaces.is_empty() {
        return Err(ConfigError::new(
            0,
            "no interface is configured ([interface.NAME])",
        ));
    }
    for interface in &draft.interfaces {
        interface_name(interface)?;
    }
    attach::arrange(&mut draft.interfaces)?;
    let vrfs = Vrfs::new(draft.vrfs)?;
    let vrf_of: Vec<usize> = draft
        .interfaces
        .iter()
        .map(|i| vrfs.chosen(i.vrf.as_ref()))
        .collect::<Result<_, _>>()?;
    addresses(&draft.interfaces, &vrf_of)?;

    let names: Vec<&str> = draft.interfaces.iter().map(|i| i.name.as_str()).collect();
    let mut routes: Vec<RouteConfig> = Vec::with_capacity(draft.routes.len());
    let mut seen: BTreeMap<(usize, Network), u32> = BTreeMap::new();
    let mut lines = Vec::with_capacity(draft.routes.len());
    for route in &draft.routes {
        let At {
            line,
            value: prefix,
        } = route.prefix;
        if prefix.masked() != prefix {
            let text = format!(
                "route {prefix} has host bits set (did you mean \"{}\"?)",
                prefix.masked()
            );
            return Err(ConfigError::new(line, text));
        }
        let vrf = vrfs.chosen(route.vrf.as_ref())?;
        lines.push(line);
        if let Some(first) = seen.insert((vrf, prefix), line) {
            let text = format!("route {prefix} is already on line {first}");
            return Err(ConfigError::new(line, text));
        }
        let here = draft.interfaces.iter().zip(&vrf_of);
        if let Some((owner, _)) = here
            .filter(|&(_, &of)| of == vrf)
            .find(|(i, _)| i.addresses.iter().any(|a| a.value.masked() == prefix))
        {
            let text = format!("route {prefix} is the network of interface {}", owner.name);
            return Err(ConfigError::new(line, text));
        }
        let beyond = match &route.via_vrf {
            Some(name) => vrfs.named(name)?,
            None => vrf,
        };
        let target = match &route.target {
            DraftTarget::Via(gateways) => {
                let there = Gateways {
                    interfaces: &draft.interfaces,
                    names: &names,
                    vrfs: &vrfs,
                    vrf: beyond,
                };
                let gateways = gateways.iter().map(|gateway| there.via(prefix, gateway));
                RouteTarget::Via(gateways.collect::<Result<_, _>>()?)
            }
            DraftTarget::Vrf(name) => {
                if beyond == vrf {
                    let text = format!("route {prefix} leads to the vrf that it is in");
                    return Err(ConfigError::new(name.line, text));
                }
                RouteTarget::Vrf(beyond)
            }
            DraftTarget::Interface(name) => {
                let at = named(&names, name)?;
                not_a_loopback(&draft.interfaces, at, name.line)?;
                vrfs.same(draft.interfaces.get(at), beyond, name.line)?;
                RouteTarget::Interface(at)
            }
            DraftTarget::Blackhole => RouteTarget::Blackhole,
            DraftTarget::Unreachable => RouteTarget::Unreachable,
            DraftTarget::Prohibit => RouteTarget::Prohibit,
        };
        routes.push(RouteConfig {
            prefix,
            vrf,
            target,
        });
    }
    let networks = draft.interfaces.iter().zip(&vrf_of);
    let networks = networks.flat_map(|(i, &vrf)| i.addresses.iter().map(move |a| (vrf, a.value)));
    vrfs.no_circles(&networks.collect::<Vec<_>>(), &routes, &lines)?;

    let mut neighbors: Vec<NeighborConfig> = Vec::with_capacity(draft.neighbors.len());
    for entry in &draft.neighbors {
        let checked = neighbor(&draft.interfaces, &names, &vrf_of, &routes, entry)?;
        let same =
            |n: &&NeighborConfig| n.interface == checked.interface && n.address == checked.address;
        if neighbors.iter().find(same).is_some() {
            let text = format!("neighbor {} is given twice", checked.address);
            return Err(ConfigError::new(entry.address.line, text));
        }
        neighbors.push(checked);
    }

    let mut sources = Vec::with_capacity(draft.interfaces.len());
    for (interface, &vrf) in draft.interfaces.iter().zip(&vrf_of) {
        let Some(name) = &interface.source else {
            sources.push(None);
            continue;
        };
        let at = named(&names, name)?;
        vrfs.same(draft.interfaces.get(at), vrf, name.line)?;
        sources.push(Some(at));
    }
    let names: Vec<String> = draft.interfaces.iter().map(|i| i.name.clone()).collect();
    let mut interfaces = Vec::with_capacity(draft.interfaces.len());
    let of_interfaces = sources.into_iter().zip(vrf_of);
    for (i, (source, vrf)) in draft.interfaces.into_iter().zip(of_interfaces) {
        interfaces.push(InterfaceConfig {
            advertise: advertise::check(&i)?,
            name: i.name,
            attachment: attach::resolve(&i.attachment.value, &names),
            addresses: i.addresses.into_iter().map(|a| a.value).collect(),
            mtu: i.mtu,
            rpf: i.rpf,
            source,
            vrf,
            dad_transmits: i.dad_transmits,
        });
    }
    Ok(Config {
        hostname,
        interfaces,
        vrfs: vrfs.0,
        routes,
        neighbors,
    })
}

fn interface_name(interface: &DraftInterface) -> Result<(), ConfigError> {
    let name = &interface.name;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 31 || !name.bytes().all(legal) {
        let text =
            format!("interface name \"{name}\" isn't 1 to 31 letters, digits, \"-\" or \"_\"");
        return Err(ConfigError::new(interface.line, text));
    }
    Ok(())
}

fn addresses(interfaces: &[DraftInterface], vrf_of: &[usize]) -> Result<(), ConfigError> {
    let mut seen: Vec<(&str, usize, Network)> = Vec::new();
    for (interface, &vrf) in interfaces.iter().zip(vrf_of) {
        for &At {
            line,
            value: network,
        } in &interface.addresses
        {
            let fail = |text: String| Err(ConfigError::new(line, text));
            if let Some(reason) = not_an_interface_address(network) {
                return fail(format!("{network} can't be an interface address: {reason}"));
            }
            if network.address.is_ipv6()
                && let Some(mtu) = interface.mtu.filter(|&mtu| usize::from(mtu) < MIN_MTU)
            {
                return fail(format!(
                    "{network}: IPv6 needs an MTU of {MIN_MTU} bytes, that of {} is {mtu}",
                    interface.name
                ));
            }
            // The same link-local network is on every link.
            if is_link_local(network.address) {
                let mut locals = interface.addresses.iter().map(|a| a.value);
                if locals.any(|n| is_link_local(n.address) && n != network) {
                    let name = &interface.name;
                    return fail(format!("{name} has more than one link-local address"));
                }
                continue;
            }
            for &(name, _, other) in seen.iter().filter(|&&(_, of, _)| of == vrf) {
                if other.address == network.address {
                    return fail(format!(
                        "{} is already an address of {name}",
                        network.address
                    ));
                }
                let same_link = name == interface.name && other.masked() == network.masked();
                if other.overlaps(network) && !same_link {
                    return fail(format!("{network} overlaps {other} of {name}"));
                }
            }
            seen.push((&interface.name, vrf, network));
        }
    }
    Ok(())
}

/// Why no interface can have this address, if so.
fn not_an_interface_address(network: Network) -> Option<&'static str> {
    match network.address {
        IpAddr::V4(address) => {
            let v4 = network.v4()?;
            if v4.len == 0 {
                Some("the prefix length is 0")
            } else if !is_host4(address) {
                Some("not a unicast address")
            } else if v4.network_address() == Some(address) {
                Some("it is the address of the network itself")
            } else if v4.broadcast() == Some(address) {
                Some("it is the broadcast address of its network")
            } else {
                None
            }
        }
        IpAddr::V6(address) => {
            let v6 = network.v6()?;
            if v6.len == 0 {
                Some("the prefix length is 0")
            } else if !is_host6(address) {
                Some("not a unicast address")
            } else if address.is_unicast_link_local() && v6.len != 64 {
                Some("the link-local network is fe80::/64")
            } else if v6.anycast() == Some(address) {
                Some("it means any router of its network")
            } else {
                None
            }
        }
    }
}

/// Whether a host can have this address.
fn is_host4(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..=255)
}

fn is_host6(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !ipv6::is_martian_source(address)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn named(names: &[&str], wanted: &At<String>) -> Result<usize, ConfigError> {
    names
        .iter()
        .position(|n| *n == wanted.value)
        .ok_or_else(|| {
            let hint = did_you_mean(&wanted.value, names.iter().copied());
            ConfigError::new(
                wanted.line,
                format!("no interface \"{}\"{hint}", wanted.value),
            )
        })
}

fn not_a_loopback(interfaces: &[DraftInterface], at: usize, line: u32) -> Result<(), ConfigError> {
    match interfaces.get(at) {
        Some(i) if i.attachment.value == DraftAttachment::Loopback => Err(ConfigError::new(
            line,
            format!("{} is a loopback: nobody is there", i.name),
        )),
        _ => Ok(()),
    }
}

/// Where gateways of a route can be: on the networks of a table's interfaces.
struct Gateways<'a> {
    interfaces: &'a [DraftInterface],
    names: &'a [&'a str],
    vrfs: &'a Vrfs,
    vrf: usize,
}

impl Gateways<'_> {
    fn via(&self, prefix: Network, gateway: &At<DraftVia>) -> Result<Via, ConfigError> {
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
        for (interface, draft) in self.interfaces.iter().enumerate() {
            if self.vrfs.chosen(draft.vrf.as_ref())? != self.vrf {
                continue;
            }
            for network in draft.addresses.iter().map(|a| a.value) {
                if network.address == address {
                    return fail(format!(
                        "gateway {address} is this router (interface {})",
                        draft.name
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
                    let own = draft.addresses.iter().any(|a| a.value.address == address);
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
        let on = |i: &&DraftInterface| i.addresses.iter().any(|a| a.value.contains(address));
        let hint = match self.interfaces.iter().find(on) {
            Some(i) => {
                let vrf = self.vrfs.chosen(i.vrf.as_ref())?;
                let here = self.vrfs.name(self.vrf);
                format!(
                    " in vrf {here} (did you mean vrf \"{}\"?)",
                    self.vrfs.name(vrf)
                )
            }
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
        let has_v6 = |i: &&DraftInterface| i.addresses.iter().any(|a| a.value.address.is_ipv6());
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
        self.vrfs
            .same(interfaces.get(interface), self.vrf, gateway.line)?;
        match interfaces.get(interface).filter(has_v6) {
            None => fail(format!(
                "gateway {address}: {} has no IPv6 address (fe80::1/64 would do)",
                zone.value
            )),
            Some(i) if i.addresses.iter().any(|a| a.value.address == address) => fail(format!(
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

fn neighbor(
    interfaces: &[DraftInterface],
    names: &[&str],
    vrf_of: &[usize],
    routes: &[RouteConfig],
    entry: &DraftNeighbor,
) -> Result<NeighborConfig, ConfigError> {
    let interface = named(names, &entry.interface)?;
    not_a_loopback(interfaces, interface, entry.interface.line)?;
    let address = entry.address.value;
    let fail = |line, text: String| Err(ConfigError::new(line, text));
    if !entry.mac.value.is_station() {
        let text = format!("{} can't be a neighbor's MAC address", entry.mac.value);
        return fail(entry.mac.line, text);
    }
    let own = interfaces
        .iter()
        .enumerate()
        .filter(|&(at, _)| at == interface || !is_link_local(address))
        .filter(|&(at, _)| vrf_of.get(at) == vrf_of.get(interface))
        .flat_map(|(_, i)| &i.addresses)
        .any(|a| a.value.address == address);
    if own {
        return fail(
            entry.address.line,
            format!("neighbor {address} is this router"),
        );
    }
    let on_link = interfaces.get(interface).is_some_and(|i| {
        let here =
            |n: Network| n.contains(address) || (is_link_local(address) && n.address.is_ipv6());
        i.addresses.iter().any(|a| here(a.value))
    });
    let routed = routes
        .iter()
        .any(|r| r.target == RouteTarget::Interface(interface) && r.prefix.contains(address));
    if !on_link && !routed {
        let text = format!(
            "neighbor {address} isn't on the link of {}",
            entry.interface.value
        );
        return fail(entry.address.line, text);
    }
    Ok(NeighborConfig {
        interface,
        address,
        mac: entry.mac.value,
    })
}
