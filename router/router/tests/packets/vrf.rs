//! Routing tables of their own: what is kept apart, and what leads from one to another.

use config::RouteTarget;
use router::addr::Mac;
use router::snapshot::{self, AttachmentSnapshot, NextHopSnapshot, PortSnapshot, TargetSnapshot};
use router::{DropReason, InterfaceId};
use std::net::IpAddr;
use testkit::bed::*;
use testkit::bed6::*;

/// Blue and red have the same networks and addresses on different interfaces.
const CONFIG: &str = r#"
[vrf.blue]
[vrf.red]
[interface.wan]
vif = 0
address = ["10.9.0.1/24", "2001:db8:9::1/64"]
[interface.blue1]
vif = 1
vrf = "blue"
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.blue2]
vif = 2
vrf = "blue"
address = ["10.0.2.1/24", "2001:db8:2::1/64"]
[interface.red1]
vif = 3
vrf = "red"
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
[interface.red2]
vif = 4
vrf = "red"
rpf = "strict"
address = ["10.0.2.1/24", "2001:db8:2::1/64"]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.9.0.253", "10.9.0.254"]
[[route]]
prefix = "::/0"
via = ["2001:db8:9::fe"]
[[route]]
prefix = "10.0.1.0/24"
via_vrf = "blue"
[[route]]
prefix = "2001:db8:1::/64"
via_vrf = "blue"
[[route]]
prefix = "0.0.0.0/0"
vrf = "blue"
via_vrf = "default"
[[route]]
prefix = "::/0"
vrf = "blue"
via_vrf = "default"
[[route]]
prefix = "10.77.0.0/16"
vrf = "red"
via = ["10.0.2.9"]
via_vrf = "blue"
[[route]]
prefix = "10.66.0.0/16"
vrf = "red"
via_vrf = "blue"
"#;

const BLUE1: u8 = 1;
const BLUE2: u8 = 2;
const RED1: u8 = 3;
const RED2: u8 = 4;

/// Hosts of both colours; their MAC addresses tell them apart.
const NEAR: [u8; 4] = [10, 0, 1, 9];
const FAR: [u8; 4] = [10, 0, 2, 9];
const OUTSIDE: [u8; 4] = [10, 9, 0, 9];
const GATEWAYS: [[u8; 4]; 2] = [[10, 9, 0, 253], [10, 9, 0, 254]];

fn mac_of(interface: u8, host: [u8; 4]) -> [u8; 6] {
    [2, interface, host[0], host[1], host[2], host[3]]
}

fn bed() -> Bed {
    let mut bed = Bed::new(CONFIG, 0);
    bed.poll();
    let mut hosts = vec![(BLUE1, NEAR), (BLUE2, FAR), (RED1, NEAR), (RED2, FAR)];
    hosts.extend([OUTSIDE, GATEWAYS[0], GATEWAYS[1]].map(|host| (WAN, host)));
    for (interface, host) in hosts {
        let router = [host[0], host[1], host[2], 1];
        let mac = mac_of(interface, host);
        bed.receive(interface, &arp(1, mac, host, [0; 6], router));
    }
    bed.sent.clear();
    bed
}

/// To where a frame went.
fn went(bed: &mut Bed) -> Option<(u8, [u8; 6])> {
    let sent = bed.take();
    assert!(sent.len() < 2, "{sent:?}");
    let (out, frame) = sent.first()?;
    Some((*out, frame[..6].try_into().unwrap()))
}

