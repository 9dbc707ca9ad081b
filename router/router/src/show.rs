//! The router's state as text for people and for scripts.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::frame::InterfaceId;
use crate::interface::link::{DadState, Link};
use crate::{DropReason, Router};
use config::{Attachment, RouteTarget};
use wire::addr::{Mac, Network};
use wire::vlan::TagProtocol;

fn ids(router: &Router) -> impl Iterator<Item = (InterfaceId, &str)> {
    let names = router.config().interfaces.iter().map(|i| i.name.as_str());
    (0u8..).map(InterfaceId).zip(names)
}

fn name_of(router: &Router, index: usize) -> &str {
    router
        .config()
        .interfaces
        .get(index)
        .map_or("?", |i| i.name.as_str())
}

/// Writes rows with their columns aligned. The last column isn't padded.
fn table(out: &mut dyn fmt::Write, head: &[&str], rows: &[Vec<String>]) -> fmt::Result {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|r| r.get(column))
            .map(|c| c.chars().count());
        cells
            .chain(head.get(column).map(|h| h.len()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text += &format!("{cell:<width$}  ");
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(&mut head.iter().copied())?;
    for row in rows {
        line(&mut row.iter().map(String::as_str))?;
    }
    Ok(())
}

/// Interfaces with their links, addresses and traffic.
///
/// # Errors
///
/// Those of `out`; so for the other functions here.
pub fn show_interfaces(router: &Router, out: &mut dyn fmt::Write) -> fmt::Result {
    // With one routing table only there is nothing to say of it.
    const VRF_COLUMN: usize = 3;
    let apart = router.config().vrfs.len() > 1;
    let mut rows = Vec::new();
    for ((id, name), config) in ids(router).zip(&router.config().interfaces) {
        let Some(link) = router.links.get(id.index()) else {
            continue;
        };
        let counters = router.counters(id).unwrap_or_default();
        let vif = match config.attachment {
            Attachment::Vif(vif) => format!("vif {vif}"),
            Attachment::Mac(_) => String::from("by mac"),
            Attachment::Loopback => String::from("loopback"),
            Attachment::Vlan { parent, tag } => {
                let protocol = match tag.protocol {
                    TagProtocol::Customer => "",
                    TagProtocol::Service => " (802.1ad)",
                };
                format!("vlan {}{protocol} of {}", tag.vid, name_of(router, parent))
            }
        };
        let mac = if link.up && link.mac != Mac::default() {
            link.mac.to_string()
        } else {
            String::from("-")
        };
        let mut addresses: Vec<String> = config.addresses.iter().map(|a| a.to_string()).collect();
        mark_ipv4(link, &mut addresses);
        mark_ipv6(link, &mut addresses);
        let vrf = router.config().vrfs.get(config.vrf);
        let mut row = alloc::vec![
            String::from(name),
            String::from(if link.up { "up" } else { "down" }),
            vif,
            mac,
            link.mtu.to_string(),
            counters.rx_packets.to_string(),
            counters.tx_packets.to_string(),
            counters.dropped_total().to_string(),
            addresses.join(" "),
        ];
        if apart {
            row.insert(VRF_COLUMN, vrf.cloned().unwrap_or_default());
        }
        rows.push(row);
    }
    let mut head = alloc::vec![
        "INTERFACE",
        "LINK",
        "VIF",
        "MAC",
        "MTU",
        "RECEIVED",
        "SENT",
        "DROPPED",
        "ADDRESSES",
    ];
    if apart {
        head.insert(VRF_COLUMN, "VRF");
    }
    table(out, &head, &rows)
}

/// Says who else uses an interface's addresses.
fn mark_ipv4(link: &Link, addresses: &mut [String]) {
    for network in &link.addresses {
        let Some(conflicting_mac) = link.acd.conflicting_mac(network.address) else {
            continue;
        };
        let text = format!("{}/{}", network.address, network.len);
        if let Some(known) = addresses.iter_mut().find(|a| **a == text) {
            known.push_str(&format!(" (also used by {conflicting_mac})"));
        }
    }
}

/// Adds what the router made itself to an interface's addresses, and says which can't be used.
fn mark_ipv6(link: &Link, addresses: &mut Vec<String>) {
    for address in link
        .v6
        .iter()
        .chain(&link.disabled6)
        .flat_map(|v6| &v6.addresses)
        .filter(|_| link.up)
    {
        let network = address.network;
        let text = format!("{}/{}", network.address, network.len);
        let mark = match address.state {
            DadState::Duplicate => " (duplicate)",
            _ if link.disabled6.is_some() => " (IPv6 disabled)",
            DadState::Tentative { .. } => " (tentative)",
            DadState::Unique => "",
        };
        match addresses.iter_mut().find(|a| **a == text) {
            Some(known) => known.push_str(mark),
            None => addresses.push(text + mark),
        }
    }
}

/// Connected networks and configured routes of a table, the default one or that of `vrf NAME`;
/// those that can't be used now are marked.
///
/// # Errors
///
/// Those of `out`.
pub fn show_routes(router: &Router, which: &str, out: &mut dyn fmt::Write) -> fmt::Result {
    let names = &router.config().vrfs;
    let vrf = match which.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [] => 0,
        ["vrf", wanted] => match names.iter().position(|name| name == wanted) {
            Some(vrf) => vrf,
            None => return writeln!(out, "no vrf \"{wanted}\", there are: {}", names.join(", ")),
        },
        _ => return writeln!(out, "\"show routes\" takes \"vrf NAME\" or nothing"),
    };
    let mut rows = Vec::new();
    let down = |at: usize| !router.links.get(at).is_some_and(|l| l.up);
    let mark = |down: bool| if down { " (down)" } else { "" };
    let interfaces = router.config().interfaces.iter().enumerate();
    for (at, interface) in interfaces.filter(|(_, i)| i.vrf == vrf) {
        let local = |n: &&Network| matches!(n.address, IpAddr::V6(a) if a.is_unicast_link_local());
        for network in interface.addresses.iter().filter(|n| !local(n)) {
            let target = format!("connected, {}{}", interface.name, mark(down(at)));
            rows.push(alloc::vec![network.masked().to_string(), target]);
        }
    }
    for route in router.config().routes.iter().filter(|r| r.vrf == vrf) {
        let target = match &route.target {
            RouteTarget::Blackhole => String::from("blackhole"),
            RouteTarget::Unreachable => String::from("unreachable"),
            RouteTarget::Prohibit => String::from("prohibit"),
            RouteTarget::Vrf(to) => {
                let name = names.get(*to).map_or("?", String::as_str);
                format!("looked up in vrf {name}")
            }
            RouteTarget::Interface(at) => {
                format!("on link, {}{}", name_of(router, *at), mark(down(*at)))
            }
            RouteTarget::Via(gateways) => {
                let gateways: Vec<String> = gateways
                    .iter()
                    .map(|via| {
                        let name = name_of(router, via.interface);
                        let mark = mark(down(via.interface));
                        let weight = match gateways.len() {
                            1 => String::new(),
                            _ => format!(", weight {}", via.weight),
                        };
                        let local =
                            matches!(via.address, IpAddr::V6(a) if a.is_unicast_link_local());
                        let zone = if local {
                            format!("%{name}")
                        } else {
                            String::new()
                        };
                        format!("via {}{zone}, {name}{weight}{mark}", via.address)
                    })
                    .collect();
                gateways.join("; ")
            }
        };
        let mtu = route
            .mtu
            .map_or(String::new(), |mtu| format!(", mtu {mtu}"));
        rows.push(alloc::vec![route.prefix.to_string(), target + &mtu]);
    }
    table(out, &["PREFIX", "TARGET"], &rows)?;
    let files = router.config().route_files.iter().zip(&router.route_files);
    for (file, count) in files.filter(|(file, _)| file.vrf == vrf) {
        writeln!(out, "{}: {count} routes", file.path)?;
    }
    let vrf = router.vrfs.get(u8::try_from(vrf).unwrap_or(0));
    let (four, six) = (&vrf.fib.v4, &vrf.fib6);
    let sizes = [
        ("IPv4", four.routes(), four.table().len(), vrf.fib.bytes()),
        ("IPv6", six.routes(), six.table().len(), six.table().bytes()),
    ];
    for (family, routes, prefixes, bytes) in sizes {
        writeln!(
            out,
            "{family}: {routes} routes; forwarding table {prefixes} prefixes, {bytes} bytes"
        )?;
    }
    Ok(())
}

