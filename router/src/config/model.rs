//! The checked configuration.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use crate::addr::{Ipv6Network, Mac, Network};

/// A complete configuration that can be applied as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The router's name, shown in the prompt.
    pub hostname: String,
    /// The interfaces; an index into this is an [`InterfaceId`](crate::InterfaceId).
    pub interfaces: Vec<InterfaceConfig>,
    /// Static routes of both families.
    pub routes: Vec<RouteConfig>,
    /// Files in the ramdisk's archive with more of them, for
    /// [`Router::read_route_files`](crate::Router::read_route_files).
    pub route_files: Vec<String>,
    /// Static neighbours of both families.
    pub neighbors: Vec<NeighborConfig>,
}

/// One interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceConfig {
    /// The name the user chose.
    pub name: String,
    /// The vif it is.
    pub attachment: Attachment,
    /// Its addresses with the networks on its link, of both families; the first of a family
    /// is the primary one.
    pub addresses: Vec<Network>,
    /// The largest IP packet to send, in bytes; `None` takes what the link offers.
    pub mtu: Option<u16>,
    /// What is asked of the sources of packets from this interface.
    pub rpf: Option<ReversePath>,
    /// How often others are asked whether they have one of the IPv6 addresses before it is
    /// used (DupAddrDetectTransmits, RFC 4862 5.1).
    pub dad_transmits: u8,
    /// The router advertisements sent there, if any.
    pub advertise: Option<AdvertiseConfig>,
}

/// Whether packets may come from where their source isn't (RFC 3704 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReversePath {
    /// The source must be routed to the interface that the packet came from; with several
    /// gateways, by one of them.
    Strict,
    /// The source must be routed somewhere.
    Loose,
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
    /// How long hosts are to believe in a neighbour, in ms; 0 leaves it to them.
    pub reachable_time_ms: u32,
    /// How long hosts are to wait for an answer, in ms; 0 leaves it to them.
    pub retrans_timer_ms: u32,
    /// The MTU hosts are to use, in bytes, if smaller than the link's.
    pub mtu: Option<u16>,
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
    /// How long these two are valid, in seconds.
    pub dns_lifetime_s: u32,
}

/// Which of several routers is better (RFC 4191 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preference {
    /// Better than others.
    High,
    /// The usual.
    Medium,
    /// Only if there is no other.
    Low,
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

/// A more specific route through this router (RFC 4191 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteInformation {
    /// The destinations; no bit beyond the length is set.
    pub prefix: Ipv6Network,
    /// Which of several such routes is better.
    pub preference: Preference,
    /// How long it is valid, in seconds.
    pub lifetime_s: u32,
}

impl AdvertiseConfig {
    /// What an interface that stops to advertise says: nothing but that it does.
    pub(crate) fn silent() -> Self {
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
            preference: Preference::Medium,
            prefixes: Vec::new(),
            routes: Vec::new(),
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_lifetime_s: 0,
        }
    }
}

/// How an interface finds its vif.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// By its number, 0 to 15.
    Vif(u8),
    /// By its MAC address.
    Mac(Mac),
}

/// One static route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteConfig {
    /// The destinations; no bit beyond the length is set.
    pub prefix: Network,
    /// What is done with packets to them.
    pub target: RouteTarget,
    /// The largest packet that may go there, in bytes, if less than the interface's.
    pub mtu: Option<u16>,
}

/// What a route does with a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteTarget {
    /// Sends it to a gateway; with several, flows are spread over them by weight.
    Via(Vec<Via>),
    /// Sends it to its destination on the link of this interface (an index).
    Interface(usize),
    /// Drops it without a word.
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

/// One static neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighborConfig {
    /// The interface it is reached through (an index).
    pub interface: usize,
    /// Its address.
    pub address: IpAddr,
    /// Its Ethernet address.
    pub mac: Mac,
}

impl Config {
    /// A configuration without interfaces, for a router whose real one can't be used:
    /// everything is dropped.
    pub fn empty() -> Self {
        Self {
            hostname: String::from("ringway"),
            interfaces: Vec::new(),
            routes: Vec::new(),
            route_files: Vec::new(),
            neighbors: Vec::new(),
        }
    }
}
