//! Options in the headers of IPv4 packets (RFC 791, RFC 1812 5.3.13).

use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const C: [u8; 4] = [10, 0, 11, 9];
const WAN_ADDRESS: [u8; 4] = [10, 0, 0, 1];

fn bed() -> Bed {
    let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B)]);
    bed.meet(LAN, C, [10, 0, 11, 1]);
    bed.sent.clear();
    bed
}

/// What the router makes of the options of a packet from wan to lan.
fn forwarded(bed: &mut Bed, destination: [u8; 4], options: &[u8]) -> Vec<u8> {
    let frame = with_options(udp(WAN, A, destination, 30), options);
    bed.receive(WAN, &frame);
    let (out, sent) = bed.take().remove(0);
    let end = 34 + options.len();
    assert_eq!((out, sent[22], checksum(&sent[14..end])), (LAN, 63, 0));
    assert_eq!(sent[end..], frame[end..]);
    bed.assert_balance();
    sent[34..end].to_vec()
}

#[test]
fn what_the_router_does_not_know_passes_unchanged() {
    let mut longest = [1; 40];
    longest[36..].copy_from_slice(&[148, 4, 0, 0]);
    for options in [
        // A router alert is for the protocols of the router, of which it has none.
        &[148, 4, 0, 0][..],
        &[148, 4, 0, 9],
        // Security, a stream, and one that nobody knows.
        &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[136, 4, 0, 7],
        &[222, 2, 0, 0],
        &[68, 8, 5, 2, 0, 0, 0, 0],
        // What is behind the end has no meaning.
        &[0, 7, 99, 99],
        // The longest header goes beyond what the fast path sees.
        &longest,
    ] {
        assert_eq!(forwarded(&mut bed(), B, options), options);
    }
}

#[test]
fn the_route_is_recorded_with_the_address_towards_the_next_hop() {
    let mut bed = bed();
    let options = [7, 7, 4, 0, 0, 0, 0, 0];
    assert_eq!(forwarded(&mut bed, B, &options), [7, 7, 8, 10, 0, 1, 1, 0]);
    // Of two addresses, that in the network of the next hop.
    assert_eq!(forwarded(&mut bed, C, &options), [7, 7, 8, 10, 0, 11, 1, 0]);
    let full = [7, 7, 8, 9, 9, 9, 9, 0];
    assert_eq!(forwarded(&mut bed, B, &full), full);
}

#[test]
fn an_interface_without_an_address_lends_one() {
    let text = "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/24\"]\n[interface.lan]\nvif = 1\n\
                [[route]]\nprefix = \"10.0.1.0/24\"\ninterface = \"lan\"\n\
                [[neighbor]]\ninterface = \"lan\"\naddress = \"10.0.1.9\"\n\
                mac = \"02:01:0a:00:01:09\"\n";
    let mut bed = Bed::ready(text, &[(WAN, A)]);
    let options = [7, 7, 4, 0, 0, 0, 0, 0];
    assert_eq!(forwarded(&mut bed, B, &options), [7, 7, 8, 10, 0, 0, 1, 0]);
}

