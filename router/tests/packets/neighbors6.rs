//! Neighbor Discovery: the router's own addresses, its neighbours, its advertisements.

use crate::bed::*;
use crate::bed6::*;
use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use std::net::Ipv6Addr;

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9);
const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn of_kind(sent: &[Sent], out: u8, kind: u8) -> Vec<Sent> {
    let wanted = |s: &&Sent| s.out == out && s.next == 58 && s.kind() == kind;
    sent.iter().filter(wanted).cloned().collect()
}

fn state_of(bed: &Bed, address: &str) -> String {
    let mut text = String::new();
    router::show::show_neighbors(&bed.router, &mut text).unwrap();
    let line = text
        .lines()
        .find(|l| l.split_whitespace().next() == Some(address));
    line.map_or(String::from("none"), |l| {
        l.split_whitespace().nth(3).unwrap().to_owned()
    })
}

#[test]
fn addresses_are_used_once_nobody_objected() {
    let mut bed = Bed::new(CONFIG6, 0);
    bed.poll();
    let sent: Vec<Sent> = bed
        .take()
        .iter()
        .filter(|(_, f)| f[12] == 0x86)
        .map(Sent::read)
        .collect();
    let asked = of_kind(&sent, WAN, NS);
    let targets: Vec<Ipv6Addr> = asked.iter().map(Sent::target).collect();
    assert_eq!(targets, [local6(WAN), WAN6]);
    for question in &asked {
        assert_eq!(
            (question.source, question.hops),
            (Ipv6Addr::UNSPECIFIED, 255)
        );
        assert_eq!(question.destination, solicited(question.target()));
        assert_eq!(question.payload.len(), 24, "no option");
    }
    // Groups are reported, behind a router alert, from nobody yet.
    let report = sent.iter().find(|s| s.out == WAN && s.next == 0).unwrap();
    assert_eq!((report.hops, report.source), (1, Ipv6Addr::UNSPECIFIED));
    assert_eq!(report.payload[..9], [58, 0, 5, 2, 0, 0, 1, 0, 143]);
    // Before anything is asked in them (RFC 4862 5.4.2).
    assert_eq!(sent.iter().find(|s| s.out == WAN).unwrap().next, 0);
    // Not answered for yet.
    bed.receive(WAN, &ns(WAN, A, solicited(WAN6), WAN6));
    bed.receive(WAN, &echo6(WAN, A, WAN6, 4));
    assert!(bed.take().is_empty());
    assert_eq!(bed.dropped(WAN, DropReason::TentativeAddress), 1);
    for _ in 0..12 {
        bed.pass(100);
    }
    let sent = bed.take6();
    let told = of_kind(&sent, WAN, NA);
    let targets: Vec<Ipv6Addr> = told.iter().map(Sent::target).collect();
    assert_eq!(targets, [local6(WAN), WAN6]);
    assert!(
        told.iter()
            .all(|s| s.destination == ALL && s.payload[4] == 0xa0)
    );
    bed.receive(WAN, &ns(WAN, A, solicited(WAN6), WAN6));
    let answer = &bed.take6()[0];
    assert_eq!((answer.kind(), answer.payload[4]), (NA, 0xe0));
    for _ in 0..100 {
        bed.pass(1000);
    }
    bed.take();
    assert_eq!(bed.next, None, "an idle router has nothing to wait for");
    bed.assert_balance();
}

