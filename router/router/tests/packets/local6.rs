//! The router's own IPv6 addresses: echo, groups, extension headers, fragments, ports.

use router::DropReason;
use std::net::Ipv6Addr;
use testkit::bed::*;
use testkit::bed6::*;

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

fn bed() -> Bed {
    Bed::ready6(CONFIG6, &[(WAN, "2001:db8::9"), (WAN, "fe80::9")])
}

#[test]
fn every_address_and_group_answers() {
    let host = a6("fe80::9");
    for (from, to, source) in [
        (A, WAN6, WAN6),
        (A, LAN6, LAN6),
        (host, local6(WAN), local6(WAN)),
        (host, WAN6, WAN6),
        (host, a6("ff02::1"), local6(WAN)),
        (host, a6("ff02::2"), local6(WAN)),
        (A, a6("ff02::1"), WAN6),
        (A, a6("2001:db8::"), WAN6),
        (A, a6("2001:db8:1::"), WAN6),
    ] {
        let mut bed = bed();
        let frame = echo6(WAN, from, to, 56);
        bed.receive(WAN, &frame);
        let sent = bed.take6();
        assert_eq!(sent.len(), 1, "{from} to {to}");
        let reply = &sent[0];
        assert_eq!(
            (reply.kind(), reply.source, reply.destination),
            (129, source, from)
        );
        assert_eq!(reply.payload[4..], frame[58..]);
        assert_eq!((reply.to, reply.hops), (mac6(from), 64));
        bed.assert_balance();
    }
    // Link-local addresses of other links are others'.
    let mut bed = bed();
    bed.receive(WAN, &echo6(WAN, host, local6(LAN), 4));
    assert_eq!(bed.dropped(WAN, DropReason::BeyondScope), 1);
}

/// Cuts the payload of a frame into fragments of this many bytes.
fn cut(frame: &[u8], size: usize) -> Vec<Frame> {
    let payload = &frame[54..];
    let pieces: Vec<&[u8]> = payload.chunks(size).collect();
    let last = pieces.len() - 1;
    let piece = |(i, piece): (usize, &&[u8])| {
        let place = (i * size) as u16 | u16::from(i != last);
        let mut f = frame[..54].to_vec();
        f[20] = 44;
        f[18..20].copy_from_slice(&(8 + piece.len() as u16).to_be_bytes());
        f.extend([frame[20], 0]);
        f.extend(place.to_be_bytes());
        f.extend([0, 0, 0, 7]);
        f.extend(*piece);
        f
    };
    pieces.iter().enumerate().map(piece).collect()
}

#[test]
fn a_large_ping_is_reassembled_and_answered_in_fragments() {
    for len in [2000, 9000] {
        let mut bed = bed();
        let whole = echo6(WAN, A, WAN6, len);
        let mut pieces = cut(&whole, 1440);
        pieces.reverse();
        for piece in &pieces {
            bed.receive(WAN, piece);
        }
        let sent = bed.take6();
        assert!(sent.len() >= pieces.len());
        let mut payload = Vec::new();
        for s in &sent {
            assert_eq!((s.next, s.payload[0]), (44, 58));
            let place = u16::from_be_bytes([s.payload[2], s.payload[3]]);
            assert_eq!(usize::from(place & !7), payload.len());
            assert!(s.payload.len() + 40 <= 1500);
            assert_eq!(s.payload[4..8], sent[0].payload[4..8]);
            payload.extend(&s.payload[8..]);
        }
        assert_eq!(sum6(WAN6, A, 58, &payload), 0);
        assert_eq!(payload[4..], whole[58..]);
        bed.assert_balance();
    }
}

#[test]
fn what_comes_from_afar_is_answered_within_the_smallest_mtu() {
    let far = a6("2a00::9");
    let mut bed = Bed::ready6(CONFIG6, &[(WAN, "fe80::fe")]);
    bed.receive(WAN, &echo6(WAN, far, WAN6, 1400));
    let sent = bed.take6();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|s| s.payload.len() + 40 <= 1280));
    bed.assert_balance();
}

#[test]
fn fragments_that_never_come_are_reported() {
    let mut bed = bed();
    let pieces = cut(&echo6(WAN, A, WAN6, 2000), 1440);
    bed.receive(WAN, &pieces[0]);
    bed.introduce(WAN, A);
    bed.sent.clear();
    for _ in 0..160 {
        bed.pass(100);
    }
    let sent = bed.take6();
    let errors: Vec<&Sent> = sent
        .iter()
        .filter(|s| s.next == 58 && s.kind() == 3)
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].error().1, 1);
    // Without the first one there is nothing to quote.
    bed.receive(WAN, &pieces[1]);
    for _ in 0..160 {
        bed.pass(100);
    }
    assert!(bed.take6().iter().all(|s| s.kind() != 3));
    bed.receive(WAN, &pieces[0]);
    let mut other = pieces[0].clone();
    *other.last_mut().unwrap() ^= 1;
    bed.receive(WAN, &other);
    assert_eq!(bed.dropped(WAN, DropReason::BadFragment), 1, "an overlap");
    // Neighbor Discovery doesn't come in pieces.
    for piece in cut(&ns(WAN, A, WAN6, WAN6), 16) {
        bed.receive(WAN, &piece);
    }
    assert_eq!(bed.dropped(WAN, DropReason::BadNd), 1);
    bed.assert_balance();
}

