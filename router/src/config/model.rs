//! The checked configuration.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::addr::{Mac, Network};

/// A complete configuration that can be applied as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The router's name, shown in the prompt.
    pub hostname: String,
    /// The interfaces; an index into this is an [`InterfaceId`](crate::InterfaceId).
    pub interfaces: Vec<InterfaceConfig>,
    /// Static routes of both families.
    pub routes: Vec<RouteConfig>,
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
            neighbors: Vec::new(),
        }
    }

    /// One line for each thing that is accepted but has no effect in this version.
    pub fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for interface in &self.interfaces {
            for address in interface.addresses.iter().filter(|a| a.address.is_ipv6()) {
                lines.push(format!(
                    "interface {}: address {address} ignored, IPv6 isn't supported yet",
                    interface.name
                ));
            }
        }
        for route in self.routes.iter().filter(|r| r.prefix.address.is_ipv6()) {
            lines.push(format!(
                "route {} ignored, IPv6 isn't supported yet",
                route.prefix
            ));
        }
        for neighbor in self.neighbors.iter().filter(|n| n.address.is_ipv6()) {
            lines.push(format!(
                "neighbor {} ignored, IPv6 isn't supported yet",
                neighbor.address
            ));
        }
        lines
    }
}
