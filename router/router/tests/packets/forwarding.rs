//! What is forwarded, and what is dropped under which reason.

use router::{DropReason, FrameFlags, FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const GATEWAY: [u8; 4] = [10, 0, 0, 254];

fn bed() -> Bed {
    let gateways = [(LAN, [10, 0, 1, 253]), (LAN, [10, 0, 1, 254])];
    let mut hosts = vec![(WAN, A), (LAN, B), (WAN, GATEWAY)];
    hosts.extend(gateways);
    Bed::ready(CONFIG, &hosts)
}

#[test]
fn a_packet_gets_new_mac_addresses_and_a_smaller_ttl() {
    let mut bed = bed();
    let frame = udp(WAN, A, B, 100);
    let verdicts = bed.offer(WAN, &[(&frame, FrameMeta::plain(frame.len()))]);
    assert_eq!(verdicts, [Verdict::Forward(InterfaceId(LAN))]);
    let mut wanted = edit(frame, |ip| ip[8] = 63);
    wanted[..6].copy_from_slice(&host_mac(B));
    wanted[6..12].copy_from_slice(&router_mac(0, LAN));
    assert_eq!(bed.take(), [(LAN, wanted)]);
    bed.assert_balance();
}

#[test]
fn what_the_router_has_no_use_for_passes_unchanged() {
    let mut bed = bed();
    // Type of service, the unused flag, the identification, and what is in the packet.
    let frame = edit(udp(WAN, A, B, 100), |ip| {
        ip[1] = 0xff;
        ip[6] |= 0x80;
    });
    bed.receive(WAN, &frame);
    let sent = bed.take().remove(0).1;
    assert_eq!(sent[14..22], frame[14..22]);
    assert_eq!(sent[26..], frame[26..]);
    bed.assert_balance();
}

#[test]
fn gateways_blackholes_and_the_default_route() {
    let mut bed = bed();
    bed.receive(LAN, &udp(LAN, B, [99, 1, 2, 3], 10));
    let (out, frame) = bed.take().remove(0);
    assert_eq!((out, &frame[..6]), (WAN, &host_mac(GATEWAY)[..]));
    bed.receive(LAN, &udp(LAN, B, [30, 9, 9, 9], 10));
    assert_eq!(bed.dropped(LAN, DropReason::Blackhole), 1);
    assert!(bed.take().is_empty());
    bed.assert_balance();
}

#[test]
fn flows_spread_over_gateways_and_stay_there() {
    let mut bed = bed();
    let mut counts = [0u32; 2];
    for host in 0..=255 {
        let mut first = None;
        for _ in 0..3 {
            bed.receive(WAN, &udp(WAN, A, [20, 0, 0, host], 10));
            let (out, frame) = bed.take().remove(0);
            assert_eq!(out, LAN);
            let second = frame[..6] == host_mac([10, 0, 1, 254]);
            assert_eq!(*first.get_or_insert(second), second);
            counts[usize::from(second)] += 1;
        }
    }
    assert!(
        counts[0] * 3 > counts[1] && counts[1] > counts[0],
        "{counts:?}"
    );
}

#[test]
fn bad_frames_are_dropped_under_their_reason() {
    let good = udp(WAN, A, B, 30);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut frame = good.clone();
        change(&mut frame);
        frame
    };
    let from = |source| udp(WAN, source, B, 30);
    let to = |destination| udp(WAN, A, destination, 30);
    let group = |mut frame: Frame, mac: u8| {
        frame[0] = mac;
        frame
    };
    for (what, frame, reason) in [
        ("empty", vec![], DropReason::Truncated),
        ("13 bytes", good[..13].to_vec(), DropReason::Truncated),
        ("only Ethernet", good[..14].to_vec(), DropReason::Truncated),
        ("33 bytes", good[..33].to_vec(), DropReason::Truncated),
        (
            "other MAC address",
            with(|f| f[5] ^= 1),
            DropReason::OtherHost,
        ),
        (
            "802.1Q",
            with(|f| f[12..14].copy_from_slice(&[0x81, 0])),
            DropReason::Vlan,
        ),
        (
            "802.1ad",
            with(|f| f[12..14].copy_from_slice(&[0x88, 0xa8])),
            DropReason::Vlan,
        ),
        (
            "IPv6",
            with(|f| f[12..14].copy_from_slice(&[0x86, 0xdd])),
            DropReason::Ipv6Disabled,
        ),
        (
            "802.3",
            with(|f| f[12..14].copy_from_slice(&[0, 60])),
            DropReason::UnknownEthertype,
        ),
        ("version 6", with(|f| f[14] = 0x65), DropReason::BadVersion),
        (
            "header of 16",
            with(|f| f[14] = 0x44),
            DropReason::BadHeaderLength,
        ),
        (
            "header of 60",
            with(|f| f.truncate(44)),
            DropReason::BadTotalLength,
        ),
        (
            "total too small",
            with(|f| f[17] = 19),
            DropReason::BadTotalLength,
        ),
        (
            "total too large",
            with(|f| f[17] += 1),
            DropReason::BadTotalLength,
        ),
        ("checksum", with(|f| f[24] ^= 1), DropReason::BadChecksum),
        ("changed TTL", with(|f| f[22] += 1), DropReason::BadChecksum),
        (
            "from 0.0.0.0",
            from([0, 0, 0, 0]),
            DropReason::MartianSource,
        ),
        (
            "from 127.0.0.1",
            from([127, 0, 0, 1]),
            DropReason::MartianSource,
        ),
        (
            "from 224.0.0.1",
            from([224, 0, 0, 1]),
            DropReason::MartianSource,
        ),
        (
            "from 240.0.0.1",
            from([240, 0, 0, 1]),
            DropReason::MartianSource,
        ),
        ("from broadcast", from([255; 4]), DropReason::MartianSource),
        (
            "from a directed broadcast",
            from([10, 0, 1, 255]),
            DropReason::MartianSource,
        ),
        ("from us", from([10, 0, 11, 1]), DropReason::OwnSource),
        (
            "to 0.0.0.0",
            to([0, 0, 0, 0]),
            DropReason::MartianDestination,
        ),
        (
            "to 0.1.2.3",
            to([0, 1, 2, 3]),
            DropReason::MartianDestination,
        ),
        (
            "to 127.0.0.1",
            to([127, 0, 0, 1]),
            DropReason::MartianDestination,
        ),
        (
            "to 240.0.0.1",
            to([240, 0, 0, 1]),
            DropReason::MartianDestination,
        ),
        ("to 224.0.0.5", to([224, 0, 0, 5]), DropReason::Multicast),
        (
            "to 239.1.1.1 in multicast",
            group(to([239, 1, 1, 1]), 1),
            DropReason::Multicast,
        ),
        (
            "to 255.255.255.255",
            group(to([255; 4]), 255),
            DropReason::Broadcast,
        ),
        (
            "to a directed broadcast",
            to([10, 0, 1, 255]),
            DropReason::Broadcast,
        ),
        ("to a network", to([10, 0, 1, 0]), DropReason::Broadcast),
        (
            "unicast in broadcast",
            group(to(B), 255),
            DropReason::LinkBroadcast,
        ),
        (
            "unicast to us in multicast",
            group(to([10, 0, 0, 1]), 1),
            DropReason::LinkBroadcast,
        ),
    ] {
        let mut bed = bed();
        let before = bed.router.counters(InterfaceId(WAN)).unwrap();
        bed.receive(WAN, &frame);
        assert!(bed.take().is_empty(), "{what}");
        let after = bed.router.counters(InterfaceId(WAN)).unwrap();
        assert_eq!(after.dropped(reason), before.dropped(reason) + 1, "{what}");
        assert_eq!(after.dropped_total(), before.dropped_total() + 1, "{what}");
        assert_eq!(after.rx_packets, before.rx_packets + 1, "{what}");
        bed.assert_balance();
    }
}

