//! What there is room for in the router: neighbors that have a place of their own, groups of gateways.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::draft::{At, DraftNeighbor, DraftRoute};
use crate::error::ConfigError;
use crate::limits::{MAX_GROUPS, MAX_NEIGHBORS};
use crate::model::{InterfaceConfig, NeighborConfig, RouteConfig, RouteTarget, Via};

/// Neighbors by interface and family.
struct Neighbors<'a> {
    interfaces: &'a [InterfaceConfig],
    known: BTreeSet<(usize, IpAddr)>,
    counts: BTreeMap<(usize, bool), usize>,
}

impl Neighbors<'_> {
    fn add(&mut self, line: u32, interface: usize, address: IpAddr) -> Result<(), ConfigError> {
        if !self.known.insert((interface, address)) {
            return Ok(());
        }
        let count = self
            .counts
            .entry((interface, address.is_ipv6()))
            .or_default();
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

/// Fails if more is configured than there is room for.
pub(super) fn check(
    interfaces: &[InterfaceConfig],
    (routes, drafts): (&[RouteConfig], &[DraftRoute]),
    (neighbors, neighbor_drafts): (&[NeighborConfig], &[DraftNeighbor]),
) -> Result<(), ConfigError> {
    let mut all = Neighbors {
        interfaces,
        known: BTreeSet::new(),
        counts: BTreeMap::new(),
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
    let mut groups = BTreeSet::new();
    for (route, draft) in routes.iter().zip(drafts) {
        let At { line, .. } = draft.target;
        let members = match &route.target {
            RouteTarget::Via(gateways) => {
                for via in gateways {
                    all.add(line, via.interface, via.address)?;
                }
                (gateways.len() > 1 || route.mtu.is_some()).then(|| members(gateways))
            }
            RouteTarget::Interface(at) if route.mtu.is_some() => Some(alloc::vec![(*at, None, 1)]),
            _ => None,
        };
        let Some(members) = members else { continue };
        groups.insert((members, route.mtu));
        if groups.len() > MAX_GROUPS {
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

fn members(gateways: &[Via]) -> Vec<(usize, Option<IpAddr>, u8)> {
    let each = gateways.iter();
    let mut members: Vec<_> = each
        .map(|via| (via.interface, Some(via.address), via.weight))
        .collect();
    members.sort_unstable();
    members
}
