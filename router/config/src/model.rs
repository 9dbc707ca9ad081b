//! The checked configuration.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use crate::error::Warning;
use wire::addr::{Ipv6Network, Mac, Network};
use wire::ndp_router_advert::{Preference, RouteInformation};
use wire::vlan::Tag;

/// The routing table of interfaces and routes that name no other.
pub const DEFAULT_VRF: &str = "default";

/// What a router is called that has no other name.
pub(crate) const DEFAULT_HOSTNAME: &str = "ringway";

// What holds where a configuration says nothing else.

/// DupAddrDetectTransmits (RFC 4862 5.1).
const DAD_TRANSMITS: u8 = 1;
/// ICMP errors a second. Traceroute and mtr need a few dozen at once and some ten a second each.
const ICMP_ERROR_RATE: u32 = 200;
/// AdvValidLifetime (RFC 4861 6.2.1).
const VALID_LIFETIME_S: u32 = 2_592_000;
/// AdvPreferredLifetime.
const PREFERRED_LIFETIME_S: u32 = 604_800;

/// A complete configuration that can be applied as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The router's name, shown in the prompt.
    pub hostname: String,
    /// The interfaces: first those that are vifs, then the others, each behind its parent. An
    /// index into this names one.
    pub interfaces: Vec<InterfaceConfig>,
    /// The names of the routing tables (VRF): first that of the default one, then the others.
    pub vrfs: Vec<String>,
    /// Static routes of both families.
    pub routes: Vec<RouteConfig>,
    /// Files in the ramdisk's archive with more of them, for [`read_route_file`].
    ///
    /// [`read_route_file`]: crate::read_route_file
    pub route_files: Vec<RouteFile>,
    /// Static neighbors of both families.
    pub neighbors: Vec<NeighborConfig>,
    /// What should be written otherwise, in the order of lines, for whoever looks after the router.
    pub warnings: Vec<Warning>,
}

/// One interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceConfig {
    /// The name the user chose.
    pub name: String,
    /// The vif it is, or the interface it is a part of.
    pub attachment: Attachment,
    /// Its addresses with the networks on its link, of both families; the first of a family
    /// is the primary one.
    pub addresses: Vec<Network>,
    /// The largest IP packet to send, in bytes; `None` for what the link offers.
    pub mtu: Option<u16>,
    /// The routing table that it uses, an index into [`Config::vrfs`].
    pub vrf: usize,
    /// What is asked of the sources of packets from this interface; `None` for nothing.
    pub rpf: Option<ReversePath>,
    /// What it does only if told to.
    pub allow: Allowed,
    /// The interface (an index) whose addresses ICMP errors about packets from this one come
    /// from; `None` for this one.
    pub source: Option<usize>,
    /// How often others are asked whether they have one of the IPv6 addresses before it is
    /// used (DupAddrDetectTransmits, RFC 4862 5.1).
    pub dad_transmits: u8,
    /// How many ICMP errors about packets from there are sent in a second (RFC 1812 4.3.2.8, RFC 4443
    /// 2.4 (f)), half as many at once; 0 for none.
    pub icmp_error_rate: u32,
    /// How many neighbors of a family it may have, beside those that are configured; `None` for as
    /// many as memory suggests.
    pub neighbor_limit: Option<u32>,
    /// The router advertisements sent there; `None` for none.
    pub advertise: Option<AdvertiseConfig>,
}

impl InterfaceConfig {
    /// Returns an interface with this name that is attached to nothing and has no addresses, with
    /// the values that hold where a configuration says nothing else.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            attachment: Attachment::Loopback,
            addresses: Vec::new(),
            mtu: None,
            vrf: 0,
            rpf: None,
            allow: Allowed::default(),
            source: None,
            dad_transmits: DAD_TRANSMITS,
            icmp_error_rate: ICMP_ERROR_RATE,
            neighbor_limit: None,
            advertise: None,
        }
    }
}

