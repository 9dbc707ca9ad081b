//! The router's state as text, for people and for scripts.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use router::DropReason;
use router::snapshot::{
    AddressSnapshot, AddressState, AttachmentSnapshot, CountersSnapshot, InterfaceSnapshot,
    NeighborSnapshot, NeighborState, NextHopSnapshot, PortSnapshot, RouteTableSnapshot,
    TargetSnapshot, VrfSnapshot,
};
use router::vlan::TagProtocol;

use super::table::table;

/// Writes interfaces with their links, addresses and traffic.
///
/// # Errors
/// Those of `out`, as for the other functions in this module.
pub(super) fn interfaces(
    interfaces: &[InterfaceSnapshot],
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    // With one routing table only there is nothing to say of it.
    const VRF_COLUMN: usize = 3;
    let apart = interfaces.iter().any(|it| it.vrf.is_some());
    let rows = interfaces.iter().map(|interface| {
        let mac = interface.mac.map(|mac| mac.to_string());
        let addresses: Vec<String> = interface.addresses.iter().map(address).collect();
        let counters = &interface.counters;
        let mut row = alloc::vec![
            interface.name.clone(),
            String::from(if interface.up { "up" } else { "down" }),
            attachment(&interface.attachment),
            mac.unwrap_or(String::from("-")),
            interface.mtu.to_string(),
            counters.rx_packets.to_string(),
            counters.tx_packets.to_string(),
            counters.dropped_total().to_string(),
            addresses.join(" "),
        ];
        if apart {
            row.insert(VRF_COLUMN, interface.vrf.clone().unwrap_or_default());
        }
        row
    });
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
    table(out, &head, rows)?;
    let mut warnings = interfaces.iter().flat_map(|it| &it.mtu_warnings);
    warnings.try_for_each(|warning| writeln!(out, "{warning}"))
}

fn attachment(attachment: &AttachmentSnapshot) -> String {
    match attachment {
        AttachmentSnapshot::Vif(vif) => format!("vif {vif}"),
        AttachmentSnapshot::Mac => String::from("by mac"),
        AttachmentSnapshot::Loopback => String::from("loopback"),
        AttachmentSnapshot::Vlan { parent, tag } => {
            let protocol = match tag.protocol {
                TagProtocol::Customer => "",
                TagProtocol::Service => " (802.1ad)",
            };
            format!("vlan {}{protocol} of {parent}", tag.vid)
        }
    }
}

/// Returns an address, and why it can't be used or who uses it as well.
fn address(address: &AddressSnapshot) -> String {
    let network = address.network;
    match address.state {
        AddressState::Usable => network.to_string(),
        AddressState::Conflict(mac) => format!("{network} (also used by {mac})"),
        AddressState::Tentative => format!("{network} (tentative)"),
        AddressState::Duplicate => format!("{network} (duplicate)"),
        AddressState::Ipv6Disabled => format!("{network} (IPv6 disabled)"),
    }
}

/// Writes the connected networks and configured routes of a table, with a mark on those that can't
/// be used now.
pub(super) fn routes(snapshot: &RouteTableSnapshot, out: &mut dyn fmt::Write) -> fmt::Result {
    let rows = snapshot.routes.iter().map(|route| {
        let mtu = route.mtu.map(|mtu| format!(", mtu {mtu}"));
        let target = target(&route.target) + &mtu.unwrap_or_default();
        alloc::vec![route.prefix.to_string(), target]
    });
    table(out, &["PREFIX", "TARGET"], rows)?;
    for file in &snapshot.files {
        writeln!(out, "{}: {} routes", file.path, file.routes)?;
    }
    for (family, fib) in [("IPv4", snapshot.ipv4), ("IPv6", snapshot.ipv6)] {
        writeln!(
            out,
            "{family}: {} routes; forwarding table {} prefixes, {} bytes",
            fib.routes, fib.prefixes, fib.bytes
        )?;
    }
    Ok(())
}

fn target(target: &TargetSnapshot) -> String {
    match target {
        TargetSnapshot::Connected(port) => format!("connected, {}", marked(port)),
        TargetSnapshot::OnLink(port) => format!("on link, {}", marked(port)),
        TargetSnapshot::Vrf(name) => format!("looked up in vrf {name}"),
        TargetSnapshot::Blackhole => String::from("blackhole"),
        TargetSnapshot::Unreachable => String::from("unreachable"),
        TargetSnapshot::Prohibit => String::from("prohibit"),
        TargetSnapshot::Via(gateways) => {
            let several = gateways.len() > 1;
            let gateways: Vec<String> = gateways.iter().map(|it| next_hop(it, several)).collect();
            gateways.join("; ")
        }
    }
}

