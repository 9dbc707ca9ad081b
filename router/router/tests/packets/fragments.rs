//! Fragments of IPv4 packets for the router, well meant and not (RFC 791, RFC 1858, RFC 8900).

use router::DropReason;
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const OURS: [u8; 4] = [10, 0, 0, 1];

fn bed() -> Bed {
    Bed::ready(CONFIG, &[(WAN, A), (LAN, B)])
}

/// The part of a frame's payload from `from` to `to`, as a fragment with this number.
fn piece(frame: &Frame, ident: u16, from: usize, to: usize) -> Frame {
    let payload = &frame[34..];
    let mut f = frame[..34].to_vec();
    f.extend(&payload[from..to]);
    edit(f, |ip| {
        let more = if to < payload.len() { 0x2000 } else { 0 };
        let total = (20 + to - from) as u16;
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip[4..6].copy_from_slice(&ident.to_be_bytes());
        ip[6..8].copy_from_slice(&((from / 8) as u16 | more).to_be_bytes());
    })
}

#[test]
fn fragments_come_in_any_order_and_more_than_once() {
    let mut bed = bed();
    let ping = echo(WAN, A, OURS, 1000);
    let cuts = [(400, 800), (0, 400), (0, 400), (800, 1008)];
    for (from, to) in cuts {
        assert!(bed.take().is_empty());
        bed.receive(WAN, &piece(&ping, 7, from, to));
    }
    let (kind, _, data) = icmp(&bed.take()[0].1, OURS, A);
    assert_eq!((kind, &data[..]), (0, &ping[42..]));
    assert_eq!(bed.dropped(WAN, DropReason::BadFragment), 1, "once");
    bed.assert_balance();
    // Nothing is waited for any more.
    assert!(bed.next.is_some_and(|n| n.0 > bed.now.0 + 15_000_000_000));
}

#[test]
fn a_packet_whose_fragments_overlap_is_given_up() {
    let mut bed = bed();
    let ping = echo(WAN, A, OURS, 1000);
    for (from, to) in [(0, 400), (392, 800), (400, 800), (800, 1008)] {
        bed.receive(WAN, &piece(&ping, 7, from, to));
    }
    assert!(bed.take().is_empty());
    assert_eq!(bed.dropped(WAN, DropReason::BadFragment), 1);
    bed.assert_balance();
    // Of different protocols they don't belong together.
    let other = edit(piece(&ping, 9, 0, 400), |ip| ip[9] = 17);
    bed.receive(WAN, &other);
    for (from, to) in [(400, 1008), (0, 400)] {
        bed.receive(WAN, &piece(&ping, 9, from, to));
    }
    assert_eq!(bed.take().len(), 1);
}

#[test]
fn a_flood_of_first_fragments_leaves_others_their_room() {
    let mut bed = bed();
    let ping = echo(WAN, A, OURS, 1000);
    for ident in 0..1000 {
        bed.receive(WAN, &piece(&ping, ident, 0, 400));
    }
    assert_eq!(bed.dropped(WAN, DropReason::ReassemblyFull), 992);
    let good = echo(LAN, B, OURS, 1000);
    for (from, to) in [(0, 400), (400, 1008)] {
        bed.receive(LAN, &piece(&good, 5, from, to));
    }
    assert_eq!(icmp(&bed.take()[0].1, OURS, B).0, 0);
    bed.assert_balance();
    // Who waited in vain is told, and there is room again.
    bed.pass(15_000);
    let told = bed.take();
    assert_eq!(told.len(), 8);
    for (out, error) in &told {
        let (kind, code, quote) = icmp(error, OURS, A);
        assert_eq!((*out, kind, code), (WAN, 11, 1));
        assert_eq!(quote[6..8], [0x20, 0]);
    }
    for (from, to) in [(0, 400), (400, 1008)] {
        bed.receive(WAN, &piece(&ping, 5, from, to));
    }
    assert_eq!(bed.take().len(), 1);
    bed.assert_balance();
}

#[test]
fn without_the_first_fragment_nobody_is_told() {
    let mut bed = bed();
    let ping = echo(WAN, A, OURS, 1000);
    bed.receive(WAN, &piece(&ping, 7, 400, 1008));
    bed.pass(15_000);
    assert!(bed.take().is_empty());
    bed.assert_balance();
}

#[test]
fn malformed_fragments_are_counted() {
    let mut bed = bed();
    let ping = echo(WAN, A, OURS, 1000);
    // Not a multiple of 8, empty, and beyond the longest packet.
    let odd = piece(&ping, 1, 0, 404);
    let empty = piece(&ping, 1, 400, 400);
    let mut long = piece(&ping, 1, 0, 1008);
    long = edit(long, |ip| ip[6..8].copy_from_slice(&[0x1f, 0xff]));
    for frame in [odd, empty, long] {
        bed.receive(WAN, &frame);
    }
    assert_eq!(bed.dropped(WAN, DropReason::BadFragment), 3);
    assert!(bed.take().is_empty());
    bed.assert_balance();
}

#[test]
fn fragments_for_others_pass_one_by_one() {
    let mut bed = bed();
    // Even the smallest and those that overlap: the router doesn't look behind the header.
    let whole = udp(WAN, A, B, 992);
    let cuts = [(0, 8), (0, 400), (392, 800)];
    for (from, to) in cuts {
        bed.receive(WAN, &piece(&whole, 7, from, to));
        assert_eq!(bed.take()[0].0, LAN);
    }
    bed.assert_balance();
}

#[test]
fn options_of_the_first_fragment_come_back_with_the_answer() {
    let mut bed = bed();
    let ping = echo(WAN, A, OURS, 1000);
    let mut first = piece(&ping, 7, 0, 400);
    first.splice(34..34, [7, 7, 4, 0, 0, 0, 0, 0]);
    first = edit(first, |ip| {
        ip[0] = 0x47;
        ip[2..4].copy_from_slice(&428u16.to_be_bytes());
    });
    bed.receive(WAN, &piece(&ping, 7, 400, 1008));
    bed.receive(WAN, &first);
    let reply = bed.take().remove(0).1;
    assert_eq!(reply[34..42], [7, 7, 8, 10, 0, 0, 1, 0]);
    assert_eq!(reply[50..], ping[42..]);
    bed.assert_balance();
}