#[test]
fn an_address_of_somebody_else_is_left_alone() {
    for objection in [
        na(WAN, WAN6, ALL, Some([2, 9, 9, 9, 9, 9]), 0x20),
        ns(WAN, Ipv6Addr::UNSPECIFIED, solicited(WAN6), WAN6),
    ] {
        let mut bed = Bed::new(CONFIG6, 0);
        bed.poll();
        bed.receive(WAN, &objection);
        for _ in 0..30 {
            bed.pass(100);
        }
        bed.take();
        bed.receive(WAN, &ns(WAN, A, solicited(WAN6), WAN6));
        assert!(bed.take().is_empty(), "not answered for");
        bed.receive(WAN, &ns(WAN, A, local6(WAN), local6(WAN)));
        assert_eq!(bed.take6()[0].target(), local6(WAN), "the other one works");
        let mut text = String::new();
        router::show::show_interfaces(&bed.router, &mut text).unwrap();
        assert!(text.contains("2001:db8::1/64 (duplicate)"), "{text}");
        bed.assert_balance();
    }
    // Our own question, come back to us, is no objection.
    let mut bed = Bed::new(CONFIG6, 0);
    bed.poll();
    let mut own = ns(WAN, Ipv6Addr::UNSPECIFIED, solicited(WAN6), WAN6);
    own[6..12].copy_from_slice(&router_mac(0, WAN));
    bed.receive(WAN, &own);
    for _ in 0..30 {
        bed.pass(100);
    }
    bed.take();
    bed.receive(WAN, &ns(WAN, A, WAN6, WAN6));
    assert_eq!(bed.take().len(), 1);
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
            DropReason::OwnSource,
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
    assert_eq!(state_of(&bed, "2001:db8:1::9"), "reachable");
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
    for (before, station, flags, after, moved) in [
        ("reachable", same, 0, "reachable", false),
        ("reachable", same, S, "reachable", false),
        ("reachable", other, 0, "stale", false),
        ("reachable", other, S, "stale", false),
        ("reachable", other, O, "stale", true),
        ("reachable", other, S | O, "reachable", true),
        ("reachable", None, 0, "reachable", false),
        ("stale", same, 0, "stale", false),
        ("stale", same, S, "reachable", false),
        ("stale", None, S, "reachable", false),
        ("stale", other, 0, "stale", false),
        ("stale", other, S, "stale", false),
        ("stale", other, O, "stale", true),
        ("stale", other, S | O, "reachable", true),
    ] {
        let mut bed = Bed::ready6(CONFIG6, &[]);
        bed.receive(LAN, &ns(LAN, B, local6(LAN), local6(LAN)));
        if before == "reachable" {
            bed.receive(LAN, &na(LAN, B, local6(LAN), same, 0x60));
        }
        assert_eq!(state_of(&bed, "2001:db8:1::9"), before);
        bed.receive(LAN, &na(LAN, B, local6(LAN), station, flags));
        let what = format!("{before}, {station:?}, {flags:x}");
        assert_eq!(state_of(&bed, "2001:db8:1::9"), after, "{what}");
        bed.sent.clear();
        bed.receive(WAN, &udp6(WAN, A, B, 10));
        let to = bed.take6()[0].to;
        assert_eq!(to == elsewhere, moved, "{what}");
        bed.assert_balance();
    }
    // Nobody is made known by what nobody asked for.
    let mut bed = Bed::ready6(CONFIG6, &[]);
    bed.receive(LAN, &na(LAN, B, ALL, same, 0x20));
    assert_eq!(state_of(&bed, "2001:db8:1::9"), "none");
}

#[test]
fn a_stale_neighbor_is_asked_after_a_delay_without_losing_frames() {
    let mut bed = Bed::ready6(CONFIG6, &[(WAN, "2001:db8::9"), (LAN, "2001:db8:1::9")]);
    for _ in 0..50 {
        bed.pass(1000);
    }
    assert_eq!(state_of(&bed, "2001:db8:1::9"), "stale");
    bed.sent.clear();
    let frame = udp6(WAN, A, B, 10);
    let meta = FrameMeta::plain(frame.len());
    bed.receive(WAN, &frame);
    assert_eq!(bed.take6()[0].to, mac6(B), "sent at once");
    assert_eq!(state_of(&bed, "2001:db8:1::9"), "delay");
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
    assert_eq!(state_of(&bed, "2001:db8:1::9"), "probe");
    assert_eq!(bed.offer(WAN, &[(&frame, meta)]), forward);
    bed.receive(LAN, &na(LAN, B, local6(LAN), None, 0x40));
    assert_eq!(state_of(&bed, "2001:db8:1::9"), "reachable");
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
    assert_eq!(state_of(&bed, "2001:db8:1::9"), "reachable");
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
    assert_eq!(state_of(&bed, "fe80::9"), "stale");
    // At its end, it says farewell.
    let mut ending = Bed::ready6(ADVERTISING, &[]);
    for _ in 0..5 {
        ending.pass(10_000);
    }
    ending.take();
    assert!(ending.router.take_leave());
    ending.poll();
    let last = of_kind(&ending.take6(), 0, 134);
    assert_eq!((last.len(), &last[0].payload[6..8]), (1, &[0, 0][..]));
    assert!(!ending.router.take_leave(), "there is nobody left to tell");
    // Taken from the configuration, too.
    let at = ADVERTISING.find("[interface.lan.advertise]").unwrap();
    let config = router::config::from_toml(&ADVERTISING[..at]).unwrap();
    bed.router.apply(bed.now, &config);
    bed.poll();
    let last = of_kind(&bed.take6(), 0, 134);
    assert_eq!((last.len(), &last[0].payload[6..8]), (1, &[0, 0][..]));
    for _ in 0..100 {
        bed.pass(10_000);
        assert!(of_kind(&bed.take6(), 0, 134).is_empty());
    }
    bed.assert_balance();
}

