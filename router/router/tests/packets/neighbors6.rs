//! Neighbor Discovery: what the router is asked and asks, its neighbors, its advertisements.

use router::snapshot;
use router::snapshot::NeighborState::{self, Delay, Probe, Reachable, Stale};
use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use std::net::Ipv6Addr;
use testkit::bed::*;
use testkit::bed6::*;

#[test]
fn a_packet_that_dies_here_leaves_no_neighbor() {
    let host = a6("2001:db8::9");
    let mut bed = Bed::ready6(CONFIG6, &[(WAN, "2001:db8::9")]);
    let known = |bed: &Bed| snapshot::neighbors(&bed.router).len();
    let before = known(&bed);
    for at in 0x50..0x150u16 {
        let to = a6(&format!("2001:db8:1::{at:x}"));
        let mut expired = udp6(WAN, host, to, 10);
        expired[21] = 1;
        bed.receive(WAN, &expired);
        bed.receive(WAN, &udp6(WAN, host, to, 1473));
    }
    assert_eq!(known(&bed), before);
    bed.assert_balance();
}

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9);
const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What is known about a neighbor. `None` if it is none.
fn state_of(bed: &Bed, address: &str) -> Option<NeighborState> {
    let neighbors = snapshot::neighbors(&bed.router);
    let mut neighbors = neighbors.iter();
    let it = neighbors.find(|it| it.address.to_string() == address)?;
    Some(it.state)
}

#[test]
fn solicitations_are_answered() {
    let mut bed = Bed::ready6(CONFIG6, &[]);
    for (what, frame, to, flags) in [
        ("by group", ns(WAN, A, solicited(WAN6), WAN6), A, 0xe0),
        ("directly", ns(WAN, A, WAN6, WAN6), A, 0xe0),
        (
            "link-local",
            ns(WAN, a6("fe80::9"), solicited(local6(WAN)), local6(WAN)),
            a6("fe80::9"),
            0xe0,
        ),
        (
            "from nobody",
            ns(WAN, Ipv6Addr::UNSPECIFIED, solicited(WAN6), WAN6),
            ALL,
            0xa0,
        ),
        (
            "any router",
            ns(WAN, A, solicited(a6("2001:db8::")), a6("2001:db8::")),
            A,
            0xc0,
        ),
    ] {
        bed.receive(WAN, &frame);
        let sent = bed.take6();
        assert_eq!(sent.len(), 1, "{what}");
        let answer = &sent[0];
        assert_eq!(
            (answer.kind(), answer.payload[4], answer.hops),
            (NA, flags, 255),
            "{what}"
        );
        assert_eq!(answer.destination, to, "{what}");
        assert_eq!(answer.payload[24..26], [2, 1]);
        assert_eq!(answer.payload[26..], router_mac(0, WAN));
    }
    // Others' addresses, and ours on another link, aren't answered for.
    bed.receive(WAN, &ns(WAN, A, solicited(LAN6), LAN6));
    bed.receive(WAN, &ns(WAN, A, WAN6, a6("2001:db8::77")));
    assert!(bed.take().is_empty());
    bed.assert_balance();
}

#[test]
fn malformed_messages_are_dropped() {
    let good = ns(WAN, A, WAN6, WAN6);
    let change = |at: usize, value: u8| {
        let mut message = good[54..].to_vec();
        message[at] = value;
        message[2..4].fill(0);
        icmp6(WAN, A, WAN6, 255, &message)
    };
    let message = |hops| {
        let mut m = good[54..].to_vec();
        m[2..4].fill(0);
        icmp6(WAN, A, WAN6, hops, &m)
    };
    let mut sum = good.clone();
    sum[56] ^= 1;
    for (what, frame, reason) in [
        ("hop limit 254", message(254), DropReason::BadNd),
        ("hop limit 1", message(1), DropReason::BadNd),
        ("code 1", change(1, 1), DropReason::BadNd),
        ("group as target", change(8, 0xff), DropReason::BadNd),
        ("option without length", change(25, 0), DropReason::BadNd),
        ("option cut", change(25, 2), DropReason::BadNd),
        ("checksum", sum, DropReason::BadIcmp),
        (
            "conflict",
            na(WAN, WAN6, ALL, Some([2; 6]), 0x20),
            DropReason::NdConflict,
        ),
        (
            "conflict in another's name",
            icmp6(
                WAN,
                A,
                WAN6,
                255,
                &na(WAN, WAN6, ALL, None, 0x20)[54..]
                    .iter()
                    .enumerate()
                    .map(|(i, &b)| if i == 2 || i == 3 { 0 } else { b })
                    .collect::<Vec<u8>>(),
            ),
            DropReason::NdConflict,
        ),
    ] {
        let mut bed = Bed::ready6(CONFIG6, &[]);
        bed.receive(WAN, &frame);
        assert_eq!(bed.dropped(WAN, reason), 1, "{what}");
        assert!(bed.take().is_empty(), "{what}");
        bed.assert_balance();
    }
}

