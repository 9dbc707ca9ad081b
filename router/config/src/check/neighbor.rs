//! Static neighbors.

use alloc::format;
use alloc::vec::Vec;

use super::address::is_link_local;
use super::interfaces::Interfaces;
use crate::draft::DraftNeighbor;
use crate::error::ConfigError;
use crate::model::{NeighborConfig, RouteConfig, RouteTarget};
use wire::addr::Network;

pub(super) fn check(
    drafts: &[DraftNeighbor],
    interfaces: Interfaces<'_>,
    routes: &[RouteConfig],
) -> Result<Vec<NeighborConfig>, ConfigError> {
    let mut neighbors: Vec<NeighborConfig> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let new = neighbor(draft, interfaces, routes)?;
        let key = |n: &NeighborConfig| (n.interface, n.address);
        if neighbors.iter().any(|other| key(other) == key(&new)) {
            let text = format!("neighbor {} is given twice", new.address);
            return Err(draft.address.error(text));
        }
        neighbors.push(new);
    }
    Ok(neighbors)
}

fn neighbor(
    draft: &DraftNeighbor,
    interfaces: Interfaces<'_>,
    routes: &[RouteConfig],
) -> Result<NeighborConfig, ConfigError> {
    let name = &draft.interface.value;
    let (at, interface) = interfaces.with_link(draft.interface.line, name)?;
    let (address, mac) = (draft.address.value, draft.mac.value);
    if !mac.is_unicast() {
        let text = format!("{mac} can't be a neighbor's MAC address");
        return Err(draft.mac.error(text));
    }
    let mut own = interfaces
        .of_vrf(interface.vrf)
        .filter(|&(other, _)| other == at || !is_link_local(address))
        .flat_map(|(_, i)| &i.addresses);
    if own.any(|own| own.address == address) {
        let text = format!("neighbor {address} is this router");
        return Err(draft.address.error(text));
    }
    let here = |n: &Network| n.contains(address) || (is_link_local(address) && n.address.is_ipv6());
    let on_link = interface.addresses.iter().any(here);
    let routed =
        |r: &RouteConfig| r.target == RouteTarget::Interface(at) && r.prefix.contains(address);
    if !on_link && !routes.iter().any(routed) {
        let text = format!("neighbor {address} isn't on the link of {name}");
        return Err(draft.address.error(text));
    }
    Ok(NeighborConfig {
        interface: at,
        address,
        mac,
    })
}
