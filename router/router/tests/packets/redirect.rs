//! Hosts are told of next hops on their own link (RFC 1812 5.2.7.2, RFC 4861 8.2).

use router::{FrameMeta, InterfaceId, Verdict};
use testkit::bed::*;
use testkit::bed6::*;

const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];
const C: [u8; 4] = [10, 0, 1, 77];
const OTHER: [u8; 4] = [10, 0, 11, 9];
const BEHIND: [u8; 4] = [20, 0, 0, 1];
const LAN_ADDRESS: [u8; 4] = [10, 0, 1, 1];
const GATEWAYS: [[u8; 4]; 2] = [[10, 0, 1, 253], [10, 0, 1, 254]];

fn bed() -> Bed {
    let text = CONFIG.replace("vif = 1", "vif = 1\nredirects = true");
    Bed::ready(
        &text,
        &[
            (WAN, A),
            (LAN, B),
            (LAN, C),
            (LAN, OTHER),
            (LAN, GATEWAYS[0]),
            (LAN, GATEWAYS[1]),
            (WAN, [10, 0, 0, 254]),
        ],
    )
}

fn redirects(bed: &Bed, interface: u8) -> u64 {
    let counters = bed.router.counters(InterfaceId(interface)).unwrap();
    counters.icmp_redirects
}

#[test]
fn a_host_is_told_and_its_packet_goes_on() {
    for destination in [BEHIND, C] {
        let mut bed = bed();
        let frame = udp(LAN, B, destination, 700);
        bed.receive(LAN, &frame);
        let sent = bed.take();
        assert_eq!(sent.len(), 2);
        let (kind, code, quote) = icmp(&sent[0].1, LAN_ADDRESS, B);
        assert_eq!((sent[0].0, kind, code), (LAN, 5, 1));
        assert_eq!(sent[0].1[..6], host_mac(B));
        assert_eq!(quote, frame[14..14 + 548]);
        // The packet goes where the host is told to send the next one.
        let next: [u8; 4] = sent[0].1[38..42].try_into().unwrap();
        assert_eq!((sent[1].0, &sent[1].1[..6]), (LAN, &host_mac(next)[..]));
        assert_eq!(sent[1].1[22], 63);
        if destination == C {
            assert_eq!(next, C);
        } else {
            assert!(GATEWAYS.contains(&next));
        }
        assert_eq!(redirects(&bed, LAN), 1);
        bed.assert_balance();
    }
}

#[test]
fn nobody_is_told_what_would_not_help() {
    let mut bed = bed();
    for (what, interface, frame) in [
        ("another link", WAN, udp(WAN, A, BEHIND, 9)),
        ("not asked for", WAN, udp(WAN, A, [99, 0, 0, 1], 9)),
        ("another network", LAN, udp(LAN, OTHER, BEHIND, 9)),
        ("from afar", LAN, udp(LAN, [20, 0, 0, 9], BEHIND, 9)),
        ("to itself", LAN, udp(LAN, B, B, 9)),
        (
            "a later fragment",
            LAN,
            edit(udp(LAN, B, BEHIND, 9), |ip| ip[7] = 9),
        ),
        (
            "an error",
            LAN,
            ip(LAN, B, BEHIND, 9, 1, &[3, 1, 0, 0, 0, 0, 0, 0]),
        ),
    ] {
        bed.receive(interface, &frame);
        let sent = bed.take();
        assert_eq!(sent.len(), 1, "{what}");
        assert_ne!(sent[0].1[34], 5, "{what}");
    }
    assert_eq!((redirects(&bed, WAN), redirects(&bed, LAN)), (0, 0));
    // What isn't forwarded isn't worth a word about its way either.
    bed.receive(LAN, &edit(udp(LAN, B, BEHIND, 9), |ip| ip[8] = 1));
    assert_eq!(icmp(&bed.take()[0].1, LAN_ADDRESS, B).0, 11);
    bed.assert_balance();
}

