//! Source routes in IPv4 packets (RFC 791 3.1, RFC 1812 5.2.4.1, 5.3.13.4), where they are allowed.

use router::{DropReason, InterfaceId};
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const C: [u8; 4] = [10, 0, 11, 9];
const GATEWAY: [u8; 4] = [10, 0, 0, 254];
/// Behind the gateway.
const FAR: [u8; 4] = [99, 0, 0, 1];
/// The router.
const WAN_ADDRESS: [u8; 4] = [10, 0, 0, 1];
const LAN_ADDRESS: [u8; 4] = [10, 0, 1, 1];
const SECOND_ADDRESS: [u8; 4] = [10, 0, 11, 1];

const LOOSE: u8 = 131;
const STRICT: u8 = 137;

/// Source routes are allowed on wan.
fn bed_with(more: &str) -> Bed {
    let text = CONFIG.replace("vif = 0", &format!("vif = 0\nsource_route = true\n{more}"));
    let mut bed = Bed::ready(&text, &[(WAN, A), (WAN, GATEWAY), (LAN, B)]);
    bed.meet(LAN, C, SECOND_ADDRESS);
    bed.sent.clear();
    bed
}

fn bed() -> Bed {
    bed_with("")
}

/// A source route behind a byte that means nothing.
fn route(kind: u8, pointer: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut options = vec![1, kind, 3 + 4 * addresses.len() as u8, pointer];
    options.extend(addresses.concat());
    options
}

/// A datagram from A, ended as a route through the router is.
fn datagram(destination: [u8; 4], options: &[u8]) -> Frame {
    with_options(udp(WAN, A, destination, 30), options)
}

fn destination(frame: &[u8]) -> &[u8] {
    assert_eq!(
        checksum(&frame[14..14 + usize::from(frame[14] & 15) * 4]),
        0
    );
    &frame[30..34]
}

fn options(frame: &[u8]) -> &[u8] {
    &frame[34..14 + usize::from(frame[14] & 15) * 4]
}

#[test]
fn the_next_address_becomes_the_destination_and_ours_is_recorded() {
    for kind in [LOOSE, STRICT] {
        let mut bed = bed();
        for (next, out, ours) in [
            (B, LAN, LAN_ADDRESS),
            // Of two addresses, that in the network of the next hop.
            (C, LAN, SECOND_ADDRESS),
            // Back to where it came from.
            (GATEWAY, WAN, WAN_ADDRESS),
        ] {
            for (before, after) in [
                (route(kind, 4, &[next]), route(kind, 8, &[ours])),
                (route(kind, 4, &[next, FAR]), route(kind, 8, &[ours, FAR])),
                (route(kind, 8, &[FAR, next]), route(kind, 12, &[FAR, ours])),
            ] {
                let frame = datagram(WAN_ADDRESS, &before);
                bed.receive(WAN, &frame);
                let (to, sent) = bed.take().remove(0);
                assert_eq!((to, sent[22], destination(&sent)), (out, 63, &next[..]));
                assert_eq!(sent[..6], host_mac(next));
                assert_eq!(options(&sent), after);
                assert_eq!(sent[34 + after.len()..], frame[34 + before.len()..]);
                assert_eq!(sent[26..30], A);
            }
        }
        bed.assert_balance();
    }
}

#[test]
fn what_else_is_in_the_options_is_entered_too() {
    let mut bed = bed();
    let before = [&route(LOOSE, 4, &[B])[..], &[7, 7, 4, 0, 0, 0, 0, 0]].concat();
    bed.receive(WAN, &datagram(WAN_ADDRESS, &before));
    let (_, sent) = bed.take().remove(0);
    let [a, b, c, d] = LAN_ADDRESS;
    let after = [
        &route(LOOSE, 8, &[LAN_ADDRESS])[..],
        &[7, 7, 8, a, b, c, d, 0],
    ]
    .concat();
    assert_eq!((destination(&sent), options(&sent)), (&B[..], &after[..]));
}

