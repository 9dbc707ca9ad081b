//! Errors that are reported, and what the router answers for itself.

use router::{DropReason, FrameFlags, FrameMeta, Header, InterfaceId, Verdict};
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const WAN_ADDRESS: [u8; 4] = [10, 0, 0, 1];

fn bed() -> Bed {
    Bed::ready(CONFIG, &[(WAN, A), (LAN, B)])
}

#[test]
fn errors_have_the_right_type_source_and_quote() {
    let expired = edit(udp(WAN, A, B, 1000), |ip| ip[8] = 1);
    let zero = edit(udp(WAN, A, B, 10), |ip| ip[8] = 0);
    let too_big = edit(udp(WAN, A, B, 1473), |ip| ip[6] = 0x40);
    for (what, frame, (kind, code), reason) in [
        ("TTL 1", expired, (11, 0), DropReason::TtlExpired),
        ("TTL 0", zero, (11, 0), DropReason::TtlExpired),
        (
            "unreachable",
            udp(WAN, A, [30, 1, 0, 1], 10),
            (3, 1),
            DropReason::Unreachable,
        ),
        (
            "prohibit",
            udp(WAN, A, [30, 2, 0, 1], 10),
            (3, 13),
            DropReason::Prohibited,
        ),
        ("too big", too_big, (3, 4), DropReason::TooBig),
    ] {
        let mut bed = bed();
        bed.receive(WAN, &frame);
        let sent = bed.take();
        assert_eq!(sent.len(), 1, "{what}");
        let (out, error) = &sent[0];
        let (k, c, quote) = icmp(error, WAN_ADDRESS, A);
        assert_eq!((*out, k, c), (WAN, kind, code), "{what}");
        assert_eq!(error[..6], host_mac(A), "{what}");
        assert!(error.len() <= 14 + 576);
        assert_eq!(quote, frame[14..14 + quote.len()], "{what}");
        assert_eq!(quote.len(), (frame.len() - 14).min(548), "{what}");
        if code == 4 {
            assert_eq!(error[40..42], 1500u16.to_be_bytes());
        }
        assert_eq!(bed.dropped(WAN, reason), 1, "{what}");
        bed.assert_balance();
    }
}

#[test]
fn without_a_route_the_network_is_unreachable() {
    let text = "[interface.wan]\nvif = 0\naddress = [\"10.0.5.1/24\", \"10.0.0.1/24\"]\n";
    let mut bed = Bed::ready(text, &[(WAN, A)]);
    bed.receive(WAN, &udp(WAN, A, [99, 0, 0, 1], 10));
    // Of two addresses, the one in the sender's network.
    let (kind, code, _) = icmp(&bed.take()[0].1, WAN_ADDRESS, A);
    assert_eq!((kind, code), (3, 0));
    assert_eq!(bed.dropped(WAN, DropReason::NoRoute), 1);
}

#[test]
fn some_packets_never_cause_errors() {
    let expired = |frame: Frame| edit(frame, |ip| ip[8] = 1);
    let error = ip(WAN, A, B, 1, 1, &[3, 1, 0, 0, 0, 0, 0, 0]);
    let later = edit(udp(WAN, A, B, 10), |ip| {
        ip[7] = 5;
        ip[8] = 1;
    });
    let mut broadcast = expired(udp(WAN, A, [30, 1, 0, 1], 10));
    broadcast[0] = 0xff;
    for (what, frame) in [
        ("error", error),
        ("later fragment", later),
        ("broadcast", broadcast),
    ] {
        let mut bed = bed();
        bed.receive(WAN, &frame);
        assert!(bed.take().is_empty(), "{what}");
        bed.assert_balance();
    }
    let mut bed = bed();
    bed.receive(WAN, &expired(echo(WAN, A, B, 10)));
    assert_eq!(bed.take().len(), 1, "a ping is no error");
}

#[test]
fn errors_carry_precedence_6() {
    let mut bed = bed();
    bed.receive(WAN, &edit(udp(WAN, A, B, 10), |ip| ip[8] = 1));
    let error = bed.take().remove(0).1;
    assert_eq!((error[15] >> 5, error[22]), (6, 64));
}

#[test]
fn errors_are_limited_and_suppressed_ones_counted() {
    let mut bed = crowd(CONFIG);
    let flood = |bed: &mut Bed| {
        for at in 0..300 {
            bed.receive(WAN, &expired(WAN, guest(at), B));
        }
        bed.take().len()
    };
    assert_eq!(flood(&mut bed), 100);
    let counters = bed.router.counters(InterfaceId(WAN)).unwrap();
    assert_eq!((counters.icmp_errors, counters.icmp_suppressed), (100, 200));
    assert_eq!(counters.dropped(DropReason::TtlExpired), 300);
    bed.pass(1000);
    assert_eq!(
        flood(&mut bed),
        100,
        "the bucket holds no more than a burst"
    );
    bed.assert_balance();
}