#[test]
fn padding_goes_through_or_is_cut() {
    let mut bed = bed();
    // Up to the shortest Ethernet frame, padding is left alone.
    let mut short = udp(WAN, A, B, 4);
    short.resize(60, 0);
    bed.receive(WAN, &short);
    assert_eq!(bed.take()[0].1.len(), 60);
    // Beyond that a frame ends where the packet does.
    let mut long = udp(WAN, A, B, 40);
    let len = long.len();
    long.resize(1600, 7);
    bed.receive(WAN, &long);
    let (out, frame) = bed.take().remove(0);
    assert_eq!((out, frame.len(), frame[22]), (LAN, len, 63));
    bed.assert_balance();
}

#[test]
fn a_mixed_burst() {
    let mut bed = bed();
    let mut frames = Vec::new();
    for i in 0..64u8 {
        frames.push(match i % 4 {
            0 => udp(WAN, A, B, 10 + usize::from(i)),
            1 => udp(WAN, A, [30, 0, 0, i], 10),
            2 => echo(WAN, A, [10, 0, 0, 1], 10),
            _ => arp(1, host_mac(A), A, [0; 6], [10, 0, 0, 1]),
        });
    }
    let frames: Vec<_> = frames
        .iter()
        .map(|f| (&f[..], FrameMeta::plain(f.len())))
        .collect();
    // More than one burst in a call.
    let twice: Vec<_> = frames.iter().chain(&frames).copied().collect();
    let verdicts = bed.offer(WAN, &twice);
    for (i, verdict) in verdicts.iter().enumerate() {
        let wanted = match i % 4 {
            0 => Verdict::Forward(InterfaceId(LAN)),
            1 => Verdict::Drop,
            _ => Verdict::Punt,
        };
        assert_eq!(*verdict, wanted, "frame {i}");
    }
    bed.assert_balance();
    bed.poll();
    let sent = bed.take();
    assert_eq!(sent.iter().filter(|(out, _)| *out == LAN).count(), 32);
    assert_eq!(
        sent.iter()
            .filter(|(out, f)| *out == WAN && f[12..14] == [8, 6])
            .count(),
        32
    );
    assert_eq!(
        sent.iter()
            .filter(|(out, f)| *out == WAN && f[12..14] == [8, 0])
            .count(),
        32
    );
    bed.assert_balance();
}

