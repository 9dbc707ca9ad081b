//! IPv6: what is forwarded, and what is dropped under which reason.

use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use std::net::Ipv6Addr;
use testkit::bed::*;
use testkit::bed6::*;

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9);

fn bed() -> Bed {
    let hosts = [
        (WAN, "2001:db8::9"),
        (LAN, "2001:db8:1::9"),
        (WAN, "fe80::fe"),
        (WAN, "fe80::9"),
        (LAN, "2001:db8:1::fd"),
        (LAN, "2001:db8:1::fe"),
    ];
    Bed::ready6(CONFIG6, &hosts)
}

#[test]
fn a_packet_gets_new_mac_addresses_and_a_smaller_hop_limit() {
    let mut bed = bed();
    let frame = udp6(WAN, A, B, 100);
    let verdicts = bed.offer(WAN, &[(&frame, FrameMeta::plain(frame.len()))]);
    assert_eq!(verdicts, [Verdict::Forward(InterfaceId(LAN))]);
    let mut wanted = frame;
    wanted[21] = 63;
    wanted[..6].copy_from_slice(&mac6(B));
    wanted[6..12].copy_from_slice(&router_mac(0, LAN));
    assert_eq!(bed.take(), [(LAN, wanted)]);
    bed.assert_balance();
}

#[test]
fn both_families_in_one_burst() {
    let mut bed = bed();
    let v4 = [10, 0, 1, 9];
    bed.meet(LAN, v4, [10, 0, 1, 1]);
    bed.sent.clear();
    let six = udp6(WAN, A, B, 10);
    let four = udp(WAN, [20, 0, 0, 1], v4, 10);
    let far = udp6(WAN, A, a6("2a00::1"), 10);
    let frames: Vec<(&[u8], FrameMeta)> = [&six, &four, &four, &six, &far, &four, &six]
        .iter()
        .map(|f| (f.as_slice(), FrameMeta::plain(f.len())))
        .collect();
    let lan = Verdict::Forward(InterfaceId(LAN));
    let wan = Verdict::Forward(InterfaceId(WAN));
    assert_eq!(bed.offer(WAN, &frames), [lan, lan, lan, lan, wan, lan, lan]);
    let kinds: Vec<u8> = bed.take().iter().map(|(_, f)| f[14] >> 4).collect();
    assert_eq!(kinds, [6, 4, 4, 6, 6, 4, 6]);
    bed.assert_balance();
}

#[test]
fn gateways_groups_and_actions() {
    let mut bed = bed();
    let gateway = a6("fe80::fe");
    bed.receive(LAN, &udp6(LAN, B, a6("2a00::1"), 10));
    let sent = bed.take6();
    assert_eq!((sent[0].out, sent[0].to), (WAN, mac6(gateway)));
    let mut counts = [0; 2];
    for port in 0..300u16 {
        let mut frame = udp6(WAN, A, a6("2001:db8:20::1"), 10);
        frame[54..56].copy_from_slice(&port.to_be_bytes());
        bed.receive(WAN, &frame);
        let sent = bed.take6();
        let second = sent[0].to == mac6(a6("2001:db8:1::fe"));
        assert!(second || sent[0].to == mac6(a6("2001:db8:1::fd")));
        counts[usize::from(second)] += 1;
    }
    assert!((150..250).contains(&counts[1]), "{counts:?}");
    for (net, reason, answer) in [
        ("2001:db8:30::1", DropReason::Blackhole, None),
        ("2001:db8:31::1", DropReason::Unreachable, Some((1, 3))),
        ("2001:db8:32::1", DropReason::Prohibited, Some((1, 1))),
    ] {
        let frame = udp6(WAN, A, a6(net), 10);
        bed.receive(WAN, &frame);
        assert_eq!(bed.dropped(WAN, reason), 1, "{net}");
        let sent = bed.take6();
        assert_eq!(sent.len(), usize::from(answer.is_some()), "{net}");
        if let Some(answer) = answer {
            let (kind, code, _, quote) = sent[0].error();
            assert_eq!((kind, code, quote), (answer.0, answer.1, &frame[14..]));
            assert_eq!(
                (sent[0].source, sent[0].destination),
                (a6("2001:db8::1"), A)
            );
        }
    }
    bed.assert_balance();
}

