//! Proxy ARP: answering for hosts that are reached through another interface (RFC 1027).

use core::net::Ipv4Addr;

use crate::frame::InterfaceId;
use crate::route::target::Target;
use crate::tables::Tables;

/// Returns `true` if the router answers on an interface for this address, which isn't one of that
/// link: if that is allowed, and packets to it don't go back there.
pub(crate) fn is_proxy_for(tables: &Tables, input: InterfaceId, address: Ipv4Addr) -> bool {
    let interface = tables.interface(input);
    interface.is_some_and(|i| i.allow.proxy_arp)
        && leads_elsewhere(tables, input, tables.route_to(input, address.into()))
}

fn leads_elsewhere(tables: &Tables, input: InterfaceId, target: Target) -> bool {
    match target {
        Target::Local => true,
        Target::Drop(_) | Target::Vrf(_) => false,
        Target::OnLink(at) => at != input.0,
        Target::Neighbor(index) => {
            let adjacency = tables.adjacencies.get(index as usize);
            adjacency.is_some_and(|a| a.out() != input.0)
        }
        Target::Group(group) => tables
            .vrfs
            .members(group)
            .all(|member| leads_elsewhere(tables, input, member)),
    }
}