/// A packet with these hop-by-hop options, 6 bytes, before an ICMPv6 message.
fn behind_options(mut frame: Frame, options: [u8; 6]) -> Frame {
    frame[19] += 8;
    frame[20] = 0;
    frame.splice(54..54, [58, 0].into_iter().chain(options));
    frame
}

const ALERT: [u8; 6] = [5, 2, 0, 0, 1, 0];

/// A querier's message about a group, or all.
fn query(source: Ipv6Addr, group: Ipv6Addr, hops: u8, len: usize) -> Frame {
    let mut message = vec![130, 0, 0, 0, 3, 232, 0, 0];
    message.extend(group.octets());
    message.resize(len, 0);
    icmp6(WAN, source, ALL, hops, &message)
}

/// What is sent within 1.2 s.
fn reported(bed: &mut Bed) -> Vec<Sent> {
    let mut sent = Vec::new();
    for _ in 0..12 {
        bed.pass(100);
        sent.extend(bed.take6());
    }
    sent
}

#[test]
fn queries_of_others_than_queriers_on_the_link_are_not_answered() {
    let all = Ipv6Addr::UNSPECIFIED;
    let local = a6("fe80::99");
    for (what, frame) in [
        ("no alert", query(local, all, 1, 28)),
        (
            "alert",
            behind_options(query(local, all, 1, 28), [5, 2, 0, 1, 1, 0]),
        ),
        (
            "padding",
            behind_options(query(local, all, 1, 28), [1, 4, 0, 0, 0, 0]),
        ),
        ("hops", behind_options(query(local, all, 2, 28), ALERT)),
        ("name", behind_options(query(A, all, 1, 28), ALERT)),
    ] {
        let mut bed = Bed::ready6(CONFIG6, &[]);
        bed.receive(WAN, &frame);
        assert!(reported(&mut bed).is_empty(), "{what}");
        bed.assert_balance();
    }
    for options in [ALERT, [0, 0, 5, 2, 0, 0], [1, 0, 5, 2, 0, 0]] {
        let mut bed = Bed::ready6(CONFIG6, &[]);
        bed.receive(WAN, &behind_options(query(local, all, 1, 28), options));
        assert_eq!(reported(&mut bed).len(), 1);
    }
}

#[test]
fn groups_are_reported_when_asked_for() {
    let mut bed = Bed::ready6(CONFIG6, &[]);
    let query = |group, len| behind_options(query(a6("fe80::99"), group, 1, len), ALERT);
    bed.receive(WAN, &query(Ipv6Addr::UNSPECIFIED, 28));
    let sent = reported(&mut bed);
    assert_eq!(sent.len(), 1);
    let (report, message) = (&sent[0], &sent[0].payload[8..]);
    assert_eq!(
        (report.source, report.destination),
        (local6(WAN), a6("ff02::16"))
    );
    assert_eq!(sum6(report.source, report.destination, 58, message), 0);
    let groups: Vec<&[u8]> = message[8..].chunks(20).collect();
    assert_eq!(groups.len(), usize::from(message[7]));
    assert!(groups.iter().all(|g| g[..4] == [2, 0, 0, 0]));
    for wanted in [a6("ff02::2"), solicited(WAN6), solicited(local6(WAN))] {
        assert!(groups.iter().any(|g| g[4..] == wanted.octets()), "{wanted}");
    }
    assert!(!groups.iter().any(|g| g[4..] == ALL.octets()));
    bed.receive(WAN, &query(solicited(WAN6), 28));
    assert_eq!(reported(&mut bed)[0].payload[15], 1, "one group");
    bed.receive(WAN, &query(a6("ff02::1:ff99:9999"), 28));
    assert!(reported(&mut bed).is_empty());
    // Nor is it a reason to say more than was asked.
    bed.receive(WAN, &query(solicited(WAN6), 28));
    bed.receive(WAN, &query(a6("ff02::1:ff99:9999"), 28));
    assert_eq!(reported(&mut bed)[0].payload[15], 1, "still one group");
    // Version 1 has a message for each.
    bed.receive(WAN, &query(Ipv6Addr::UNSPECIFIED, 24));
    let sent = reported(&mut bed);
    assert_eq!(sent.len(), groups.len());
    assert!(sent.iter().all(|s| s.payload[8] == 131));
    bed.assert_balance();
}

