//! Answering for hosts on other links (RFC 1027).

use router::{DropReason, InterfaceId};
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];

/// A router that answers on wan for what isn't there.
fn bed() -> Bed {
    let text = CONFIG.replace("vif = 0", "vif = 0\nproxy_arp = true");
    Bed::ready(&text, &[(LAN, B)])
}

fn request(sender: [u8; 4], target: [u8; 4]) -> Frame {
    arp(1, host_mac(A), sender, [0; 6], target)
}

#[test]
fn hosts_behind_other_interfaces_are_answered_for() {
    for target in [
        B,
        // Nobody knows whether it is there.
        [10, 0, 1, 200],
        // Our address on the other link, and what is routed there, by two gateways.
        [10, 0, 1, 1],
        [20, 0, 0, 1],
    ] {
        let mut bed = bed();
        bed.receive(WAN, &request(A, target));
        let wanted = arp(2, router_mac(0, WAN), target, host_mac(A), A);
        assert_eq!(bed.take(), [(WAN, wanted)], "{target:?}");
        // Who asked is going to be sent answers, and is known by now.
        bed.receive(LAN, &udp(LAN, B, A, 10));
        assert_eq!(bed.take()[0].1[..6], host_mac(A));
        bed.assert_balance();
    }
}

#[test]
fn nobody_else_is() {
    for (what, frame) in [
        ("its own link", request(A, [10, 0, 0, 77])),
        ("routed there", request(A, [99, 0, 0, 1])),
        ("itself", request(A, A)),
        ("a black hole", request(A, [30, 0, 0, 1])),
        ("unreachable", request(A, [30, 1, 0, 1])),
        ("a broadcast", request(A, [10, 0, 1, 255])),
        ("a group", request(A, [224, 0, 0, 1])),
        ("whether an address is free", request([0; 4], B)),
        ("an answer", arp(2, host_mac(A), A, router_mac(0, WAN), B)),
    ] {
        let mut bed = bed();
        bed.receive(WAN, &frame);
        assert!(bed.take().is_empty(), "{what}");
        bed.assert_balance();
    }
    let mut bed = bed();
    bed.receive(WAN, &request([10, 9, 9, 9], B));
    assert!(bed.take().is_empty());
    assert_eq!(bed.dropped(WAN, DropReason::ForeignArp), 1);
    // Not on an interface that wasn't told to.
    bed.meet(LAN, B, A);
    assert!(bed.take().is_empty());
    // Nor for what is gone.
    bed.router.link_down(InterfaceId(LAN));
    bed.receive(WAN, &request(A, B));
    assert!(bed.take().is_empty());
    bed.assert_balance();
}