/// A packet that dies at the router.
fn expired(interface: u8, from: [u8; 4], to: [u8; 4]) -> Frame {
    edit(udp(interface, from, to, 10), |ip| ip[8] = 1)
}

/// One of 20 hosts on the WAN.
fn guest(at: usize) -> [u8; 4] {
    [10, 0, 0, 20 + (at % 20) as u8]
}

/// A router that knows them.
fn crowd(text: &str) -> Bed {
    let guests = (0..20).map(|at| (WAN, guest(at)));
    let hosts: Vec<_> = guests.chain([(WAN, A), (LAN, B)]).collect();
    let mut bed = Bed::ready(text, &hosts);
    bed.take();
    bed
}

#[test]
fn one_host_leaves_errors_for_others() {
    let mut bed = crowd(CONFIG);
    for _ in 0..1000 {
        bed.receive(WAN, &expired(WAN, A, B));
    }
    assert_eq!(bed.take().len(), 100, "all that there are at once");
    // From then on it gets half, however much it asks for.
    for _ in 0..10 {
        bed.pass(100);
        for _ in 0..100 {
            bed.receive(WAN, &expired(WAN, A, B));
        }
        assert!((9..=11).contains(&bed.take().len()));
        for at in 0..9 {
            bed.receive(WAN, &expired(WAN, guest(at), B));
        }
        assert_eq!(bed.take().len(), 9);
    }
    bed.assert_balance();
}

#[test]
fn path_mtu_messages_have_a_budget_of_their_own() {
    let mut bed = crowd(CONFIG);
    for at in 0..1000 {
        bed.receive(WAN, &expired(WAN, guest(at), B));
    }
    assert_eq!(bed.take().len(), 100, "all that there are");
    let too_big = edit(udp(WAN, A, B, 1473), |ip| ip[6] = 0x40);
    for _ in 0..50 {
        bed.receive(WAN, &too_big);
    }
    let sent = bed.take();
    assert_eq!(sent.len(), 50);
    assert!(sent.iter().all(|(_, f)| icmp(f, WAN_ADDRESS, A).1 == 4));
    for _ in 0..1000 {
        bed.receive(WAN, &too_big);
    }
    assert_eq!(bed.take().len(), 50, "which ends as well");
    bed.assert_balance();
}

/// Punts a large frame from A that dies here, as its segments.
fn punt_segments(bed: &mut Bed, to: [u8; 4], ttl: u8, count: usize) {
    let mut segment = vec![0; 20 + 1000];
    segment[12] = 0x50;
    let frame = edit(ip(WAN, A, to, 64, 6, &segment), |ip| ip[8] = ttl);
    let mut header = Header::default();
    header.0.copy_from_slice(&frame[..64]);
    let large = FrameMeta {
        len: 54 + 1000 * count as u32,
        segment_len: 1040,
        flags: FrameFlags::DATA_VALIDATED,
    };
    let total = (large.len - 14) as u16;
    header.0[16..18].copy_from_slice(&total.to_be_bytes());
    let mut ip = header.0[14..34].to_vec();
    set_checksum(&mut ip, 10);
    header.0[14..34].copy_from_slice(&ip);
    let mut verdicts = [Verdict::Drop];
    let input = InterfaceId(WAN);
    bed.router
        .process(bed.now, input, &mut [header], &[large], &mut verdicts);
    assert_eq!(verdicts, [Verdict::Punt]);
    for at in 0..count {
        let mut meta = FrameMeta::plain(frame.len());
        meta.flags = FrameFlags::DATA_VALIDATED;
        if at > 0 {
            meta.flags |= FrameFlags::LATER_SEGMENT;
        }
        bed.router
            .punt(input, meta, |to| to.copy_from_slice(&frame));
    }
}

#[test]
fn a_large_frame_causes_one_error() {
    let mut bed = bed();
    let before = bed.router.counters(InterfaceId(WAN)).unwrap();
    punt_segments(&mut bed, B, 1, 33);
    bed.assert_balance();
    bed.poll();
    assert_eq!(bed.take().len(), 1);
    let counters = bed.router.counters(InterfaceId(WAN)).unwrap();
    assert_eq!((counters.icmp_errors, counters.icmp_suppressed), (1, 0));
    let made = counters.originated - before.originated;
    assert_eq!((counters.rx_packets - before.rx_packets, made), (1, 32 + 1));
    bed.assert_balance();
    // More than may wait: those that found no room count as well.
    punt_segments(&mut bed, B, 1, 60);
    assert!(bed.dropped(WAN, DropReason::PuntFull) > 0);
    bed.poll();
    assert_eq!(bed.take().len(), 1);
    bed.assert_balance();
    // Of those that wait for a host in vain the first are lost, and one is told of.
    punt_segments(&mut bed, [10, 0, 1, 77], 64, 20);
    for _ in 0..50 {
        bed.pass(100);
    }
    let sent = bed.take();
    let told = sent
        .iter()
        .filter(|(out, f)| *out == WAN && f[23] == 1 && f[12] == 8 && f[13] == 0);
    assert_eq!(told.count(), 1);
    bed.assert_balance();
}

