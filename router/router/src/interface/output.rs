//! Sending of the router's own ARP and ICMPv6 messages on a link.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use wire::addr::Mac;
use wire::arp::Arp;
use wire::ipv6::ON_LINK_HOPS;
use wire::ndp::Ndp;
use wire::{ethernet, icmpv6};

use crate::cx::Cx;
use crate::frame::{ETHERNET_LEN, InterfaceId};
use crate::interface::Interface;

/// Sends an ARP packet to a MAC address. Returns `false` if there is no room for it.
pub(crate) fn send_arp(cx: &mut Cx<'_>, on: InterfaceId, arp: &Arp, destination: Mac) -> bool {
    let mut frame = alloc::vec![0; ethernet::MIN_FRAME];
    wire::put(&mut frame, 0, &arp.frame(destination));
    cx.send_originated(on, frame)
}

/// Sends a message of Neighbor Discovery to a MAC address. Returns `false` if there is no room
/// for it.
pub(crate) fn send_ndp(
    cx: &mut Cx<'_>,
    (on, interface): (InterfaceId, &Interface),
    (source, destination): (Ipv6Addr, Ipv6Addr),
    mac: Mac,
    ndp: Ndp,
) -> bool {
    let message = ndp.message();
    let frame = icmpv6::packet(source, destination, ON_LINK_HOPS, ETHERNET_LEN, message);
    send_ipv6(cx, (on, interface), mac, frame)
}

/// Sends an IPv6 packet to its group; the frame's Ethernet header is still to be filled. Returns
/// `false` if there is no room for it.
pub(crate) fn send_to_group(
    cx: &mut Cx<'_>,
    port: (InterfaceId, &Interface),
    frame: Vec<u8>,
) -> bool {
    let destination = wire::be128(&frame, ETHERNET_LEN + 24);
    let mac = Mac::of_group(Ipv6Addr::from_bits(destination));
    send_ipv6(cx, port, mac, frame)
}

fn send_ipv6(
    cx: &mut Cx<'_>,
    (on, interface): (InterfaceId, &Interface),
    mac: Mac,
    mut frame: Vec<u8>,
) -> bool {
    if !interface.up {
        return false;
    }
    let header = ethernet::Ethernet {
        destination: mac,
        source: interface.mac,
        kind: ethernet::IPV6,
    };
    header.emit(&mut frame);
    cx.send_originated(on, frame)
}