#[test]
fn no_route_without_a_default_one() {
    let text = CONFIG6.replace("prefix = \"::/0\"", "prefix = \"2001:db8:99::/48\"");
    let mut bed = Bed::ready6(&text, &[(WAN, "2001:db8::9")]);
    bed.receive(WAN, &udp6(WAN, A, a6("2a00::1"), 10));
    assert_eq!(bed.dropped(WAN, DropReason::NoRoute), 1);
    let sent = bed.take6();
    assert_eq!(sent[0].error().0, 1);
    assert_eq!(sent[0].error().1, 0);
}

#[test]
fn what_is_dropped() {
    let good = udp6(WAN, A, B, 10);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut f = good.clone();
        change(&mut f);
        f
    };
    let between = |a: &str, b: Ipv6Addr| udp6(WAN, a6(a), b, 10);
    let group = |b: &str| udp6(WAN, A, a6(b), 10);
    for (what, frame, reason) in [
        ("53 bytes", good[..53].to_vec(), DropReason::Truncated),
        ("version 4", with(|f| f[14] = 0x45), DropReason::BadVersion),
        ("version 7", with(|f| f[14] = 0x70), DropReason::BadVersion),
        ("too long", with(|f| f[19] += 1), DropReason::BadTotalLength),
        (
            "other MAC address",
            with(|f| f[5] ^= 1),
            DropReason::OtherHost,
        ),
        (
            "in a broadcast",
            with(|f| f[..6].fill(255)),
            DropReason::LinkBroadcast,
        ),
        (
            "from a group",
            between("ff02::1", B),
            DropReason::MartianSource,
        ),
        (
            "from loopback",
            between("::1", B),
            DropReason::MartianSource,
        ),
        ("from nobody", between("::", B), DropReason::MartianSource),
        (
            "from a mapped one",
            between("::ffff:1.2.3.4", B),
            DropReason::MartianSource,
        ),
        (
            "from us",
            between("2001:db8:1::1", B),
            DropReason::OwnSource,
        ),
        (
            "from link-local",
            between("fe80::9", B),
            DropReason::BeyondScope,
        ),
        (
            "to link-local",
            udp6(WAN, A, a6("fe80::9"), 10),
            DropReason::BeyondScope,
        ),
        (
            "to nobody",
            udp6(WAN, A, a6("::"), 10),
            DropReason::MartianDestination,
        ),
        (
            "to loopback",
            udp6(WAN, A, a6("::1"), 10),
            DropReason::MartianDestination,
        ),
        (
            "to a mapped one",
            udp6(WAN, A, a6("::ffff:1.2.3.4"), 10),
            DropReason::MartianDestination,
        ),
        (
            "to a global group",
            group("ff0e::1:2"),
            DropReason::Multicast,
        ),
        (
            "to another link group",
            group("ff02::5"),
            DropReason::Multicast,
        ),
        (
            "to the interface's own group",
            group("ff01::1"),
            DropReason::Multicast,
        ),
    ] {
        let mut bed = bed();
        bed.receive(WAN, &frame);
        assert_eq!(bed.dropped(WAN, reason), 1, "{what}");
        let told = bed.take6();
        if what == "from link-local" {
            assert_eq!(told[0].error().1, 2, "beyond scope");
        } else {
            assert!(told.is_empty(), "{what}");
        }
        bed.assert_balance();
    }
}

#[test]
fn an_interface_without_an_address_of_ipv6_has_none() {
    let text = CONFIG6
        .replace("\"2001:db8:1::1/64\", ", "")
        .replace("2001:db8:1::f", "2001:db8::f");
    let mut bed = Bed::ready6(&text, &[]);
    for frame in [
        udp6(LAN, B, A, 10),
        ns(LAN, B, solicited(local6(LAN)), local6(LAN)),
    ] {
        bed.receive(LAN, &frame);
    }
    assert_eq!(bed.dropped(LAN, DropReason::Ipv6Disabled), 2);
    assert!(bed.take().is_empty());
}

