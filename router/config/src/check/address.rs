//! Addresses of interfaces, with the networks on their links.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::draft::{At, DraftInterface};
use crate::error::ConfigError;
use crate::model::InterfaceConfig;
use wire::addr::Network;
use wire::ipv6::{self, MIN_MTU};

/// An address that an interface has.
struct Used<'a> {
    interface: &'a InterfaceConfig,
    network: Network,
}

pub(super) fn check(interfaces: &mut [DraftInterface]) -> Result<(), ConfigError> {
    let mut used = Vec::new();
    for interface in &*interfaces {
        for address in &interface.addresses {
            legal(&interface.config, address)?;
            // The same link-local network is on every link.
            if is_link_local(address.value.address) {
                one_link_local(interface, address)?;
                continue;
            }
            let new = Used {
                interface: &interface.config,
                network: address.value,
            };
            no_overlap(&used, &new).map_err(|text| address.error(text))?;
            used.push(new);
        }
    }
    for interface in interfaces {
        let addresses = interface.addresses.iter().map(|address| address.value);
        interface.config.addresses = addresses.collect();
    }
    Ok(())
}

/// Fails if an interface can't have this address.
fn legal(interface: &InterfaceConfig, address: &At<Network>) -> Result<(), ConfigError> {
    let network = address.value;
    if let Some(reason) = not_an_interface_address(network) {
        let text = format!("{network} can't be an interface address: {reason}");
        return Err(address.error(text));
    }
    let small = interface.mtu.filter(|&mtu| usize::from(mtu) < MIN_MTU);
    if let Some(mtu) = small.filter(|_| network.address.is_ipv6()) {
        return Err(address.error(format!(
            "{network}: IPv6 needs an MTU of {MIN_MTU} bytes, that of {} is {mtu}",
            interface.name
        )));
    }
    Ok(())
}

/// Fails if an interface has another link-local address.
fn one_link_local(interface: &DraftInterface, address: &At<Network>) -> Result<(), ConfigError> {
    let mut all = interface.addresses.iter().map(|other| other.value);
    if all.any(|other| is_link_local(other.address) && other != address.value) {
        let name = &interface.config.name;
        return Err(address.error(format!("{name} has more than one link-local address")));
    }
    Ok(())
}

/// Fails if an address of the same routing table is equal or its network overlaps, but for several
/// addresses of one network on the same link, and single ones within it.
fn no_overlap(used: &[Used<'_>], new: &Used<'_>) -> Result<(), String> {
    let network = new.network;
    let same_vrf = |other: &&Used<'_>| other.interface.vrf == new.interface.vrf;
    for other in used.iter().filter(same_vrf) {
        let name = &other.interface.name;
        if other.network.address == network.address {
            let address = network.address;
            return Err(format!("{address} is already an address of {name}"));
        }
        let (one, whole) = (other.network.masked(), network.masked());
        let same_link =
            *name == new.interface.name && (one == whole || is_single(one) || is_single(whole));
        if other.network.overlaps(network) && !same_link {
            return Err(format!("{network} overlaps {} of {name}", other.network));
        }
    }
    Ok(())
}

/// Returns `true` if a network is a single address.
fn is_single(network: Network) -> bool {
    network.len == if network.address.is_ipv4() { 32 } else { 128 }
}

/// Returns why no interface can have this address; `None` if one can.
fn not_an_interface_address(network: Network) -> Option<&'static str> {
    match network.address {
        IpAddr::V4(address) => {
            let v4 = network.v4()?;
            if v4.len == 0 {
                Some("the prefix length is 0")
            } else if let Some(reason) = no_host(address.into()) {
                Some(reason)
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
            } else if let Some(reason) = no_host(address.into()) {
                Some(reason)
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

/// Returns why no host can have this address; `None` if one can.
pub(super) fn no_host(address: IpAddr) -> Option<&'static str> {
    let is_host = match address {
        IpAddr::V4(address) => !wire::ipv4::is_martian_source(address),
        IpAddr::V6(address) => !address.is_unspecified() && !ipv6::is_martian_source(address),
    };
    (!is_host).then_some("not a unicast address")
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
