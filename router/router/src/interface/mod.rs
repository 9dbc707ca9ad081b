//! Interfaces: what lanes read of them, and the protocol machines that each has.

pub(crate) mod acd;
pub(crate) mod addresses;
pub(crate) mod conflicts;
pub(crate) mod dad;
pub(crate) mod ids;
pub(crate) mod links;
pub(crate) mod machines;
pub(crate) mod mld;
pub(crate) mod mtu;
pub(crate) mod output;
pub(crate) mod router_advert;
pub(crate) mod unsolicited;
pub(crate) mod vlan_map;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use config::{Allowed, Attachment, InterfaceConfig, ReversePath};
use wire::addr::{Ipv4Network, Mac};

use crate::frame::InterfaceId;
use crate::rate_limit::SharedRateLimit;
use addresses::{DadState, Ipv6Addresses};

/// The MTU of a vif whose backend doesn't specify one, in bytes.
const DEFAULT_MTU: u16 = 1500;

/// An interface as lanes see it.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    /// Its MAC address.
    pub(crate) mac: Mac,
    /// Its link works.
    pub(crate) up: bool,
    /// The MTU that the link offers, in bytes.
    pub(crate) offered_mtu: u16,
    /// The MTU in use: the smaller of that and the configured one.
    pub(crate) mtu: u16,
    /// Its IPv4 addresses with their networks.
    pub(crate) addresses: Vec<Ipv4Network>,
    /// The mode of reverse-path filtering.
    pub(crate) rpf: Option<ReversePath>,
    /// Enabled features that are off by default.
    pub(crate) allow: Allowed,
    /// How many redirects may be sent.
    pub(crate) redirects: Arc<SharedRateLimit>,
    /// The number of the routing table that is used for what comes from here.
    pub(crate) vrf: u8,
    /// The interface whose addresses ICMP errors come from, if it isn't this one.
    pub(crate) icmp_source: Option<InterfaceId>,
    /// Its IPv6 addresses, where it has any.
    pub(crate) v6: Option<Ipv6Addresses>,
    /// Its IPv6 addresses while IPv6 is disabled: because the address derived from the MAC address
    /// is a duplicate, and so probably the MAC address as well (RFC 4862 5.4.5), or because the
    /// link's MTU is too small for IPv6.
    pub(crate) disabled6: Option<Ipv6Addresses>,
}

impl Interface {
    /// Creates an interface whose link is down, unless it is a loopback, which is up by itself. It
    /// uses the routing table with number `vrf`, and `icmp_source`'s addresses for ICMP errors.
    pub(crate) fn new(config: &InterfaceConfig, vrf: u8, icmp_source: Option<InterfaceId>) -> Self {
        let up = config.attachment == Attachment::Loopback;
        let mtu = if up { u16::MAX } else { DEFAULT_MTU };
        let mut interface = Self {
            mac: Mac::default(),
            up,
            offered_mtu: mtu,
            mtu,
            addresses: config.addresses.iter().filter_map(|a| a.v4()).collect(),
            rpf: config.rpf,
            allow: config.allow,
            redirects: Arc::default(),
            vrf,
            icmp_source,
            v6: Ipv6Addresses::new(config),
            disabled6: None,
        };
        interface.set_mtu(config);
        interface
    }

    /// Returns a placeholder for a number without an interface.
    pub(crate) fn vacant() -> Self {
        Self {
            mac: Mac::default(),
            up: false,
            offered_mtu: DEFAULT_MTU,
            mtu: DEFAULT_MTU,
            addresses: Vec::new(),
            rpf: None,
            allow: Allowed::default(),
            redirects: Arc::default(),
            vrf: 0,
            icmp_source: None,
            v6: None,
            disabled6: None,
        }
    }

    /// Disables IPv6 if the address made of the MAC address is a duplicate. Returns `true` if it
    /// was.
    pub(crate) fn disable_duplicate6(&mut self) -> bool {
        let made = self.mac.link_local();
        let duplicate = |v6: &mut Ipv6Addresses| v6.state(made) == Some(DadState::Duplicate);
        let disabled = self.v6.take_if(duplicate);
        let news = disabled.is_some();
        self.disabled6 = disabled.or(self.disabled6.take());
        news
    }

    /// Lets these of its IPv6 addresses be used.
    pub(crate) fn use_addresses6(&mut self, proven: &[Ipv6Addr]) {
        for &address in proven {
            if let Some(v6) = &mut self.v6 {
                v6.set_state(address, DadState::Unique);
            }
        }
    }

    /// Returns `true` if a host on this link can have this address.
    pub(crate) fn has_host(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.addresses.iter().any(|n| {
                n.contains(address)
                    && n.broadcast() != Some(address)
                    && n.network_address() != Some(address)
            }),
            IpAddr::V6(address) => self.v6.as_ref().is_some_and(|v6| v6.has_host(address)),
        }
    }

    /// Returns the IPv4 address to use towards a host: the one in its network, or else the primary
    /// one.
    pub(crate) fn address_towards(&self, host: Ipv4Addr) -> Option<Ipv4Addr> {
        let near = self.addresses.iter().find(|n| n.contains(host));
        near.or(self.addresses.first()).map(|n| n.address)
    }
}