/// The records of version 2 reports: their type and group.
fn records(sent: &[Sent]) -> Vec<Vec<(u8, Ipv6Addr)>> {
    let reports = sent
        .iter()
        .filter(|s| s.out == WAN && s.next == 0 && s.payload[8] == 143);
    let record = |r: &[u8]| {
        assert_eq!(r[1..4], [0; 3], "no sources");
        let group: [u8; 16] = r[4..].try_into().unwrap();
        (r[0], Ipv6Addr::from(group))
    };
    reports
        .map(|s| s.payload[16..].chunks(20).map(record).collect())
        .collect()
}

/// A second address on wan, in a group of its own.
const TWO: &str = r#"
[interface.wan]
vif = 0
address = ["2001:db8::1/64", "2001:db8::7:7/64"]
"#;
const SECOND: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 7, 7);

#[test]
fn a_group_that_is_left_is_reported_as_often_as_the_querier_wants() {
    // Without a querier, and with one that wants three (RFC 3810 9.1).
    for (robustness, times) in [(None, 2), (Some(0), 2), (Some(3), 3)] {
        let mut bed = Bed::new(TWO, 0);
        bed.poll();
        if let Some(robustness) = robustness {
            let mut asked = vec![130, 0, 0, 0, 0, 0, 0, 0];
            asked.extend(Ipv6Addr::UNSPECIFIED.octets());
            asked.extend([robustness, 125, 0, 0]);
            let asked = icmp6(WAN, a6("fe80::99"), ALL, 1, &asked);
            bed.receive(WAN, &behind_options(asked, ALERT));
        }
        bed.sent.clear();
        let somebody = Some([2, 9, 9, 9, 9, 9]);
        bed.receive(WAN, &na(WAN, SECOND, ALL, somebody, 0x20));
        let mut sent = Vec::new();
        for _ in 0..100 {
            bed.pass(100);
            sent.extend(bed.take6());
        }
        let all = records(&sent).concat();
        let gone = all.iter().filter(|&&r| r == (3, solicited(SECOND)));
        assert_eq!(gone.count(), times, "{robustness:?}: {all:?}");
        assert!(!all.contains(&(4, solicited(SECOND))), "{all:?}");
        // What stays isn't left.
        assert!(
            all.iter()
                .all(|&(kind, g)| kind != 3 || g == solicited(SECOND))
        );
        assert!(all.contains(&(4, solicited(WAN6))), "{all:?}");
        bed.assert_balance();
    }
}

#[test]
fn only_groups_that_changed_are_reported() {
    let mut bed = Bed::ready6(TWO, &[]);
    let one = router::config::from_toml(&TWO.replace(", \"2001:db8::7:7/64\"", "")).unwrap();
    bed.router.apply(bed.now, &one);
    let gone = [[(3, solicited(SECOND))]];
    bed.poll();
    assert_eq!(records(&bed.take6()), gone, "at once");
    assert_eq!(records(&reported(&mut bed)), gone, "and again");
    // Back before both are said: the last one counts.
    let two = router::config::from_toml(TWO).unwrap();
    bed.router.apply(bed.now, &two);
    bed.router.apply(bed.now, &one);
    bed.router.apply(bed.now, &two);
    bed.poll();
    let back = vec![(4, solicited(SECOND))];
    assert_eq!(records(&bed.take6()), [back], "only this one");
    // An address in a group that others are in too changes nothing.
    let shared = TWO.replace("2001:db8::7:7", "2001:db8::8:0:1");
    let shared = router::config::from_toml(&shared).unwrap();
    for _ in 0..3 {
        reported(&mut bed);
    }
    bed.router.apply(bed.now, &shared);
    bed.poll();
    assert_eq!(records(&bed.take6()), [[(3, solicited(SECOND))]]);
    bed.assert_balance();
}