/// What an interface does only if told to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allowed {
    /// Packets from elsewhere go to all hosts of its networks (RFC 2644).
    pub directed_broadcast: bool,
    /// Hosts there are told of next hops on their own link (RFC 1812 5.2.7.2, RFC 4861 8.2).
    pub redirects: bool,
    /// Packets from there may have source routes (RFC 1812 5.3.13.4).
    pub source_route: bool,
    /// It answers ARP there for hosts that are reached through other interfaces (RFC 1027).
    pub proxy_arp: bool,
}

/// Which sources packets from an interface may have (RFC 3704 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReversePath {
    /// The source must be routed to the interface that the packet came from; with several
    /// gateways, by one of them.
    Strict,
    /// The same, or a less specific route for the source must lead there, other than the default one
    /// (2.3, RFC 8704 2.3).
    Feasible,
    /// The source must be routed somewhere.
    Loose,
    /// The same, by another route than the default one (2.5).
    LooseIgnoringDefault,
}

/// Router advertisements (RFC 4861 6.2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdvertiseConfig {
    /// The least time between two of them, in seconds (MinRtrAdvInterval).
    pub min_interval_s: u16,
    /// The most (MaxRtrAdvInterval).
    pub max_interval_s: u16,
    /// How long the router is a default router, in seconds; 0 if it is none
    /// (AdvDefaultLifetime).
    pub lifetime_s: u16,
    /// Addresses are to be had by DHCPv6 (AdvManagedFlag).
    pub managed: bool,
    /// Other things are to be had by DHCPv6 (AdvOtherConfigFlag).
    pub other: bool,
    /// The hop limit hosts are to use; 0 leaves it to them (AdvCurHopLimit).
    pub hop_limit: u8,
    /// How long hosts are to take a neighbor as reachable, in ms; 0 leaves it to them
    /// (AdvReachableTime).
    pub reachable_time_ms: u32,
    /// How long hosts are to wait for an answer, in ms; 0 leaves it to them (AdvRetransTimer).
    pub retrans_timer_ms: u32,
    /// The MTU hosts are to use, in bytes; `None` for the link's.
    pub mtu: Option<u16>,
    /// The router is a default router only while it has a usable default route itself (RFC 7084 G-4,
    /// G-5).
    pub needs_default_route: bool,
    /// Which of several default routers is better (RFC 4191).
    pub preference: Preference,
    /// The prefixes of the link.
    pub prefixes: Vec<PrefixConfig>,
    /// More specific routes through this router (RFC 4191).
    pub routes: Vec<RouteInformation>,
    /// Recursive DNS servers (RFC 8106).
    pub dns: Vec<Ipv6Addr>,
    /// Domains to search for names in (RFC 8106).
    pub dns_search: Vec<String>,
    /// How long the servers and domains are valid, in seconds.
    pub dns_lifetime_s: u32,
}

/// A prefix of the link (RFC 4861 4.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixConfig {
    /// The prefix; no bit beyond the length is set.
    pub prefix: Ipv6Network,
    /// Its addresses are on the link.
    pub on_link: bool,
    /// Hosts may make themselves addresses of it (RFC 4862).
    pub autonomous: bool,
    /// How long it is on the link, and addresses of it valid, in seconds.
    pub valid_lifetime_s: u32,
    /// How long addresses of it are preferred, in seconds.
    pub preferred_lifetime_s: u32,
}

impl PrefixConfig {
    /// Returns a prefix with the values that hold where a configuration says nothing else.
    pub fn new(prefix: Ipv6Network) -> Self {
        Self {
            prefix,
            on_link: true,
            // Hosts on Ethernet need 64 bits for their part (RFC 2464 4).
            autonomous: prefix.len == 64,
            valid_lifetime_s: VALID_LIFETIME_S,
            preferred_lifetime_s: PREFERRED_LIFETIME_S,
        }
    }
}

