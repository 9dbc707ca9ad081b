//! Addresses are announced, and conflicts about them noticed, defended and forgotten.

use super::*;
use crate::cx::fixture::{Fixture, LAN, MAC, interface};
use alloc::vec::Vec;
use wire::arp::REPLY;
use wire::ethernet::ETHERNET_LEN;

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 7, 1);
const OTHER_MAC: Mac = Mac([2, 7, 7, 7, 7, 7]);

/// A link with two addresses of the router, and what the machine is given there.
struct Link {
    fixture: Fixture,
    interface: Interface,
    acd: Acd,
}

impl Link {
    /// One that just came up.
    fn new() -> Self {
        let fixture = Fixture::new();
        Self {
            acd: Acd::begin(fixture.now),
            interface: interface(&["10.0.0.1/24", "10.0.7.1/24"]),
            fixture,
        }
    }

    /// One whose addresses were announced.
    fn announced() -> Self {
        Self {
            acd: Acd::default(),
            ..Self::new()
        }
    }

    /// What is claimed after that many milliseconds: sender and target of each ARP packet.
    fn poll_after_ms(&mut self, millis: u64) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        self.fixture.pass_ms(millis);
        self.acd.poll(&mut self.fixture.cx(), LAN, &self.interface);
        self.claimed()
    }

    fn claimed(&mut self) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        let sent = self.fixture.sent();
        let read = |frame: &Vec<u8>| {
            assert_eq!(frame.len(), 60, "as long as an Ethernet frame is");
            assert_eq!(frame[..6], Mac::BROADCAST.0);
            let arp = Arp::parse(&frame[ETHERNET_LEN..]).unwrap();
            assert_eq!((arp.operation, arp.sender_mac), (REQUEST, MAC));
            assert_eq!(arp.target_mac, Mac::default());
            (arp.sender, arp.target)
        };
        sent.iter().map(read).collect()
    }

    /// What is claimed when `mac` says that it has an address.
    fn conflict(&mut self, mac: Mac, address: Ipv4Addr) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        let arp = Arp {
            operation: REPLY,
            sender_mac: mac,
            sender: address,
            target_mac: MAC,
            target: address,
        };
        let port = (LAN, &self.interface);
        self.acd.conflict(&mut self.fixture.cx(), port, "lan", &arp);
        self.claimed()
    }

    fn notices(&mut self) -> usize {
        self.fixture.out.take_notices().len()
    }
}

fn probe(address: Ipv4Addr) -> (Ipv4Addr, Ipv4Addr) {
    (Ipv4Addr::UNSPECIFIED, address)
}

fn announcement(address: Ipv4Addr) -> (Ipv4Addr, Ipv4Addr) {
    (address, address)
}

#[test]
fn addresses_are_probed_once_and_announced_until_bridges_forward() {
    let mut link = Link::new();
    assert_eq!(link.acd.due(), Some(link.fixture.now));
    let first = [OURS, SECOND].map(|a| [probe(a), announcement(a)]);
    assert_eq!(link.poll_after_ms(0), first.concat());
    assert_eq!(link.acd.due(), Some(link.fixture.in_ms(2000)));
    assert_eq!(link.poll_after_ms(1999), []);
    assert_eq!(link.poll_after_ms(1), [OURS, SECOND].map(announcement));
    for pause in [3000, 10_000, 20_000] {
        assert_eq!(link.acd.due(), Some(link.fixture.in_ms(pause)));
        assert_eq!(link.poll_after_ms(pause - 1), []);
        assert_eq!(link.poll_after_ms(1), [OURS, SECOND].map(announcement));
    }
    assert_eq!(link.acd.due(), None);
    assert_eq!(link.poll_after_ms(100_000), []);
}

#[test]
fn nothing_is_said_while_the_link_is_down() {
    let mut link = Link::new();
    link.interface.up = false;
    assert_eq!(link.poll_after_ms(0), []);
    link.interface.up = true;
    assert_eq!(link.poll_after_ms(0).len(), 4);
}

#[test]
fn what_finds_no_room_is_counted_and_announced_the_second_time() {
    let mut link = Link::new();
    link.fixture.set_room(1);
    assert_eq!(link.poll_after_ms(0), [probe(OURS)]);
    assert_eq!(link.fixture.dropped(DropReason::TxFull), 3);
    link.fixture.set_room(10);
    assert_eq!(link.poll_after_ms(2000), [OURS, SECOND].map(announcement));
}

#[test]
fn a_conflict_is_counted_told_and_answered() {
    let mut link = Link::announced();
    assert_eq!(link.conflict(OTHER_MAC, OURS), [announcement(OURS)]);
    assert_eq!(link.fixture.dropped(DropReason::ArpConflict), 1);
    let told = link.fixture.out.take_notices();
    assert_eq!(
        told,
        ["lan: duplicate address 10.0.0.1 detected, also used by 02:07:07:07:07:07"]
    );
    assert_eq!(link.acd.conflicting_mac(OURS), Some(OTHER_MAC));
    assert_eq!(link.acd.conflicting_mac(SECOND), None);
}

/// RFC 5227 2.4: two who both defend an address must not go on for ever.
#[test]
fn an_address_is_defended_every_ten_seconds_at_most() {
    let mut link = Link::announced();
    assert_eq!(link.conflict(OTHER_MAC, OURS).len(), 1);
    link.fixture.pass_ms(9999);
    assert_eq!(link.conflict(OTHER_MAC, OURS), []);
    assert_eq!(link.conflict(OTHER_MAC, SECOND), [announcement(SECOND)]);
    assert_eq!(link.notices(), 2);
    link.fixture.pass_ms(1);
    assert_eq!(link.conflict(OTHER_MAC, OURS), [announcement(OURS)]);
    assert_eq!(link.notices(), 1);
    assert_eq!(link.fixture.dropped(DropReason::ArpConflict), 4);
}

#[test]
fn a_conflict_puts_no_announcement_off() {
    let mut link = Link::new();
    link.poll_after_ms(0);
    link.conflict(OTHER_MAC, OURS);
    assert_eq!(link.acd.due(), Some(link.fixture.in_ms(2000)));
    for pause in [2000, 3000, 10_000, 20_000] {
        assert_eq!(link.poll_after_ms(pause).len(), 2);
    }
    assert_eq!(link.acd.due(), Some(link.fixture.in_ms(25_000)));
}

#[test]
fn a_conflict_is_forgotten_a_minute_after_it_was_last_noticed() {
    let mut link = Link::announced();
    let other = Mac([2, 8, 8, 8, 8, 8]);
    link.conflict(OTHER_MAC, OURS);
    link.fixture.pass_ms(5000);
    link.conflict(other, OURS);
    assert_eq!(link.acd.due(), Some(link.fixture.in_ms(60_000)));
    link.poll_after_ms(59_999);
    assert_eq!(link.acd.conflicting_mac(OURS), Some(other), "the last one");
    link.poll_after_ms(1);
    assert_eq!(link.acd.conflicting_mac(OURS), None);
    assert_eq!(link.acd.due(), None);
    // The next one is a new one.
    assert_eq!(link.conflict(OTHER_MAC, OURS).len(), 1);
}
