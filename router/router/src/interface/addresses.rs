//! An interface's IPv6 addresses and their states.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use config::{Attachment, InterfaceConfig};
use wire::addr::{Ipv6Network, Mac, solicited_node};
use wire::ipv6::{ALL_NODES, ALL_ROUTERS};

/// The site-local group of all routers (RFC 4291 2.7.1).
const SITE_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 2);

/// The state of an address in Duplicate Address Detection (RFC 4862 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DadState {
    /// Tentative: being probed.
    Tentative,
    /// No duplicate was detected.
    Unique,
    /// Another host uses it.
    Duplicate,
}

/// One of the router's IPv6 addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ipv6Address {
    pub(crate) network: Ipv6Network,
    pub(crate) state: DadState,
}

/// The IPv6 addresses of an interface, including the link-local one while the link is up.
#[derive(Clone, Debug)]
pub(crate) struct Ipv6Addresses(Vec<Ipv6Address>);

impl Ipv6Addresses {
    /// Creates the configured addresses, if there are any.
    pub(crate) fn new(config: &InterfaceConfig) -> Option<Self> {
        let state = match config.attachment {
            // A loopback interface has no neighbors.
            Attachment::Loopback => DadState::Unique,
            _ => DadState::Tentative,
        };
        let networks = config.addresses.iter().filter_map(|a| a.v6());
        let addresses: Vec<_> = networks
            .map(|network| Ipv6Address { network, state })
            .collect();
        (!addresses.is_empty()).then_some(Self(addresses))
    }

    /// Initializes the addresses on a link that came up: all are tentative, except those whose
    /// state `old` has.
    pub(crate) fn start(&mut self, mac: Mac, old: Option<&Self>) {
        if self.link_local().is_none() {
            let network = Ipv6Network {
                address: mac.link_local(),
                len: 64,
            };
            let state = DadState::Tentative;
            self.0.insert(0, Ipv6Address { network, state });
        }
        for address in &mut self.0 {
            let known = old.and_then(|old| old.state(address.network.address));
            address.state = known.unwrap_or(DadState::Tentative);
        }
    }

    /// Returns all addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Ipv6Address> {
        self.0.iter()
    }

    /// Returns the addresses that may be used.
    pub(crate) fn usable(&self) -> impl Iterator<Item = Ipv6Network> {
        let unique = |a: &&Ipv6Address| a.state == DadState::Unique;
        self.iter().filter(unique).map(|a| a.network)
    }

    /// Returns the link-local address, whatever its state.
    fn link_local(&self) -> Option<&Ipv6Address> {
        self.iter()
            .find(|a| a.network.address.is_unicast_link_local())
    }

    /// Returns the link-local address, if it may be used.
    pub(crate) fn source(&self) -> Option<Ipv6Addr> {
        self.usable()
            .map(|n| n.address)
            .find(|a| a.is_unicast_link_local())
    }

    /// Returns the state of one of the router's addresses here; `None` if it isn't one.
    pub(crate) fn state(&self, address: Ipv6Addr) -> Option<DadState> {
        let found = self.iter().find(|a| a.network.address == address);
        found.map(|a| a.state)
    }

    /// Sets the state of an address.
    pub(crate) fn set_state(&mut self, address: Ipv6Addr, state: DadState) {
        for own in &mut self.0 {
            if own.network.address == address {
                own.state = state;
            }
        }
    }

    /// Returns `true` if this is the Subnet-Router anycast address of one of the networks (RFC 4291
    /// 2.6.1).
    pub(crate) fn is_anycast(&self, address: Ipv6Addr) -> bool {
        self.usable()
            .any(|n| !n.address.is_unicast_link_local() && n.anycast() == Some(address))
    }

    /// Returns `true` if a host on this link can have this address.
    pub(crate) fn has_host(&self, address: Ipv6Addr) -> bool {
        // The owner of an address that is a duplicate is a host like others.
        let own = self
            .state(address)
            .is_some_and(|s| s != DadState::Duplicate);
        let here = || self.iter().any(|a| a.network.contains(address));
        !own && (address.is_unicast_link_local() || here()) && !self.is_anycast(address)
    }

    /// Returns the groups that are reported to multicast routers, which excludes all nodes (RFC
    /// 3810 6).
    pub(crate) fn groups(&self) -> Vec<Ipv6Addr> {
        let mut groups = alloc::vec![ALL_ROUTERS, SITE_ROUTERS];
        for group in self.solicited() {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    /// Returns the solicited-node groups of its addresses, anycast ones last, possibly with
    /// repetitions.
    fn solicited(&self) -> impl Iterator<Item = Ipv6Addr> {
        let unicast = || {
            let not_duplicate = |a: &&Ipv6Address| a.state != DadState::Duplicate;
            self.iter().filter(not_duplicate).map(|a| a.network)
        };
        let anycast = unicast().filter_map(|n| n.anycast());
        let addresses = unicast().map(|n| n.address);
        addresses.chain(anycast).map(solicited_node)
    }

    /// Returns `true` if packets to this group are for the router.
    pub(crate) fn listens_to(&self, group: Ipv6Addr) -> bool {
        let all = [ALL_NODES, ALL_ROUTERS, SITE_ROUTERS];
        all.contains(&group) || self.solicited().any(|own| own == group)
    }
}
