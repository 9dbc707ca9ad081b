//! When advertisements are sent, and the last one.

use super::*;
use crate::DropReason;
use crate::cx::fixture::{Fixture, Icmpv6, LAN, LOCAL, interface, tentative};
use crate::rng::Rng;
use wire::addr::Mac;

/// An interface that advertises, and what the machine is given there.
struct Link {
    fixture: Fixture,
    interface: Interface,
    advertiser: RouterAdvertiser,
}

fn config() -> AdvertiseConfig {
    AdvertiseConfig {
        min_interval_s: 200,
        max_interval_s: 600,
        lifetime_s: 1800,
        ..AdvertiseConfig::silent()
    }
}

impl Link {
    fn new() -> Self {
        Self {
            fixture: Fixture::new(),
            interface: interface(&["2001:db8::1/64"]),
            advertiser: RouterAdvertiser::new(Some(config())),
        }
    }

    /// One that has advertised just now.
    fn advertised() -> Self {
        let mut link = Self::new();
        assert_eq!(link.poll().len(), 1);
        link
    }

    fn poll(&mut self) -> Vec<Icmpv6> {
        let mut cx = self.fixture.cx();
        self.advertiser.poll(&mut cx, LAN, &self.interface);
        self.fixture.sent_icmpv6()
    }

    fn solicited(&mut self) {
        self.advertiser.solicited(&mut self.fixture.cx());
    }

    /// How long it is until the next one is due, in ms.
    fn due_in_ms(&self) -> u64 {
        let due = self.advertiser.due().unwrap();
        let pause = due.saturating_since(self.fixture.now);
        u64::try_from(pause.as_millis()).unwrap()
    }

    /// Lets time pass until the next one is due, and takes what is sent then.
    fn next(&mut self) -> Vec<Icmpv6> {
        self.fixture.pass_ms(self.due_in_ms());
        self.poll()
    }
}

/// The router lifetime of an advertisement, in seconds.
fn lifetime_s(advert: &Icmpv6) -> u16 {
    assert_eq!(advert.kind(), icmpv6::ROUTER_ADVERTISEMENT);
    wire::be16(&advert.message, 6)
}

#[test]
fn an_advertisement_goes_from_the_link_local_address_to_all_nodes() {
    let mut link = Link::new();
    let sent = link.poll();
    assert_eq!(sent.len(), 1);
    let advert = &sent[0];
    assert_eq!((advert.source, advert.destination), (LOCAL, ALL_NODES));
    assert_eq!(
        (advert.mac, advert.hop_limit),
        (Mac::of_group(ALL_NODES), 255)
    );
    assert_eq!(lifetime_s(advert), 1800);
}

/// The option is 16 bytes behind the fixed part of 16.
#[test]
fn the_mtu_is_the_smaller_of_the_link_s_and_the_configured_one() {
    for (configured, wanted) in [(None, 1400), (Some(1300), 1300), (Some(1500), 1400)] {
        let mut link = Link::new();
        link.interface.mtu = 1400;
        link.advertiser = RouterAdvertiser::new(Some(AdvertiseConfig {
            mtu: configured,
            ..config()
        }));
        let message = &link.poll()[0].message;
        assert_eq!((message[24], wire::be32(message, 28)), (5, wanted));
    }
}

#[test]
fn who_is_not_to_advertise_does_not() {
    let mut link = Link::new();
    link.advertiser = RouterAdvertiser::new(None);
    link.solicited();
    assert_eq!((link.advertiser.due(), link.poll()), (None, Vec::new()));
}

#[test]
fn the_first_one_waits_for_the_link_local_address() {
    let mut link = Link::new();
    link.interface = tentative(&["2001:db8::1/64"]);
    assert_eq!(link.poll(), []);
    link.fixture.pass_ms(1000);
    link.interface = interface(&["2001:db8::1/64"]);
    assert_eq!(link.poll().len(), 1);
}

/// RFC 4861 6.2.4, 10: MAX_INITIAL_RTR_ADVERTISEMENTS and MAX_INITIAL_RTR_ADVERT_INTERVAL.
#[test]
fn after_the_first_three_the_pauses_are_those_configured() {
    let mut pauses = Vec::new();
    for seed in 0..100 {
        let mut link = Link::new();
        link.fixture.rng = Rng::new(seed);
        for _ in 0..3 {
            assert_eq!(link.next().len(), 1);
            assert_eq!(link.due_in_ms(), 16_000);
        }
        assert_eq!(link.next().len(), 1);
        pauses.push(link.due_in_ms());
    }
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!((200_000..220_000).contains(least), "{least}");
    assert!((580_000..=600_000).contains(most), "{most}");
}

