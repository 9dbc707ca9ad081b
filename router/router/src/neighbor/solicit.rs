//! Address resolution: ARP requests (RFC 826) and Neighbor Solicitations (RFC 4861 7.2.2).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::addr::{Mac, solicited_node};
use wire::arp::{Arp, REQUEST};
use wire::ndp::Ndp;

use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::interface::Interface;
use crate::interface::output::{send_arp, send_ndp};

/// Solicits a neighbor: by broadcast or multicast, or by unicast if its MAC address is given.
///
/// Returns `false` if the solicitation couldn't be sent now and should be retried soon: because
/// there was no room, or the interface has no address of the family that may be used yet. If the
/// link is down or there is no address at all, it counts as sent.
pub(crate) fn solicit(
    cx: &mut Cx<'_>,
    on: InterfaceId,
    interface: &Interface,
    target: IpAddr,
    mac: Option<Mac>,
) -> bool {
    if !interface.up {
        return true;
    }
    match target {
        IpAddr::V4(target) => request(cx, on, interface, target, mac),
        IpAddr::V6(target) => solicitation(cx, on, interface, target, mac),
    }
}

/// Sends an ARP request.
fn request(
    cx: &mut Cx<'_>,
    on: InterfaceId,
    interface: &Interface,
    target: Ipv4Addr,
    mac: Option<Mac>,
) -> bool {
    let Some(sender) = interface.address_towards(target) else {
        return true;
    };
    let request = Arp {
        operation: REQUEST,
        sender_mac: interface.mac,
        sender,
        target_mac: Mac::default(),
        target,
    };
    send_arp(cx, on, &request, mac.unwrap_or(Mac::BROADCAST))
}

/// Sends a Neighbor Solicitation.
fn solicitation(
    cx: &mut Cx<'_>,
    on: InterfaceId,
    interface: &Interface,
    target: Ipv6Addr,
    mac: Option<Mac>,
) -> bool {
    let Some(v6) = &interface.v6 else { return true };
    let any = || v6.usable().next().map(|n| n.address);
    let Some(source) = v6.source().or_else(any) else {
        return false;
    };
    let question = Ndp::Solicitation {
        target,
        link_layer_address: Some(interface.mac),
    };
    let group = solicited_node(target);
    let (destination, to) = match mac {
        Some(mac) => (target, mac),
        None => (group, Mac::of_group(group)),
    };
    send_ndp(cx, (on, interface), (source, destination), to, question)
}

#[cfg(test)]
mod tests;