#[test]
fn checksum_state_and_aggregates_pass_unchanged() {
    let mut bed = bed();
    let mut segment = vec![0u8; 20 + 20_000];
    segment[12] = 5 << 4;
    let frame = ip(WAN, A, B, 64, 6, &segment);
    let flags = FrameFlags::CSUM_BLANK | FrameFlags::DATA_VALIDATED;
    let meta = FrameMeta {
        flags,
        ..large(&frame, 1460)
    };
    let verdicts = bed.offer(WAN, &[(&frame, meta)]);
    assert_eq!(verdicts, [Verdict::Forward(InterfaceId(LAN))]);
    // Segments that don't fit are too big like any packet.
    let meta = FrameMeta {
        flags,
        ..large(&frame, 1461)
    };
    assert_eq!(bed.offer(WAN, &[(&frame, meta)]), [Verdict::Punt]);
}

#[test]
fn a_route_may_have_a_smaller_mtu() {
    let route = "[[route]]\nprefix = \"77.0.0.0/8\"\nvia = [\"10.0.1.9\"]\nmtu = 1000\n\
                 [[route]]\nprefix = \"78.0.0.0/8\"\ninterface = \"lan\"\nmtu = 600\n\
                 [[neighbor]]\ninterface = \"lan\"\naddress = \"78.0.0.9\"\nmac = \"02:00:00:00:00:78\"\n";
    let mut bed = Bed::ready(&format!("{CONFIG}{route}"), &[(WAN, A), (LAN, B)]);
    let far = [77, 0, 0, 1];
    let fits = udp(WAN, A, far, 1000 - 28);
    let meta = FrameMeta::plain(fits.len());
    let forward = [Verdict::Forward(InterfaceId(LAN))];
    assert_eq!(bed.offer(WAN, &[(&fits, meta)]), forward);
    bed.sent.clear();
    // What is larger is cut, or reported if it mustn't be.
    let larger = udp(WAN, A, far, 1001 - 28);
    bed.receive(WAN, &larger);
    let pieces = bed.take();
    assert_eq!(pieces.len(), 2);
    assert!(pieces.iter().all(|(out, f)| *out == LAN && f.len() <= 1014));
    let mut whole = larger.clone();
    whole[20] |= 0x40;
    set_checksum(&mut whole[14..34], 10);
    bed.receive(WAN, &whole);
    let sent = bed.take();
    assert_eq!((sent.len(), sent[0].0), (1, WAN));
    let (kind_code, mtu) = (&sent[0].1[34..36], &sent[0].1[40..42]);
    assert_eq!((kind_code, mtu), (&[3, 4][..], &1000u16.to_be_bytes()[..]));
    assert_eq!(bed.dropped(WAN, DropReason::TooBig), 1);
    // Segments count. Other ways to the same neighbor are as wide as they were.
    let mut segment = vec![0u8; 20 + 5000];
    segment[12] = 5 << 4;
    let frame = ip(WAN, A, far, 64, 6, &segment);
    let meta = |gso_size| large(&frame, gso_size);
    assert_eq!(bed.offer(WAN, &[(&frame, meta(960))]), forward);
    assert_eq!(bed.offer(WAN, &[(&frame, meta(961))]), [Verdict::Punt]);
    bed.poll();
    let near = udp(WAN, A, B, 1472);
    let meta = FrameMeta::plain(near.len());
    assert_eq!(bed.offer(WAN, &[(&near, meta)]), forward);
    // Without a gateway the same: each destination is a neighbor.
    bed.sent.clear();
    let fits = udp(WAN, A, [78, 0, 0, 9], 600 - 28);
    let meta = FrameMeta::plain(fits.len());
    assert_eq!(bed.offer(WAN, &[(&fits, meta)]), forward);
    bed.receive(WAN, &udp(WAN, A, [78, 0, 0, 9], 601 - 28));
    let lengths: Vec<usize> = bed.take().iter().map(|(_, f)| f.len()).collect();
    assert_eq!(lengths.len(), 3);
    assert!(lengths.iter().all(|&len| len <= 614), "{lengths:?}");
    bed.assert_balance();
}