fn next_hop(next_hop: &NextHopSnapshot, several: bool) -> String {
    let NextHopSnapshot {
        address,
        port,
        weight,
    } = next_hop;
    let PortSnapshot { interface, up } = port;
    let zone = match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => format!("%{interface}"),
        _ => String::new(),
    };
    let weight = match several {
        true => format!(", weight {weight}"),
        false => String::new(),
    };
    let mark = if *up { "" } else { " (down)" };
    format!("via {address}{zone}, {interface}{weight}{mark}")
}

fn marked(port: &PortSnapshot) -> String {
    let mark = if port.up { "" } else { " (down)" };
    format!("{}{mark}", port.interface)
}

/// Writes the routing tables and the interfaces that use them.
pub(super) fn vrfs(vrfs: &[VrfSnapshot], out: &mut dyn fmt::Write) -> fmt::Result {
    let rows = vrfs.iter().map(|vrf| {
        alloc::vec![
            vrf.name.clone(),
            vrf.static_routes.to_string(),
            vrf.interfaces.join(" ")
        ]
    });
    table(out, &["VRF", "STATIC ROUTES", "INTERFACES"], rows)
}

/// Writes the neighbors with their MAC addresses and states.
pub(super) fn neighbors(
    neighbors: impl Iterator<Item = NeighborSnapshot> + Clone,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let rows = neighbors.map(|neighbor| {
        let mac = neighbor.mac.map(|mac| mac.to_string());
        alloc::vec![
            neighbor.address.to_string(),
            neighbor.interface,
            mac.unwrap_or(String::from("-")),
            String::from(state(neighbor.state)),
            neighbor.waiting.to_string(),
        ]
    });
    let head = ["ADDRESS", "INTERFACE", "MAC", "STATE", "WAITING"];
    table(out, &head, rows)
}

fn state(state: NeighborState) -> &'static str {
    match state {
        NeighborState::Idle => "idle",
        NeighborState::Incomplete => "incomplete",
        NeighborState::Reachable => "reachable",
        NeighborState::Stale => "stale",
        NeighborState::Delay => "delay",
        NeighborState::Probe => "probe",
        NeighborState::Failed => "failed",
        NeighborState::Static => "static",
    }
}