#[test]
fn the_same_addresses_in_two_tables() {
    let mut bed = bed();
    for (input, out) in [(BLUE1, BLUE2), (RED1, RED2)] {
        bed.receive(input, &udp(input, NEAR, FAR, 20));
        assert_eq!(went(&mut bed), Some((out, mac_of(out, FAR))));
        bed.receive(out, &udp(out, FAR, NEAR, 20));
        assert_eq!(went(&mut bed), Some((input, mac_of(input, NEAR))));
        // The router answers each in its own table, whichever of its addresses is asked.
        for address in [[10, 0, 1, 1], [10, 0, 2, 1]] {
            bed.receive(input, &echo(input, NEAR, address, 20));
            let (to, reply) = bed.take().remove(0);
            assert_eq!((to, &reply[..6]), (input, &mac_of(input, NEAR)[..]));
            assert_eq!(icmp(&reply, address, NEAR).0, 0);
        }
        // Its addresses are nobody's source, here or there.
        bed.receive(input, &udp(input, [10, 0, 2, 1], NEAR, 20));
        assert_eq!(bed.dropped(input, DropReason::OwnSource), 1);
    }
    // Those of another table are strangers.
    bed.receive(RED1, &echo(RED1, NEAR, [10, 9, 0, 1], 20));
    let (out, error) = bed.take().remove(0);
    assert_eq!((out, icmp(&error, [10, 0, 1, 1], NEAR).0), (RED1, 3));
    assert_eq!(bed.dropped(RED1, DropReason::NoRoute), 1);
    bed.receive(RED1, &udp(RED1, [10, 9, 0, 1], FAR, 20));
    assert_eq!(went(&mut bed), Some((RED2, mac_of(RED2, FAR))));
    bed.assert_balance();
}

#[test]
fn routes_lead_from_one_to_another() {
    let mut bed = bed();
    // Blue has the default table's way out, a group there, and is reached from there.
    let mut used = [false; 2];
    for host in 0..32 {
        bed.receive(BLUE2, &udp(BLUE2, FAR, [99, 0, 0, host], 20));
        let (out, mac) = went(&mut bed).unwrap();
        assert_eq!(out, WAN);
        let which = GATEWAYS.iter().position(|&g| mac_of(WAN, g) == mac);
        used[which.unwrap()] = true;
    }
    assert_eq!(used, [true; 2]);
    bed.receive(BLUE1, &udp(BLUE1, NEAR, OUTSIDE, 20));
    assert_eq!(went(&mut bed), Some((WAN, mac_of(WAN, OUTSIDE))));
    bed.receive(WAN, &udp(WAN, OUTSIDE, NEAR, 20));
    assert_eq!(went(&mut bed), Some((BLUE1, mac_of(BLUE1, NEAR))));
    // One address of blue is there for the default table, the other one isn't.
    bed.receive(WAN, &echo(WAN, OUTSIDE, [10, 0, 1, 1], 20));
    let (out, reply) = bed.take().remove(0);
    assert_eq!(out, WAN);
    assert_eq!(icmp(&reply, [10, 0, 1, 1], OUTSIDE).0, 0);
    bed.receive(WAN, &echo(WAN, OUTSIDE, [10, 0, 2, 1], 20));
    assert!(went(&mut bed).is_some_and(|(out, _)| out == WAN));
    // A gateway of another table, and two tables on.
    bed.receive(RED1, &udp(RED1, NEAR, [10, 77, 1, 1], 20));
    assert_eq!(went(&mut bed), Some((BLUE2, mac_of(BLUE2, FAR))));
    bed.receive(RED1, &udp(RED1, NEAR, [10, 66, 1, 1], 20));
    assert!(went(&mut bed).is_some_and(|(out, _)| out == WAN));
    bed.assert_balance();
}

#[test]
fn errors_stay_in_the_table_of_the_packet() {
    let mut bed = bed();
    for (input, destination) in [(BLUE1, OUTSIDE), (RED1, [10, 77, 0, 1])] {
        let frame = edit(udp(input, NEAR, destination, 20), |ip| ip[8] = 1);
        bed.receive(input, &frame);
        let (out, error) = bed.take().remove(0);
        assert_eq!(out, input);
        assert_eq!(icmp(&error, [10, 0, 1, 1], NEAR).0, 11);
    }
    bed.assert_balance();
}