#[test]
fn a_loose_route_goes_through_and_a_strict_one_does_not() {
    let mut bed = bed();
    let loose = route(LOOSE, 4, &[FAR]);
    bed.receive(WAN, &datagram(B, &loose));
    let (out, sent) = bed.take().remove(0);
    assert_eq!(
        (out, destination(&sent), options(&sent)),
        (LAN, &B[..], &loose[..])
    );
    let frame = datagram(B, &route(STRICT, 4, &[FAR]));
    bed.receive(WAN, &frame);
    let (out, error) = bed.take().remove(0);
    let (kind, code, quote) = icmp(&error, WAN_ADDRESS, A);
    assert_eq!((out, kind, code, error[38]), (WAN, 12, 0, 16));
    assert_eq!(quote, frame[14..]);
    assert_eq!(bed.dropped(WAN, DropReason::BadOptions), 1);
    bed.assert_balance();
}

#[test]
fn a_strict_route_fails_where_another_router_is_between() {
    let mut bed = bed();
    for pointer in [4, 8] {
        let mut addresses = vec![FAR; usize::from(pointer) / 4];
        addresses.push(B);
        // A loose one goes there by the gateway.
        bed.receive(
            WAN,
            &datagram(WAN_ADDRESS, &route(LOOSE, pointer, &addresses)),
        );
        let (out, sent) = bed.take().remove(0);
        assert_eq!((out, &sent[..6]), (WAN, &host_mac(GATEWAY)[..]));
        assert_eq!(destination(&sent), FAR);
    }
    let frame = datagram(WAN_ADDRESS, &route(STRICT, 4, &[FAR, B]));
    bed.receive(WAN, &frame);
    let (kind, code, quote) = icmp(&bed.take().remove(0).1, WAN_ADDRESS, A);
    assert_eq!((kind, code, quote), (3, 5, frame[14..].to_vec()));
    assert_eq!(bed.dropped(WAN, DropReason::SourceRoute), 1);
    bed.assert_balance();
}

#[test]
fn several_addresses_of_the_router_are_as_many_steps() {
    let mut bed = bed();
    let before = route(STRICT, 4, &[LAN_ADDRESS, SECOND_ADDRESS, B, FAR]);
    bed.receive(WAN, &datagram(WAN_ADDRESS, &before));
    let (_, sent) = bed.take().remove(0);
    let after = route(STRICT, 16, &[LAN_ADDRESS, SECOND_ADDRESS, LAN_ADDRESS, FAR]);
    assert_eq!((destination(&sent), options(&sent)), (&B[..], &after[..]));
    // And if the last one is the router's, the packet is for it.
    bed.receive(
        WAN,
        &with_options(
            echo(WAN, A, WAN_ADDRESS, 9),
            &route(LOOSE, 4, &[LAN_ADDRESS]),
        ),
    );
    let (_, reply) = bed.take().remove(0);
    assert_eq!(
        (reply[34], &reply[26..30], &reply[30..34]),
        (0, &LAN_ADDRESS[..], &A[..])
    );
    bed.assert_balance();
}

#[test]
fn errors_quote_the_packet_as_it_came() {
    for (what, ttl, next, error) in [
        ("time", 1, B, (11, 0)),
        ("nobody there", 64, [10, 0, 1, 77], (3, 1)),
        ("prohibited", 64, [30, 2, 0, 1], (3, 13)),
        ("unreachable", 64, [30, 1, 0, 1], (3, 1)),
    ] {
        let mut bed = bed();
        let frame = datagram(WAN_ADDRESS, &route(LOOSE, 4, &[next]));
        let frame = edit(frame, |ip| ip[8] = ttl);
        bed.receive(WAN, &frame);
        for _ in 0..40 {
            bed.pass(100);
        }
        let sent = bed.take();
        let (_, sent) = sent
            .iter()
            .rfind(|(out, f)| *out == WAN && f[12] == 8 && f[13] == 0)
            .unwrap();
        let (kind, code, quote) = icmp(sent, WAN_ADDRESS, A);
        assert_eq!(
            ((kind, code), quote),
            (error, frame[14..].to_vec()),
            "{what}"
        );
        bed.assert_balance();
    }
    // Without a route it is the source route that failed.
    let text = CONFIG
        .replace("0.0.0.0/0", "98.0.0.0/8")
        .replace("vif = 0", "vif = 0\nsource_route = true");
    let mut bed = Bed::ready(&text, &[(WAN, A)]);
    let frame = datagram(WAN_ADDRESS, &route(LOOSE, 4, &[FAR]));
    bed.receive(WAN, &frame);
    let (kind, code, quote) = icmp(&bed.take().remove(0).1, WAN_ADDRESS, A);
    assert_eq!((kind, code, quote), (3, 5, frame[14..].to_vec()));
    assert_eq!(bed.dropped(WAN, DropReason::NoRoute), 1);
}

