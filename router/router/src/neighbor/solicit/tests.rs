//! How neighbors are asked.

use super::*;
use crate::cx::fixture::{Fixture, LAN, LOCAL, MAC, interface, tentative};
use crate::interface::addresses::DadState;
use wire::ethernet::{ETHERNET_LEN, Ethernet};

const PEER: Mac = Mac([2, 0, 0, 0, 0, 9]);
const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

/// RFC 826, and RFC 1122 2.3.2.1 for those who are asked directly.
#[test]
fn arp_asks_from_the_address_in_the_target_s_network() {
    let interface = interface(&["10.0.0.1/24", "10.0.7.1/24"]);
    for (target, sender) in [
        ([10, 0, 0, 9], [10, 0, 0, 1]),
        ([10, 0, 7, 9], [10, 0, 7, 1]),
        ([10, 9, 9, 9], [10, 0, 0, 1]),
    ] {
        for mac in [None, Some(PEER)] {
            let mut fixture = Fixture::new();
            let target = Ipv4Addr::from(target);
            let mut cx = fixture.cx();
            assert!(solicit(&mut cx, LAN, &interface, target.into(), mac));
            let sent = fixture.sent();
            let to = Ethernet::parse(&sent[0]).unwrap().destination;
            assert_eq!(to, mac.unwrap_or(Mac::BROADCAST));
            let wanted = Arp {
                operation: REQUEST,
                sender_mac: MAC,
                sender: sender.into(),
                target_mac: Mac::default(),
                target,
            };
            assert_eq!(Arp::parse(&sent[0][ETHERNET_LEN..]), Some(wanted));
        }
    }
}

/// RFC 4861 7.2.2.
#[test]
fn neighbor_discovery_asks_the_group_or_the_neighbor() {
    let interface = interface(&["2001:db8::1/64"]);
    let group = solicited_node(HOST6);
    for (mac, destination, to) in [
        (None, group, Mac::of_group(group)),
        (Some(PEER), HOST6, PEER),
    ] {
        let mut fixture = Fixture::new();
        assert!(solicit(
            &mut fixture.cx(),
            LAN,
            &interface,
            HOST6.into(),
            mac
        ));
        let sent = &fixture.sent_icmpv6()[0];
        assert_eq!((sent.source, sent.destination), (LOCAL, destination));
        assert_eq!((sent.mac, sent.hop_limit), (to, 255));
        let wanted = Ndp::Solicitation {
            target: HOST6,
            link_layer_address: Some(MAC),
        };
        let parsed = Ndp::parse(&sent.message, LOCAL, destination);
        assert_eq!(parsed, Some(wanted));
    }
}

#[test]
fn neighbor_discovery_asks_from_any_address_rather_than_from_none() {
    let mut fixture = Fixture::new();
    let mut interface = tentative(&["2001:db8::1/64"]);
    let ask = |fixture: &mut Fixture, interface: &Interface| {
        solicit(&mut fixture.cx(), LAN, interface, HOST6.into(), None)
    };
    assert!(!ask(&mut fixture, &interface), "later");
    let global = "2001:db8::1".parse().unwrap();
    let v6 = interface.v6.as_mut().unwrap();
    v6.set_state(global, DadState::Unique);
    assert!(ask(&mut fixture, &interface));
    assert_eq!(fixture.sent_icmpv6()[0].source, global);
}

#[test]
fn no_room_is_told_and_no_link_or_address_is_not() {
    let hosts = [IpAddr::from([10, 0, 0, 9]), HOST6.into()];
    let both = interface(&["10.0.0.1/24", "2001:db8::1/64"]);
    let mut down = both.clone();
    down.up = false;
    let neither = interface(&[]);
    for host in hosts {
        let mut fixture = Fixture::new();
        fixture.set_room(0);
        let mut ask = |on: &Interface| solicit(&mut fixture.cx(), LAN, on, host, None);
        assert!(!ask(&both));
        assert!(ask(&down) && ask(&neither));
        assert!(fixture.sent().is_empty());
    }
}