/// Writes every counter as a line `name value`, such as `interface.wan.rx.packets 10` or
/// `interface.wan.drop.bad_checksum 3`.
pub(super) fn counters(snapshot: &CountersSnapshot, out: &mut dyn fmt::Write) -> fmt::Result {
    for (name, c) in &snapshot.interfaces {
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
            let value = c.dropped(reason);
            writeln!(out, "interface.{name}.drop.{} {value}", reason.name())?;
        }
    }
    writeln!(out, "pending {}", snapshot.pending)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use router::Counters;
    use router::addr::Mac;
    use router::snapshot::{FibSnapshot, RouteFileSnapshot, RouteSnapshot};
    use router::vlan::Tag;

    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn text(show: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result) -> String {
        let mut out = String::new();
        show(&mut out).unwrap();
        out
    }

    fn interface(name: &str, attachment: AttachmentSnapshot) -> InterfaceSnapshot {
        InterfaceSnapshot {
            name: name.into(),
            up: true,
            attachment,
            mac: Some(MAC),
            mtu: 1500,
            mtu_warnings: vec![],
            vrf: None,
            addresses: vec![],
            counters: Counters::default(),
        }
    }

    fn with_address(network: &str, state: AddressState) -> AddressSnapshot {
        let network = network.parse().unwrap();
        AddressSnapshot { network, state }
    }

    #[test]
    fn interfaces_and_what_they_are() {
        let tag = |protocol, vid| AttachmentSnapshot::Vlan {
            parent: "wan".into(),
            tag: Tag { protocol, vid },
        };
        let mut shown = vec![
            interface("wan", AttachmentSnapshot::Vif(0)),
            interface("lan", AttachmentSnapshot::Mac),
            interface("lo", AttachmentSnapshot::Loopback),
            interface("red", tag(TagProtocol::Customer, 100)),
            interface("blue", tag(TagProtocol::Service, 7)),
        ];
        shown[0].counters.rx_packets = 12;
        shown[0].counters.tx_packets = 345;
        shown[1].up = false;
        shown[1].mac = None;
        shown[1].mtu = 9000;
        shown[2].addresses = vec![with_address("10.9.9.9/32", AddressState::Usable)];
        assert_eq!(
            text(|out| interfaces(&shown, out)),
            "INTERFACE  LINK  VIF                      MAC                MTU   RECEIVED  SENT  DROPPED  ADDRESSES\n\
             wan        up    vif 0                    02:00:00:00:00:09  1500  12        345   0\n\
             lan        down  by mac                   -                  9000  0         0     0\n\
             lo         up    loopback                 02:00:00:00:00:09  1500  0         0     0        10.9.9.9/32\n\
             red        up    vlan 100 of wan          02:00:00:00:00:09  1500  0         0     0\n\
             blue       up    vlan 7 (802.1ad) of wan  02:00:00:00:00:09  1500  0         0     0\n"
        );
        shown.truncate(2);
        shown[0].vrf = Some("red".into());
        shown[1].vrf = Some("default".into());
        assert_eq!(
            text(|out| interfaces(&shown, out)),
            "INTERFACE  LINK  VIF     VRF      MAC                MTU   RECEIVED  SENT  DROPPED  ADDRESSES\n\
             wan        up    vif 0   red      02:00:00:00:00:09  1500  12        345   0\n\
             lan        down  by mac  default  -                  9000  0         0     0\n"
        );
    }

    #[test]
    fn addresses_and_whether_they_can_be_used() {
        let mut shown = [interface("wan", AttachmentSnapshot::Vif(0))];
        shown[0].addresses = vec![
            with_address("10.0.0.1/24", AddressState::Conflict(MAC)),
            with_address("10.0.1.1/24", AddressState::Usable),
            with_address("2001:db8::1/64", AddressState::Tentative),
            with_address("2001:db8::2/64", AddressState::Duplicate),
            with_address("fe80::1/64", AddressState::Ipv6Disabled),
        ];
        let text = text(|out| interfaces(&shown, out));
        let wanted = "  10.0.0.1/24 (also used by 02:00:00:00:00:09) 10.0.1.1/24 \
                      2001:db8::1/64 (tentative) 2001:db8::2/64 (duplicate) \
                      fe80::1/64 (IPv6 disabled)\n";
        assert!(text.ends_with(wanted), "{text}");
    }

    #[test]
    fn routes_and_where_they_lead() {
        let port = |interface: &str, up| PortSnapshot {
            interface: interface.into(),
            up,
        };
        let gateway = |address: &str, up, weight| NextHopSnapshot {
            address: address.parse().unwrap(),
            port: port("wan", up),
            weight,
        };
        let route = |prefix: &str, target| RouteSnapshot {
            prefix: prefix.parse().unwrap(),
            target,
            mtu: None,
        };
        let mut shown = RouteTableSnapshot {
            routes: vec![
                route("10.0.0.0/24", TargetSnapshot::Connected(port("wan", true))),
                route("10.0.1.0/24", TargetSnapshot::Connected(port("lan", false))),
                route("10.1.0.0/16", TargetSnapshot::OnLink(port("wan", true))),
                route("10.2.0.0/16", TargetSnapshot::Blackhole),
                route("10.3.0.0/16", TargetSnapshot::Unreachable),
                route("10.4.0.0/16", TargetSnapshot::Prohibit),
                route("10.5.0.0/16", TargetSnapshot::Vrf("blue".into())),
                route(
                    "10.6.0.0/16",
                    TargetSnapshot::Via(vec![gateway("10.0.0.9", true, 1)]),
                ),
                route(
                    "0.0.0.0/0",
                    TargetSnapshot::Via(vec![
                        gateway("10.0.0.253", true, 1),
                        gateway("10.0.0.254", false, 3),
                    ]),
                ),
                route(
                    "::/0",
                    TargetSnapshot::Via(vec![gateway("fe80::9", false, 1)]),
                ),
            ],
            files: vec![RouteFileSnapshot {
                path: "full.txt".into(),
                routes: 7,
            }],
            ipv4: FibSnapshot {
                routes: 14,
                prefixes: 20,
                bytes: 3000,
            },
            ipv6: FibSnapshot {
                routes: 1,
                prefixes: 2,
                bytes: 300,
            },
        };
        shown.routes[2].mtu = Some(1400);
        assert_eq!(
            text(|out| routes(&shown, out)),
            "PREFIX       TARGET\n\
             10.0.0.0/24  connected, wan\n\
             10.0.1.0/24  connected, lan (down)\n\
             10.1.0.0/16  on link, wan, mtu 1400\n\
             10.2.0.0/16  blackhole\n\
             10.3.0.0/16  unreachable\n\
             10.4.0.0/16  prohibit\n\
             10.5.0.0/16  looked up in vrf blue\n\
             10.6.0.0/16  via 10.0.0.9, wan\n\
             0.0.0.0/0    via 10.0.0.253, wan, weight 1; via 10.0.0.254, wan, weight 3 (down)\n\
             ::/0         via fe80::9%wan, wan (down)\n\
             full.txt: 7 routes\n\
             IPv4: 14 routes; forwarding table 20 prefixes, 3000 bytes\n\
             IPv6: 1 routes; forwarding table 2 prefixes, 300 bytes\n"
        );
    }

    #[test]
    fn tables_and_their_interfaces() {
        let shown = [
            VrfSnapshot {
                name: "default".into(),
                static_routes: 10,
                interfaces: vec!["wan".into()],
            },
            VrfSnapshot {
                name: "red".into(),
                static_routes: 2,
                interfaces: vec!["red1".into(), "red2".into()],
            },
        ];
        assert_eq!(
            text(|out| vrfs(&shown, out)),
            "VRF      STATIC ROUTES  INTERFACES\n\
             default  10             wan\n\
             red      2              red1 red2\n"
        );
    }

    #[test]
    fn neighbors_and_their_states() {
        let neighbor = |address: &str, mac, state, waiting| NeighborSnapshot {
            address: address.parse().unwrap(),
            interface: "wan".into(),
            mac,
            state,
            waiting,
        };
        let shown = [
            neighbor("10.0.0.1", Some(MAC), NeighborState::Reachable, 0),
            neighbor("10.0.0.2", None, NeighborState::Incomplete, 3),
            neighbor("10.0.0.3", Some(MAC), NeighborState::Stale, 0),
            neighbor("10.0.0.4", Some(MAC), NeighborState::Delay, 0),
            neighbor("10.0.0.5", Some(MAC), NeighborState::Probe, 0),
            neighbor("10.0.0.6", None, NeighborState::Failed, 0),
            neighbor("10.0.0.7", Some(MAC), NeighborState::Static, 0),
            neighbor("2001:db8::8", None, NeighborState::Idle, 0),
        ];
        assert_eq!(
            text(|out| neighbors(shown.iter().cloned(), out)),
            "ADDRESS      INTERFACE  MAC                STATE       WAITING\n\
             10.0.0.1     wan        02:00:00:00:00:09  reachable   0\n\
             10.0.0.2     wan        -                  incomplete  3\n\
             10.0.0.3     wan        02:00:00:00:00:09  stale       0\n\
             10.0.0.4     wan        02:00:00:00:00:09  delay       0\n\
             10.0.0.5     wan        02:00:00:00:00:09  probe       0\n\
             10.0.0.6     wan        -                  failed      0\n\
             10.0.0.7     wan        02:00:00:00:00:09  static      0\n\
             2001:db8::8  wan        -                  idle        0\n"
        );
    }

    #[test]
    fn counters_are_lines_of_a_name_and_a_value() {
        let mut wan = Counters::default();
        (wan.rx_packets, wan.icmp_redirects) = (10, 3);
        let shown = CountersSnapshot {
            interfaces: vec![("wan".into(), wan), ("lan".into(), Counters::default())],
            pending: 4,
        };
        let text = text(|out| counters(&shown, out));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2 * (10 + DropReason::ALL.len()) + 1);
        assert_eq!(lines[0], "interface.wan.rx.packets 10");
        for line in [
            "interface.wan.icmp.redirects 3",
            "interface.wan.drop.bad_checksum 0",
            "interface.lan.neighbors.evicted 0",
        ] {
            assert!(lines.contains(&line), "{line}");
        }
        assert_eq!(lines.last(), Some(&"pending 4"));
    }
}