/// RFC 4861 6.2.6: MAX_RA_DELAY_TIME.
#[test]
fn a_solicitation_is_answered_within_half_a_second() {
    for seed in 0..100 {
        let mut link = Link::advertised();
        link.fixture.rng = Rng::new(seed);
        link.fixture.pass_ms(4000);
        link.solicited();
        assert!(link.due_in_ms() <= 500);
        assert_eq!(link.next().len(), 1);
    }
}

/// RFC 4861 6.2.6: MIN_DELAY_BETWEEN_RAS.
#[test]
fn advertisements_are_three_seconds_apart_however_many_solicit() {
    let mut link = Link::advertised();
    for _ in 0..100 {
        for _ in 0..9 {
            link.solicited();
        }
        let pause = link.due_in_ms();
        assert!((3000..=3500).contains(&pause), "{pause}");
        assert_eq!(link.next().len(), 1);
    }
}

#[test]
fn a_solicitation_puts_nothing_off() {
    let mut link = Link::advertised();
    link.fixture.pass_ms(15_999);
    link.solicited();
    assert!(link.due_in_ms() <= 1);
}

#[test]
fn what_finds_no_room_is_said_again_soon_and_does_not_count() {
    let mut link = Link::new();
    link.fixture.set_room(0);
    for tries in 1..10 {
        assert_eq!(link.next(), []);
        assert_eq!(link.fixture.dropped(DropReason::TxFull), tries);
        assert_eq!(link.due_in_ms(), 500);
    }
    link.fixture.set_room(100);
    for _ in 0..3 {
        assert_eq!(link.next().len(), 1);
        assert_eq!(link.due_in_ms(), 16_000, "one of the first three");
    }
}

/// RFC 4861 6.2.5.
#[test]
fn the_last_one_ends_the_lifetime() {
    let mut link = Link::advertised();
    assert!(link.advertiser.cease());
    assert!(link.advertiser.cease(), "still to be sent");
    let sent = link.poll();
    assert_eq!((sent.len(), lifetime_s(&sent[0])), (1, 0));
    assert_eq!((link.advertiser.due(), link.poll()), (None, Vec::new()));
    assert!(!link.advertiser.cease(), "nobody is left to be told");
}

#[test]
fn the_last_one_is_said_again_if_it_finds_no_room() {
    let mut link = Link::advertised();
    link.fixture.set_room(0);
    assert!(link.advertiser.cease());
    for _ in 0..3 {
        assert_eq!(link.poll(), []);
        assert_eq!(link.due_in_ms(), 500);
        link.fixture.pass_ms(500);
    }
    link.fixture.set_room(1);
    assert_eq!(lifetime_s(&link.poll()[0]), 0);
    assert_eq!(link.advertiser.due(), None);
}

#[test]
fn who_never_advertised_needs_no_last_one() {
    let mut link = Link::new();
    assert!(!link.advertiser.cease());
    assert_eq!(link.poll(), []);
}

#[test]
fn a_new_configuration_is_told_soon() {
    let mut link = Link::advertised();
    link.fixture.pass_ms(1000);
    let mut new = RouterAdvertiser::new(Some(AdvertiseConfig {
        lifetime_s: 90,
        ..config()
    }));
    new.start(link.fixture.now, Some(&link.advertiser));
    link.advertiser = new;
    assert_eq!(link.due_in_ms(), 2000, "three seconds after the last one");
    assert_eq!(lifetime_s(&link.next()[0]), 90);
    assert_eq!(link.due_in_ms(), 16_000, "one of the first three");
}

#[test]
fn a_configuration_without_advertisements_is_told_as_the_end() {
    let mut link = Link::advertised();
    link.fixture.set_room(0);
    // The second one comes before the first one could be told.
    for _ in 0..2 {
        let mut new = RouterAdvertiser::new(None);
        new.start(link.fixture.now, Some(&link.advertiser));
        link.advertiser = new;
        assert_eq!(link.poll(), []);
        link.fixture.pass_ms(500);
    }
    link.fixture.set_room(1);
    assert_eq!(lifetime_s(&link.poll()[0]), 0);
    assert_eq!(link.advertiser.due(), None);
}
