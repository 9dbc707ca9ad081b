//! An interface's link: what is known about it, and the router's addresses there.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::interface::acd::Acd;
use crate::interface::mld::Listener;
use crate::interface::router_advert::Advertiser;
use crate::rate_limit::{Rate, RateLimit};
use crate::time::Instant;
use config::{Allowed, Attachment, InterfaceConfig, ReversePath};
use wire::addr::{Ipv4Network, Ipv6Network, Mac, solicited_node};
use wire::ipv6::{ALL_NODES, ALL_ROUTERS};

const SITE_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 2);

/// The state of an interface.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) mac: Mac,
    pub(crate) up: bool,
    /// What the link offers, and what is used of it: the smaller of that and the
    /// configured MTU.
    pub(crate) offered_mtu: u16,
    pub(crate) mtu: u16,
    pub(crate) addresses: Vec<Ipv4Network>,
    /// What others are told and say about its IPv4 addresses.
    pub(crate) acd: Acd,
    pub(crate) rpf: Option<ReversePath>,
    pub(crate) allow: Allowed,
    /// How often ICMP errors may be sent because of what comes from here.
    pub(crate) errors: Option<Rate>,
    /// How many redirects may be sent.
    pub(crate) redirects: RateLimit,
    /// The number of the routing table that is used for what comes from here.
    pub(crate) vrf: u8,
    /// The interface whose addresses ICMP errors come from, if it isn't this one.
    pub(crate) source: Option<usize>,
    /// What IPv6 needs, where the interface has an address of it.
    pub(crate) v6: Option<Link6>,
    /// The same where IPv6 is disabled, because somebody else has the address that is made of
    /// the hardware address, and so probably that one too (RFC 4862 5.4.5).
    pub(crate) disabled6: Option<Link6>,
}

impl Link {
    pub(crate) fn new(config: &InterfaceConfig) -> Self {
        // A loopback is up by itself.
        let up = config.attachment == Attachment::Loopback;
        let mtu = if up { u16::MAX } else { 1500 };
        let mut link = Self {
            mac: Mac::default(),
            up,
            offered_mtu: mtu,
            mtu,
            addresses: config.addresses.iter().filter_map(|a| a.v4()).collect(),
            acd: Acd::default(),
            rpf: config.rpf,
            allow: config.allow,
            errors: Rate::per_second(config.icmp_error_rate),
            redirects: RateLimit::default(),
            vrf: u8::try_from(config.vrf).unwrap_or(0),
            source: config.source,
            v6: Link6::new(config),
            disabled6: None,
        };
        link.set_mtu(config);
        link
    }

    pub(crate) fn set_mtu(&mut self, config: &InterfaceConfig) {
        self.mtu = config.mtu.unwrap_or(u16::MAX).min(self.offered_mtu);
    }

    /// Disables IPv6 if the address made of the hardware address is a duplicate. Whether it was.
    pub(crate) fn disable_duplicate6(&mut self) -> bool {
        let made = self.mac.link_local();
        let duplicate = |v6: &mut Link6| {
            let state = v6.address(made).map(|a| a.state);
            state == Some(DadState::Duplicate)
        };
        let disabled = self.v6.take_if(duplicate);
        let news = disabled.is_some();
        self.disabled6 = disabled.or(self.disabled6.take());
        news
    }

    /// Whether a host on this link can have this address.
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

    /// The IPv4 address to use towards a host: the one in its network, or else the primary
    /// one.
    pub(crate) fn address_towards(&self, host: Ipv4Addr) -> Option<Ipv4Addr> {
        let near = self.addresses.iter().find(|n| n.contains(host));
        near.or(self.addresses.first()).map(|n| n.address)
    }
}

/// Whether an address is known to be used by nobody else (RFC 4862 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DadState {
    /// Asked about so many times; what is next is due then.
    Tentative {
        asked: u8,
        due: Instant,
    },
    Unique,
    Duplicate,
}

/// One of the router's IPv6 addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address6 {
    pub(crate) network: Ipv6Network,
    pub(crate) state: DadState,
}

/// What an interface needs for IPv6.
#[derive(Clone, Debug)]
pub(crate) struct Link6 {
    /// The link-local one too, while the link is up.
    pub(crate) addresses: Vec<Address6>,
    pub(crate) listener: Listener,
    pub(crate) advertiser: Option<Advertiser>,
    /// The link is to learn that the router is no default router any more.
    pub(crate) final_ra_pending: bool,
}

