//! Snapshots of the router's state as values, for the console, telemetry and tests.
//!
//! A snapshot doesn't borrow from the router, nor follow later changes.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::counters::Counters;
use crate::interface::Interface;
use crate::interface::acd::Acd;
use crate::interface::addresses::DadState;
use crate::interface::machines::Machines;
use crate::neighbor::table::State;
use crate::router::Router;
use config::{Attachment, RouteTarget};
use wire::addr::{Ipv6Network, Mac, Network};
use wire::vlan::Tag;

/// An interface.
#[derive(Clone, Debug)]
pub struct InterfaceSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// Its link is up.
    pub up: bool,
    /// What it is.
    pub attachment: AttachmentSnapshot,
    /// Its MAC address, while its link is up. `None` if it needs none.
    pub mac: Option<Mac>,
    /// The largest IP packet that it sends, in bytes.
    pub mtu: u16,
    /// Warnings about settings that the link's MTU doesn't permit, one line each.
    pub mtu_warnings: Vec<String>,
    /// Its routing table. `None` if there is only one.
    pub vrf: Option<String>,
    /// Its addresses: configured ones in their order, then generated ones.
    pub addresses: Vec<AddressSnapshot>,
    /// What happened to its frames.
    pub counters: Counters,
}

/// What an interface is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttachmentSnapshot {
    /// The vif with this number.
    Vif(u8),
    /// The vif that has a certain MAC address.
    Mac,
    /// A VLAN of another interface.
    Vlan {
        /// That interface.
        parent: String,
        /// The tag of its frames.
        tag: Tag,
    },
    /// No link.
    Loopback,
}

/// An address of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressSnapshot {
    /// The address with its prefix length.
    pub network: Network,
    /// `true` if it can be used.
    pub state: AddressState,
}

/// The state of an address: whether it is used, and why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressState {
    /// Used; no conflict is known.
    Usable,
    /// Used, although a host with this MAC address uses it as well (RFC 5227, or detected by
    /// Neighbor Discovery).
    Conflict(Mac),
    /// Not used yet: duplicate address detection is in progress (RFC 4862 5.4).
    Tentative,
    /// Not used: it is a duplicate (RFC 4862 5.4).
    Duplicate,
    /// Not used: IPv6 is disabled on the link, because the address derived from the MAC address is
    /// a duplicate (RFC 4862 5.4.5), or the link's MTU is less than IPv6 needs (RFC 8200 5).
    Ipv6Disabled,
}

/// One routing table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteTableSnapshot {
    /// Connected networks, then configured routes in their order, without those of route files.
    pub routes: Vec<RouteSnapshot>,
    /// Route files.
    pub files: Vec<RouteFileSnapshot>,
    /// The IPv4 forwarding table.
    pub ipv4: FibSnapshot,
    /// The IPv6 forwarding table.
    pub ipv6: FibSnapshot,
}

/// One route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSnapshot {
    /// Destinations.
    pub prefix: Network,
    /// The target.
    pub target: TargetSnapshot,
    /// The route's MTU, in bytes; `None` for the link's.
    pub mtu: Option<u16>,
}

/// The target of a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetSnapshot {
    /// A connected network.
    Connected(PortSnapshot),
    /// On link, without a gateway.
    OnLink(PortSnapshot),
    /// Gateways.
    Via(Vec<NextHopSnapshot>),
    /// Another routing table, by its name.
    Vrf(String),
    /// Packets are dropped silently.
    Blackhole,
    /// Packets are dropped, and reported as network unreachable.
    Unreachable,
    /// Packets are dropped, and reported as administratively prohibited.
    Prohibit,
}

/// An outgoing interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortSnapshot {
    /// Its name.
    pub interface: String,
    /// Its link is up.
    pub up: bool,
}

/// A gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextHopSnapshot {
    /// Its address.
    pub address: IpAddr,
    /// Where it is.
    pub port: PortSnapshot,
    /// Its weight among several gateways.
    pub weight: u8,
}

