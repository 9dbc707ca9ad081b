//! Addresses are advertised three times.

use super::*;
use crate::cx::fixture::{Fixture, LAN, MAC, interface};
use crate::interface::addresses::DadState;
use core::slice::from_ref;

const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

struct Link {
    fixture: Fixture,
    interface: Interface,
    machine: Unsolicited,
}

impl Link {
    /// One on which an address may be used from now on.
    fn new() -> Self {
        let fixture = Fixture::new();
        let mut machine = Unsolicited::default();
        machine.begin(fixture.now, from_ref(&GLOBAL));
        Self {
            interface: interface(&["2001:db8::1/64"]),
            machine,
            fixture,
        }
    }

    /// How many advertisements are sent after that many milliseconds.
    fn poll_after_ms(&mut self, millis: u64) -> usize {
        self.fixture.pass_ms(millis);
        let mut cx = self.fixture.cx();
        self.machine.poll(&mut cx, LAN, &self.interface);
        let sent = self.fixture.sent_icmpv6();
        for told in &sent {
            assert_eq!((told.source, told.destination), (GLOBAL, ALL_NODES));
            assert_eq!(told.mac, Mac::of_group(ALL_NODES));
            let wanted = Ndp::Advertisement {
                target: GLOBAL,
                link_layer_address: Some(MAC),
                router: true,
                solicited: false,
                overrides: true,
            };
            let parsed = Ndp::parse(&told.message, told.source, told.destination);
            assert_eq!(parsed, Some(wanted));
        }
        sent.len()
    }
}

#[test]
fn a_new_address_is_told_to_all_nodes_until_bridges_forward() {
    let mut link = Link::new();
    assert_eq!(link.machine.due(), Some(link.fixture.now));
    assert_eq!(link.poll_after_ms(0), 1);
    assert_eq!(link.poll_after_ms(14_999), 0);
    assert_eq!(link.poll_after_ms(1), 1);
    assert_eq!(link.machine.due(), Some(link.fixture.in_ms(20_000)));
    assert_eq!(link.poll_after_ms(20_000), 1);
    assert_eq!(link.machine.due(), None);
    // It begins again when the address is used again.
    link.machine.begin(link.fixture.now, from_ref(&GLOBAL));
    link.machine.begin(link.fixture.now, from_ref(&GLOBAL));
    assert_eq!(link.poll_after_ms(0), 1);
}

#[test]
fn an_address_that_is_given_up_is_told_no_more() {
    let mut link = Link::new();
    assert_eq!(link.poll_after_ms(0), 1);
    let v6 = link.interface.v6.as_mut().unwrap();
    v6.set_state(GLOBAL, DadState::Duplicate);
    assert_eq!(link.poll_after_ms(15_000), 0);
    assert_eq!(link.machine.due(), None);
}

#[test]
fn what_finds_no_room_is_told_the_next_time() {
    let mut link = Link::new();
    link.fixture.set_room(0);
    assert_eq!(link.poll_after_ms(0), 0);
    link.fixture.set_room(10);
    assert_eq!(link.poll_after_ms(15_000), 1);
}
