//! Address resolution: asking, answering, learning, forgetting.

use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const WAN_ADDRESS: [u8; 4] = [10, 0, 0, 1];
const LAN_ADDRESS: [u8; 4] = [10, 0, 1, 1];

fn request(host: [u8; 4], target: [u8; 4]) -> Frame {
    arp(1, host_mac(host), host, [0; 6], target)
}

fn is_request(frame: &(u8, Frame), out: u8, to: [u8; 6], sender: [u8; 4], target: [u8; 4]) -> bool {
    let (at, f) = frame;
    *at == out
        && f[..6] == to
        && f[12..14] == [8, 6]
        && f[20..22] == [0, 1]
        && f[28..32] == sender
        && f[38..42] == target
}

#[test]
fn addresses_are_announced_when_the_link_comes_up() {
    let mut bed = Bed::new(CONFIG, 0);
    bed.poll();
    let addresses = [
        (WAN, WAN_ADDRESS),
        (LAN, LAN_ADDRESS),
        (LAN, [10, 0, 11, 1]),
    ];
    let sent = bed.take();
    assert_eq!(sent.len(), 6);
    for (both, (out, address)) in sent.chunks(2).zip(addresses) {
        // The question who has it, then that we have.
        assert!(is_request(&both[0], out, [0xff; 6], [0; 4], address));
        assert!(is_request(&both[1], out, [0xff; 6], address, address));
        assert!(both.iter().all(|(_, f)| f.len() == 60));
    }
    // The last when a bridge with spanning tree forwards.
    for pause in [2000, 3000, 10_000, 20_000] {
        bed.pass(pause - 1);
        assert!(bed.take().is_empty());
        bed.pass(1);
        let again = bed.take();
        assert_eq!(again.len(), 3);
        for (sent, (out, address)) in again.iter().zip(addresses) {
            assert!(is_request(sent, out, [0xff; 6], address, address));
        }
    }
    assert_eq!(bed.next, None, "an idle router has nothing to wait for");
    bed.assert_balance();
}

#[test]
fn requests_for_own_addresses_are_answered() {
    let mut bed = Bed::ready(CONFIG, &[]);
    bed.receive(WAN, &request(A, WAN_ADDRESS));
    let sent = bed.take();
    let wanted = arp(2, router_mac(0, WAN), WAN_ADDRESS, host_mac(A), A);
    assert_eq!(sent, [(WAN, wanted)]);
    // A probe is answered as well, and nothing is learnt from it.
    bed.receive(WAN, &arp(1, host_mac(A), [0; 4], [0; 6], WAN_ADDRESS));
    assert_eq!(bed.take().len(), 1);
    // Others' addresses, and ours on another link, aren't answered for.
    bed.receive(WAN, &request(A, [10, 0, 0, 77]));
    bed.receive(WAN, &request(A, LAN_ADDRESS));
    assert!(bed.take().is_empty());
    bed.assert_balance();
}

#[test]
fn suspicious_packets_are_dropped() {
    for (what, frame, reason) in [
        (
            "foreign, not about us",
            request([10, 0, 1, 9], A),
            DropReason::ForeignArp,
        ),
        (
            "broadcast",
            request([10, 0, 0, 255], WAN_ADDRESS),
            DropReason::ForeignArp,
        ),
        (
            "loopback",
            request([127, 0, 0, 1], WAN_ADDRESS),
            DropReason::ForeignArp,
        ),
        (
            "short",
            request(A, WAN_ADDRESS)[..41].to_vec(),
            DropReason::BadArp,
        ),
    ] {
        let mut bed = Bed::ready(CONFIG, &[]);
        bed.receive(WAN, &frame);
        assert_eq!(bed.dropped(WAN, reason), 1, "{what}");
        assert!(bed.take().is_empty(), "{what}");
        bed.assert_balance();
    }
}

#[test]
fn a_host_may_ask_for_us_with_an_address_of_another_network() {
    let mut bed = Bed::ready(CONFIG, &[]);
    bed.receive(WAN, &request([10, 9, 8, 200], WAN_ADDRESS));
    assert_eq!(bed.take().len(), 1, "an answer");
    assert_eq!(bed.dropped(WAN, DropReason::ForeignArp), 0);
    bed.assert_balance();
}

#[test]
fn an_answer_that_nobody_asked_for_is_not_believed() {
    let mut bed = Bed::ready(CONFIG, &[]);
    let answer = arp(2, host_mac(B), B, router_mac(0, LAN), LAN_ADDRESS);
    bed.receive(LAN, &answer);
    bed.receive(WAN, &udp(WAN, A, B, 20));
    let sent = bed.take();
    assert_eq!(sent.len(), 1);
    assert!(is_request(&sent[0], LAN, [0xff; 6], LAN_ADDRESS, B));
    bed.assert_balance();
}