#[test]
fn what_the_caller_loses_is_counted_once() {
    let mut bed = bed();
    let frame = udp(WAN, A, B, 100);
    bed.receive(WAN, &frame);
    bed.router
        .count_tx_full(InterfaceId(LAN), 1, frame.len() as u64);
    bed.router
        .count_drop(InterfaceId(WAN), DropReason::RxError, 5);
    assert_eq!(bed.dropped(LAN, DropReason::TxFull), 1);
    bed.assert_balance();
    bed.full = true;
    bed.receive(WAN, &echo(WAN, A, [10, 0, 0, 1], 8));
    assert_eq!(bed.dropped(WAN, DropReason::TxFull), 1);
    bed.assert_balance();
}

#[test]
fn a_flood_of_punts_is_bounded_and_counted() {
    let mut bed = bed();
    let frame = echo(WAN, A, [10, 0, 0, 1], 8);
    for _ in 0..100 {
        bed.offer(WAN, &[(&frame[..], FrameMeta::plain(frame.len())); 64]);
    }
    assert!(bed.router.pending() <= 256);
    assert!(bed.dropped(WAN, DropReason::PuntFull) > 6000);
    bed.assert_balance();
    bed.poll();
    bed.assert_balance();
}

#[test]
fn links_go_and_come() {
    let mut bed = bed();
    bed.router.link_down(InterfaceId(LAN));
    assert!(!bed.router.all_links_up());
    // Without its link a network isn't there; the default route is.
    bed.receive(WAN, &udp(WAN, A, B, 10));
    assert_eq!(bed.take()[0].0, WAN);
    bed.receive(LAN, &udp(LAN, B, A, 10));
    assert_eq!(bed.dropped(LAN, DropReason::LinkDown), 1);
    bed.router
        .link_up(bed.now, InterfaceId(LAN), [2, 0, 0, 0, 9, 9], 1400);
    assert!(bed.router.all_links_up());
    bed.poll();
    let announced = bed.take();
    assert_eq!(announced.len(), 4);
    assert_eq!(&announced[0].1[6..12], [2, 0, 0, 0, 9, 9]);
    bed.receive(WAN, &udp(WAN, A, B, 10));
    let asked = bed.take();
    assert_eq!((asked[0].0, &asked[0].1[12..14]), (LAN, &[8u8, 6][..]));
    bed.assert_balance();
}

