//! The checked configuration.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use crate::error::Warning;
use wire::addr::{Ipv6Network, Mac, Network};
use wire::ndp_router_advert::{Preference, RouteInformation};
use wire::vlan::Tag;

/// The name of the default routing table.
pub const DEFAULT_VRF: &str = "default";

/// The default hostname.
pub(crate) const DEFAULT_HOSTNAME: &str = "ringway";

// Defaults.

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
    /// The interfaces: vifs first, then the others, each after its parent. Other fields refer to
    /// interfaces by index.
    pub interfaces: Vec<InterfaceConfig>,
    /// The names of the routing tables (VRFs), the default one first.
    pub vrfs: Vec<String>,
    /// Static routes of both families.
    pub routes: Vec<RouteConfig>,
    /// Route files in the ramdisk's archive, for [`read_route_file`].
    ///
    /// [`read_route_file`]: crate::read_route_file
    pub route_files: Vec<RouteFile>,
    /// Static neighbors of both families.
    pub neighbors: Vec<NeighborConfig>,
    /// Warnings for the operator, in the order of lines.
    pub warnings: Vec<Warning>,
}

/// One interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceConfig {
    /// The name the user chose.
    pub name: String,
    /// What the interface is attached to.
    pub attachment: Attachment,
    /// Its addresses of both families with their prefix lengths; the first of each family is the
    /// primary one.
    pub addresses: Vec<Network>,
    /// The MTU, in bytes; `None` for the link's.
    pub mtu: Option<u16>,
    /// The index of its routing table in [`Config::vrfs`].
    pub vrf: usize,
    /// The mode of reverse-path filtering; `None` if it is off.
    pub rpf: Option<ReversePath>,
    /// Features that are off by default.
    pub allow: Allowed,
    /// The index of the interface from whose addresses ICMP errors about packets received here are
    /// sent; `None` for this interface.
    pub source: Option<usize>,
    /// The number of solicitations sent by duplicate address detection (DupAddrDetectTransmits, RFC
    /// 4862 5.1); 0 to disable it.
    pub dad_transmits: u8,
    /// The limit of ICMP errors per second about packets received here (RFC 1812 4.3.2.8, RFC 4443
    /// 2.4 (f)), with bursts of half as many; 0 for none.
    pub icmp_error_rate: u32,
    /// The maximum number of neighbors of each family, in addition to configured ones; `None` to
    /// derive it from the memory.
    pub neighbor_limit: Option<u32>,
    /// The router advertisements sent there; `None` for none.
    pub advertise: Option<AdvertiseConfig>,
}

impl InterfaceConfig {
    /// Creates an interface with defaults: attached to nothing, without addresses.
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

/// Features of an interface that are off by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allowed {
    /// Directed broadcasts to its networks are forwarded (RFC 2644).
    pub directed_broadcast: bool,
    /// Redirects are sent to hosts on its link (RFC 1812 5.2.7.2, RFC 4861 8.2).
    pub redirects: bool,
    /// Source routes of packets received here are followed (RFC 1812 5.3.13.4).
    pub source_route: bool,
    /// ARP requests for hosts reached through other interfaces are answered (RFC 1027).
    pub proxy_arp: bool,
}

/// A mode of reverse-path filtering (RFC 3704 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReversePath {
    /// The route to the source must lead to the interface that the packet arrived on; with several
    /// gateways, through one of them.
    Strict,
    /// The same, or a less specific route to the source other than the default route must lead
    /// there (2.3, RFC 8704 2.3).
    Feasible,
    /// There must be a route to the source.
    Loose,
    /// There must be a route to the source other than the default route (2.5).
    LooseIgnoringDefault,
}