#[test]
fn frames_wait_for_their_neighbor() {
    let mut bed = Bed::ready(CONFIG, &[]);
    for i in 0..10 {
        bed.receive(WAN, &udp(WAN, A, B, i));
    }
    let sent = bed.take();
    assert_eq!(sent.len(), 1, "one question for all of them");
    assert!(is_request(&sent[0], LAN, [0xff; 6], LAN_ADDRESS, B));
    assert_eq!(bed.dropped(WAN, DropReason::NeighborQueueFull), 2);
    assert_eq!(bed.router.pending(), 8);
    bed.assert_balance();
    bed.receive(
        LAN,
        &arp(2, host_mac(B), B, router_mac(0, LAN), LAN_ADDRESS),
    );
    let sent = bed.take();
    // The newest ones, in order.
    let lens: Vec<usize> = sent.iter().map(|(_, f)| f.len() - 42).collect();
    assert_eq!(lens, [2, 3, 4, 5, 6, 7, 8, 9]);
    for (out, frame) in &sent {
        assert_eq!((*out, &frame[..6], frame[22]), (LAN, &host_mac(B)[..], 63));
        assert_eq!(checksum(&frame[14..34]), 0);
    }
    bed.assert_balance();
}

#[test]
fn who_never_answers_is_unreachable_for_a_while() {
    let mut bed = Bed::ready(CONFIG, &[(WAN, A)]);
    let frame = udp(WAN, A, B, 30);
    bed.receive(WAN, &frame);
    bed.receive(WAN, &frame);
    let mut asked = bed.take().len();
    for _ in 0..29 {
        bed.pass(100);
        asked += bed.take().len();
    }
    assert_eq!(asked, 3);
    bed.pass(500);
    let errors = bed.take();
    assert_eq!(errors.len(), 2);
    for (out, error) in &errors {
        let (kind, code, quote) = icmp(error, WAN_ADDRESS, A);
        assert_eq!((*out, kind, code), (WAN, 3, 1));
        assert_eq!(quote, frame[14..], "as it was received");
    }
    assert_eq!(bed.dropped(WAN, DropReason::NeighborUnreachable), 2);
    // Now the answer is known at once.
    bed.receive(WAN, &frame);
    assert_eq!(bed.take().len(), 1);
    bed.assert_balance();
    // Later it is asked for again.
    bed.pass(4000);
    bed.receive(WAN, &frame);
    assert!(is_request(&bed.take()[0], LAN, [0xff; 6], LAN_ADDRESS, B));
    bed.pass(10_000);
    for _ in 0..10 {
        bed.pass(1000);
    }
    bed.assert_balance();
    assert_eq!(bed.router.pending(), 0);
}

/// Who only asks may hear nothing of what it is sent.
#[test]
fn a_host_that_asks_has_yet_to_show_that_it_hears() {
    let state = |bed: &Bed| {
        let all = router::snapshot::neighbors(&bed.router);
        let host = all.iter().find(|n| n.address == std::net::IpAddr::from(B));
        host.map(|n| n.state)
    };
    let mut bed = Bed::ready(CONFIG, &[(WAN, A)]);
    let question = arp(1, host_mac(B), B, [0; 6], LAN_ADDRESS);
    bed.receive(LAN, &question);
    assert_eq!(state(&bed), Some(router::snapshot::NeighborState::Stale));
    // It goes on asking, and answers nothing itself.
    let mut asked = 0;
    for second in 0..20 {
        bed.receive(WAN, &udp(WAN, A, B, 30));
        bed.receive(LAN, &question);
        bed.pass(1000);
        let to_host = |s: &(u8, Frame)| is_request(s, LAN, host_mac(B), LAN_ADDRESS, B);
        let probes = bed.take().iter().filter(|s| to_host(s)).count();
        asked += probes;
        assert!(probes == 0 || second >= 5, "second {second}");
    }
    assert!(asked >= 3, "{asked}");
    // Answers that are meant for others, or for all, don't prove it either.
    for (mac, target) in [
        ([0xff; 6], LAN_ADDRESS),
        (router_mac(0, LAN), [10, 0, 1, 99]),
    ] {
        let mut bed = Bed::ready(CONFIG, &[(WAN, A)]);
        bed.receive(LAN, &question);
        let mut answer = arp(2, host_mac(B), B, router_mac(0, LAN), target);
        answer[..6].copy_from_slice(&mac);
        bed.receive(LAN, &answer);
        assert_eq!(state(&bed), Some(router::snapshot::NeighborState::Stale));
    }
}