#[test]
fn a_new_configuration_keeps_what_is_still_valid() {
    let mut bed = bed();
    bed.receive(WAN, &udp(WAN, A, B, 10));
    let rx = bed.router.counters(InterfaceId(WAN)).unwrap().rx_packets;
    // The same interfaces in another order, a third one, other routes.
    let text = r#"
[interface.dmz]
vif = 2
address = ["10.0.2.1/24"]
[interface.lan]
vif = 1
address = ["10.0.1.1/24"]
[interface.wan]
vif = 0
address = ["10.0.0.1/24"]
[[route]]
prefix = "30.0.0.0/8"
via = ["10.0.1.9"]
"#;
    bed.offer(
        WAN,
        &[(&udp(WAN, A, [10, 0, 1, 77], 10), FrameMeta::plain(52))],
    );
    let config = config::from_toml(text).unwrap();
    bed.router.apply(bed.now, &config).unwrap();
    bed.sent.clear();
    assert!(!bed.router.all_links_up());
    // Whatever their order, interfaces keep their numbers, and so what is counted and known there.
    for (name, id) in [("wan", WAN), ("lan", LAN), ("dmz", 2)] {
        assert_eq!(bed.router.interface_id(name), Some(InterfaceId(id)));
    }
    let counters = |id| bed.router.counters(InterfaceId(id)).unwrap();
    assert_eq!(counters(WAN).rx_packets, rx + 1);
    assert_eq!(counters(2).rx_packets, 0);
    bed.assert_balance();
    // The frame that waited goes on waiting for its neighbor.
    bed.poll();
    bed.sent.clear();
    let host = [10, 0, 1, 77];
    let mac = router_mac(0, LAN);
    bed.receive(LAN, &arp(2, host_mac(host), host, mac, [10, 0, 1, 1]));
    let sent = bed.take();
    assert!(sent.iter().any(|(out, f)| *out == LAN && f[30..34] == host));
    let frame = udp(WAN, A, [30, 0, 0, 1], 10);
    let verdicts = bed.offer(WAN, &[(&frame, FrameMeta::plain(frame.len()))]);
    assert_eq!(verdicts, [Verdict::Forward(InterfaceId(LAN))]);
    bed.assert_balance();
    bed.router.apply(bed.now, &router::Config::empty()).unwrap();
    let verdicts = bed.offer(0, &[(&frame, FrameMeta::plain(frame.len()))]);
    assert_eq!(verdicts, [Verdict::Drop]);
}

#[test]
fn errors_follow_the_flow_that_they_answer() {
    let text = CONFIG.to_owned()
        + "[[route]]\nprefix = \"77.0.0.0/8\"\n\
           via = [\"10.0.1.71\", \"10.0.1.72\", \"10.0.1.73\"]\n";
    let hosts = [
        (WAN, A),
        (LAN, [10, 0, 1, 71]),
        (LAN, [10, 0, 1, 72]),
        (LAN, [10, 0, 1, 73]),
    ];
    let mut bed = Bed::ready(&text, &hosts);
    bed.take();
    let mut next_hop_macs = std::collections::BTreeSet::new();
    for port in 0..200u16 {
        let [high, low] = port.to_be_bytes();
        let (server, client) = ([77, 0, 0, 1], [99, 0, 0, 9]);
        let request = ip(WAN, client, server, 64, 6, &[high, low, 0, 80, 0, 0, 0, 0]);
        bed.receive(WAN, &request);
        let way = bed.take().remove(0).1[..6].to_vec();
        let answer = ip(WAN, server, client, 64, 6, &[0, 80, high, low, 0, 0, 0, 0]);
        let mut message = vec![3, 4, 0, 0, 0, 0, 5, 0];
        message.extend(&answer[14..]);
        set_checksum(&mut message, 2);
        bed.receive(WAN, &ip(WAN, [98, 0, 0, 1], server, 64, 1, &message));
        assert_eq!(bed.take().remove(0).1[..6], way, "port {port}");
        next_hop_macs.insert(way);
    }
    assert_eq!(next_hop_macs.len(), 3);
    bed.assert_balance();
}

/// What goes nowhere is dropped at once, however near its end it is.
#[test]
fn what_nobody_is_told_of_takes_no_closer_look() {
    let mut bed = Bed::ready(CONFIG, &[(LAN, [10, 0, 1, 9])]);
    for (destination, reason) in [
        ([224, 0, 0, 5], DropReason::Multicast),
        ([239, 1, 2, 3], DropReason::Multicast),
        ([30, 0, 0, 1], DropReason::Blackhole),
        ([240, 0, 0, 1], DropReason::MartianDestination),
    ] {
        for ttl in [0, 1, 2, 64] {
            let frame = edit(udp(LAN, [10, 0, 1, 9], destination, 10), |ip| ip[8] = ttl);
            let before = bed.dropped(LAN, reason);
            let meta = FrameMeta::plain(frame.len());
            assert_eq!(
                bed.offer(LAN, &[(&frame, meta)]),
                [Verdict::Drop],
                "{destination:?} {ttl}"
            );
            assert_eq!(bed.dropped(LAN, reason), before + 1);
        }
    }
    bed.assert_balance();
}
