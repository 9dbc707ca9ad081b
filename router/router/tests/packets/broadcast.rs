//! Packets to all hosts of a network (RFC 1812 5.3.5, RFC 2644).

use router::{DropReason, FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const TO_LAN: [u8; 4] = [10, 0, 1, 255];

/// A router that lets directed broadcasts go to lan.
fn bed() -> Bed {
    let text = CONFIG.replace("vif = 1", "vif = 1\ndirected_broadcast = true");
    Bed::ready(&text, &[(WAN, A), (LAN, B)])
}

#[test]
fn directed_broadcasts_pass_where_they_are_allowed() {
    let mut bed = bed();
    for to in [TO_LAN, [10, 0, 11, 255]] {
        let frame = udp(WAN, A, to, 40);
        let verdicts = bed.offer(WAN, &[(&frame, FrameMeta::plain(frame.len()))]);
        assert_eq!(verdicts, [Verdict::Forward(InterfaceId(LAN))]);
        let mut wanted = edit(frame, |ip| ip[8] = 63);
        wanted[..6].fill(0xff);
        wanted[6..12].copy_from_slice(&router_mac(0, LAN));
        assert_eq!(bed.take(), [(LAN, wanted)]);
    }
    // In fragments, where one isn't enough.
    bed.receive(WAN, &udp(WAN, A, TO_LAN, 1600));
    let sent = bed.take();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|(_, f)| f[..6] == [0xff; 6]));
    bed.assert_balance();
    // The other way it isn't allowed, nor is the network's own address.
    bed.receive(LAN, &udp(LAN, B, [10, 0, 0, 255], 40));
    bed.receive(WAN, &udp(WAN, A, [10, 0, 1, 0], 40));
    assert!(bed.take().is_empty());
    assert_eq!(bed.dropped(LAN, DropReason::Broadcast), 1);
    assert_eq!(bed.dropped(WAN, DropReason::Broadcast), 1);
    bed.assert_balance();
}

#[test]
fn a_link_layer_broadcast_never_becomes_another_one() {
    let mut bed = bed();
    for (interface, from) in [(WAN, A), (LAN, B)] {
        let mut frame = udp(interface, from, TO_LAN, 40);
        frame[..6].fill(0xff);
        bed.receive(interface, &frame);
        assert_eq!(bed.dropped(interface, DropReason::Broadcast), 1);
    }
    assert!(bed.take().is_empty());
    bed.assert_balance();
}

#[test]
fn nobody_is_told_of_errors_with_broadcasts() {
    let mut bed = bed();
    bed.receive(WAN, &edit(udp(WAN, A, TO_LAN, 40), |ip| ip[8] = 1));
    bed.receive(WAN, &edit(udp(WAN, A, TO_LAN, 1600), |ip| ip[6] = 0x40));
    assert!(bed.take().is_empty());
    assert_eq!(bed.dropped(WAN, DropReason::TtlExpired), 1);
    assert_eq!(bed.dropped(WAN, DropReason::TooBig), 1);
    bed.assert_balance();
}

#[test]
fn nobody_speaks_for_all_hosts() {
    let mut bed = bed();
    let claim = arp(2, host_mac(B), TO_LAN, router_mac(0, LAN), [10, 0, 1, 1]);
    bed.receive(LAN, &claim);
    bed.receive(WAN, &udp(WAN, A, TO_LAN, 40));
    assert_eq!(bed.take()[0].1[..6], [0xff; 6]);
    // Nor can anybody send from that address.
    bed.receive(LAN, &udp(LAN, TO_LAN, A, 40));
    assert_eq!(bed.dropped(LAN, DropReason::MartianSource), 1);
    bed.assert_balance();
}

#[test]
fn by_default_and_without_the_link_they_are_dropped() {
    let mut off = Bed::ready(CONFIG, &[(WAN, A)]);
    off.receive(WAN, &udp(WAN, A, TO_LAN, 40));
    assert_eq!(off.dropped(WAN, DropReason::Broadcast), 1);
    let mut bed = bed();
    bed.router.link_down(InterfaceId(LAN));
    bed.receive(WAN, &udp(WAN, A, TO_LAN, 40));
    assert_eq!(bed.dropped(WAN, DropReason::Broadcast), 1);
    bed.router
        .link_up(bed.now, InterfaceId(LAN), router_mac(0, LAN), 1500);
    bed.poll();
    bed.sent.clear();
    bed.receive(WAN, &udp(WAN, A, TO_LAN, 40));
    assert_eq!(bed.take()[0].1[..6], [0xff; 6]);
    bed.assert_balance();
    off.assert_balance();
}