/// A file of routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteFileSnapshot {
    /// Its path in the ramdisk.
    pub path: String,
    /// How many routes were in it.
    pub routes: usize,
}

/// A forwarding table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FibSnapshot {
    /// Routes that can be used now.
    pub routes: usize,
    /// Prefixes in the forwarding table, the router's own among them.
    pub prefixes: usize,
    /// Memory it takes, in bytes.
    pub bytes: usize,
}

/// A routing table's place in the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VrfSnapshot {
    /// Its name.
    pub name: String,
    /// Configured routes in it, without those of files.
    pub static_routes: usize,
    /// The interfaces that use it.
    pub interfaces: Vec<String>,
}

/// A neighbor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighborSnapshot {
    /// Its address.
    pub address: IpAddr,
    /// The interface on whose link it is.
    pub interface: String,
    /// Its MAC address. `None` if it isn't known now.
    pub mac: Option<Mac>,
    /// What is known about it.
    pub state: NeighborState,
    /// Packets that wait for its MAC address.
    pub waiting: usize,
}

/// What is known about a neighbor: the states of RFC 4861 7.3.2, for ARP as well, and a few more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NeighborState {
    /// Only the address is known, and it hasn't been solicited.
    Idle,
    /// Being solicited by broadcast or multicast.
    Incomplete,
    /// Reachability was confirmed recently.
    Reachable,
    /// Reachability hasn't been confirmed for some time.
    Stale,
    /// A packet was sent to it after it was stale; it will be probed soon.
    Delay,
    /// Being solicited by unicast.
    Probe,
    /// Didn't answer.
    Failed,
    /// Configured.
    Static,
}

/// All counters.
#[derive(Clone, Debug)]
pub struct CountersSnapshot {
    /// Of each interface, with its name.
    pub interfaces: Vec<(String, Counters)>,
    /// Frames that wait in the router.
    pub pending: usize,
}

/// Returns all interfaces, in the order of the configuration.
#[must_use]
pub fn interfaces(router: &Router) -> Vec<InterfaceSnapshot> {
    let config = router.config();
    let vrf_of = |vrf: usize| config.vrfs.get(vrf).cloned().unwrap_or_default();
    let several = config.vrfs.len() > 1;
    let all = router.state.ids.iter().zip(&config.interfaces);
    all.filter_map(|(id, interface)| {
        let link = router.tables.interface(id)?;
        let machines = router.state.machines.get(id.index())?;
        Some(InterfaceSnapshot {
            name: interface.name.clone(),
            up: link.up,
            attachment: attachment(router, interface.attachment),
            mac: (link.up && link.mac != Mac::default()).then_some(link.mac),
            mtu: link.mtu,
            mtu_warnings: link.mtu_warnings(interface),
            vrf: several.then(|| vrf_of(interface.vrf)),
            addresses: addresses(&interface.addresses, link, machines),
            counters: router.counters(id).unwrap_or_default(),
        })
    })
    .collect()
}

