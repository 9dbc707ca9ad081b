//! Addresses are asked about, and used once nobody objected.

use super::*;
use crate::DropReason;
use crate::cx::fixture::{Fixture, LAN, LOCAL, interface, tentative};

const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const NONE: [Ipv6Addr; 0] = [];

/// A link with two tentative addresses, and what the machine is given there.
struct Link {
    fixture: Fixture,
    interface: Interface,
    dad: Dad,
}

impl Link {
    /// One that just came up.
    fn new() -> Self {
        let fixture = Fixture::new();
        let interface = tentative(&["2001:db8::1/64"]);
        let mut dad = Dad::default();
        dad.start(fixture.now, interface.v6.as_ref().unwrap(), None);
        Self {
            fixture,
            interface,
            dad,
        }
    }

    fn poll(&mut self, transmits: u8) -> Vec<Ipv6Addr> {
        let mut cx = self.fixture.cx();
        let proven = self.dad.poll(&mut cx, LAN, &self.interface, transmits);
        self.interface.use_addresses6(&proven);
        proven
    }

    /// The addresses that are asked about.
    fn asked(&mut self) -> Vec<Ipv6Addr> {
        let sent = self.fixture.sent_icmpv6();
        let read = |it: &crate::cx::fixture::Icmpv6| match Ndp::parse(
            &it.message,
            it.source,
            it.destination,
        )
        .unwrap()
        {
            Ndp::Solicitation { target, .. } => target,
            other => panic!("{other:?}"),
        };
        sent.iter().map(read).collect()
    }

    fn state(&self, address: Ipv6Addr) -> Option<DadState> {
        self.interface.v6.as_ref().unwrap().state(address)
    }
}

/// RFC 4862 5.4.2.
#[test]
fn a_question_comes_from_nobody_and_goes_to_those_who_could_have_the_address() {
    let mut link = Link::new();
    link.poll(1);
    let sent = link.fixture.sent_icmpv6();
    assert_eq!(sent.len(), 2);
    for (question, target) in sent.iter().zip([LOCAL, GLOBAL]) {
        let group = solicited_node(target);
        assert_eq!(question.source, Ipv6Addr::UNSPECIFIED);
        assert_eq!((question.destination, question.hop_limit), (group, 255));
        assert_eq!(question.mac, Mac::of_group(group));
        let wanted = Ndp::Solicitation {
            target,
            link_layer_address: None,
        };
        let parsed = Ndp::parse(&question.message, question.source, group);
        assert_eq!(parsed, Some(wanted));
    }
}

/// RFC 4862 5.1: DupAddrDetectTransmits, 0 for no detection at all.
#[test]
fn an_address_is_unique_when_nobody_objected_to_as_many_questions_as_configured() {
    for transmits in [0, 1, 3] {
        let mut link = Link::new();
        for _ in 0..transmits {
            assert_eq!(link.dad.due(), Some(link.fixture.now));
            assert_eq!(link.poll(transmits), NONE);
            assert_eq!(link.asked(), [LOCAL, GLOBAL]);
            link.fixture.pass_ms(999);
            assert_eq!(link.poll(transmits), NONE, "too early");
            assert_eq!(link.state(GLOBAL), Some(DadState::Tentative));
            link.fixture.pass_ms(1);
        }
        assert_eq!(link.poll(transmits), [LOCAL, GLOBAL]);
        assert_eq!(link.state(LOCAL), Some(DadState::Unique));
        assert_eq!(link.state(GLOBAL), Some(DadState::Unique));
        assert_eq!((link.dad.due(), link.asked()), (None, Vec::new()));
    }
}

#[test]
fn a_question_that_found_no_room_is_no_try() {
    let mut link = Link::new();
    link.fixture.set_room(0);
    for tries in 1..100 {
        assert_eq!(link.poll(1), NONE);
        assert_eq!(link.fixture.dropped(DropReason::TxFull), 2 * tries);
        assert_eq!(link.dad.due(), Some(link.fixture.in_ms(20)));
        link.fixture.pass_ms(20);
    }
    link.fixture.set_room(1);
    link.poll(1);
    assert_eq!(link.asked(), [LOCAL]);
    link.fixture.set_room(1);
    link.fixture.pass_ms(20);
    link.poll(1);
    assert_eq!(link.asked(), [GLOBAL]);
    link.fixture.pass_ms(980);
    assert_eq!(link.poll(1), [LOCAL]);
    link.fixture.pass_ms(20);
    assert_eq!(link.poll(1), [GLOBAL]);
}

#[test]
fn an_address_of_somebody_else_is_not_asked_about_any_more() {
    let mut link = Link::new();
    link.poll(3);
    link.dad.stop(GLOBAL);
    link.asked();
    link.fixture.pass_ms(1000);
    link.poll(3);
    assert_eq!(link.asked(), [LOCAL]);
    assert_eq!(link.state(GLOBAL), Some(DadState::Tentative));
}

#[test]
fn a_new_configuration_goes_on_where_the_old_one_was() {
    let mut link = Link::new();
    link.poll(2);
    link.asked();
    link.fixture.pass_ms(400);
    // One address stays, one goes, one comes.
    let other = tentative(&["2001:db8::2/64"]);
    let mut dad = Dad::default();
    let v6 = other.v6.as_ref().unwrap();
    dad.start(link.fixture.now, v6, Some(&link.dad));
    let new: Ipv6Addr = "2001:db8::2".parse().unwrap();
    let mut poll = |fixture: &mut Fixture| dad.poll(&mut fixture.cx(), LAN, &other, 2);
    assert_eq!(poll(&mut link.fixture), NONE);
    assert_eq!(link.asked(), [new]);
    link.fixture.pass_ms(600);
    assert_eq!(poll(&mut link.fixture), NONE);
    assert_eq!(link.asked(), [LOCAL]);
    link.fixture.pass_ms(1000);
    assert_eq!(poll(&mut link.fixture), [LOCAL]);
}

#[test]
fn only_tentative_addresses_are_asked_about() {
    let mut known = interface(&["2001:db8::1/64", "2001:db8::2/64"]);
    let v6 = known.v6.as_mut().unwrap();
    v6.set_state(GLOBAL, DadState::Duplicate);
    let mut dad = Dad::default();
    dad.start(Fixture::new().now, v6, None);
    assert_eq!(dad.due(), None);
}