#[test]
fn nothing_is_sent_to_groups_or_all_hosts_or_nobody() {
    for (next, reason) in [
        ([224, 0, 0, 1], DropReason::Multicast),
        ([255; 4], DropReason::Broadcast),
        ([10, 0, 1, 255], DropReason::Broadcast),
        ([10, 0, 1, 0], DropReason::Broadcast),
        ([127, 0, 0, 1], DropReason::MartianDestination),
        ([240, 0, 0, 1], DropReason::MartianDestination),
        ([0; 4], DropReason::MartianDestination),
        ([30, 0, 0, 1], DropReason::Blackhole),
    ] {
        for kind in [LOOSE, STRICT] {
            // Even where broadcasts from elsewhere are.
            let text = CONFIG
                .replace("vif = 0", "vif = 0\nsource_route = true")
                .replace("vif = 1", "vif = 1\ndirected_broadcast = true");
            let mut bed = Bed::ready(&text, &[(WAN, A), (LAN, B)]);
            bed.receive(WAN, &datagram(WAN_ADDRESS, &route(kind, 4, &[next])));
            assert_eq!(bed.take(), [], "{next:?}");
            assert_eq!(bed.dropped(WAN, reason), 1, "{next:?}");
            // Nor does an answer go there that is to take the way back.
            let request = echo(WAN, A, WAN_ADDRESS, 9);
            bed.receive(WAN, &with_options(request, &route(kind, 8, &[next])));
            assert_eq!(bed.take(), [], "{next:?}");
            bed.assert_balance();
        }
    }
}

#[test]
fn malformed_routes_are_answered_with_the_octet_that_is_wrong() {
    for (what, options, pointer) in [
        ("no pointer", vec![1, LOOSE, 2, 1], 22),
        (
            "a pointer to itself",
            vec![1, STRICT, 7, 3, 10, 0, 1, 9],
            23,
        ),
        ("half an address", vec![1, LOOSE, 5, 4, 10, 0, 0, 0], 23),
        ("a pointer between", vec![1, LOOSE, 7, 6, 10, 0, 1, 9], 23),
        ("length 0", vec![1, LOOSE, 0, 4], 22),
        ("beyond the header", vec![1, STRICT, 8, 4, 10, 0, 1, 9], 22),
        (
            "two",
            [route(LOOSE, 4, &[B]), route(STRICT, 4, &[B])].concat(),
            29,
        ),
    ] {
        for to in [WAN_ADDRESS, B] {
            let mut bed = bed();
            let frame = datagram(to, &options);
            bed.receive(WAN, &frame);
            let sent = bed.take();
            assert_eq!(sent.len(), 1, "{what}");
            let (kind, code, quote) = icmp(&sent[0].1, WAN_ADDRESS, A);
            assert_eq!((kind, code, sent[0].1[38]), (12, 0, pointer), "{what}");
            assert_eq!(quote, frame[14..], "{what}");
            assert_eq!(bed.dropped(WAN, DropReason::BadOptions), 1, "{what}");
            bed.assert_balance();
        }
    }
}

#[test]
fn only_interfaces_that_are_told_to_take_them() {
    let mut bed = bed();
    for options in [
        route(LOOSE, 4, &[A]),
        route(STRICT, 4, &[A]),
        route(LOOSE, 8, &[A]),
        vec![1, LOOSE, 2, 4],
    ] {
        for to in [LAN_ADDRESS, A] {
            bed.receive(LAN, &with_options(udp(LAN, B, to, 9), &options));
        }
    }
    assert_eq!(bed.dropped(LAN, DropReason::SourceRoute), 8);
    assert_eq!(bed.take(), []);
    bed.assert_balance();
}

