//! VLANs: frames with and without tags, from any interface to any other.

use router::snapshot::{self, AttachmentSnapshot};
use router::vlan::{Tag, TagProtocol, Tags};
use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;
use testkit::bed6::*;

const CONFIG: &str = r#"
[interface.customer]
parent = "provider"
vlan = 300
address = ["10.0.30.1/24"]
[interface.wan]
vif = 0
address = ["10.0.0.1/24", "2001:db8::1/64"]
[interface.lan100]
parent = "lan"
vlan = 100
address = ["10.0.100.1/24", "2001:db8:100::1/64"]
[interface.lan100.advertise]
max_interval_s = 4
min_interval_s = 3
[interface.lan]
vif = 1
address = ["10.0.1.1/24"]
[interface.lan200]
parent = "lan"
vlan = 200
mtu = 1400
address = ["10.0.200.1/24"]
[interface.provider]
parent = "wan"
vlan = 7
protocol = "802.1ad"
"#;

/// Interfaces that are no vifs come behind those, parents before what is in them.
const LAN100: u8 = 2;
const LAN200: u8 = 3;
const PROVIDER: u8 = 4;
const CUSTOMER: u8 = 5;

const T100: &[u8] = &[0x81, 0, 0, 100];
const T200: &[u8] = &[0x81, 0, 0, 200];
const T7: &[u8] = &[0x88, 0xa8, 0, 7];
const T7_300: &[u8] = &[0x88, 0xa8, 0, 7, 0x81, 0, 1, 44];

