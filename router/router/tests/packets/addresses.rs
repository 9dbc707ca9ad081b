//! Links of two (RFC 3021), single addresses, and several networks on one link.

use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;

const TEXT: &str = r#"
[interface.wan]
vif = 0
address = ["192.0.2.1/32"]
[interface.lan]
vif = 1
address = ["10.0.1.1/24", "10.0.11.1/24", "10.0.1.2/24"]
[interface.peer]
vif = 2
address = ["198.51.100.0/31", "198.51.100.5/31"]
[[route]]
prefix = "203.0.113.1/32"
interface = "wan"
[[route]]
prefix = "0.0.0.0/0"
via = ["203.0.113.1"]
[[route]]
prefix = "20.0.0.0/8"
via = ["198.51.100.1"]
"#;

const PEER: u8 = 2;
const GATEWAY: [u8; 4] = [203, 0, 113, 1];
const OTHER_END: [u8; 4] = [198, 51, 100, 1];
const B: [u8; 4] = [10, 0, 1, 9];
const C: [u8; 4] = [10, 0, 11, 9];

fn bed() -> Bed {
    let mut bed = Bed::ready(TEXT, &[]);
    for (interface, host, ours) in [
        (LAN, B, [10, 0, 1, 1]),
        (LAN, C, [10, 0, 11, 1]),
        (PEER, OTHER_END, [198, 51, 100, 0]),
        (PEER, [198, 51, 100, 4], [198, 51, 100, 5]),
    ] {
        bed.meet(interface, host, ours);
        let (out, reply) = bed.take().remove(0);
        assert_eq!((out, &reply[28..32]), (interface, &ours[..]));
    }
    bed
}

#[test]
fn both_ends_of_a_link_of_two_are_hosts() {
    let mut bed = bed();
    for (host, ours) in [
        (OTHER_END, [198, 51, 100, 0]),
        ([198, 51, 100, 4], [198, 51, 100, 5]),
    ] {
        // Neither address means all of them.
        bed.receive(PEER, &echo(PEER, host, ours, 10));
        let (kind, ..) = icmp(&bed.take()[0].1, ours, host);
        assert_eq!(kind, 0);
        let frame = udp(LAN, B, host, 10);
        let verdicts = bed.offer(LAN, &[(&frame, FrameMeta::plain(frame.len()))]);
        assert_eq!(verdicts, [Verdict::Forward(InterfaceId(PEER))]);
        assert_eq!(bed.take()[0].1[..6], host_mac(host));
        // Nor is either a source that nobody can have.
        bed.receive(PEER, &udp(PEER, host, B, 10));
        assert_eq!(bed.take()[0].0, LAN);
    }
    bed.receive(LAN, &udp(LAN, B, [20, 0, 0, 1], 10));
    assert_eq!(bed.take()[0].1[..6], host_mac(OTHER_END));
    bed.receive(PEER, &edit(udp(PEER, OTHER_END, B, 10), |ip| ip[8] = 1));
    assert_eq!(icmp(&bed.take()[0].1, [198, 51, 100, 0], OTHER_END).0, 11);
    bed.assert_balance();
}

#[test]
fn a_single_address_has_a_gateway_that_a_route_puts_on_its_link() {
    let mut bed = bed();
    bed.receive(LAN, &udp(LAN, B, [99, 0, 0, 1], 10));
    let (out, question) = bed.take().remove(0);
    assert_eq!((out, &question[28..32]), (WAN, &[192, 0, 2, 1][..]));
    assert_eq!(question[38..42], GATEWAY);
    bed.receive(
        WAN,
        &arp(
            2,
            host_mac(GATEWAY),
            GATEWAY,
            router_mac(0, WAN),
            [192, 0, 2, 1],
        ),
    );
    let (out, frame) = bed.take().remove(0);
    assert_eq!((out, &frame[..6]), (WAN, &host_mac(GATEWAY)[..]));
    // It asks us with an address of its own, and we answer.
    bed.receive(
        WAN,
        &arp(1, host_mac(GATEWAY), GATEWAY, [0; 6], [192, 0, 2, 1]),
    );
    assert_eq!(bed.take().len(), 1);
    bed.receive(WAN, &echo(WAN, [99, 0, 0, 1], [192, 0, 2, 1], 10));
    let reply = bed.take().remove(0).1;
    assert_eq!(reply[..6], host_mac(GATEWAY));
    assert_eq!(icmp(&reply, [192, 0, 2, 1], [99, 0, 0, 1]).0, 0);
    bed.assert_balance();
}

#[test]
fn secondary_addresses_are_as_good_as_the_first() {
    let mut bed = bed();
    // From one network of a link to another, by the same interface.
    bed.receive(LAN, &udp(LAN, B, C, 10));
    let (out, frame) = bed.take().remove(0);
    assert_eq!((out, &frame[..6]), (LAN, &host_mac(C)[..]));
    // Each answers, questions and errors come from the one in the host's network.
    for ours in [[10, 0, 1, 1], [10, 0, 1, 2], [10, 0, 11, 1]] {
        bed.receive(LAN, &echo(LAN, B, ours, 10));
        assert_eq!(icmp(&bed.take()[0].1, ours, B).0, 0);
    }
    bed.receive(LAN, &edit(udp(LAN, C, B, 10), |ip| ip[8] = 1));
    assert_eq!(icmp(&bed.take()[0].1, [10, 0, 11, 1], C).0, 11);
    bed.receive(LAN, &udp(LAN, B, [10, 0, 11, 77], 10));
    assert_eq!(bed.take()[0].1[28..32], [10, 0, 11, 1]);
    bed.receive(LAN, &udp(LAN, B, [10, 0, 11, 255], 10));
    assert_eq!(bed.dropped(LAN, DropReason::Broadcast), 1);
    bed.assert_balance();
}
