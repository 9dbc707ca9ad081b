//! Static neighbors.

use alloc::format;
use alloc::vec::Vec;

use super::Places;
use super::address::{is_link_local, no_host};
use super::interfaces::Interfaces;
use crate::draft::DraftNeighbor;
use crate::error::ConfigError;
use crate::model::{NeighborConfig, RouteConfig, RouteTarget};
use wire::addr::{Mac, Network};

pub(super) fn check(
    drafts: &[DraftNeighbor],
    interfaces: Interfaces<'_>,
    routes: &[RouteConfig],
) -> Result<Vec<NeighborConfig>, ConfigError> {
    let mut neighbors: Vec<NeighborConfig> = Vec::with_capacity(drafts.len());
    let mut known = Places::new();
    for draft in drafts {
        let new = neighbor(draft, interfaces, routes)?;
        let (address, len) = (new.address, 0);
        if known
            .insert((new.interface, Network { address, len }), 0)
            .is_some()
        {
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
    // Group addresses are allowed, for clusters whose members all receive what is sent to them.
    if mac == Mac::BROADCAST || mac == Mac::default() {
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
    let end = |n: &Network| {
        let ends = n.v4().map(|n| [n.broadcast(), n.network_address()]);
        let anycast = n.v6().and_then(|n| n.anycast());
        ends.into_iter()
            .flatten()
            .flatten()
            .any(|end| end == address)
            || anycast.is_some_and(|anycast| anycast == address)
    };
    if no_host(address).is_some() || interface.addresses.iter().any(end) {
        let text = format!("neighbor {address} isn't the address of a host");
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
