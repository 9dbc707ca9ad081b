//! The router's limits: neighbors with a reserved entry, and groups of gateways.

use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::Places;
use crate::draft::{DraftNeighbor, DraftRoute};
use crate::error::ConfigError;
use crate::limits::{MAX_GROUPS, MAX_INTERFACES, MAX_NEIGHBORS};
use crate::model::{InterfaceConfig, NeighborConfig, RouteConfig, RouteTarget, Via};
use wire::addr::Network;

/// Fails if the configuration exceeds a limit.
pub(super) fn check(
    interfaces: &[InterfaceConfig],
    (routes, drafts): (&[RouteConfig], &[DraftRoute]),
    (neighbors, neighbor_drafts): (&[NeighborConfig], &[DraftNeighbor]),
) -> Result<(), ConfigError> {
    let mut all = Neighbors {
        interfaces,
        known: Places::new(),
        counts: [[0; 2]; MAX_INTERFACES],
    };
    for (at, interface) in interfaces.iter().enumerate() {
        let networks = interface.addresses.iter().filter_map(|a| a.v4());
        for end in networks.filter_map(|n| n.broadcast()) {
            if interface.allow.directed_broadcast {
                all.add(0, at, end.into())?;
            }
        }
    }
    for (neighbor, draft) in neighbors.iter().zip(neighbor_drafts) {
        all.add(draft.address.line, neighbor.interface, neighbor.address)?;
    }
    let mut groups = Groups::default();
    for (route, draft) in routes.iter().zip(drafts) {
        let line = draft.target.line;
        if let RouteTarget::Via(gateways) = &route.target {
            for via in gateways {
                all.add(line, via.interface, via.address)?;
            }
        }
        groups.add(route);
        if groups.count > MAX_GROUPS {
            let prefix = route.prefix;
            let text = format!(
                "route {prefix}: more than {MAX_GROUPS} different groups of gateways, or of \
                 gateways with an \"mtu\""
            );
            return Err(ConfigError::new(line, text));
        }
    }
    Ok(())
}

/// The neighbors that have a reserved entry.
struct Neighbors<'a> {
    interfaces: &'a [InterfaceConfig],
    known: Places,
    /// Of each interface, for IPv4 and IPv6.
    counts: [[usize; 2]; MAX_INTERFACES],
}

impl Neighbors<'_> {
    fn add(&mut self, line: u32, interface: usize, address: IpAddr) -> Result<(), ConfigError> {
        let place = (interface, Network { address, len: 0 });
        if self.known.insert(place, 0).is_some() {
            return Ok(());
        }
        let counts = self.counts.get_mut(interface);
        let Some(count) = counts.and_then(|c| c.get_mut(usize::from(address.is_ipv6()))) else {
            return Ok(());
        };
        *count += 1;
        if *count <= MAX_NEIGHBORS {
            return Ok(());
        }
        let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
        let name = self.interfaces.get(interface).map_or("?", |i| &i.name);
        let text = format!(
            "{address}: more than {MAX_NEIGHBORS} {family} gateways and static neighbors on {name}"
        );
        Err(ConfigError::new(line, text))
    }
}

/// Groups of next hops, each counted once: a tree whose edges are members.
#[derive(Default)]
struct Groups {
    /// Maps a node and a member to the next node. A member is a gateway, with its weight as the
    /// length, or, at the end, the MTU.
    nodes: Places,
    count: usize,
}

impl Groups {
    /// Adds the target of a route if it is a group.
    fn add(&mut self, route: &RouteConfig) {
        let mut node = 0;
        match &route.target {
            RouteTarget::Via(gateways) if gateways.len() > 1 || route.mtu.is_some() => {
                let key = |via: &Via| (via.interface, via.address, via.weight);
                // There are few, so the code of a sort isn't worth its size.
                let mut members: Vec<Via> = Vec::with_capacity(gateways.len());
                for via in gateways {
                    let at = members.partition_point(|other| key(other) < key(via));
                    members.insert(at, *via);
                }
                for via in members {
                    let (address, len) = (via.address, via.weight);
                    node = self.next(node, via.interface, Network { address, len });
                }
            }
            RouteTarget::Interface(at) if route.mtu.is_some() => {
                let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                node = self.next(node, *at, Network { address, len: 0 });
            }
            _ => return,
        }
        let mtu = Ipv4Addr::from_bits(route.mtu.unwrap_or(0).into());
        let nodes = self.nodes.len();
        self.next(
            node,
            MAX_INTERFACES,
            Network {
                address: mtu.into(),
                len: 0,
            },
        );
        self.count += usize::from(self.nodes.len() > nodes);
    }

    /// Returns the node that a member leads to from a node, creating it if necessary.
    fn next(&mut self, node: usize, interface: usize, member: Network) -> usize {
        let new = self.nodes.len() + 1;
        let edge = node * (MAX_INTERFACES + 1) + interface;
        *self.nodes.entry((edge, member)).or_insert(new)
    }
}