#[test]
fn the_time_is_entered_with_what_the_flags_ask_for() {
    let mut bed = bed();
    bed.pass(4321);
    // Not the time of day, as the highest bit says.
    let millis = u32::try_from(bed.now.as_nanos() / 1_000_000).unwrap();
    let [a, b, c, d] = (1 << 31 | millis).to_be_bytes();
    for (before, after) in [
        (
            &[68, 8, 5, 0, 0, 0, 0, 0][..],
            &[68, 8, 9, 0, a, b, c, d][..],
        ),
        (
            &[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[68, 12, 13, 1, 10, 0, 1, 1, a, b, c, d],
        ),
        // Any address of the router will do.
        (
            &[68, 12, 5, 3, 10, 0, 11, 1, 0, 0, 0, 0],
            &[68, 12, 13, 3, 10, 0, 11, 1, a, b, c, d],
        ),
        (
            &[68, 12, 5, 3, 10, 0, 1, 9, 0, 0, 0, 0],
            &[68, 12, 5, 3, 10, 0, 1, 9, 0, 0, 0, 0],
        ),
        // Full: counted, and not for those who want others' times.
        (&[68, 8, 9, 0x10, 1, 2, 3, 4], &[68, 8, 9, 0x20, 1, 2, 3, 4]),
        (
            &[68, 12, 13, 3, 1, 1, 1, 1, 2, 2, 2, 2],
            &[68, 12, 13, 3, 1, 1, 1, 1, 2, 2, 2, 2],
        ),
        // Beside a record of the route.
        (
            &[7, 7, 4, 0, 0, 0, 0, 1, 68, 8, 5, 0, 0, 0, 0, 0],
            &[7, 7, 8, 10, 0, 1, 1, 1, 68, 8, 9, 0, a, b, c, d],
        ),
    ] {
        assert_eq!(forwarded(&mut bed, B, before), after, "{before:?}");
    }
}

#[test]
fn malformed_options_are_answered_with_the_octet_that_is_wrong() {
    for (what, options, pointer) in [
        ("no length", &[1, 1, 1, 7][..], 23),
        ("length 0", &[7, 0, 4, 0], 21),
        ("length 1", &[1, 222, 1, 0], 22),
        ("beyond the header", &[7, 9, 4, 0], 21),
        ("a route without a pointer", &[7, 2, 1, 1], 21),
        ("a pointer to itself", &[7, 7, 3, 0, 0, 0, 0, 0], 22),
        ("room for half an address", &[7, 5, 4, 0, 0, 0, 0, 0], 22),
        ("two routes", &[7, 3, 4, 7, 3, 4, 0, 0], 23),
        ("a time without flags", &[68, 3, 5, 0], 21),
        ("a time's pointer", &[68, 8, 4, 0, 0, 0, 0, 0], 22),
        ("room for half a time", &[68, 8, 7, 0, 0, 0, 0, 0], 22),
        ("too many to count", &[68, 8, 9, 0xf0, 0, 0, 0, 0], 23),
        ("two times", &[68, 4, 5, 0, 68, 4, 5, 0], 24),
        ("a short alert", &[148, 3, 0, 0], 21),
    ] {
        for destination in [B, WAN_ADDRESS] {
            let mut bed = bed();
            let frame = with_options(udp(WAN, A, destination, 30), options);
            bed.receive(WAN, &frame);
            let sent = bed.take();
            assert_eq!(sent.len(), 1, "{what}");
            let (kind, code, quote) = icmp(&sent[0].1, WAN_ADDRESS, A);
            assert_eq!((sent[0].0, kind, code), (WAN, 12, 0), "{what}");
            assert_eq!(sent[0].1[38..42], [pointer, 0, 0, 0], "{what}");
            assert_eq!(quote, frame[14..], "{what}");
            assert_eq!(bed.dropped(WAN, DropReason::BadOptions), 1, "{what}");
            bed.assert_balance();
        }
    }
}

#[test]
fn malformed_options_of_some_packets_are_dropped_in_silence() {
    let bad = [7, 9, 4, 0];
    let error = ip(WAN, A, B, 9, 1, &[3, 1, 0, 0, 0, 0, 0, 0]);
    let later = edit(udp(WAN, A, B, 10), |ip| ip[7] = 5);
    for frame in [
        error,
        later,
        udp(WAN, A, [10, 0, 1, 255], 10),
        udp(WAN, A, [239, 1, 1, 1], 10),
    ] {
        let mut bed = bed();
        bed.receive(WAN, &with_options(frame, &bad));
        assert_eq!(bed.dropped(WAN, DropReason::BadOptions), 1);
        assert!(bed.take().is_empty());
        bed.assert_balance();
    }
}

#[test]
fn source_routes_are_dropped_without_a_word() {
    for kind in [131, 137] {
        let mut bed = bed();
        for destination in [B, WAN_ADDRESS] {
            let options = [kind, 7, 4, 10, 0, 1, 9, 0];
            bed.receive(WAN, &with_options(udp(WAN, A, destination, 9), &options));
        }
        assert_eq!(bed.dropped(WAN, DropReason::SourceRoute), 2);
        assert!(bed.take().is_empty());
        bed.assert_balance();
    }
}

#[test]
fn options_stay_with_the_first_fragment_unless_they_are_copied() {
    let mut bed = bed();
    bed.router
        .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 600);
    bed.poll();
    bed.meet(LAN, B, [10, 0, 1, 1]);
    bed.sent.clear();
    // Record route isn't copied, a router alert is.
    let options = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0];
    let frame = with_options(udp(WAN, A, B, 1400), &options);
    bed.receive(WAN, &frame);
    let sent = bed.take();
    assert_eq!(sent.len(), 3);
    let mut payload: Frame = Vec::new();
    for (at, (_, piece)) in sent.iter().enumerate() {
        let end = if at == 0 { 46 } else { 38 };
        assert_eq!(usize::from(piece[14] & 15) * 4, end - 14);
        assert_eq!(checksum(&piece[14..end]), 0);
        let offset = u16::from_be_bytes([piece[20], piece[21]]) & 0x1fff;
        assert_eq!(usize::from(offset) * 8, payload.len());
        payload.extend(&piece[end..]);
    }
    assert_eq!(sent[0].1[34..42], [7, 7, 8, 10, 0, 1, 1, 148]);
    assert_eq!(sent[1].1[34..38], [148, 4, 0, 0]);
    assert_eq!(payload, frame[46..]);
    bed.assert_balance();
}

