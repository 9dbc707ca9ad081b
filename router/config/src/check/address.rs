//! Addresses of interfaces, with the networks on their links.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::Places;
use crate::draft::{At, DraftInterface};
use crate::error::ConfigError;
use crate::model::InterfaceConfig;
use wire::addr::Network;
use wire::ipv6::{self, MIN_MTU};

/// The addresses that interfaces have.
struct Used<'a> {
    all: Vec<(&'a InterfaceConfig, Network)>,
    /// The index in `all` of each address, as a network of length 0.
    addresses: Places,
    /// The index of the first address of each network.
    networks: Places,
}

pub(super) fn check(interfaces: &mut [DraftInterface]) -> Result<(), ConfigError> {
    let mut used = Used {
        all: Vec::new(),
        addresses: Places::new(),
        networks: Places::new(),
    };
    for interface in &*interfaces {
        for address in &interface.addresses {
            legal(&interface.config, address)?;
            // The same link-local network is on every link.
            if is_link_local(address.value.address) {
                one_link_local(interface, address)?;
                continue;
            }
            let added = used.add(&interface.config, address.value);
            added.map_err(|text| address.error(text))?;
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

impl<'a> Used<'a> {
    /// Adds an address. Fails if its routing table has the same address already, or a network that
    /// overlaps with the address's, unless both are on the same link and the networks are equal or
    /// one is a single address.
    fn add(&mut self, interface: &'a InterfaceConfig, network: Network) -> Result<(), String> {
        let vrf = interface.vrf;
        let (address, at) = (network.address, self.all.len());
        let key = Network { address, len: 0 };
        if let Some(&other) = self.addresses.get(&(vrf, key)) {
            let name = self.all.get(other).map_or("?", |(i, _)| &i.name);
            return Err(format!("{address} is already an address of {name}"));
        }
        let whole = network.masked();
        // A network that is known already has been compared with all networks inside it.
        let inside = match self.networks.contains_key(&(vrf, whole)) {
            true => None,
            false => Some(self.networks.range((vrf, whole)..)),
        };
        let inside = inside.into_iter().flatten();
        let inside = inside.take_while(|&(&(of, one), _)| of == vrf && whole.contains(one.address));
        let around = (1..=whole.len).filter_map(|len| {
            let around = Network { len, ..whole }.masked();
            self.networks.get_key_value(&(vrf, around))
        });
        for (&(_, one), &other) in inside.chain(around) {
            let Some(&(owner, other)) = self.all.get(other) else {
                continue;
            };
            let same_link = owner.name == interface.name
                && (one == whole || is_single(one) || is_single(whole));
            if !same_link {
                return Err(format!("{network} overlaps {other} of {}", owner.name));
            }
        }
        self.addresses.insert((vrf, key), at);
        self.networks.entry((vrf, whole)).or_insert(at);
        self.all.push((interface, network));
        Ok(())
    }
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