#[test]
fn answers_take_the_way_back() {
    for kind in [LOOSE, STRICT] {
        let mut bed = bed();
        let [a, b, c, d] = A;
        for (there, next, back) in [
            (
                route(kind, 8, &[GATEWAY]),
                GATEWAY,
                vec![kind, 7, 4, a, b, c, d, 0],
            ),
            (
                route(kind, 12, &[FAR, GATEWAY]),
                GATEWAY,
                vec![kind, 11, 4, 99, 0, 0, 1, a, b, c, d, 0],
            ),
            // The sender is no router.
            (
                route(kind, 12, &[A, GATEWAY]),
                GATEWAY,
                vec![kind, 7, 4, a, b, c, d, 0],
            ),
            (route(kind, 8, &[A]), A, vec![]),
        ] {
            let request = echo(WAN, A, LAN_ADDRESS, 50);
            bed.receive(WAN, &with_options(request.clone(), &there));
            let (out, reply) = bed.take().remove(0);
            assert_eq!((out, &reply[..6]), (WAN, &host_mac(next)[..]));
            assert_eq!(
                (destination(&reply), options(&reply)),
                (&next[..], &back[..])
            );
            assert_eq!(reply[26..30], LAN_ADDRESS);
            let message = &reply[34 + back.len()..];
            assert_eq!((message[0], checksum(message)), (0, 0));
            assert_eq!(message[4..], request[38..]);
            // So does what is said of a closed port, and of a hop too many.
            bed.receive(WAN, &datagram(LAN_ADDRESS, &there));
            let (_, error) = bed.take().remove(0);
            assert_eq!(
                (destination(&error), options(&error)),
                (&next[..], &back[..])
            );
            assert_eq!(error[34 + back.len()..][..2], [3, 3]);
            let pass = edit(datagram(B, &route(LOOSE, there[3], &[FAR, FAR])), |ip| {
                let end = 20 + there.len();
                ip[20..end].copy_from_slice(&there);
                ip[8] = 1;
            });
            if kind == LOOSE && there.len() == 12 {
                bed.receive(WAN, &pass);
                let (_, error) = bed.take().remove(0);
                assert_eq!(
                    (destination(&error), options(&error)),
                    (&next[..], &back[..])
                );
                let message = &error[34 + back.len()..];
                assert_eq!((message[0], checksum(message)), (11, 0));
                assert_eq!(message[8..], pass[14..]);
            }
        }
        bed.assert_balance();
    }
}

#[test]
fn records_and_the_way_back_fit_into_one_header() {
    let mut bed = bed();
    let records = [7, 7, 8, 1, 1, 1, 1, 68, 6, 5, 2, 0, 0];
    // 40 bytes, of which padding between must not make more.
    let route = &route(LOOSE, 28, &[FAR, FAR, FAR, FAR, FAR, GATEWAY])[1..];
    let there = [&records[..], route].concat();
    let request = echo(WAN, A, WAN_ADDRESS, 9);
    bed.receive(WAN, &with_options(request, &there));
    let (_, reply) = bed.take().remove(0);
    assert_eq!((reply[14], destination(&reply)), (0x4f, &GATEWAY[..]));
    assert_eq!(reply[34..47], records);
    assert_eq!(reply[47..50], [LOOSE, 27, 4]);
    assert_eq!(reply[70..74], A);
    bed.assert_balance();
}

#[test]
fn an_error_is_no_longer_for_the_way_back() {
    let mut bed = bed();
    let frame = with_options(udp(WAN, A, B, 1000), &route(LOOSE, 8, &[GATEWAY]));
    for frame in [
        edit(frame.clone(), |ip| ip[8] = 1),
        edit(frame, |ip| ip[16..20].copy_from_slice(&WAN_ADDRESS)),
    ] {
        bed.receive(WAN, &frame);
        let (_, error) = bed.take().remove(0);
        assert_eq!(
            (error.len(), error[14], destination(&error)),
            (14 + 576, 0x47, &GATEWAY[..])
        );
        assert_eq!(checksum(&error[42..]), 0);
    }
}

