//! Multicast Listener Discovery: which groups the router says it listens to, and leaves.

use std::net::Ipv6Addr;
use testkit::bed::*;
use testkit::bed6::*;

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

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

#[test]
fn a_querier_of_version_1_is_remembered_for_as_long_as_the_last_one_asks() {
    // Twice its interval, and as long as answers may take (RFC 3810 9.12).
    let mut bed = Bed::ready6(CONFIG6, &[]);
    let ask = |len: usize| {
        let mut message = query(a6("fe80::99"), Ipv6Addr::UNSPECIFIED, 1, len)[54..].to_vec();
        message[2..4].fill(0);
        if len == 28 {
            message[24..26].copy_from_slice(&[2, 10]);
        }
        behind_options(icmp6(WAN, a6("fe80::99"), ALL, 1, &message), ALERT)
    };
    let version = |bed: &mut Bed| {
        bed.receive(WAN, &ask(28));
        let kinds: Vec<u8> = reported(bed).iter().map(|s| s.payload[8]).collect();
        assert!(kinds.iter().all(|&kind| kind == kinds[0]), "{kinds:?}");
        kinds[0]
    };
    assert_eq!(version(&mut bed), 143);
    bed.receive(WAN, &ask(24));
    reported(&mut bed);
    for _ in 0..18 {
        bed.pass(1000);
    }
    // 19 s later it is still there, after 21 it isn't.
    assert_eq!(version(&mut bed), 131);
    bed.pass(1000);
    assert_eq!(version(&mut bed), 143);
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
    let one = config::from_toml(&TWO.replace(", \"2001:db8::7:7/64\"", "")).unwrap();
    bed.router.apply(bed.now, &one).unwrap();
    let gone = [[(3, solicited(SECOND))]];
    bed.poll();
    assert_eq!(records(&bed.take6()), gone, "at once");
    assert_eq!(records(&reported(&mut bed)), gone, "and again");
    // Back before both are said: the last one counts.
    let two = config::from_toml(TWO).unwrap();
    bed.router.apply(bed.now, &two).unwrap();
    bed.router.apply(bed.now, &one).unwrap();
    bed.router.apply(bed.now, &two).unwrap();
    bed.poll();
    let back = vec![(4, solicited(SECOND))];
    assert_eq!(records(&bed.take6()), [back], "only this one");
    // An address in a group that others are in too changes nothing.
    let shared = TWO.replace("2001:db8::7:7", "2001:db8::8:0:1");
    let shared = config::from_toml(&shared).unwrap();
    for _ in 0..3 {
        reported(&mut bed);
    }
    bed.router.apply(bed.now, &shared).unwrap();
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
    let one = config::from_toml(&TWO.replace(", \"2001:db8::7:7/64\"", "")).unwrap();
    bed.router.apply(bed.now, &one).unwrap();
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