/// Returns a routing table, by its index in [`config::Config::vrfs`]. `None` if there is no such
/// table.
#[must_use]
pub fn routes(router: &Router, vrf: usize) -> Option<RouteTableSnapshot> {
    let config = router.config();
    config.vrfs.get(vrf)?;
    let mut routes = Vec::new();
    for (at, interface) in config.interfaces.iter().enumerate() {
        if interface.vrf != vrf {
            continue;
        }
        let networks = interface.addresses.iter();
        for network in networks.filter(|network| !is_link_local(network.address)) {
            routes.push(RouteSnapshot {
                prefix: network.masked(),
                target: TargetSnapshot::Connected(port(router, at)),
                mtu: None,
            });
        }
    }
    let configured = config.routes.iter().filter(|route| route.vrf == vrf);
    routes.extend(configured.map(|route| RouteSnapshot {
        prefix: route.prefix,
        target: target(router, &route.target),
        mtu: route.mtu,
    }));
    let files = config.route_files.iter().zip(&router.state.route_files);
    let files = files.filter(|(file, _)| file.vrf == vrf);
    let tables = router.tables.vrfs.get(router.state.vrf_ids.of(vrf)?);
    let rib = tables.rib.read();
    let (four, six) = (&rib.v4, &rib.v6);
    Some(RouteTableSnapshot {
        routes,
        files: files
            .map(|(file, &routes)| RouteFileSnapshot {
                path: file.path.clone(),
                routes,
            })
            .collect(),
        ipv4: FibSnapshot {
            routes: four.routes(),
            prefixes: four.table().len(),
            bytes: four.table().bytes() + tables.fib.bytes(),
        },
        ipv6: FibSnapshot {
            routes: six.routes(),
            prefixes: six.table().len(),
            bytes: six.table().bytes(),
        },
    })
}

/// Returns the routing tables, in the order of the configuration; the default one is the first.
#[must_use]
pub fn vrfs(router: &Router) -> Vec<VrfSnapshot> {
    let config = router.config();
    (0..)
        .zip(&config.vrfs)
        .map(|(vrf, name)| {
            let interfaces = config.interfaces.iter().filter(|it| it.vrf == vrf);
            VrfSnapshot {
                name: name.clone(),
                static_routes: config.routes.iter().filter(|it| it.vrf == vrf).count(),
                interfaces: interfaces.map(|it| it.name.clone()).collect(),
            }
        })
        .collect()
}

/// Returns the number of neighbors.
#[must_use]
pub fn neighbor_count(router: &Router) -> usize {
    router.state.neighbors.iter().count()
}

/// Returns the neighbors, in no particular order.
#[must_use]
pub fn neighbors(router: &Router) -> Vec<NeighborSnapshot> {
    neighbors_from(router, 0, usize::MAX).0
}

/// Returns the neighbors in at most `most` places of the table, from place `start` on, and the place to
/// go on from; `None` if there are no more. So a long table is read in parts between which the router
/// does other things: a neighbor that stays meanwhile is in exactly one of them.
#[must_use]
pub fn neighbors_from(
    router: &Router,
    start: usize,
    most: usize,
) -> (Vec<NeighborSnapshot>, Option<usize>) {
    let slots = router.state.neighbors.slots();
    let end = start.saturating_add(most).min(slots);
    let found = (start..end).filter_map(|index| neighbor(router, index));
    (found.collect(), (end < slots).then_some(end))
}

fn neighbor(router: &Router, index: usize) -> Option<NeighborSnapshot> {
    let entry = router.state.neighbors.entry(index)?;
    let mac = router.tables.adjacencies.mac(index);
    Some(NeighborSnapshot {
        address: entry.address,
        interface: match router.state.ids.index_of(entry.interface) {
            Some(index) => name_of(router, index),
            None => String::from("?"),
        },
        mac: mac.filter(|_| entry.state.is_known()),
        state: state_of(entry.state)?,
        waiting: entry.queue.len(),
    })
}

/// Returns all counters. Those of lanes have to be collected before ([`Router::gather_counters`]).
#[must_use]
pub fn counters(router: &Router) -> CountersSnapshot {
    let names = router.config().interfaces.iter();
    CountersSnapshot {
        interfaces: router
            .state
            .ids
            .iter()
            .zip(names)
            .filter_map(|(id, it)| Some((it.name.clone(), router.counters(id)?)))
            .collect(),
        pending: router.pending(),
    }
}

fn name_of(router: &Router, index: usize) -> String {
    let interface = router.config().interfaces.get(index);
    interface.map_or(String::from("?"), |it| it.name.clone())
}

fn port(router: &Router, index: usize) -> PortSnapshot {
    PortSnapshot {
        interface: name_of(router, index),
        up: router
            .tables
            .interfaces
            .get(index)
            .is_some_and(|link| link.up),
    }
}