#[test]
fn extension_headers_for_us() {
    let message = echo6(WAN, A, WAN6, 8)[54..].to_vec();
    let with = |next, headers: &[u8]| ip6(WAN, A, WAN6, 64, next, &[headers, &message].concat());
    let mut bed = bed();
    let fine = [
        60, 0, 5, 2, 0, 0, 1, 0, 43, 0, 1, 4, 0, 0, 0, 0, 58, 0, 2, 0, 0, 0, 0, 0,
    ];
    bed.receive(WAN, &with(0, &fine));
    assert_eq!(bed.take6()[0].kind(), 129);
    for (what, frame, code, pointer, reason) in [
        (
            "routing type 0",
            with(43, &[58, 0, 0, 1, 0, 0, 0, 0]),
            0,
            42,
            DropReason::BadOptions,
        ),
        (
            "unknown option",
            with(60, &[58, 0, 0xc1, 4, 0, 0, 0, 0]),
            2,
            42,
            DropReason::BadOptions,
        ),
        (
            "unknown protocol",
            ip6(WAN, A, WAN6, 64, 200, &[0; 8]),
            1,
            6,
            DropReason::UnknownProtocol,
        ),
    ] {
        let mut bed = Bed::ready6(CONFIG6, &[(WAN, "2001:db8::9")]);
        bed.receive(WAN, &frame);
        let sent = bed.take6();
        let (kind, found, at, _) = sent[0].error();
        assert_eq!((kind, found, at), (4, code, pointer), "{what}");
        assert_eq!(
            (sent[0].source, bed.dropped(WAN, reason)),
            (WAN6, 1),
            "{what}"
        );
        bed.assert_balance();
    }
    // Nothing behind the headers is nothing to do.
    bed.receive(WAN, &ip6(WAN, A, WAN6, 64, 59, &[]));
    assert!(bed.take().is_empty());
    bed.assert_balance();
}

#[test]
fn closed_ports_are_refused() {
    let mut bed = bed();
    bed.receive(WAN, &udp6(WAN, A, WAN6, 10));
    let sent = bed.take6();
    assert_eq!((sent[0].error().0, sent[0].error().1), (1, 4));
    assert_eq!(sent[0].source, WAN6);
    let mut segment = vec![
        3, 232, 0, 22, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0,
    ];
    let sum = sum6(A, WAN6, 6, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    bed.receive(WAN, &ip6(WAN, A, WAN6, 64, 6, &segment));
    let sent = bed.take6();
    assert_eq!((sent[0].next, sent[0].payload[13] & 4), (6, 4), "RST");
    assert_eq!(sum6(WAN6, A, 6, &sent[0].payload), 0);
    // Not to a group.
    bed.receive(WAN, &udp6(WAN, A, a6("ff02::1"), 10));
    assert!(bed.take().is_empty());
    // With what was sent, options and all, and as often as errors are.
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0], &udp6(WAN, A, WAN6, 10)[54..]].concat();
    let frame = ip6(WAN, A, WAN6, 64, 60, &options);
    bed.receive(WAN, &frame);
    assert_eq!(bed.take6()[0].error(), (1, 4, 0, &frame[14..]));
    for _ in 0..1000 {
        bed.receive(WAN, &udp6(WAN, A, WAN6, 10));
    }
    assert_eq!(bed.take().len(), 98);
    let counters = bed.router.counters(router::InterfaceId(WAN)).unwrap();
    assert_eq!((counters.icmp_errors, counters.icmp_suppressed), (100, 902));
    let silent = "[interface.wan]\nicmp_error_rate = 0";
    let silent = CONFIG6.replace("[interface.wan]", silent);
    let mut bed = Bed::ready6(&silent, &[(WAN, "2001:db8::9")]);
    bed.receive(WAN, &udp6(WAN, A, WAN6, 10));
    assert!(bed.take().is_empty());
    bed.assert_balance();
}

#[test]
fn fragments_that_can_be_part_of_no_packet_are_reported() {
    let mut bed = bed();
    let piece = |place: u16, len: usize| {
        let mut header = vec![17, 0];
        header.extend(place.to_be_bytes());
        header.extend([0, 0, 0, 7]);
        header.resize(8 + len, 0x80);
        ip6(WAN, A, WAN6, 64, 44, &header)
    };
    // More to come, but not from a multiple of 8; and an end beyond 65535 bytes (RFC 8200 4.5).
    for (frame, pointer) in [(piece(1, 9), 4), (piece(0xfff8, 16), 42)] {
        bed.receive(WAN, &frame);
        let sent = bed.take6();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].next, sent[0].kind()), (58, 4));
        assert_eq!(sent[0].error().1, 0);
        assert_eq!(sent[0].payload[4..8], u32::to_be_bytes(pointer));
    }
    assert_eq!(bed.dropped(WAN, DropReason::BadFragment), 2);
    bed.assert_balance();
}