/// The routing tables and the interfaces that use them.
///
/// # Errors
///
/// Those of `out`.
pub fn show_vrfs(router: &Router, out: &mut dyn fmt::Write) -> fmt::Result {
    let config = router.config();
    let rows: Vec<Vec<String>> = (0..)
        .zip(&config.vrfs)
        .map(|(vrf, name)| {
            let interfaces = config.interfaces.iter().filter(|i| i.vrf == vrf);
            let interfaces: Vec<&str> = interfaces.map(|i| i.name.as_str()).collect();
            let routes = config.routes.iter().filter(|r| r.vrf == vrf).count();
            alloc::vec![name.clone(), routes.to_string(), interfaces.join(" ")]
        })
        .collect();
    table(out, &["VRF", "STATIC ROUTES", "INTERFACES"], &rows)
}

/// Neighbours and what is known about them.
///
/// # Errors
///
/// Those of `out`.
pub fn show_neighbors(router: &Router, out: &mut dyn fmt::Write) -> fmt::Result {
    let mut rows = Vec::new();
    for (index, entry) in router.neighbors.iter() {
        let mac = router.neighbors.station(index);
        let mac = mac.filter(|_| entry.state.is_known());
        rows.push(alloc::vec![
            entry.address.to_string(),
            String::from(name_of(router, entry.interface.index())),
            mac.map_or(String::from("-"), |mac| mac.to_string()),
            String::from(entry.state.name()),
            entry.queue.len().to_string(),
        ]);
    }
    table(
        out,
        &["ADDRESS", "INTERFACE", "MAC", "STATE", "WAITING"],
        &rows,
    )
}