/// Those who answered in the same second, as after a link came up.
#[test]
fn who_is_known_at_once_isnt_probed_at_once() {
    let hosts: Vec<[u8; 4]> = (10..210).map(|host| [10, 0, 1, host]).collect();
    let known: Vec<_> = hosts.iter().map(|&host| (LAN, host)).collect();
    let mut bed = Bed::ready(CONFIG, &known);
    bed.meet(WAN, A, WAN_ADDRESS);
    let mut most = 0;
    let mut all = 0;
    for _ in 0..100 {
        for &host in &hosts {
            bed.receive(WAN, &udp(WAN, A, host, 30));
        }
        let mut probes = 0;
        for (out, frame) in bed.take() {
            if out == LAN && frame[12..14] == [8, 6] && frame[0] != 0xff {
                let host = *frame[38..].first_chunk().unwrap();
                let answer = arp(2, host_mac(host), host, router_mac(0, LAN), LAN_ADDRESS);
                bed.receive(LAN, &answer);
                probes += 1;
            }
        }
        most = most.max(probes);
        all += probes;
        bed.pass(1000);
    }
    assert!(all >= 200, "{all}");
    assert!(most <= 30, "{most} of {all} in one second");
}

#[test]
fn a_neighbor_in_use_is_asked_again_without_losing_frames() {
    let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B)]);
    let frame = udp(WAN, A, B, 30);
    let meta = FrameMeta::plain(frame.len());
    let forward = [Verdict::Forward(InterfaceId(LAN))];
    let mut probes = 0;
    for second in 0..600 {
        assert_eq!(
            bed.offer(WAN, &[(&frame, meta)]),
            forward,
            "second {second}"
        );
        bed.pass(1000);
        for sent in bed.take() {
            if sent.1[12..14] == [8, 6] {
                assert!(is_request(&sent, LAN, host_mac(B), LAN_ADDRESS, B));
                probes += 1;
                bed.receive(
                    LAN,
                    &arp(2, host_mac(B), B, router_mac(0, LAN), LAN_ADDRESS),
                );
            }
        }
    }
    // It is reachable for 30 to 60 s, and gets 5 to 6 s more.
    assert!((9..=17).contains(&probes), "{probes}");
    // Once it stops answering it is asked by broadcast, then given up.
    let mut broadcasts = 0;
    for _ in 0..70 {
        bed.offer(WAN, &[(&frame, meta)]);
        bed.pass(1000);
        let sent = bed.take();
        broadcasts += sent
            .iter()
            .filter(|s| is_request(s, LAN, [0xff; 6], LAN_ADDRESS, B))
            .count();
    }
    assert!(broadcasts >= 3);
    bed.assert_balance();
}

#[test]
fn an_unused_neighbor_is_forgotten_in_silence() {
    let mut bed = Bed::ready(CONFIG, &[(LAN, B)]);
    for _ in 0..200 {
        bed.pass(1000);
    }
    assert!(bed.take().is_empty());
    assert_eq!(bed.next, None);
    let known = router::snapshot::neighbors(&bed.router);
    assert!(!known.iter().any(|it| it.address.to_string() == "10.0.1.9"));
}

#[test]
fn a_neighbor_may_move() {
    let mut bed = Bed::ready(CONFIG, &[(LAN, B)]);
    let new = [2, 9, 9, 9, 9, 9];
    // A gratuitous request updates what is known.
    bed.receive(LAN, &arp(1, new, B, [0; 6], B));
    bed.receive(WAN, &udp(WAN, A, B, 30));
    assert_eq!(bed.take()[0].1[..6], new);
    // It doesn't make a neighbor of a stranger.
    bed.receive(LAN, &arp(1, new, [10, 0, 1, 8], [0; 6], [10, 0, 1, 8]));
    bed.receive(WAN, &udp(WAN, A, [10, 0, 1, 8], 30));
    assert!(is_request(
        &bed.take()[0],
        LAN,
        [0xff; 6],
        LAN_ADDRESS,
        [10, 0, 1, 8]
    ));
}