impl AdvertiseConfig {
    /// Returns what an interface says that stops advertising: nothing but that it does.
    pub fn silent() -> Self {
        Self {
            min_interval_s: 200,
            max_interval_s: 600,
            lifetime_s: 0,
            managed: false,
            other: false,
            hop_limit: 0,
            reachable_time_ms: 0,
            retrans_timer_ms: 0,
            mtu: None,
            needs_default_route: false,
            preference: Preference::Medium,
            prefixes: Vec::new(),
            routes: Vec::new(),
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_lifetime_s: 0,
        }
    }
}

/// Where an interface's frames come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// From a vif, by its number, 0 to 15.
    Vif(u8),
    /// From a vif, by its MAC address.
    Mac(Mac),
    /// From nowhere: the interface has only addresses, which are always up.
    Loopback,
    /// Those of another interface (an index) that have this tag.
    Vlan {
        /// The interface, which may itself be of this kind.
        parent: usize,
        /// The tag.
        tag: Tag,
    },
}

/// A file with routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteFile {
    /// Its name in the ramdisk's archive.
    pub path: String,
    /// The routing table that its routes are in, an index into [`Config::vrfs`].
    pub vrf: usize,
}

/// One static route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteConfig {
    /// The destinations; no bit beyond the length is set.
    pub prefix: Network,
    /// The routing table that it is in, an index into [`Config::vrfs`].
    pub vrf: usize,
    /// What is done with packets to them.
    pub target: RouteTarget,
    /// The largest packet that may go there, in bytes; `None` for the interface's MTU.
    pub mtu: Option<u16>,
}

/// What a route does with a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteTarget {
    /// Sends it to a gateway; with several, flows are spread over them by weight.
    Via(Vec<Via>),
    /// Sends it to its destination on the link of this interface (an index).
    Interface(usize),
    /// Looks its destination up in another routing table, an index into [`Config::vrfs`].
    Vrf(usize),
    /// Drops it, and reports nothing.
    Blackhole,
    /// Drops it and reports the network as unreachable.
    Unreachable,
    /// Drops it and reports communication as administratively prohibited.
    Prohibit,
}

/// One gateway of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Via {
    /// The gateway's address, on the link of one of the interfaces.
    pub address: IpAddr,
    /// The interface on whose link it is (an index).
    pub interface: usize,
    /// Its share of the flows, 1 to 255.
    pub weight: u8,
}

/// One static neighbor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighborConfig {
    /// The interface it is reached through (an index).
    pub interface: usize,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address.
    pub mac: Mac,
}

impl Config {
    /// Returns the number of interfaces that are vifs. They come first.
    pub fn vifs(&self) -> usize {
        let vif =
            |i: &InterfaceConfig| matches!(i.attachment, Attachment::Vif(_) | Attachment::Mac(_));
        self.interfaces.iter().filter(|&i| vif(i)).count()
    }

    /// Returns `true` if interface `at` is in the same place as interface `other_at` of another
    /// configuration: it has the same name, and its frames come from the same vif with the same tags.
    pub fn is_same_place(&self, at: usize, other: &Self, other_at: usize) -> bool {
        match (self.interfaces.get(at), other.interfaces.get(other_at)) {
            (Some(this), Some(that)) if this.name == that.name => {
                match (this.attachment, that.attachment) {
                    (
                        Attachment::Vlan { parent, tag },
                        Attachment::Vlan {
                            parent: other_parent,
                            tag: other_tag,
                        },
                    ) => tag == other_tag && self.is_same_place(parent, other, other_parent),
                    (this, that) => this == that,
                }
            }
            _ => false,
        }
    }

    /// Returns a configuration without interfaces, for a router whose real one can't be used:
    /// everything is dropped.
    pub fn empty() -> Self {
        Self {
            hostname: String::from(DEFAULT_HOSTNAME),
            interfaces: Vec::new(),
            vrfs: alloc::vec![String::from(DEFAULT_VRF)],
            routes: Vec::new(),
            route_files: Vec::new(),
            neighbors: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