/// Every counter as a line `name value`, such as `interface.wan.rx.packets 10` or
/// `interface.wan.drop.bad_checksum 3`.
///
/// # Errors
///
/// Those of `out`.
pub fn show_counters(router: &Router, out: &mut dyn fmt::Write) -> fmt::Result {
    for (id, name) in ids(router) {
        let Some(c) = router.counters(id) else {
            continue;
        };
        for (what, value) in [
            ("rx.packets", c.rx_packets),
            ("rx.bytes", c.rx_bytes),
            ("tx.packets", c.tx_packets),
            ("tx.bytes", c.tx_bytes),
            ("consumed", c.consumed),
            ("originated", c.originated),
            ("icmp.errors", c.icmp_errors),
            ("icmp.suppressed", c.icmp_suppressed),
            ("icmp.redirects", c.icmp_redirects),
            ("neighbors.evicted", c.neighbors_evicted),
        ] {
            writeln!(out, "interface.{name}.{what} {value}")?;
        }
        for reason in DropReason::ALL {
            writeln!(
                out,
                "interface.{name}.drop.{} {}",
                reason.name(),
                c.dropped(reason)
            )?;
        }
    }
    writeln!(out, "pending {}", router.pending())
}

/// What this is.
///
/// # Errors
///
/// Those of `out`.
pub fn show_version(router: &Router, out: &mut dyn fmt::Write) -> fmt::Result {
    let name = &router.config().hostname;
    writeln!(out, "{name}: ringway {}", env!("CARGO_PKG_VERSION"))
}