fn attachment(router: &Router, attachment: Attachment) -> AttachmentSnapshot {
    match attachment {
        Attachment::Vif(vif) => AttachmentSnapshot::Vif(vif),
        Attachment::Mac(_) => AttachmentSnapshot::Mac,
        Attachment::Loopback => AttachmentSnapshot::Loopback,
        Attachment::Vlan { parent, tag } => AttachmentSnapshot::Vlan {
            parent: name_of(router, parent),
            tag,
        },
    }
}

/// Returns the addresses of an interface: `configured`, and those that the router made.
fn addresses(
    configured: &[Network],
    link: &Interface,
    machines: &Machines,
) -> Vec<AddressSnapshot> {
    let given = configured.iter().map(|&network| AddressSnapshot {
        network,
        state: match network.address {
            IpAddr::V4(address) => ipv4_state(&machines.acd, address),
            IpAddr::V6(_) => AddressState::Usable,
        },
    });
    let mut addresses: Vec<AddressSnapshot> = given.collect();
    for (network, state) in ipv6_states(link) {
        let other = machines.conflicts6.mac_of(network.address.into());
        let state = match (state, other) {
            (AddressState::Usable, Some(mac)) => AddressState::Conflict(mac),
            (state, _) => state,
        };
        let network = Network {
            address: IpAddr::V6(network.address),
            len: network.len,
        };
        match addresses.iter_mut().find(|it| it.network == network) {
            Some(known) => known.state = state,
            None => addresses.push(AddressSnapshot { network, state }),
        }
    }
    addresses
}

fn ipv4_state(acd: &Acd, address: Ipv4Addr) -> AddressState {
    let other = acd.conflicting_mac(address);
    other.map_or(AddressState::Usable, AddressState::Conflict)
}

/// Returns the states of IPv6 addresses, while the link is up.
fn ipv6_states(link: &Interface) -> impl Iterator<Item = (Ipv6Network, AddressState)> {
    let all = link.v6.iter().chain(&link.disabled6);
    let all = all.flat_map(|v6| v6.iter()).filter(|_| link.up);
    all.map(|address| {
        let state = match address.state {
            DadState::Duplicate => AddressState::Duplicate,
            _ if link.disabled6.is_some() => AddressState::Ipv6Disabled,
            DadState::Tentative => AddressState::Tentative,
            DadState::Unique => AddressState::Usable,
        };
        (address.network, state)
    })
}

fn target(router: &Router, target: &RouteTarget) -> TargetSnapshot {
    match target {
        RouteTarget::Blackhole => TargetSnapshot::Blackhole,
        RouteTarget::Unreachable => TargetSnapshot::Unreachable,
        RouteTarget::Prohibit => TargetSnapshot::Prohibit,
        RouteTarget::Vrf(to) => {
            let name = router.config().vrfs.get(*to);
            TargetSnapshot::Vrf(name.map_or(String::from("?"), String::clone))
        }
        RouteTarget::Interface(at) => TargetSnapshot::OnLink(port(router, *at)),
        RouteTarget::Via(gateways) => {
            let gateways = gateways.iter().map(|via| NextHopSnapshot {
                address: via.address,
                port: port(router, via.interface),
                weight: via.weight,
            });
            TargetSnapshot::Via(gateways.collect())
        }
    }
}

/// `None` for an entry that is no neighbor.
fn state_of(state: State) -> Option<NeighborState> {
    Some(match state {
        State::Free => return None,
        State::Idle => NeighborState::Idle,
        State::Incomplete(_) => NeighborState::Incomplete,
        State::Reachable => NeighborState::Reachable,
        State::Stale => NeighborState::Stale,
        State::Delay => NeighborState::Delay,
        State::Probe(_) => NeighborState::Probe,
        State::Failed => NeighborState::Failed,
        State::Static => NeighborState::Static,
    })
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if Ipv6Addr::is_unicast_link_local(&address))
}