#[test]
fn padding_ends_with_the_packet() {
    let mut bed = bed();
    let mut frame = udp6(WAN, A, B, 10);
    let len = frame.len();
    frame.resize(len + 20, 0xee);
    bed.receive(WAN, &frame);
    let (_, sent) = bed.take().remove(0);
    assert_eq!(sent.len(), len);
}

#[test]
fn extension_headers_of_others_stay_as_they_are() {
    let mut bed = bed();
    let udp = udp6(WAN, A, B, 10)[54..].to_vec();
    // Options that only the destination judges, routing, a fragment.
    for (next, header) in [
        (60, [17, 0, 0xc1, 4, 0, 0, 0, 0]),
        (43, [17, 0, 0, 1, 0, 0, 0, 0]),
        (44, [17, 0, 0, 9, 0, 0, 0, 7]),
        (0, [17, 0, 5, 2, 0, 0, 1, 0]),
        (0, [17, 0, 0x1e, 4, 0, 0, 0, 0]),
    ] {
        let frame = ip6(WAN, A, B, 64, next, &[&header[..], &udp].concat());
        bed.receive(WAN, &frame);
        let (out, sent) = bed.take().remove(0);
        assert_eq!((out, sent[21]), (LAN, 63), "{next}");
        assert_eq!(sent[22..], frame[22..]);
    }
    // Those that every router is to judge.
    for (option, code) in [(0xc1, Some(42)), (0x81, Some(42)), (0x41, None)] {
        let header = [17, 0, option, 4, 0, 0, 0, 0];
        bed.receive(WAN, &ip6(WAN, A, B, 64, 0, &[&header[..], &udp].concat()));
        let sent = bed.take6();
        assert_eq!(sent.len(), usize::from(code.is_some()));
        if let Some(pointer) = code {
            let (kind, code, at, _) = sent[0].error();
            assert_eq!((kind, code, at), (4, 2, pointer));
        }
    }
    assert_eq!(bed.dropped(WAN, DropReason::BadOptions), 3);
    bed.assert_balance();
}

#[test]
fn too_big_packets_are_reported_not_cut() {
    let mut bed = bed();
    bed.router
        .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 1400);
    for _ in 0..30 {
        bed.pass(100);
    }
    bed.introduce(LAN, B);
    bed.sent.clear();
    bed.receive(WAN, &udp6(WAN, A, B, 1400 - 48));
    assert_eq!(bed.take6()[0].out, LAN);
    let frame = udp6(WAN, A, B, 1400 - 47);
    bed.receive(WAN, &frame);
    let sent = bed.take6();
    let (kind, code, mtu, quote) = sent[0].error();
    assert_eq!((kind, code, mtu), (2, 0, 1400));
    assert_eq!(sent[0].payload.len(), 1280 - 40);
    assert_eq!(quote, &frame[14..14 + quote.len()]);
    bed.assert_balance();
}

#[test]
fn a_route_may_have_a_smaller_mtu() {
    let route = "[[route]]\nprefix = \"2001:db8:77::/48\"\nvia = [\"2001:db8:1::9\"]\nmtu = 1300\n";
    let hosts = [(WAN, "2001:db8::9"), (LAN, "2001:db8:1::9")];
    let mut bed = Bed::ready6(&format!("{CONFIG6}{route}"), &hosts);
    let far = a6("2001:db8:77::7");
    let fits = udp6(WAN, A, far, 1300 - 48);
    let meta = FrameMeta::plain(fits.len());
    let forward = [Verdict::Forward(InterfaceId(LAN))];
    assert_eq!(bed.offer(WAN, &[(&fits, meta)]), forward);
    bed.sent.clear();
    bed.receive(WAN, &udp6(WAN, A, far, 1301 - 48));
    let (kind, code, mtu, _) = bed.take6()[0].error();
    assert_eq!((kind, code, mtu), (2, 0, 1300));
    // Segments count, and so does what comes by another route to the same neighbor.
    let mut segment = vec![0; 20 + 5000];
    segment[12] = 0x50;
    let frame = ip6(WAN, A, far, 64, 6, &segment);
    let meta = |gso_size| large(&frame, gso_size);
    assert_eq!(bed.offer(WAN, &[(&frame, meta(1200))]), forward);
    assert_eq!(bed.offer(WAN, &[(&frame, meta(1241))]), [Verdict::Punt]);
    bed.poll();
    bed.sent.clear();
    let near = udp6(WAN, A, B, 1452);
    let meta = FrameMeta::plain(near.len());
    assert_eq!(bed.offer(WAN, &[(&near, meta)]), forward);
    bed.assert_balance();
}