#[test]
fn hosts_that_choose_the_way_are_not_told_of_a_shorter_one() {
    let mut bed = bed_with("redirects = true");
    for (to, options) in [
        (WAN_ADDRESS, route(LOOSE, 4, &[FAR])),
        (WAN_ADDRESS, route(STRICT, 4, &[GATEWAY])),
        (FAR, route(LOOSE, 4, &[B])),
    ] {
        bed.receive(WAN, &datagram(to, &options));
        let sent = bed.take();
        assert_eq!((sent.len(), &sent[0].1[..6]), (1, &host_mac(GATEWAY)[..]));
    }
    bed.receive(WAN, &datagram(FAR, &[1; 4]));
    assert_eq!(bed.take().len(), 2, "as without one");
}

#[test]
fn sources_are_filtered_as_ever() {
    let mut bed = bed_with("rpf = \"strict\"");
    let options = route(LOOSE, 4, &[B]);
    for (source, reason) in [
        ([127, 0, 0, 1], DropReason::MartianSource),
        ([10, 0, 1, 77], DropReason::ReversePath),
        (LAN_ADDRESS, DropReason::OwnSource),
    ] {
        bed.receive(
            WAN,
            &with_options(udp(WAN, source, WAN_ADDRESS, 9), &options),
        );
        assert_eq!(bed.dropped(WAN, reason), 1);
    }
    assert_eq!(bed.take(), []);
    bed.assert_balance();
}

#[test]
fn each_fragment_takes_the_step() {
    let mut bed = bed();
    bed.router
        .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 600);
    bed.poll();
    bed.meet(LAN, B, LAN_ADDRESS);
    bed.sent.clear();
    let frame = with_options(udp(WAN, A, WAN_ADDRESS, 1400), &route(STRICT, 4, &[B, FAR]));
    bed.receive(WAN, &frame);
    let sent = bed.take();
    assert_eq!(sent.len(), 3);
    for (_, piece) in &sent {
        let after = route(STRICT, 8, &[LAN_ADDRESS, FAR]);
        assert_eq!(destination(piece), B);
        // The byte before it is in the first one only.
        assert!(options(piece).windows(11).any(|part| part == &after[1..]));
    }
    bed.assert_balance();
}

#[test]
fn frames_that_wait_for_a_neighbor_take_the_step_when_it_answers() {
    let mut bed = bed();
    let late = [10, 0, 1, 44];
    bed.receive(WAN, &datagram(WAN_ADDRESS, &route(LOOSE, 4, &[late])));
    bed.take();
    bed.receive(
        LAN,
        &arp(2, host_mac(late), late, router_mac(0, LAN), LAN_ADDRESS),
    );
    let (out, sent) = bed.take().remove(0);
    assert_eq!((out, destination(&sent)), (LAN, &late[..]));
    assert_eq!(options(&sent), route(LOOSE, 8, &[LAN_ADDRESS]));
    bed.assert_balance();
}

#[test]
fn a_step_stays_in_the_table_of_the_interface() {
    let text = "[vrf.blue]\n[vrf.red]\n\
                [interface.blue0]\nvif = 0\nvrf = \"blue\"\nsource_route = true\naddress = [\"10.0.0.1/24\"]\n\
                [interface.blue1]\nvif = 1\nvrf = \"blue\"\naddress = [\"10.0.1.1/24\"]\n\
                [interface.red]\nvif = 2\nvrf = \"red\"\naddress = [\"10.0.1.1/24\", \"10.0.2.1/24\"]\n";
    let mut bed = Bed::ready(text, &[(WAN, A), (LAN, B)]);
    bed.receive(2, &arp(1, [2, 9, 9, 9, 9, 9], B, [0; 6], LAN_ADDRESS));
    bed.sent.clear();
    bed.receive(WAN, &datagram(WAN_ADDRESS, &route(STRICT, 4, &[B])));
    let (out, sent) = bed.take().remove(0);
    assert_eq!((out, &sent[..6]), (LAN, &host_mac(B)[..]));
    // What only red has is nobody's, be it a host's or the router's.
    for next in [[10, 0, 2, 9], [10, 0, 2, 1]] {
        bed.receive(WAN, &datagram(WAN_ADDRESS, &route(LOOSE, 4, &[next])));
        let (kind, code, _) = icmp(&bed.take().remove(0).1, WAN_ADDRESS, A);
        assert_eq!((kind, code), (3, 5));
    }
    bed.assert_balance();
}