/// A host of each network: its vif, tags and address, and the router's there.
type Place = (u8, &'static [u8], [u8; 4], [u8; 4]);
const PLACES: [Place; 5] = [
    (WAN, &[], [10, 0, 0, 9], [10, 0, 0, 1]),
    (LAN, &[], [10, 0, 1, 9], [10, 0, 1, 1]),
    (LAN, T100, [10, 0, 100, 9], [10, 0, 100, 1]),
    (LAN, T200, [10, 0, 200, 9], [10, 0, 200, 1]),
    (WAN, T7_300, [10, 0, 30, 9], [10, 0, 30, 1]),
];

fn tagged(frame: &[u8], tags: &[u8]) -> Frame {
    let mut frame = frame.to_vec();
    frame.splice(12..12, tags.iter().copied());
    frame
}

/// What was sent, as it leaves the vifs.
fn wire(bed: &mut Bed) -> Vec<(u8, Frame)> {
    let frames = bed.take();
    frames
        .into_iter()
        .map(|(out, frame)| {
            let (vif, tags) = bed.router.port(InterfaceId(out));
            (vif.0, tagged(&frame, tags.as_bytes()))
        })
        .collect()
}

/// A router that knows the host of each place.
fn bed() -> Bed {
    let mut bed = Bed::new(CONFIG, 0);
    bed.poll();
    bed.sent.clear();
    for (vif, tags, host, router) in PLACES {
        let request = arp(1, host_mac(host), host, [0; 6], router);
        bed.receive(vif, &tagged(&request, tags));
        let reply = arp(2, router_mac(0, vif), router, host_mac(host), host);
        let [(out, answer)] = &wire(&mut bed)[..] else {
            panic!("one answer")
        };
        // Replies aren't padded.
        assert_eq!(*out, vif);
        assert_eq!(answer[..], tagged(&reply, tags)[..answer.len()]);
        // Who answers in turn is there.
        let reply = arp(2, host_mac(host), host, router_mac(0, vif), router);
        bed.receive(vif, &tagged(&reply, tags));
    }
    bed
}

#[test]
fn from_every_interface_to_every_other() {
    let mut bed = bed();
    for (vif, tags, from, _) in PLACES {
        for (out, out_tags, to, _) in PLACES {
            let frame = udp(vif, from, to, 100);
            let sent = tagged(&frame, tags);
            let verdicts = bed.offer(vif, &[(&sent, FrameMeta::plain(sent.len()))]);
            assert!(
                matches!(verdicts[..], [Verdict::Forward(_)]),
                "{verdicts:?}"
            );
            let mut wanted = edit(frame, |ip| ip[8] = 63);
            wanted[..6].copy_from_slice(&host_mac(to));
            wanted[6..12].copy_from_slice(&router_mac(0, out));
            assert_eq!(wire(&mut bed), [(out, tagged(&wanted, out_tags))]);
        }
    }
    bed.assert_balance();
    // Frames count on their own interface only: five, a question and an answer.
    for interface in [WAN, LAN, LAN100, LAN200, CUSTOMER] {
        let c = bed.router.counters(InterfaceId(interface)).unwrap();
        assert_eq!(c.rx_packets, 7, "{interface}");
        // A frame of 142 bytes without its tag, and ARP's 60.
        assert_eq!(c.rx_bytes, 2 * 60 + 5 * 142, "{interface}");
        assert_eq!(c.dropped_total(), 0);
    }
}

#[test]
fn all_of_them_in_one_burst() {
    let mut bed = bed();
    let frames: Vec<(u8, Frame)> = (0..60)
        .map(|i| {
            let (vif, tags, from, _) = PLACES[i % 5];
            let (_, _, to, _) = PLACES[i / 7 % 5];
            (vif, tagged(&udp(vif, from, to, i), tags))
        })
        .collect();
    for vif in [WAN, LAN] {
        let of_vif: Vec<(&[u8], FrameMeta)> = frames
            .iter()
            .filter(|(at, _)| *at == vif)
            .map(|(_, frame)| (&frame[..], FrameMeta::plain(frame.len())))
            .collect();
        let verdicts = bed.offer(vif, &of_vif);
        assert!(verdicts.iter().all(|v| matches!(v, Verdict::Forward(_))));
    }
    assert_eq!(bed.take().len(), 60);
    bed.assert_balance();
}

#[test]
fn a_priority_without_a_vlan_is_the_parents() {
    let (a, b) = (PLACES[0].2, PLACES[1].2);
    let mut plain = Bed::ready(testkit::bed::CONFIG, &[(WAN, a), (LAN, b)]);
    for bed in [&mut bed(), &mut plain] {
        for tag in [[0x81, 0, 0, 0], [0x81, 0, 0xf0, 0], [0x88, 0xa8, 0x20, 0]] {
            bed.receive(WAN, &tagged(&udp(WAN, a, b, 10), &tag));
            let [(LAN, frame)] = &wire(bed)[..] else {
                panic!("{tag:?}")
            };
            assert_eq!(frame[12..14], [8, 0]);
        }
        bed.assert_balance();
    }
    // In a VLAN as well.
    let mut bed = bed();
    let frame = tagged(&udp(LAN, PLACES[2].2, b, 10), &[0x81, 0, 0x60, 0]);
    bed.receive(LAN, &tagged(&frame, &[0x81, 0, 0xa0, 100]));
    assert_eq!(wire(&mut bed).len(), 1);
    assert_eq!(
        bed.router.counters(InterfaceId(LAN100)).unwrap().rx_packets,
        3
    );
}

#[test]
fn tags_of_no_interface_are_dropped() {
    let mut bed = bed();
    let frame = udp(LAN, PLACES[2].2, PLACES[0].2, 10);
    let unknown: [&[u8]; 8] = [
        &[0x81, 0, 0, 101],
        &[0x81, 0, 0xf, 0xff],
        &[0x88, 0xa8, 0, 100],
        T7_300,
        &[0x81, 0, 0, 100, 0x81, 0, 0, 100],
        &[0x81, 0, 0, 0, 0x81, 0, 0, 0, 0x81, 0, 0, 100],
        &[0x81, 0, 0, 100, 0x81, 0, 0, 0, 0x81, 0, 0, 0],
        &[0x81, 0, 0, 100, 0x81],
    ];
    for (n, tags) in (1..).zip(unknown) {
        let mut bytes = tagged(&frame, tags);
        if tags.len() == 5 {
            bytes.truncate(17);
        }
        bed.receive(LAN, &bytes);
        assert_eq!(bed.dropped(LAN, DropReason::Vlan), n, "{tags:?}");
    }
    assert!(bed.take().is_empty());
    // A tag, but none of what is to follow.
    for len in 14..18 {
        bed.receive(LAN, &tagged(&frame, T100)[..len]);
    }
    assert_eq!(bed.dropped(LAN, DropReason::Vlan), 8 + 4);
    // What has no address has no network either.
    bed.receive(WAN, &tagged(&udp(WAN, PLACES[0].2, [10, 9, 9, 9], 1), T7));
    assert_eq!(bed.dropped(PROVIDER, DropReason::NoRoute), 1);
    // Frames to another MAC address are so whatever their tag.
    let mut other = tagged(&frame, T100);
    other[5] ^= 1;
    bed.receive(LAN, &other);
    assert_eq!(bed.dropped(LAN, DropReason::OtherHost), 1);
    bed.assert_balance();
}

#[test]
fn a_narrower_vlan() {
    let mut bed = bed();
    let (from, to) = (PLACES[2].2, PLACES[3].2);
    let big = edit(udp(LAN, from, to, 1400), |ip| ip[6] = 0x40);
    bed.receive(LAN, &tagged(&big, T100));
    let [(LAN, error)] = &wire(&mut bed)[..] else {
        panic!("one error")
    };
    assert_eq!(error[12..16], *T100);
    let mut error = error.clone();
    error.drain(12..16);
    let (kind, code, quote) = icmp(&error, [10, 0, 100, 1], from);
    assert_eq!((kind, code), (3, 4));
    assert_eq!(u16::from_be_bytes([error[40], error[41]]), 1400);
    assert_eq!(quote[..20], big[14..34]);
    // Without DF it goes in fragments, each with the tag.
    bed.receive(LAN, &tagged(&udp(LAN, from, to, 1400), T100));
    let pieces = wire(&mut bed);
    assert_eq!(pieces.len(), 2);
    assert!(pieces.iter().all(|(_, f)| f[12..16] == *T200));
    assert_eq!(pieces[0].1.len() - 18, 20 + 1376);
    bed.assert_balance();
}

#[test]
fn the_routers_own_addresses_and_errors() {
    let mut bed = bed();
    for (vif, tags, host, router) in PLACES {
        // Any address, from anywhere.
        for (_, _, _, other) in PLACES {
            bed.receive(vif, &tagged(&echo(vif, host, other, 30), tags));
            let [(out, reply)] = &wire(&mut bed)[..] else {
                panic!("one reply")
            };
            let mut reply = reply.clone();
            assert_eq!(*out, vif);
            let found: Vec<u8> = reply.splice(12..12 + tags.len(), []).collect();
            assert_eq!(found, tags);
            assert_eq!(icmp(&reply, other, host).0, 0);
        }
        bed.pass(1000);
        bed.sent.clear();
        bed.receive(vif, &tagged(&udp(vif, host, [99, 9, 9, 9], 1), tags));
        let mut error = wire(&mut bed).remove(0).1;
        error.drain(12..12 + tags.len());
        assert_eq!(icmp(&error, router, host).0, 3);
    }
    bed.assert_balance();
}

#[test]
fn ipv6_on_a_vlan() {
    let mut bed = Bed::new(CONFIG, 0);
    bed.poll();
    // Its addresses are asked for in the VLAN, and it is advertised there and nowhere else.
    for _ in 0..60 {
        bed.pass(100);
    }
    let router = local6(LAN);
    let sent = wire(&mut bed);
    let kinds = |kind: u8| -> Vec<u8> {
        let all = sent.iter().filter(|(vif, _)| *vif == LAN);
        let ipv6 = all.filter(|(_, f)| f[12..16] == *T100 && f[16..18] == [0x86, 0xdd]);
        ipv6.map(|(_, f)| f[58])
            .filter(|&found| found == kind)
            .collect()
    };
    assert_eq!(kinds(NS).len(), 2);
    assert!(kinds(134).len() >= 2);
    assert_eq!(
        sent.iter()
            .filter(|(_, f)| f[12..14] == [0x86, 0xdd])
            .count(),
        sent.iter()
            .filter(|(v, f)| *v == WAN && f[12..14] == [0x86, 0xdd])
            .count(),
        "IPv6 without a tag is on wan only"
    );
    // A host there and one without a tag reach each other.
    let (a, b) = (a6("2001:db8:100::9"), a6("2001:db8::9"));
    for (vif, host, tags) in [(LAN, a, T100), (WAN, b, &[][..])] {
        let to = local6(vif);
        let question = ns(vif, host, to, to);
        bed.receive(vif, &tagged(&question, tags));
        let answer = na(vif, host, to, Some(mac6(host)), 0x60);
        bed.receive(vif, &tagged(&answer, tags));
    }
    wire(&mut bed);
    bed.receive(LAN, &tagged(&udp6(LAN, a, b, 50), T100));
    bed.receive(WAN, &udp6(WAN, b, a, 50));
    let sent = wire(&mut bed);
    assert_eq!((sent[0].0, &sent[0].1[12..14]), (WAN, &[0x86, 0xdd][..]));
    assert_eq!(
        (sent[1].0, &sent[1].1[12..18]),
        (LAN, &[0x81, 0, 0, 100, 0x86, 0xdd][..])
    );
    assert_eq!((sent[0].1[21], sent[1].1[25]), (63, 63));
    // The router's link-local address, the same as without a tag, answers in the VLAN.
    bed.receive(LAN, &tagged(&echo6(LAN, a, router, 8), T100));
    assert_eq!(wire(&mut bed).len(), 1);
    // Without a tag nobody speaks IPv6 there.
    bed.receive(LAN, &echo6(LAN, a, router, 8));
    assert_eq!(bed.dropped(LAN, DropReason::Ipv6Disabled), 1);
    bed.assert_balance();
}

#[test]
fn sub_interfaces_follow_their_vif() {
    let mut bed = bed();
    let up =
        |bed: &Bed| -> Vec<bool> { (0..6).map(|i| bed.router.is_up(InterfaceId(i))).collect() };
    assert_eq!(up(&bed), [true; 6]);
    bed.router.link_down(InterfaceId(WAN));
    assert_eq!(up(&bed), [false, true, true, true, false, false]);
    assert!(!bed.router.all_links_up());
    // What was on the VLANs of that vif is forgotten, and out of reach.
    bed.receive(LAN, &udp(LAN, PLACES[1].2, PLACES[4].2, 1));
    assert_eq!(bed.dropped(LAN, DropReason::NoRoute), 1);
    bed.receive(WAN, &tagged(&udp(WAN, PLACES[4].2, PLACES[1].2, 1), T7_300));
    assert_eq!(bed.dropped(WAN, DropReason::LinkDown), 1);
    bed.sent.clear();
    bed.router
        .link_up(bed.now, InterfaceId(WAN), router_mac(0, WAN), 1450);
    assert!(bed.router.all_links_up());
    bed.poll();
    // They announce themselves, each with its tags.
    let announced = wire(&mut bed);
    let customers = announced.iter().filter(|(_, f)| f[12..20] == *T7_300);
    // A probe and an announcement.
    assert_eq!(customers.filter(|(_, f)| f[20..22] == [8, 6]).count(), 2);
    bed.assert_balance();
}

#[test]
fn a_vlan_more_in_a_new_configuration() {
    let mut bed = bed();
    // The order of interfaces changes; their numbers and what is known does not.
    let numbers = |bed: &Bed| ["lan", "wan", "provider"].map(|name| bed.router.interface_id(name));
    let before = numbers(&bed);
    let more = format!(
        "[interface.first]\nparent = \"lan\"\nvlan = 2\naddress = [\"10.0.2.1/24\"]\n{CONFIG}"
    );
    let more = more.replace("vlan = 200", "vlan = 201");
    bed.router
        .apply(bed.now, &config::from_toml(&more).unwrap())
        .unwrap();
    bed.poll();
    bed.sent.clear();
    assert!(bed.router.all_links_up());
    assert_eq!(numbers(&bed), before);
    let first = bed.router.interface_id("first").unwrap();
    let (vif, tags) = bed.router.port(first);
    assert_eq!(
        (vif, tags.as_bytes()),
        (InterfaceId(LAN), &[0x81, 0, 0, 2][..])
    );
    bed.receive(LAN, &tagged(&udp(LAN, PLACES[2].2, PLACES[4].2, 1), T100));
    let [(WAN, frame)] = &wire(&mut bed)[..] else {
        panic!("forwarded")
    };
    assert_eq!(frame[12..20], *T7_300);
    bed.receive(LAN, &tagged(&udp(LAN, PLACES[3].2, PLACES[0].2, 1), T200));
    assert_eq!(bed.dropped(LAN, DropReason::Vlan), 1);
    assert_eq!(bed.router.port(InterfaceId(LAN)).1, Tags::NONE);
}

#[test]
fn interfaces_tell_their_vlan() {
    let bed = bed();
    let shown = snapshot::interfaces(&bed.router);
    for (vid, protocol, parent) in [
        (100, TagProtocol::Customer, "lan"),
        (7, TagProtocol::Service, "wan"),
        (300, TagProtocol::Customer, "provider"),
    ] {
        let wanted = AttachmentSnapshot::Vlan {
            parent: parent.into(),
            tag: Tag { protocol, vid },
        };
        assert!(shown.iter().any(|it| it.attachment == wanted), "{wanted:?}");
    }
}