#[test]
fn aggregates_whose_segments_fit_are_forwarded() {
    let mut bed = bed();
    let mut segment = vec![0; 20 + 5000];
    segment[12] = 0x50;
    let frame = ip6(WAN, A, B, 64, 6, &segment);
    let meta = |gso_size| large(&frame, gso_size);
    let forward = [Verdict::Forward(InterfaceId(LAN))];
    assert_eq!(bed.offer(WAN, &[(&frame, meta(1440))]), forward);
    assert_eq!(bed.offer(WAN, &[(&frame, meta(0))]), [Verdict::Punt]);
    bed.poll();
    assert_eq!(bed.dropped(WAN, DropReason::TooBig), 1);
    bed.sent.clear();
    // To a smaller link: those that surely fit, and those that do as is seen at leisure.
    bed.router
        .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 1400);
    for _ in 0..30 {
        bed.pass(100);
    }
    bed.introduce(LAN, B);
    bed.sent.clear();
    assert_eq!(bed.offer(WAN, &[(&frame, meta(1300))]), forward);
    for (gso_size, fits) in [(1340, true), (1341, false)] {
        bed.sent.clear();
        bed.receive_as(WAN, &frame, meta(gso_size));
        let sent = bed.take6();
        assert_eq!(sent[0].out == LAN, fits, "{gso_size}");
    }
    assert_eq!(bed.dropped(WAN, DropReason::TooBig), 2);
    bed.assert_balance();
}

#[test]
fn segments_that_no_link_would_take_are_reported() {
    let mut bed = Bed::new(CONFIG6, 0);
    for interface in [WAN, LAN] {
        let mac = router_mac(0, interface);
        let id = InterfaceId(interface);
        bed.router.link_up(bed.now, id, mac, 1400);
    }
    for _ in 0..30 {
        bed.pass(100);
    }
    bed.introduce(WAN, A);
    bed.introduce(LAN, B);
    bed.sent.clear();
    let mut segment = vec![0; 32 + 5000];
    segment[12] = 0x80;
    let frame = ip6(WAN, A, B, 64, 6, &segment);
    let meta = |gso_size| large(&frame, gso_size);
    // As hosts send that take their links to carry 1500, and 1400.
    bed.receive_as(WAN, &frame, meta(1428));
    let (kind, code, mtu, _) = bed.take6()[0].error();
    assert_eq!((kind, code, mtu), (2, 0, 1400));
    let forward = [Verdict::Forward(InterfaceId(LAN))];
    assert_eq!(bed.offer(WAN, &[(&frame, meta(1328))]), forward);
    bed.sent.clear();
    bed.assert_balance();
}