#[test]
fn sources_are_judged_by_their_own_table() {
    let mut bed = bed();
    // Red knows a way to 10.77/16 but not by this interface; blue's 10.0.1.9 is no excuse.
    for source in [NEAR, [10, 77, 0, 1], [10, 66, 0, 1], [99, 9, 9, 9]] {
        bed.receive(RED2, &udp(RED2, source, NEAR, 20));
    }
    assert_eq!(bed.dropped(RED2, DropReason::ReversePath), 4);
    bed.receive(RED2, &udp(RED2, FAR, NEAR, 20));
    assert_eq!(went(&mut bed), Some((RED1, mac_of(RED1, NEAR))));
    // Loose: a route by way of another table is one.
    let loose = CONFIG.replace("strict", "loose");
    bed.router
        .apply(bed.now, &config::from_toml(&loose).unwrap())
        .unwrap();
    for source in [[10, 77, 0, 1], [10, 66, 0, 1], NEAR] {
        bed.receive(RED2, &udp(RED2, source, NEAR, 20));
        assert!(went(&mut bed).is_some(), "{source:?}");
    }
    bed.receive(RED2, &udp(RED2, [99, 9, 9, 9], NEAR, 20));
    assert_eq!(bed.dropped(RED2, DropReason::ReversePath), 5);
    bed.assert_balance();
}

#[test]
fn fragments_of_two_tables_make_no_packet() {
    let mut bed = bed();
    let whole = echo(BLUE1, NEAR, [10, 0, 1, 1], 56);
    let piece = |interface: u8, at: usize| {
        let mut frame = whole[..34].to_vec();
        frame[..6].copy_from_slice(&router_mac(0, interface));
        frame.extend(&whole[34 + at..34 + at + 32]);
        edit(frame, |ip| {
            ip[2..4].copy_from_slice(&52u16.to_be_bytes());
            ip[6] = if at == 0 { 0x20 } else { 0 };
            ip[7] = (at / 8) as u8;
        })
    };
    bed.receive(BLUE1, &piece(BLUE1, 0));
    bed.receive(RED1, &piece(RED1, 32));
    assert!(bed.take().is_empty());
    bed.receive(BLUE2, &piece(BLUE2, 32));
    let (out, reply) = bed.take().remove(0);
    assert_eq!((out, &reply[..6]), (BLUE1, &mac_of(BLUE1, NEAR)[..]));
    bed.assert_balance();
}

#[test]
fn a_circle_is_left() {
    // A link that is down takes the end of the way with it.
    let mut bed = bed();
    bed.router.link_down(InterfaceId(BLUE1));
    bed.receive(WAN, &udp(WAN, OUTSIDE, NEAR, 20));
    assert_eq!(bed.dropped(WAN, DropReason::VrfLoop), 1);
    let (_, error) = bed.take().remove(0);
    let (kind, code, _) = icmp(&error, [10, 9, 0, 1], OUTSIDE);
    assert_eq!((kind, code), (3, 0));
    // So does a configuration that nobody checked.
    let mut config = config::from_toml(CONFIG).unwrap();
    for route in config.routes.iter_mut().filter(|r| r.vrf < 2) {
        route.target = RouteTarget::Vrf(1 - route.vrf);
    }
    bed.router.apply(bed.now, &config).unwrap();
    bed.receive(WAN, &udp(WAN, OUTSIDE, [99, 9, 9, 9], 20));
    bed.receive(WAN, &udp6(WAN, a6("2001:db8:9::9"), a6("2a00::1"), 20));
    assert_eq!(bed.dropped(WAN, DropReason::VrfLoop), 3);
    bed.assert_balance();
}