#[test]
fn what_the_router_says_of_itself_leaves_by_the_same_door() {
    let unreachable = |bed: &mut Bed, frame: &dyn Fn(usize) -> Frame| {
        for at in 0..1000 {
            bed.receive(WAN, &frame(at));
        }
        bed.take().len()
    };
    let closed = |at| udp(WAN, guest(at), WAN_ADDRESS, 10);
    let unknown = |at| ip(WAN, guest(at), WAN_ADDRESS, 64, 200, &[0; 8]);
    for (frame, code) in [
        (&closed as &dyn Fn(usize) -> Frame, 3),
        (&unknown as &dyn Fn(usize) -> Frame, 2),
    ] {
        let mut bed = crowd(CONFIG);
        bed.receive(WAN, &frame(1));
        let error = bed.take().remove(0).1;
        let (kind, found, quote) = icmp(&error, WAN_ADDRESS, guest(1));
        assert_eq!((kind, found), (3, code));
        assert_eq!(quote, frame(1)[14..]);
        assert_eq!((error[15] >> 5, error[22]), (6, 64), "precedence and TTL");
        assert_eq!(unreachable(&mut bed, frame), 99);
        let counters = bed.router.counters(InterfaceId(WAN)).unwrap();
        assert_eq!((counters.icmp_errors, counters.icmp_suppressed), (100, 901));
        bed.assert_balance();
        let silent = CONFIG.replace("[interface.wan]", "[interface.wan]\nicmp_error_rate = 0");
        assert_eq!(unreachable(&mut crowd(&silent), frame), 0);
        // About a link-layer broadcast, none (RFC 1812 4.3.2.7).
        let mut bed = crowd(CONFIG);
        let mut broadcast = frame(1);
        broadcast[..6].fill(0xff);
        bed.receive(WAN, &broadcast);
        assert!(bed.take().is_empty());
        bed.assert_balance();
    }
}

#[test]
fn how_many_errors_are_sent_can_be_set_by_interface() {
    for (rate, at_once, a_second) in [(0, 0, 0), (1, 1, 1), (1000, 500, 500)] {
        let wan = format!("[interface.wan]\nicmp_error_rate = {rate}");
        let mut bed = crowd(&CONFIG.replace("[interface.wan]", &wan));
        let mut told = |out: u8, frame: &dyn Fn(usize) -> Frame| {
            for at in 0..1000 {
                bed.receive(out, &frame(at));
            }
            let count = bed.take().iter().filter(|(to, _)| *to == out).count();
            (
                count,
                bed.router
                    .counters(InterfaceId(out))
                    .unwrap()
                    .icmp_suppressed,
            )
        };
        let suppressed = 1000 - at_once as u64;
        let wan = |at| expired(WAN, guest(at), B);
        assert_eq!(told(WAN, &wan), (at_once, suppressed));
        let lan = |_| expired(LAN, B, A);
        assert_eq!(told(LAN, &lan).0, 100, "of its own");
        bed.pass(1000);
        for at in 0..1000 {
            bed.receive(WAN, &wan(at));
        }
        assert_eq!(bed.take().len(), a_second);
        bed.assert_balance();
    }
}

#[test]
fn pings_to_each_address_are_answered() {
    for address in [WAN_ADDRESS, [10, 0, 1, 1], [10, 0, 11, 1]] {
        let mut bed = bed();
        let frame = echo(WAN, A, address, 56);
        bed.receive(WAN, &frame);
        let sent = bed.take();
        assert_eq!(sent.len(), 1);
        let (kind, code, data) = icmp(&sent[0].1, address, A);
        assert_eq!((sent[0].0, kind, code), (WAN, 0, 0));
        assert_eq!(data, frame[42..]);
        // TTL 1 is enough to reach the router.
        bed.receive(WAN, &edit(frame, |ip| ip[8] = 1));
        assert_eq!(bed.take().len(), 1);
        bed.assert_balance();
    }
}

/// Cuts a frame into fragments of `size` bytes of payload.
fn cut(frame: &[u8], size: usize) -> Vec<Frame> {
    let payload = &frame[34..];
    let last = payload.len().div_ceil(size) - 1;
    payload
        .chunks(size)
        .enumerate()
        .map(|(i, chunk)| {
            let mut f = frame[..34].to_vec();
            f.extend(chunk);
            edit(f, |ip| {
                let field = (i * size / 8) as u16 | if i == last { 0 } else { 0x2000 };
                let total = (20 + chunk.len()) as u16;
                ip[2..4].copy_from_slice(&total.to_be_bytes());
                ip[6..8].copy_from_slice(&field.to_be_bytes());
            })
        })
        .collect()
}