#[test]
fn hop_limits_end() {
    let mut bed = bed();
    for hops in [0, 1] {
        let mut frame = udp6(WAN, A, B, 10);
        frame[21] = hops;
        bed.receive(WAN, &frame);
        let sent = bed.take6();
        let (kind, code, _, quote) = sent[0].error();
        assert_eq!((kind, code, quote), (3, 0, &frame[14..]));
        assert_eq!(sent[0].source, a6("2001:db8::1"));
    }
    // No errors about errors, nor to many.
    let mut error = icmp6(WAN, A, B, 1, &[1, 0, 0, 0, 0, 0, 0, 0]);
    bed.receive(WAN, &error);
    error[20] = 17;
    error[..6].fill(255);
    bed.receive(WAN, &error);
    assert!(bed.take().is_empty());
    for _ in 0..300 {
        let mut frame = udp6(WAN, A, B, 10);
        frame[21] = 1;
        bed.receive(WAN, &frame);
    }
    assert!(bed.take().len() < 105);
    let c = bed.router.counters(InterfaceId(WAN)).unwrap();
    assert!(c.icmp_suppressed > 150);
    bed.assert_balance();
}

const RPF: &str = r#"
[interface.wan]
vif = 0
address = ["2001:db8::1/64", "10.0.0.1/24"]
rpf = "loose"
[interface.lan]
vif = 1
address = ["2001:db8:1::1/64", "10.0.1.1/24"]
rpf = "strict"
[[route]]
prefix = "2001:db8:20::/48"
via = ["2001:db8:1::fd", "2001:db8::fe"]
[[route]]
prefix = "2001:db8:21::/48"
via = ["2001:db8::fe"]
[[route]]
prefix = "20.0.0.0/8"
via = ["10.0.1.253", "10.0.0.254"]
[[route]]
prefix = "21.0.0.0/8"
via = ["10.0.0.254"]
[[route]]
prefix = "30.0.0.0/8"
action = "blackhole"
"#;

#[test]
fn sources_must_be_where_they_are_routed_to() {
    let mut bed = Bed::ready6(RPF, &[(WAN, "2001:db8::9"), (LAN, "2001:db8:1::9")]);
    let v4 = [10, 0, 0, 9];
    bed.meet(WAN, v4, [10, 0, 0, 1]);
    let b4 = [10, 0, 1, 9];
    bed.meet(LAN, b4, [10, 0, 1, 1]);
    bed.sent.clear();
    let mut refused = [0, 0];
    for (interface, source, passes) in [
        (LAN, "2001:db8:1::77", true),
        (LAN, "2001:db8:20::1", true),
        (LAN, "2001:db8:21::1", false),
        (LAN, "2001:db8::77", false),
        (LAN, "2a00::1", false),
        (WAN, "2001:db8:1::77", true),
        (WAN, "2001:db8:21::1", true),
        (WAN, "2a00::1", false),
        (LAN, "10.0.1.77", true),
        (LAN, "20.0.0.1", true),
        (LAN, "21.0.0.1", false),
        (WAN, "10.0.1.77", true),
        (WAN, "22.0.0.1", false),
        (WAN, "30.0.0.1", false),
    ] {
        let (frame, out) = match source.parse::<std::net::Ipv4Addr>() {
            Ok(source) => {
                let to = if interface == LAN { v4 } else { b4 };
                (udp(interface, source.octets(), to, 10), to.to_vec())
            }
            Err(_) => {
                let to = if interface == LAN { A } else { B };
                (udp6(interface, a6(source), to, 10), to.octets().to_vec())
            }
        };
        bed.receive(interface, &frame);
        let sent = bed.take();
        assert_eq!(
            sent.len(),
            usize::from(passes),
            "{source} on {interface} to {out:?}"
        );
        refused[usize::from(interface)] += u64::from(!passes);
        assert_eq!(
            bed.dropped(interface, DropReason::ReversePath),
            refused[usize::from(interface)]
        );
        // What is for the router obeys too.
        if source.contains(':') {
            bed.receive(
                interface,
                &echo6(interface, a6(source), a6("2001:db8::1"), 4),
            );
            refused[usize::from(interface)] += u64::from(!passes);
            assert_eq!(
                bed.dropped(interface, DropReason::ReversePath),
                refused[usize::from(interface)]
            );
            bed.take();
        }
    }
    // Link-local sources are beyond that.
    bed.receive(LAN, &echo6(LAN, a6("fe80::9"), local6(LAN), 4));
    assert_eq!(bed.dropped(LAN, DropReason::ReversePath), refused[1]);
    bed.assert_balance();
}