#[test]
fn a_ping_is_answered_with_the_route_and_times_so_far() {
    let mut bed = bed();
    let options = [7, 11, 8, 9, 9, 9, 9, 0, 0, 0, 0, 1, 68, 8, 5, 0, 0, 0, 0, 0];
    let request = with_options(echo(WAN, A, [10, 0, 11, 1], 50), &options);
    bed.receive(WAN, &request);
    let (out, reply) = bed.take().remove(0);
    assert_eq!((out, reply[14], reply[34 + 20]), (WAN, 0x4a, 0));
    assert_eq!(checksum(&reply[14..54]), 0);
    assert_eq!(checksum(&reply[54..]), 0);
    assert_eq!(reply[34..45], [7, 11, 12, 9, 9, 9, 9, 10, 0, 11, 1]);
    assert_eq!(reply[45..50], [68, 8, 9, 0, 0x80]);
    assert_eq!(reply[62..], request[62..]);
    // One without options gets none, and other packets neither.
    bed.receive(WAN, &with_options(echo(WAN, A, WAN_ADDRESS, 50), &[1; 4]));
    assert_eq!(bed.take()[0].1[14], 0x45);
    let datagram = with_options(udp(WAN, A, WAN_ADDRESS, 50), &options);
    bed.receive(WAN, &datagram);
    assert_eq!(bed.take()[0].1[14], 0x45);
    bed.assert_balance();
}

#[test]
fn a_large_ping_with_options_is_answered_in_sound_fragments() {
    let mut bed = bed();
    let options = [7, 7, 4, 0, 0, 0, 0, 0];
    let request = with_options(echo(WAN, A, WAN_ADDRESS, 1460), &options);
    bed.receive(WAN, &request[..]);
    let sent = bed.take();
    assert_eq!(sent.len(), 1, "1496 bytes fit");
    bed.router
        .link_up(bed.now, InterfaceId(WAN), router_mac(0, WAN), 1000);
    bed.poll();
    bed.meet(WAN, A, WAN_ADDRESS);
    bed.sent.clear();
    bed.receive(WAN, &request);
    let sent = bed.take();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].1[34..41], [7, 7, 8, 10, 0, 0, 1]);
    for (_, piece) in &sent {
        let end = 14 + usize::from(piece[14] & 15) * 4;
        assert_eq!(checksum(&piece[14..end]), 0);
    }
    bed.assert_balance();
}

#[test]
fn packets_with_options_take_the_slow_path() {
    let mut bed = bed();
    let frame = with_options(udp(WAN, A, B, 30), &[1; 4]);
    let verdicts = bed.offer(WAN, &[(&frame, FrameMeta::plain(frame.len()))]);
    assert_eq!(verdicts, [Verdict::Punt]);
}