/// Puts fragments together that come in order.
fn join(frames: &[Frame]) -> Frame {
    let mut whole = frames[0][..34].to_vec();
    for f in frames {
        assert_eq!(checksum(&f[14..34]), 0);
        let offset = usize::from(u16::from_be_bytes([f[20], f[21]]) & 0x1fff) * 8;
        assert_eq!(offset, whole.len() - 34);
        let total = usize::from(u16::from_be_bytes([f[16], f[17]]));
        whole.extend(&f[34..14 + total]);
    }
    edit(whole, |ip| {
        let total = ip.len() as u16;
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip[6] = 0;
        ip[7] = 0;
    })
}

#[test]
fn a_large_ping_is_reassembled_and_answered_in_fragments() {
    for len in [2000, 9000] {
        let mut bed = bed();
        let whole = echo(WAN, A, WAN_ADDRESS, len);
        let mut pieces = cut(&whole, 1480);
        pieces.reverse();
        for piece in &pieces {
            bed.receive(WAN, piece);
        }
        let frames: Vec<Frame> = bed.take().into_iter().map(|(_, f)| f).collect();
        assert_eq!(frames.len(), len.div_ceil(1480));
        assert!(frames.iter().all(|f| f.len() <= 1514));
        let (kind, _, data) = icmp(&join(&frames), WAN_ADDRESS, A);
        assert_eq!(kind, 0);
        assert_eq!(data, whole[42..]);
        bed.assert_balance();
    }
}

#[test]
fn what_may_be_fragmented_is() {
    let mut bed = bed();
    bed.router
        .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 600);
    bed.poll();
    bed.meet(LAN, B, [10, 0, 1, 1]);
    bed.sent.clear();
    let frame = udp(WAN, A, B, 1400);
    bed.receive(WAN, &frame);
    let frames: Vec<Frame> = bed.take().into_iter().map(|(_, f)| f).collect();
    assert_eq!(frames.len(), 3);
    assert!(
        frames
            .iter()
            .all(|f| f.len() <= 614 && f[22] == 63 && f[..6] == host_mac(B))
    );
    assert_eq!(join(&frames)[34..], frame[34..]);
    bed.assert_balance();
}

#[test]
fn a_blank_checksum_is_completed_before_fragmenting() {
    let mut bed = bed();
    bed.router
        .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 600);
    bed.meet(LAN, B, [10, 0, 1, 1]);
    bed.sent.clear();
    let mut frame = udp(WAN, A, B, 1000);
    let len = (frame.len() - 34) as u16;
    let mut pseudo = [A, B].concat();
    pseudo.extend([0, 17]);
    pseudo.extend(len.to_be_bytes());
    frame[40..42].copy_from_slice(&(!checksum(&pseudo)).to_be_bytes());
    let flags = FrameFlags::CSUM_BLANK;
    bed.receive_as(
        WAN,
        &frame,
        FrameMeta {
            flags,
            ..FrameMeta::plain(frame.len())
        },
    );
    assert!(bed.sent.iter().all(|(_, _, meta)| meta.flags.is_empty()));
    let frames: Vec<Frame> = bed.take().into_iter().map(|(_, f)| f).collect();
    assert_eq!(frames.len(), 2);
    pseudo.extend(&join(&frames)[34..]);
    assert_eq!(checksum(&pseudo), 0);
}

#[test]
fn closed_ports_are_refused() {
    let mut bed = bed();
    bed.receive(WAN, &udp(WAN, A, WAN_ADDRESS, 10));
    let sent = bed.take();
    let (kind, code, _) = icmp(&sent[0].1, WAN_ADDRESS, A);
    assert_eq!((kind, code), (3, 3));
    // A SYN whose checksum is still blank.
    let mut segment = vec![
        3, 232, 0, 22, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0,
    ];
    let mut pseudo = [A, WAN_ADDRESS].concat();
    pseudo.extend([0, 6, 0, 20]);
    segment[16..18].copy_from_slice(&(!checksum(&pseudo)).to_be_bytes());
    let frame = ip(WAN, A, WAN_ADDRESS, 64, 6, &segment);
    let flags = FrameFlags::CSUM_BLANK | FrameFlags::DATA_VALIDATED;
    bed.receive_as(
        WAN,
        &frame,
        FrameMeta {
            flags,
            ..FrameMeta::plain(frame.len())
        },
    );
    let sent = bed.take();
    assert_eq!((sent.len(), sent[0].1[23]), (1, 6));
    assert_eq!(sent[0].1[47] & 4, 4, "RST");
    bed.assert_balance();
}
