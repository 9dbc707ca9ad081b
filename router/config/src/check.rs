//! Whether a draft makes sense as a whole.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::draft::{At, Draft, DraftInterface, DraftNeighbor, DraftRoute, DraftTarget};
use super::gateway::{Gateways, OnLink};
use super::model::{
    Attachment, Config, InterfaceConfig, NeighborConfig, RouteConfig, RouteFile, RouteTarget,
};
use super::suggest::did_you_mean;
use super::vrf::{Vrfs, same_vrf};
use super::{ConfigError, attachment, router_advert};
use wire::addr::Network;
use wire::ipv6::{self, MIN_MTU};

pub(crate) fn check(mut draft: Draft) -> Result<Config, ConfigError> {
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
    attachment::arrange(&mut draft.interfaces)?;
    let vrfs = Vrfs::new(draft.vrfs)?;
    let vrf_of: Vec<usize> = draft
        .interfaces
        .iter()
        .map(|i| vrfs.chosen(i.vrf.as_ref()))
        .collect::<Result<_, _>>()?;
    addresses(&draft.interfaces, &vrf_of)?;

    let names: Vec<&str> = draft.interfaces.iter().map(|i| i.name.as_str()).collect();
    let mut sources = Vec::with_capacity(names.len());
    for interface in &draft.interfaces {
        let source = interface.source.as_ref();
        let at = source.map(|name| Ok((named(&names, name)?, name.line)));
        sources.push(at.transpose()?);
    }
    let names: Vec<String> = draft.interfaces.iter().map(|i| i.name.clone()).collect();
    let mut interfaces = Vec::with_capacity(draft.interfaces.len());
    let of_interfaces = sources.iter().zip(vrf_of);
    for (i, (source, vrf)) in draft.interfaces.into_iter().zip(of_interfaces) {
        interfaces.push(InterfaceConfig {
            advertise: router_advert::check(&i)?,
            name: i.name,
            attachment: attachment::resolve(&i.attachment.value, &names),
            addresses: i.addresses.into_iter().map(|a| a.value).collect(),
            mtu: i.mtu,
            rpf: i.rpf,
            allow: i.allow,
            source: source.map(|(at, _)| at),
            vrf,
            dad_transmits: i.dad_transmits,
            icmp_error_rate: i.icmp_error_rate,
        });
    }
    for (interface, source) in interfaces.iter().zip(&sources) {
        if let Some((at, line)) = *source {
            same_vrf(&vrfs.0, interfaces.get(at), interface.vrf, line)?;
        }
    }
    let names: Vec<&str> = interfaces.iter().map(|i| i.name.as_str()).collect();
    let connected: Vec<_> = (0..vrfs.0.len())
        .map(|vrf| networks(&interfaces, vrf))
        .collect();
    let on_link = on_link(&draft.routes, &names, &vrfs)?;
    let mut routes: Vec<RouteConfig> = Vec::with_capacity(draft.routes.len());
    let mut seen: BTreeMap<(usize, Network), u32> = BTreeMap::new();
    for route in &draft.routes {
        let At {
            line,
            value: prefix,
        } = route.prefix;
        let vrf = vrfs.chosen(route.vrf.as_ref())?;
        not_a_route(line, prefix, connected.get(vrf).map_or(&[], Vec::as_slice))?;
        if let Some(first) = seen.insert((vrf, prefix), line) {
            let text = format!("route {prefix} is already on line {first}");
            return Err(ConfigError::new(line, text));
        }
        let beyond = match &route.via_vrf {
            Some(name) => vrfs.named(name)?,
            None => vrf,
        };
        let target = match &route.target {
            DraftTarget::Via(gateways) => {
                let there = Gateways {
                    interfaces: &interfaces,
                    on_link: &on_link,
                    names: &names,
                    vrfs: &vrfs.0,
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
                not_a_loopback(&interfaces, at, name.line)?;
                same_vrf(&vrfs.0, interfaces.get(at), beyond, name.line)?;
                RouteTarget::Interface(at)
            }
            DraftTarget::Blackhole => RouteTarget::Blackhole,
            DraftTarget::Unreachable => RouteTarget::Unreachable,
            DraftTarget::Prohibit => RouteTarget::Prohibit,
        };
        let mtu = route.mtu.as_ref().map(|at| at.value);
        if let Some(At { line, value: mtu }) = route.mtu {
            let leads_on = matches!(target, RouteTarget::Via(_) | RouteTarget::Interface(_));
            let least = if prefix.address.is_ipv6() { MIN_MTU } else { 0 };
            if !leads_on {
                let text = format!("route {prefix} leads to no next hop and has no \"mtu\"");
                return Err(ConfigError::new(line, text));
            }
            if usize::from(mtu) < least {
                let text = format!("{prefix}: IPv6 needs an MTU of {MIN_MTU} bytes, not {mtu}");
                return Err(ConfigError::new(line, text));
            }
        }
        routes.push(RouteConfig {
            prefix,
            vrf,
            target,
            mtu,
        });
    }
    let lines: Vec<u32> = draft.routes.iter().map(|r| r.prefix.line).collect();
    vrfs.no_circles(&connected, &routes, &lines)?;
    let mut route_files = Vec::with_capacity(draft.route_files.len());
    for file in draft.route_files {
        route_files.push(RouteFile {
            vrf: vrfs.chosen(file.vrf.as_ref())?,
            path: file.path.value,
        });
    }

    let mut neighbors: Vec<NeighborConfig> = Vec::with_capacity(draft.neighbors.len());
    for entry in &draft.neighbors {
        let checked = neighbor(&interfaces, &names, &routes, entry)?;
        let same =
            |n: &&NeighborConfig| n.interface == checked.interface && n.address == checked.address;
        if neighbors.iter().find(same).is_some() {
            let text = format!("neighbor {} is given twice", checked.address);
            return Err(ConfigError::new(entry.address.line, text));
        }
        neighbors.push(checked);
    }

    Ok(Config {
        hostname,
        interfaces,
        vrfs: vrfs.0,
        routes,
        route_files,
        neighbors,
    })
}

/// The networks on the links of a table's interfaces, with the interfaces' names.
pub(crate) fn networks(interfaces: &[InterfaceConfig], vrf: usize) -> Vec<(Network, &str)> {
    let all = interfaces.iter().filter(|i| i.vrf == vrf);
    all.flat_map(|i| i.addresses.iter().map(|a| (a.masked(), i.name.as_str())))
        .collect()
}

/// Refuses what can't be the prefix of a route: one with more bits than its length says, and
/// those of the links themselves.
pub(crate) fn not_a_route(
    line: u32,
    prefix: Network,
    connected: &[(Network, &str)],
) -> Result<(), ConfigError> {
    let masked = prefix.masked();
    if masked != prefix {
        let text = format!("route {prefix} has host bits set (did you mean \"{masked}\"?)");
        return Err(ConfigError::new(line, text));
    }
    if let Some((_, owner)) = connected.iter().find(|(n, _)| *n == prefix) {
        let text = format!("route {prefix} is the network of interface {owner}");
        return Err(ConfigError::new(line, text));
    }
    Ok(())
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

pub(crate) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

pub(crate) fn named(names: &[&str], wanted: &At<String>) -> Result<usize, ConfigError> {
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

pub(crate) fn not_a_loopback(
    interfaces: &[InterfaceConfig],
    at: usize,
    line: u32,
) -> Result<(), ConfigError> {
    match interfaces.get(at) {
        Some(i) if i.attachment == Attachment::Loopback => Err(ConfigError::new(
            line,
            format!("{} is a loopback: nobody is there", i.name),
        )),
        _ => Ok(()),
    }
}

/// What routes put on the links of interfaces.
fn on_link(routes: &[DraftRoute], names: &[&str], vrfs: &Vrfs) -> Result<Vec<OnLink>, ConfigError> {
    let mut on_link = Vec::new();
    for route in routes.iter().filter(|r| r.via_vrf.is_none()) {
        if let DraftTarget::Interface(name) = &route.target {
            on_link.push(OnLink {
                vrf: vrfs.chosen(route.vrf.as_ref())?,
                prefix: route.prefix.value,
                interface: named(names, name)?,
            });
        }
    }
    Ok(on_link)
}

fn neighbor(
    interfaces: &[InterfaceConfig],
    names: &[&str],
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
    let vrf = interfaces.get(interface).map(|i| i.vrf);
    let own = interfaces
        .iter()
        .enumerate()
        .filter(|&(_, i)| Some(i.vrf) == vrf)
        .filter(|&(at, _)| at == interface || !is_link_local(address))
        .flat_map(|(_, i)| &i.addresses)
        .any(|a| a.address == address);
    if own {
        return fail(
            entry.address.line,
            format!("neighbor {address} is this router"),
        );
    }
    let on_link = interfaces.get(interface).is_some_and(|i| {
        let here =
            |n: Network| n.contains(address) || (is_link_local(address) && n.address.is_ipv6());
        i.addresses.iter().any(|a| here(*a))
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