#[test]
fn the_same_for_ipv6() {
    let (near, far, outside) = ("2001:db8:1::9", "2001:db8:2::9", "2001:db8:9::9");
    let hosts = [
        (BLUE1, near),
        (BLUE2, far),
        (RED1, near),
        (RED2, far),
        (WAN, outside),
        (WAN, "2001:db8:9::fe"),
    ];
    let mut bed = Bed::ready6(CONFIG, &hosts);
    let (near, far, outside) = (a6(near), a6(far), a6(outside));
    for (input, out) in [(BLUE1, BLUE2), (RED1, RED2)] {
        bed.receive(input, &udp6(input, near, far, 20));
        assert_eq!(bed.take6()[0].out, out);
        for address in ["2001:db8:1::1", "2001:db8:2::1", "2001:db8:2::"].map(a6) {
            bed.receive(input, &echo6(input, near, address, 20));
            let reply = &bed.take6()[0];
            assert_eq!((reply.out, reply.kind()), (input, 129));
        }
        let own = udp6(input, a6("2001:db8:2::1"), far, 20);
        bed.receive(input, &own);
        assert_eq!(bed.dropped(input, DropReason::OwnSource), 1);
    }
    // From one to another, and to an address of the router beyond.
    bed.receive(BLUE1, &udp6(BLUE1, near, a6("2a00::1"), 20));
    bed.receive(WAN, &udp6(WAN, outside, near, 20));
    let own = a6("2001:db8:1::1");
    bed.receive(WAN, &echo6(WAN, outside, own, 20));
    let sent = bed.take6();
    assert_eq!(
        sent.iter().map(|s| s.out).collect::<Vec<_>>(),
        [WAN, BLUE1, WAN]
    );
    assert_eq!((sent[2].source, sent[2].destination), (own, outside));
    // Where no way leads there is none, and the error is from here.
    bed.receive(RED1, &udp6(RED1, near, outside, 20));
    let error = &bed.take6()[0];
    assert_eq!((error.out, error.source), (RED1, own));
    assert_eq!(error.error().0, 1);
    bed.assert_balance();
}

#[test]
fn each_table_is_shown_by_itself() {
    let bed = bed();
    let shown = |vrf| -> Vec<(String, TargetSnapshot)> {
        let table = snapshot::routes(&bed.router, vrf).unwrap();
        let routes = table.routes.into_iter();
        routes
            .map(|it| (it.prefix.to_string(), it.target))
            .collect()
    };
    let port = |interface: &str| PortSnapshot {
        interface: interface.into(),
        up: true,
    };
    let has = |table: &[(String, TargetSnapshot)], prefix: &str, target| {
        table.contains(&(prefix.into(), target))
    };
    let default = shown(0);
    assert!(has(
        &default,
        "10.9.0.0/24",
        TargetSnapshot::Connected(port("wan"))
    ));
    assert!(!default.iter().any(|(prefix, _)| prefix == "10.0.2.0/24"));
    assert!(has(
        &default,
        "10.0.1.0/24",
        TargetSnapshot::Vrf("blue".into())
    ));
    let red = shown(2);
    let gateway = NextHopSnapshot {
        address: IpAddr::V4([10, 0, 2, 9].into()),
        port: port("blue2"),
        weight: 1,
    };
    assert!(has(
        &red,
        "10.77.0.0/16",
        TargetSnapshot::Via(vec![gateway])
    ));
    assert!(has(
        &red,
        "10.0.2.0/24",
        TargetSnapshot::Connected(port("red2"))
    ));
    assert_eq!(snapshot::routes(&bed.router, 3), None);
    let vrfs = snapshot::vrfs(&bed.router);
    let red = &vrfs[2];
    assert_eq!((red.name.as_str(), red.static_routes), ("red", 2));
    assert_eq!(red.interfaces, ["red1", "red2"]);
    let interfaces = snapshot::interfaces(&bed.router);
    let red1 = &interfaces[usize::from(RED1)];
    assert_eq!((red1.name.as_str(), red1.up), ("red1", true));
    assert_eq!(red1.attachment, AttachmentSnapshot::Vif(3));
    assert_eq!(red1.vrf.as_deref(), Some("red"));
    assert_eq!(red1.mac, Some(Mac(router_mac(0, RED1))));
}