impl Link6 {
    fn new(config: &InterfaceConfig) -> Option<Self> {
        let state = match config.attachment {
            // There is nobody to ask.
            Attachment::Loopback => DadState::Unique,
            _ => DadState::Tentative {
                asked: 0,
                due: Instant(0),
            },
        };
        let networks = config.addresses.iter().filter_map(|a| a.v6());
        let addresses: Vec<Address6> = networks
            .map(|network| Address6 { network, state })
            .collect();
        (!addresses.is_empty()).then(|| Self {
            addresses,
            listener: Listener::default(),
            advertiser: config.advertise.as_ref().map(|_| Advertiser::default()),
            final_ra_pending: false,
        })
    }

    /// Begins with all addresses, unless `old` knew about them.
    pub(crate) fn start(&mut self, now: Instant, mac: Mac, old: Option<&Self>) {
        if self.link_local().is_none() {
            self.addresses.insert(
                0,
                Address6 {
                    network: Ipv6Network {
                        address: mac.link_local(),
                        len: 64,
                    },
                    state: DadState::Duplicate,
                },
            );
        }
        for address in &mut self.addresses {
            let known = old.into_iter().flat_map(|o| &o.addresses);
            let known = known
                .into_iter()
                .find(|a| a.network.address == address.network.address);
            address.state = known.map_or(DadState::Tentative { asked: 0, due: now }, |a| a.state);
        }
        self.listener = match old {
            Some(old) => old.listener.clone(),
            None => Listener::default(),
        };
        self.listener.listen(now, self.groups());
        match (old.and_then(|o| o.advertiser), &mut self.advertiser) {
            (Some(old), Some(new)) => *new = old.again(now),
            (Some(old), None) => self.final_ra_pending = old.has_sent(),
            (None, _) => self.final_ra_pending = false,
        }
    }

    /// The addresses that may be used.
    pub(crate) fn usable(&self) -> impl Iterator<Item = Ipv6Network> {
        self.addresses
            .iter()
            .filter(|a| a.state == DadState::Unique)
            .map(|a| a.network)
    }

    /// The link-local address, in whatever state.
    pub(crate) fn link_local(&self) -> Option<&Address6> {
        let local = |a: &&Address6| a.network.address.is_unicast_link_local();
        self.addresses.iter().find(local)
    }

    /// The link-local address, if it may be used.
    pub(crate) fn source(&self) -> Option<Ipv6Addr> {
        self.usable()
            .map(|n| n.address)
            .find(|a| a.is_unicast_link_local())
    }

    /// One of the router's addresses here, in whatever state.
    pub(crate) fn address(&self, address: Ipv6Addr) -> Option<Address6> {
        self.addresses
            .iter()
            .find(|a| a.network.address == address)
            .copied()
    }

    /// Whether this means any router of one of the networks here (RFC 4291 2.6.1).
    pub(crate) fn is_anycast(&self, address: Ipv6Addr) -> bool {
        self.usable()
            .any(|n| !n.address.is_unicast_link_local() && n.anycast() == Some(address))
    }

    fn has_host(&self, address: Ipv6Addr) -> bool {
        let own = self.address(address).is_some();
        let here = || self.addresses.iter().any(|a| a.network.contains(address));
        !own && (address.is_unicast_link_local() || here()) && !self.is_anycast(address)
    }

    /// The groups listened to that routers with IGMP's like need to know of: not that of all
    /// nodes (RFC 3810 6).
    pub(crate) fn groups(&self) -> Vec<Ipv6Addr> {
        let mut groups = alloc::vec![ALL_ROUTERS, SITE_ROUTERS];
        let ours = || {
            let ours = |a: &&Address6| a.state != DadState::Duplicate;
            self.addresses.iter().filter(ours).map(|a| a.network)
        };
        let anycast = ours().filter_map(|n| n.anycast());
        let own = ours().map(|n| n.address);
        for group in own.chain(anycast).map(solicited_node) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    /// When something is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        let questions = self.addresses.iter().filter_map(|a| match a.state {
            DadState::Tentative { due, .. } => Some(due),
            _ => None,
        });
        let advertiser = self.advertiser.filter(|_| self.source().is_some());
        questions
            .chain(self.listener.due())
            .chain(advertiser.map(|a| a.due()))
            .min()
    }

    /// Whether packets to this group are for the router.
    pub(crate) fn listens_to(&self, group: Ipv6Addr) -> bool {
        group == ALL_NODES || self.groups().contains(&group)
    }
}
