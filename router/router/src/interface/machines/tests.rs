//! What the machines of an interface do together.

use super::*;
use crate::cx::fixture::{Fixture, Icmpv6, LAN, LOCAL, interface, interface_config, tentative};
use core::time::Duration;
use std::vec::Vec;
use wire::icmpv6::{
    MLDV2_REPORT, NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION, ROUTER_ADVERTISEMENT,
};

const ADDRESSES: [&str; 2] = ["10.0.0.1/24", "2001:db8::1/64"];
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// An interface that advertises, and what its machines are given.
struct Link {
    fixture: Fixture,
    interface: Interface,
    machines: Machines,
}

impl Link {
    /// One whose link just came up.
    fn new() -> Self {
        let fixture = Fixture::new();
        let interface = tentative(&ADDRESSES);
        let config = interface_config(&ADDRESSES, "[interface.lan.advertise]");
        let mut machines = Machines::new(&config);
        machines.acd = Acd::begin(fixture.now);
        machines.start6(fixture.now, &interface, None);
        Self {
            fixture,
            interface,
            machines,
        }
    }

    /// Does what is due for IPv6, and returns whether there are more addresses, and what was sent.
    fn poll6(&mut self) -> (bool, Vec<Icmpv6>) {
        let mut cx = self.fixture.cx();
        let proven = self.machines.poll6(&mut cx, LAN, &self.interface, 1);
        self.interface.use_addresses6(&proven);
        (self.machines).announce6(&mut cx, LAN, &self.interface, &proven);
        (!proven.is_empty(), self.fixture.sent_icmpv6())
    }

    fn due(&self) -> Option<Instant> {
        self.machines.due(&self.interface)
    }

    fn duplicate(&mut self, address: Ipv6Addr) -> bool {
        let now = self.fixture.now;
        self.machines.duplicate(now, &mut self.interface, address)
    }
}

fn kinds(sent: &[Icmpv6]) -> Vec<u8> {
    sent.iter().map(Icmpv6::kind).collect()
}

#[test]
fn groups_are_reported_before_addresses_are_asked_about_and_then_once_more_with_a_source() {
    let mut link = Link::new();
    let (more, sent) = link.poll6();
    assert!(!more);
    let asked = [MLDV2_REPORT, NEIGHBOR_SOLICITATION, NEIGHBOR_SOLICITATION];
    assert_eq!(kinds(&sent), asked, "RFC 4862 5.4.2");
    link.fixture.pass_ms(1000);
    let (more, sent) = link.poll6();
    assert!(more);
    let told = [
        NEIGHBOR_ADVERTISEMENT,
        NEIGHBOR_ADVERTISEMENT,
        ROUTER_ADVERTISEMENT,
    ];
    assert!(kinds(&sent).ends_with(&told));
    let (more, sent) = link.poll6();
    assert!(!more);
    assert_eq!(
        (kinds(&sent), sent[0].source),
        ([MLDV2_REPORT].into(), LOCAL)
    );
}

#[test]
fn the_earliest_of_all_is_due() {
    let mut link = Link::new();
    let now = link.fixture.now;
    assert_eq!(link.due(), Some(now));
    link.interface.up = false;
    assert_eq!(link.due(), None, "the link is down");
    assert_eq!(link.poll6(), (false, Vec::new()));
    link.interface.up = true;
    let mut cx = link.fixture.cx();
    link.machines.acd.poll(&mut cx, LAN, &link.interface);
    link.fixture.sent();
    link.poll6();
    let due = link.due().unwrap();
    // A report's repetition; advertisements have to wait for the address.
    assert!(due > now && due <= now.saturating_add(Duration::from_secs(1)));
    link.interface.v6 = None;
    assert_eq!(link.due(), Some(link.fixture.in_ms(2000)), "that of ACD");
    assert_eq!(link.poll6(), (false, Vec::new()));
}

#[test]
fn a_duplicate_is_not_used_and_its_group_left() {
    let mut link = Link::new();
    link.poll6();
    assert!(!link.duplicate(GLOBAL));
    let v6 = link.interface.v6.as_ref().unwrap();
    assert_eq!(v6.state(GLOBAL), Some(DadState::Duplicate));
    assert_eq!(link.machines.mld.due(), Some(link.fixture.now));
    link.fixture.pass_ms(1000);
    link.poll6();
    let usable: Vec<_> = link
        .interface
        .v6
        .iter()
        .flat_map(|v6| v6.usable())
        .collect();
    assert_eq!(usable.len(), 1);
    assert_eq!(usable[0].address, LOCAL);
}

/// RFC 4862 5.4.5.
#[test]
fn a_duplicate_of_the_address_made_of_the_mac_address_disables_ipv6() {
    let mut link = Link::new();
    link.poll6();
    assert!(link.duplicate(LOCAL));
    assert!(link.interface.v6.is_none());
    let disabled = link.interface.disabled6.as_ref().unwrap();
    assert_eq!(disabled.state(LOCAL), Some(DadState::Duplicate));
    assert!(!link.duplicate(LOCAL), "it is already");
    link.fixture.pass_ms(1000);
    assert_eq!(link.poll6(), (false, Vec::new()));
}

#[test]
fn a_given_link_local_address_is_one_like_others() {
    let mut link = Link::new();
    link.interface = tentative(&["2001:db8::1/64", "fe80::1/64"]);
    assert!(!link.duplicate("fe80::1".parse().unwrap()));
    assert!(link.interface.v6.is_some());
}

#[test]
fn a_new_configuration_reports_only_groups_that_are_new() {
    let mut link = Link::new();
    link.interface = interface(&ADDRESSES);
    while let Some(due) = link.machines.mld.due() {
        link.fixture.now = link.fixture.now.max(due);
        link.poll6();
    }
    let mut machines = Machines::new(&interface_config(&ADDRESSES, ""));
    let now = link.fixture.now;
    machines.start6(now, &link.interface, Some(&link.machines));
    assert_eq!(machines.mld.due(), None);
    let more = interface(&["2001:db8::1/64", "2001:db8::2/64"]);
    machines.start6(now, &more, Some(&link.machines));
    assert_eq!(machines.mld.due(), Some(now));
}