/// Router advertisements (RFC 4861 6.2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdvertiseConfig {
    /// The minimum interval, in seconds (MinRtrAdvInterval).
    pub min_interval_s: u16,
    /// The maximum interval, in seconds (MaxRtrAdvInterval).
    pub max_interval_s: u16,
    /// The router lifetime, in seconds; 0 if it isn't a default router (AdvDefaultLifetime).
    pub lifetime_s: u16,
    /// Addresses are available via DHCPv6 (AdvManagedFlag).
    pub managed: bool,
    /// Other configuration is available via DHCPv6 (AdvOtherConfigFlag).
    pub other: bool,
    /// The hop limit for hosts; 0 if unspecified (AdvCurHopLimit).
    pub hop_limit: u8,
    /// The reachable time for hosts, in milliseconds; 0 if unspecified (AdvReachableTime).
    pub reachable_time_ms: u32,
    /// The retransmission timer for hosts, in milliseconds; 0 if unspecified (AdvRetransTimer).
    pub retrans_timer_ms: u32,
    /// The MTU for hosts, in bytes; `None` for the link's (AdvLinkMTU).
    pub mtu: Option<u16>,
    /// The router is a default router only while it has a usable default route itself (RFC 7084 G-4,
    /// G-5).
    pub needs_default_route: bool,
    /// The preference as a default router (RFC 4191).
    pub preference: Preference,
    /// The prefixes of the link.
    pub prefixes: Vec<PrefixConfig>,
    /// More specific routes through this router (RFC 4191).
    pub routes: Vec<RouteInformation>,
    /// Recursive DNS servers (RFC 8106).
    pub dns: Vec<Ipv6Addr>,
    /// The DNS search list (RFC 8106).
    pub dns_search: Vec<String>,
    /// The lifetime of the servers and search list, in seconds.
    pub dns_lifetime_s: u32,
}

/// A prefix of the link (RFC 4861 4.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixConfig {
    /// The prefix; no bit beyond the length is set.
    pub prefix: Ipv6Network,
    /// AdvOnLinkFlag.
    pub on_link: bool,
    /// Hosts may use it for stateless address autoconfiguration (AdvAutonomousFlag, RFC 4862).
    pub autonomous: bool,
    /// AdvValidLifetime, in seconds.
    pub valid_lifetime_s: u32,
    /// AdvPreferredLifetime, in seconds.
    pub preferred_lifetime_s: u32,
}

impl PrefixConfig {
    /// Creates a prefix with defaults.
    pub fn new(prefix: Ipv6Network) -> Self {
        Self {
            prefix,
            on_link: true,
            // Interface identifiers on Ethernet have 64 bits (RFC 2464 4).
            autonomous: prefix.len == 64,
            valid_lifetime_s: VALID_LIFETIME_S,
            preferred_lifetime_s: PREFERRED_LIFETIME_S,
        }
    }
}

impl AdvertiseConfig {
    /// Returns the contents of final advertisements: a lifetime of 0, and nothing else.
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

/// What an interface is attached to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// The vif with this number, 0 to 15.
    Vif(u8),
    /// The vif with this MAC address.
    Mac(Mac),
    /// Nothing: a loopback interface, which is always up.
    Loopback,
    /// A VLAN: the frames of another interface that have this tag.
    Vlan {
        /// The index of the parent interface, which may be a VLAN itself.
        parent: usize,
        /// The tag.
        tag: Tag,
    },
}

/// A route file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteFile {
    /// Its name in the ramdisk's archive.
    pub path: String,
    /// The index of its routing table in [`Config::vrfs`].
    pub vrf: usize,
}

/// One static route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteConfig {
    /// The destinations; no bit beyond the length is set.
    pub prefix: Network,
    /// The index of its routing table in [`Config::vrfs`].
    pub vrf: usize,
    /// The target.
    pub target: RouteTarget,
    /// The MTU, in bytes; `None` for the interface's.
    pub mtu: Option<u16>,
}

/// The target of a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteTarget {
    /// A gateway, or several over which flows are spread by weight.
    Via(Vec<Via>),
    /// On link: packets are sent to their destinations on the link of the interface with this
    /// index.
    Interface(usize),
    /// Another routing table, an index into [`Config::vrfs`], in which destinations are looked up.
    Vrf(usize),
    /// Packets are dropped silently.
    Blackhole,
    /// Packets are dropped, and reported as network unreachable.
    Unreachable,
    /// Packets are dropped, and reported as administratively prohibited.
    Prohibit,
}

/// One gateway of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Via {
    /// The gateway's address, on the link of one of the interfaces.
    pub address: IpAddr,
    /// The index of the interface on whose link it is.
    pub interface: usize,
    /// Its share of the flows, 1 to 255.
    pub weight: u8,
}

/// One static neighbor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighborConfig {
    /// The index of the interface on whose link it is.
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

    /// Returns `true` if interface `at` corresponds to interface `other_at` of another
    /// configuration: it has the same name, and the same vif and tags.
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

    /// Returns a configuration without interfaces, which is used when the real one is invalid.
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