#[test]
fn who_asks_whether_an_address_is_free_is_nobody_yet() {
    let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B)]);
    // Its sender's address is 0.0.0.0, which must not be taken for the first neighbor's.
    for interface in [WAN, LAN] {
        let probe = arp(
            1,
            [2, 9, 9, 9, 9, 9],
            [0; 4],
            [0; 6],
            [10, 0, interface, 77],
        );
        bed.receive(interface, &probe);
    }
    bed.take();
    for (input, output, source, destination) in [(WAN, LAN, A, B), (LAN, WAN, B, A)] {
        bed.receive(input, &udp(input, source, destination, 1));
        let sent = bed.take();
        assert_eq!(
            (sent[0].0, &sent[0].1[..6]),
            (output, &host_mac(destination)[..])
        );
    }
    bed.assert_balance();
}

#[test]
fn static_neighbors_stay() {
    let text = format!(
        "{CONFIG}\n[[neighbor]]\ninterface = \"lan\"\naddress = \"10.0.1.9\"\nmac = \"{}\"\n",
        "02:01:0a:00:01:09"
    );
    let mut bed = Bed::ready(&text, &[]);
    for round in 0..3 {
        bed.receive(WAN, &udp(WAN, A, B, 30));
        let sent = bed.take();
        assert_eq!((sent.len(), &sent[0].1[..6]), (1, &host_mac(B)[..]));
        bed.pass(100_000);
        bed.receive(LAN, &arp(1, [2, 9, 9, 9, 9, 9], B, [0; 6], LAN_ADDRESS));
        if round == 1 {
            bed.router.link_down(InterfaceId(LAN));
            bed.router
                .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 1500);
            bed.poll();
        }
        bed.take();
    }
    bed.assert_balance();
}

#[test]
fn a_packet_that_dies_here_leaves_no_neighbor() {
    let mut bed = Bed::ready(CONFIG, &[(WAN, A)]);
    let known = |bed: &Bed| router::snapshot::neighbors(&bed.router).len();
    let before = known(&bed);
    for host in 50..250 {
        let to = [10, 0, 1, host];
        bed.receive(WAN, &edit(udp(WAN, A, to, 10), |ip| ip[8] = 1));
        bed.receive(WAN, &edit(udp(WAN, A, to, 1473), |ip| ip[6] = 0x40));
    }
    assert_eq!(known(&bed), before);
    bed.receive(WAN, &udp(WAN, A, [10, 0, 1, 50], 10));
    assert_eq!(known(&bed), before + 1);
    bed.assert_balance();
}

#[test]
fn a_scan_of_a_whole_network_stays_bounded() {
    let text = "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/24\"]\n\
                [interface.lan]\nvif = 1\naddress = [\"10.1.0.1/16\"]\n";
    let mut bed = Bed::new(text, 0);
    bed.poll();
    bed.receive(WAN, &request(A, WAN_ADDRESS));
    let here = [10, 1, 0, 2];
    bed.meet(LAN, here, [10, 1, 0, 1]);
    let good = udp(WAN, A, here, 10);
    for i in 0..5000u16 {
        let [c, d] = (i + 300).to_be_bytes();
        bed.receive(WAN, &udp(WAN, A, [10, 1, c, d], 10));
        let verdicts = bed.offer(WAN, &[(&good, FrameMeta::plain(good.len()))]);
        assert_eq!(
            verdicts,
            [Verdict::Forward(InterfaceId(LAN))],
            "used ones aren't displaced"
        );
        if i % 100 == 0 {
            bed.pass(100);
        }
        bed.sent.clear();
    }
    assert!(bed.router.pending() <= 512);
    assert!(
        bed.router
            .counters(InterfaceId(LAN))
            .unwrap()
            .neighbors_evicted
            > 3000
    );
    bed.assert_balance();
}

#[test]
fn a_long_table_is_read_in_parts() {
    use router::snapshot::neighbors_from;

    let mut bed = Bed::ready(CONFIG, &[]);
    for host in 1..=100 {
        bed.meet(LAN, [10, 0, 1, 100 + host], [10, 0, 1, 1]);
    }
    let all = router::snapshot::neighbors(&bed.router);
    assert!(all.len() >= 100);
    let (mut found, mut next, mut parts) = (Vec::new(), Some(0), 0);
    while let Some(start) = next {
        let (part, behind) = neighbors_from(&bed.router, start, 16);
        assert!(part.len() <= 16);
        found.extend(part);
        (next, parts) = (behind, parts + 1);
        // Others come meanwhile; who was there is found all the same, and once.
        bed.meet(LAN, [10, 0, 1, 2 + parts], [10, 0, 1, 1]);
    }
    assert!(parts > 6);
    for neighbor in all {
        let times = found.iter().filter(|it| it.address == neighbor.address);
        assert_eq!(times.count(), 1, "{neighbor:?}");
    }
    assert_eq!(neighbors_from(&bed.router, 10_000, 16), (Vec::new(), None));
}