#[test]
fn version_1_says_once_that_a_group_is_left() {
    let mut bed = Bed::ready6(TWO, &[]);
    let asked = query(a6("fe80::99"), Ipv6Addr::UNSPECIFIED, 1, 24);
    bed.receive(WAN, &behind_options(asked, ALERT));
    reported(&mut bed);
    let one = router::config::from_toml(&TWO.replace(", \"2001:db8::7:7/64\"", "")).unwrap();
    bed.router.apply(bed.now, &one);
    bed.poll();
    let mut sent = bed.take6();
    for _ in 0..5 {
        sent.extend(reported(&mut bed));
    }
    let told: Vec<&Sent> = sent.iter().filter(|s| s.next == 0).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].destination, a6("ff02::2"));
    let message = &told[0].payload[8..];
    assert_eq!(sum6(local6(WAN), a6("ff02::2"), 58, message), 0);
    assert_eq!(
        (message[0], &message[8..]),
        (132, &solicited(SECOND).octets()[..])
    );
    bed.assert_balance();
}

/// RFC 4862 5.4.5, with a link-local address made of the hardware address and a given one.
#[test]
fn a_duplicate_of_the_hardware_address_disables_ipv6() {
    let given = CONFIG6.replace("\"2001:db8::1/64\"", "\"2001:db8::1/64\", \"fe80::1/64\"");
    let text = |config: &str| {
        format!(
            "{config}[[neighbor]]\ninterface = \"wan\"\naddress = \"2001:db8::9\"\nmac = \"02:00:00:00:00:09\"\n\
             [[route]]\nprefix = \"2001:db8:40::/48\"\nvia = [\"2001:db8::9\"]\n"
        )
    };
    for (config, local, disabled) in [
        (text(CONFIG6), local6(WAN), true),
        (text(&given), a6("fe80::1"), false),
    ] {
        let mut bed = Bed::new(&config, 0);
        bed.poll();
        bed.sent.clear();
        bed.receive(WAN, &na(WAN, local, ALL, Some([2, 9, 9, 9, 9, 9]), 0x20));
        let mut sent = Vec::new();
        // To a neighbour that is known, and one that isn't.
        for to in [A, a6("2001:db8:40::1"), a6("2001:db8::99"), a6("2a00::1")] {
            bed.introduce(LAN, B);
            bed.receive(LAN, &udp6(LAN, B, to, 10));
        }
        for _ in 0..40 {
            bed.pass(100);
            let frames = bed.take();
            sent.extend(
                frames
                    .into_iter()
                    .filter(|(at, f)| *at == WAN && f[12] == 0x86),
            );
        }
        assert_eq!(sent.is_empty(), disabled, "{sent:?}");
        bed.receive(WAN, &ns(WAN, A, solicited(WAN6), WAN6));
        bed.receive(WAN, &udp6(WAN, A, B, 10));
        let dropped = bed.dropped(WAN, DropReason::Ipv6Disabled);
        assert_eq!(dropped, if disabled { 2 } else { 0 });
        let shown = |bed: &Bed| {
            let mut text = String::new();
            router::show::show_interfaces(&bed.router, &mut text).unwrap();
            text
        };
        assert!(shown(&bed).contains(&format!("{local}/64 (duplicate)")));
        let marked = "2001:db8::1/64 (IPv6 disabled)";
        assert_eq!(shown(&bed).contains(marked), disabled, "{}", shown(&bed));
        // The same configuration again changes nothing.
        let again = router::config::from_toml(&config).unwrap();
        bed.router.apply(bed.now, &again);
        assert_eq!(shown(&bed).contains(marked), disabled);
        // Another link may have room for it.
        let wan = InterfaceId(WAN);
        bed.router.link_up(bed.now, wan, router_mac(0, WAN), 1500);
        for _ in 0..30 {
            bed.pass(100);
        }
        bed.take();
        bed.receive(WAN, &ns(WAN, A, WAN6, WAN6));
        assert_eq!(bed.take6().len(), 1);
        bed.assert_balance();
    }
}