#[test]
fn frames_wait_for_their_neighbor() {
    let mut bed = Bed::ready6(CONFIG6, &[]);
    for i in 0..10 {
        bed.receive(WAN, &udp6(WAN, A, B, i));
    }
    let sent = bed.take6();
    assert_eq!(sent.len(), 1, "one question for all of them");
    let question = &sent[0];
    assert_eq!(
        (question.out, question.kind(), question.target()),
        (LAN, NS, B)
    );
    assert_eq!(
        (question.destination, question.source),
        (solicited(B), local6(LAN))
    );
    assert_eq!(question.to, [0x33, 0x33, 0xff, 0, 0, 9]);
    assert_eq!(question.payload[26..], router_mac(0, LAN));
    bed.receive(LAN, &na(LAN, B, local6(LAN), Some(mac6(B)), 0x60));
    let lens: Vec<usize> = bed.take6().iter().map(|s| s.payload.len() - 8).collect();
    assert_eq!(lens, [2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(state_of(&bed, "2001:db8:1::9"), Some(Reachable));
    bed.assert_balance();
}

#[test]
fn who_never_answers_is_unreachable() {
    let mut bed = Bed::ready6(CONFIG6, &[(WAN, "2001:db8::9")]);
    let frame = udp6(WAN, A, B, 30);
    bed.receive(WAN, &frame);
    let mut sent = bed.take6();
    for _ in 0..35 {
        bed.pass(100);
        sent.extend(bed.take6());
    }
    assert_eq!(of_kind(&sent, LAN, NS).len(), 3);
    let errors = of_kind(&sent, WAN, 1);
    assert_eq!(errors[0].error().1, 3);
    assert_eq!(errors[0].error().3, &frame[14..]);
    assert_eq!(bed.dropped(WAN, DropReason::NeighborUnreachable), 1);
    bed.assert_balance();
}

/// RFC 4861 7.2.5 and appendix C, a row each.
#[test]
fn advertisements_change_what_is_known() {
    let elsewhere = [2, 9, 9, 9, 9, 9];
    let other = Some(elsewhere);
    let same = Some(mac6(B));
    const S: u8 = 0x40;
    const O: u8 = 0x20;
    for (before, mac, flags, after, moved) in [
        (Reachable, same, 0, Reachable, false),
        (Reachable, same, S, Reachable, false),
        (Reachable, other, 0, Stale, false),
        (Reachable, other, S, Stale, false),
        (Reachable, other, O, Stale, true),
        (Reachable, other, S | O, Reachable, true),
        (Reachable, None, 0, Reachable, false),
        (Stale, same, 0, Stale, false),
        (Stale, same, S, Reachable, false),
        (Stale, None, S, Reachable, false),
        (Stale, other, 0, Stale, false),
        (Stale, other, S, Stale, false),
        (Stale, other, O, Stale, true),
        (Stale, other, S | O, Reachable, true),
    ] {
        let mut bed = Bed::ready6(CONFIG6, &[]);
        bed.receive(LAN, &ns(LAN, B, local6(LAN), local6(LAN)));
        if before == Reachable {
            bed.receive(LAN, &na(LAN, B, local6(LAN), same, 0x60));
        }
        assert_eq!(state_of(&bed, "2001:db8:1::9"), Some(before));
        bed.receive(LAN, &na(LAN, B, local6(LAN), mac, flags));
        let what = format!("{before:?}, {mac:?}, {flags:x}");
        assert_eq!(state_of(&bed, "2001:db8:1::9"), Some(after), "{what}");
        bed.sent.clear();
        bed.receive(WAN, &udp6(WAN, A, B, 10));
        let to = bed.take6()[0].to;
        assert_eq!(to == elsewhere, moved, "{what}");
        bed.assert_balance();
    }
}

/// RFC 9131: a first-hop router takes note of a host that has a new address, so that the answers to
/// its first packets don't wait.
#[test]
fn who_announces_an_address_is_known() {
    let there = a6("2001:db8:1::9");
    let known = |host: Ipv6Addr, mac: Option<[u8; 6]>, flags: u8| {
        let mut bed = Bed::ready6(CONFIG6, &[]);
        let before = snapshot::neighbors(&bed.router).len();
        bed.receive(LAN, &na(LAN, host, ALL, mac, flags));
        bed.assert_balance();
        let count = snapshot::neighbors(&bed.router).len() - before;
        (count, state_of(&bed, &host.to_string()))
    };
    let mac = Some(mac6(there));
    for flags in [0, 0x20] {
        assert_eq!(known(there, mac, flags), (1, Some(Stale)));
        let link_local = a6("fe80::9");
        assert_eq!(known(link_local, mac, flags).0, 1);
        // Nothing to be known of it, or it can't be there.
        assert_eq!(known(there, None, flags).0, 0);
        for elsewhere in ["2001:db8::9", "2001:db9::9", "2001:db8:1::"] {
            assert_eq!(known(a6(elsewhere), mac, flags).0, 0, "{elsewhere}");
        }
    }
}

#[test]
fn a_stale_neighbor_is_asked_after_a_delay_without_losing_frames() {
    let mut bed = Bed::ready6(CONFIG6, &[(WAN, "2001:db8::9"), (LAN, "2001:db8:1::9")]);
    for _ in 0..50 {
        bed.pass(1000);
    }
    assert_eq!(state_of(&bed, "2001:db8:1::9"), Some(Stale));
    bed.sent.clear();
    let frame = udp6(WAN, A, B, 10);
    let meta = FrameMeta::plain(frame.len());
    bed.receive(WAN, &frame);
    assert_eq!(bed.take6()[0].to, mac6(B), "sent at once");
    assert_eq!(state_of(&bed, "2001:db8:1::9"), Some(Delay));
    let forward = [Verdict::Forward(InterfaceId(LAN))];
    assert_eq!(
        bed.offer(WAN, &[(&frame, meta)]),
        forward,
        "and fast from now on"
    );
    bed.sent.clear();
    for _ in 0..60 {
        bed.pass(100);
    }
    let asked = of_kind(&bed.take6(), LAN, NS);
    assert_eq!(
        (asked[0].to, asked[0].destination),
        (mac6(B), B),
        "directly"
    );
    assert_eq!(state_of(&bed, "2001:db8:1::9"), Some(Probe));
    assert_eq!(bed.offer(WAN, &[(&frame, meta)]), forward);
    bed.receive(LAN, &na(LAN, B, local6(LAN), None, 0x40));
    assert_eq!(state_of(&bed, "2001:db8:1::9"), Some(Reachable));
    // Used all the time it is asked again and again, and once silent given up.
    let mut questions = 0;
    for _ in 0..200 {
        assert_eq!(bed.offer(WAN, &[(&frame, meta)]), forward);
        bed.pass(1000);
        let sent = bed.take6();
        if !of_kind(&sent, LAN, NS).is_empty() {
            questions += 1;
            bed.receive(LAN, &na(LAN, B, local6(LAN), None, 0x40));
        }
    }
    assert!((3..=10).contains(&questions), "{questions}");
    let mut groups = 0;
    for _ in 0..70 {
        bed.offer(WAN, &[(&frame, meta)]);
        bed.pass(1000);
        let sent = bed.take6();
        groups += of_kind(&sent, LAN, NS)
            .iter()
            .filter(|s| s.destination == solicited(B))
            .count();
    }
    assert!(groups >= 3);
    bed.assert_balance();
}

#[test]
fn static_neighbors_and_link_local_gateways() {
    let text = format!(
        "{CONFIG6}\n[[neighbor]]\ninterface = \"wan\"\naddress = \"fe80::fe\"\nmac = \"02:00:00:00:00:fe\"\n"
    );
    let mut bed = Bed::ready6(&text, &[]);
    for _ in 0..3 {
        bed.receive(LAN, &udp6(LAN, B, a6("2a00::1"), 10));
        assert_eq!(bed.take6()[0].to, [2, 0, 0, 0, 0, 0xfe]);
        bed.receive(WAN, &na(WAN, a6("fe80::fe"), ALL, Some([2; 6]), 0x60));
        bed.pass(100_000);
        bed.take();
    }
}

#[test]
fn a_scan_of_a_64_displaces_nobody() {
    let mut bed = Bed::ready6(CONFIG6, &[(WAN, "2001:db8::9"), (LAN, "2001:db8:1::9")]);
    let good = udp6(WAN, A, B, 10);
    let forward = [Verdict::Forward(InterfaceId(LAN))];
    let mut asked = 0;
    for i in 0..20_000u32 {
        let host = Ipv6Addr::from_bits(a6("2001:db8:1:0:8000::").to_bits() + u128::from(i));
        bed.receive(WAN, &udp6(WAN, A, host, 10));
        if i % 100 == 0 {
            bed.pass(10);
            assert_eq!(
                bed.offer(WAN, &[(&good, FrameMeta::plain(good.len()))]),
                forward
            );
        }
        asked += bed.take().len();
    }
    // Two seconds of scan: some 1000 a second are looked for.
    assert!((1000..4000).contains(&asked), "{asked}");
    assert!(bed.dropped(WAN, DropReason::NeighborRateLimited) > 10_000);
    assert!(bed.router.pending() <= 512);
    assert_eq!(state_of(&bed, "2001:db8:1::9"), Some(Reachable));
    bed.assert_balance();
}

const ADVERTISING: &str = r#"
[interface.lan]
vif = 0
address = ["2001:db8:1::1/64"]
mtu = 1400
[interface.lan.advertise]
max_interval_s = 30
managed = true
preference = "high"
dns = ["2001:db8:1::53"]
dns_search = ["example.org"]
[[interface.lan.advertise.route]]
prefix = "2001:db8:7::/48"
lifetime_s = 60
"#;

#[test]
fn advertisements_of_the_router() {
    let mut bed = Bed::new(ADVERTISING, 0);
    bed.poll();
    let mut times = Vec::new();
    let mut all = Vec::new();
    for tick in 0..2000 {
        bed.pass(100);
        for ra in of_kind(&bed.take6(), 0, 134) {
            times.push(tick);
            all.push(ra);
        }
    }
    assert!(times[0] <= 11, "once the address is ours: {times:?}");
    let gaps: Vec<i32> = times.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(gaps[..2].iter().all(|&g| g <= 161), "{gaps:?}");
    assert!(gaps.iter().all(|&g| (100..=301).contains(&g)), "{gaps:?}");
    let ra = &all[0];
    assert_eq!((ra.source, ra.destination, ra.hops), (local6(0), ALL, 255));
    let mut wanted = vec![64, 0x88, 0, 90, 0, 0, 0, 0, 0, 0, 0, 0];
    wanted.extend([1, 1]);
    wanted.extend(router_mac(0, 0));
    wanted.extend([5, 1, 0, 0, 0, 0, 5, 120]);
    wanted.extend([
        3, 4, 64, 0xc0, 0, 0x27, 0x8d, 0, 0, 9, 0x3a, 0x80, 0, 0, 0, 0,
    ]);
    wanted.extend(a6("2001:db8:1::").octets());
    wanted.extend([24, 2, 48, 0, 0, 0, 0, 60, 0x20, 1, 0xd, 0xb8, 0, 7, 0, 0]);
    wanted.extend([25, 3, 0, 0, 0, 0, 0, 90]);
    wanted.extend(a6("2001:db8:1::53").octets());
    wanted.extend([31, 3, 0, 0, 0, 0, 0, 90]);
    wanted.extend(b"\x07example\x03org\0\0\0\0");
    assert_eq!(ra.payload[4..], wanted);
    // A host asks: soon, but not right after the last one.
    let mut solicitation = vec![133, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    solicitation.extend([2, 6, 0, 0, 0, 9]);
    let host = a6("fe80::9");
    let ask = icmp6(0, host, a6("ff02::2"), 255, &solicitation);
    let mut heard = 0;
    for _ in 0..10 {
        bed.receive(0, &ask);
        bed.pass(1000);
        heard += of_kind(&bed.take6(), 0, 134).len();
    }
    assert!((2..=4).contains(&heard), "{heard}");
    assert_eq!(state_of(&bed, "fe80::9"), Some(Stale));
    // At its end, it sends a final advertisement.
    let mut ending = Bed::ready6(ADVERTISING, &[]);
    for _ in 0..5 {
        ending.pass(10_000);
    }
    ending.take();
    assert!(ending.router.cease_advertising());
    ending.poll();
    let last = of_kind(&ending.take6(), 0, 134);
    assert_eq!((last.len(), &last[0].payload[6..8]), (1, &[0, 0][..]));
    assert!(
        !ending.router.cease_advertising(),
        "there is nobody left to tell"
    );
    // Taken from the configuration, too.
    let at = ADVERTISING.find("[interface.lan.advertise]").unwrap();
    let config = config::from_toml(&ADVERTISING[..at]).unwrap();
    bed.router.apply(bed.now, &config).unwrap();
    bed.poll();
    let last = of_kind(&bed.take6(), 0, 134);
    assert_eq!((last.len(), &last[0].payload[6..8]), (1, &[0, 0][..]));
    for _ in 0..100 {
        bed.pass(10_000);
        assert!(of_kind(&bed.take6(), 0, 134).is_empty());
    }
    bed.assert_balance();
}

/// RFC 7084 G-4 and G-5.
#[test]
fn without_a_default_route_it_may_be_no_default_router() {
    let text = format!(
        "{}needs_default_route = true\n{}[interface.wan]\nvif = 1\naddress = [\"2001:db8::1/64\"]\n{}",
        "[interface.lan]\nvif = 0\naddress = [\"2001:db8:1::1/64\"]\n[interface.lan.advertise]\n",
        "[vrf.red]\n",
        "[[route]]\nprefix = \"::/0\"\nvia = [\"2001:db8::fe\"]\n",
    );
    let lifetimes = |bed: &mut Bed, seconds: u32| -> Vec<u16> {
        let mut heard = Vec::new();
        for _ in 0..seconds {
            bed.pass(1000);
            heard.extend(of_kind(&bed.take6(), 0, 134));
        }
        let lifetime = |ra: &Sent| u16::from_be_bytes([ra.payload[6], ra.payload[7]]);
        heard.iter().map(lifetime).collect()
    };
    let mut bed = Bed::new(&text, 0);
    assert_eq!(lifetimes(&mut bed, 5), [1800]);
    for _ in 0..3 {
        bed.router.link_down(InterfaceId(1));
        // Within the 3 seconds that are between two of them.
        let heard = lifetimes(&mut bed, 4);
        assert!(heard.contains(&0), "{heard:?}");
        let later = lifetimes(&mut bed, 2000);
        assert!(
            !later.is_empty() && later.iter().all(|&s| s == 0),
            "{later:?}"
        );
        bed.router
            .link_up(bed.now, InterfaceId(1), router_mac(0, 1), 1500);
        let heard = lifetimes(&mut bed, 4);
        assert_eq!(heard.last(), Some(&1800), "{heard:?}");
    }
    // A default route to nowhere is none, one by another table is.
    let default = |target: &str| {
        let text = text.replace("via = [\"2001:db8::fe\"]", target);
        config::from_toml(&text).unwrap()
    };
    for (target, lifetime) in [
        ("action = \"unreachable\"", 0),
        ("via_vrf = \"red\"", 0),
        (
            "via_vrf = \"red\"\n[[route]]\nvrf = \"red\"\nprefix = \"::/0\"\nvia = [\"2001:db8::fe\"]\nvia_vrf = \"default\"",
            1800,
        ),
        ("interface = \"wan\"", 1800),
    ] {
        let mut bed = Bed::with(&default(target), 0);
        assert_eq!(lifetimes(&mut bed, 5), [lifetime], "{target}");
    }
}
