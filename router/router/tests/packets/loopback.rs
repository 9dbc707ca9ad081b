//! Addresses that belong to no link.

use router::snapshot::{self, AddressSnapshot, AddressState, AttachmentSnapshot};
use router::{DropReason, InterfaceId};
use testkit::bed::*;
use testkit::bed6::*;

const CONFIG: &str = r#"
[interface.lo]
type = "loopback"
address = ["10.255.0.1/32", "10.255.0.2/32", "2001:db8:ff::1/128"]
[interface.wan]
vif = 0
address = ["10.0.0.1/24", "2001:db8::1/64"]
source = "lo"
[interface.lan]
vif = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
"#;

const LOOPBACK: u8 = 2;
const A: [u8; 4] = [10, 0, 0, 9];
const B: [u8; 4] = [10, 0, 1, 9];

#[test]
fn its_addresses_answer_on_every_interface() {
    let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B)]);
    for address in [[10, 255, 0, 1], [10, 255, 0, 2]] {
        for (interface, host) in [(WAN, A), (LAN, B)] {
            bed.receive(interface, &echo(interface, host, address, 10));
            let (out, reply) = bed.take().remove(0);
            assert_eq!(out, interface);
            assert_eq!(icmp(&reply, address, host).0, 0);
        }
    }
    // Nobody comes from there, and no link has it.
    bed.receive(WAN, &udp(WAN, [10, 255, 0, 1], B, 1));
    assert_eq!(bed.dropped(WAN, DropReason::OwnSource), 1);
    let ask = arp(1, host_mac(A), A, [0; 6], [10, 255, 0, 1]);
    bed.receive(WAN, &ask);
    assert!(bed.take().is_empty());
    bed.assert_balance();
}

#[test]
fn it_is_up_without_a_link_and_says_nothing() {
    let mut bed = Bed::new(CONFIG, 0);
    assert!(bed.router.is_up(InterfaceId(LOOPBACK)));
    for _ in 0..300 {
        bed.pass(100);
    }
    assert!(bed.take().iter().all(|(out, _)| *out != LOOPBACK));
    for vif in [WAN, LAN] {
        bed.router.link_down(InterfaceId(vif));
    }
    assert!(bed.router.is_up(InterfaceId(LOOPBACK)));
    assert!(!bed.router.all_links_up());
    // It has no link to go up or down.
    for _ in 0..2 {
        bed.router
            .link_up(bed.now, InterfaceId(LOOPBACK), [2; 6], 1500);
        bed.router.link_down(InterfaceId(LOOPBACK));
        bed.router
            .apply(bed.now, &config::from_toml(CONFIG).unwrap())
            .unwrap();
        bed.poll();
    }
    assert!(bed.take().is_empty());
    let shown = &snapshot::interfaces(&bed.router)[usize::from(LOOPBACK)];
    assert_eq!(
        (shown.name.as_str(), shown.up, shown.mac),
        ("lo", true, None)
    );
    assert_eq!(shown.attachment, AttachmentSnapshot::Loopback);
    let addresses = shown.addresses.iter().map(|it| it.network.to_string());
    assert_eq!(
        addresses.collect::<Vec<_>>(),
        ["10.255.0.1/32", "10.255.0.2/32", "2001:db8:ff::1/128"]
    );
    let usable = |it: &AddressSnapshot| it.state == AddressState::Usable;
    assert!(shown.addresses.iter().all(usable));
    bed.assert_balance();
}

#[test]
fn errors_come_from_it_where_that_is_asked_for() {
    let mut bed = Bed::ready(CONFIG, &[(WAN, A), (LAN, B)]);
    for (interface, host, source) in [(WAN, A, [10, 255, 0, 1]), (LAN, B, [10, 0, 1, 1])] {
        bed.receive(interface, &udp(interface, host, [99, 9, 9, 9], 1));
        let (_, error) = bed.take().remove(0);
        assert_eq!(icmp(&error, source, host).0, 3);
    }
    bed.assert_balance();
}

#[test]
fn the_same_for_ipv6() {
    let (a, b) = ("2001:db8::9", "2001:db8:1::9");
    let mut bed = Bed::ready6(CONFIG, &[(WAN, a), (LAN, b)]);
    let own = a6("2001:db8:ff::1");
    for (interface, host, source) in [(WAN, a, own), (LAN, b, a6("2001:db8:1::1"))] {
        let host = a6(host);
        bed.receive(interface, &echo6(interface, host, own, 10));
        bed.receive(interface, &udp6(interface, host, a6("2a00::1"), 10));
        let sent = bed.take6();
        assert_eq!((sent[0].source, sent[0].destination), (own, host));
        assert_eq!((sent[1].source, sent[1].destination), (source, host));
        assert_eq!((sent[0].kind(), sent[1].kind()), (129, 1));
    }
    // A neighbor without another address is answered as one.
    let near = a6("fe80::9");
    bed.introduce(WAN, near);
    bed.take();
    bed.receive(WAN, &edit_hops(echo6(WAN, near, a6("2a00::1"), 10)));
    let sent = bed.take6();
    assert_eq!((sent.len(), sent[0].source), (1, local6(WAN)));
    bed.assert_balance();
}

/// A packet that has come to its end.
fn edit_hops(mut frame: Frame) -> Frame {
    frame[21] = 1;
    frame
}