#[test]
fn a_host_is_told_once_the_next_hop_answered() {
    let mut bed = bed();
    let there = [10, 0, 1, 66];
    bed.receive(LAN, &udp(LAN, B, there, 9));
    let sent = bed.take();
    assert_eq!((sent.len(), &sent[0].1[12..14]), (1, &[8u8, 6][..]));
    let answer = arp(2, host_mac(there), there, router_mac(0, LAN), LAN_ADDRESS);
    bed.receive(LAN, &answer);
    let sent = bed.take();
    assert_eq!(icmp(&sent[0].1, LAN_ADDRESS, B).0, 5);
    assert_eq!((sent.len(), &sent[1].1[..6]), (2, &host_mac(there)[..]));
    assert_eq!(redirects(&bed, LAN), 1);
    bed.assert_balance();
}

#[test]
fn one_frame_of_a_burst_makes_the_detour_and_none_beyond_the_limit() {
    let mut bed = bed();
    let frame = udp(LAN, B, BEHIND, 9);
    let meta = FrameMeta::plain(frame.len());
    let burst = [(&frame[..], meta); 64];
    let mut punted = 0;
    for _ in 0..20 {
        let verdicts = bed.offer(LAN, &burst);
        bed.poll();
        punted += verdicts.iter().filter(|&&v| v == Verdict::Punt).count();
        assert!(verdicts.iter().all(|&v| v != Verdict::Drop));
    }
    assert_eq!((punted, redirects(&bed, LAN)), (10, 10));
    assert_eq!(bed.take().len(), 20 * 64 + 10);
    bed.pass(1000);
    for _ in 0..20 {
        bed.receive(LAN, &frame);
    }
    assert_eq!(redirects(&bed, LAN), 20);
    bed.assert_balance();
}

#[test]
fn ipv6_hosts_are_told_of_link_local_routers_and_of_each_other() {
    let text = CONFIG6.replace("vif = ", "redirects = true\nvif = ");
    let hosts = [
        (WAN, "2001:db8::9"),
        (WAN, "2001:db8::77"),
        (WAN, "fe80::fe"),
        (LAN, "2001:db8:1::9"),
        (LAN, "2001:db8:1::fd"),
        (LAN, "2001:db8:1::fe"),
    ];
    let mut bed = Bed::ready6(&text, &hosts);
    let host = a6("2001:db8::9");
    for (destination, next) in [
        (a6("2a00::1"), a6("fe80::fe")),
        (a6("2001:db8::77"), a6("2001:db8::77")),
    ] {
        let frame = udp6(WAN, host, destination, 3000);
        let flat = udp6(WAN, host, destination, 60);
        for frame in [&flat, &frame[..54 + 1400].to_vec()] {
            let mut frame = frame.clone();
            let len = (frame.len() - 54) as u16;
            frame[18..20].copy_from_slice(&len.to_be_bytes());
            bed.receive(WAN, &frame);
            let sent = bed.take6();
            assert_eq!(sent.len(), 2);
            let redirect = &sent[0];
            assert_eq!((redirect.kind(), redirect.hops), (137, 255));
            assert_eq!((redirect.source, redirect.destination), (local6(WAN), host));
            assert_eq!((redirect.target(), redirect.to), (next, mac6(host)));
            assert_eq!(redirect.payload[24..40], destination.octets());
            assert_eq!(redirect.payload[40..42], [2, 1]);
            assert_eq!(redirect.payload[42..48], mac6(next));
            let words = usize::from(redirect.payload[49]);
            assert_eq!(redirect.payload[48], 4);
            assert_eq!(redirect.payload.len(), 48 + words * 8);
            assert!(redirect.payload.len() <= 1240);
            let quoted = (frame.len() - 14).min(words * 8 - 8);
            assert_eq!(redirect.payload[56..56 + quoted], frame[14..14 + quoted]);
            assert_eq!((sent[1].to, sent[1].hops), (mac6(next), 63));
        }
    }
    assert_eq!(redirects(&bed, WAN), 4);
    // Hosts don't know these gateways by their link-local addresses, nor strangers this link.
    let global = udp6(LAN, a6("2001:db8:1::9"), a6("2001:db8:20::1"), 60);
    bed.receive(LAN, &global);
    bed.receive(WAN, &udp6(WAN, a6("2a00::9"), a6("2a00::1"), 60));
    assert_eq!(bed.take6().len(), 2);
    assert_eq!((redirects(&bed, WAN), redirects(&bed, LAN)), (4, 0));
    bed.assert_balance();
}
