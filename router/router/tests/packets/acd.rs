//! Others who use the router's IPv4 addresses (RFC 5227).

use router::addr::Mac;
use router::snapshot::{self, AddressState};
use router::{DropReason, InterfaceId};
use testkit::bed::*;

const A: [u8; 4] = [10, 0, 0, 9];
const OURS: [u8; 4] = [10, 0, 0, 1];
const RIVAL: [u8; 6] = [2, 7, 7, 7, 7, 7];

fn announcement() -> Frame {
    arp(1, router_mac(0, WAN), OURS, [0; 6], OURS)
}

/// The addresses that are shown to be used by others as well, and by whom.
fn conflicts(bed: &Bed) -> Vec<(String, Mac)> {
    let interfaces = snapshot::interfaces(&bed.router);
    let addresses = interfaces.iter().flat_map(|it| &it.addresses);
    addresses
        .filter_map(|it| match it.state {
            AddressState::Conflict(mac) => Some((it.network.to_string(), mac)),
            _ => None,
        })
        .collect()
}

/// What a host with the same address sends: an answer to our question, a question, an announcement.
fn conflicting_packets() -> [Frame; 3] {
    [
        arp(2, RIVAL, OURS, router_mac(0, WAN), [0; 4]),
        arp(1, RIVAL, OURS, [0; 6], A),
        arp(1, RIVAL, OURS, [0; 6], OURS),
    ]
}

#[test]
fn a_conflict_is_counted_logged_shown_and_answered_once() {
    for conflict in conflicting_packets() {
        let mut bed = Bed::ready(CONFIG, &[(WAN, A)]);
        assert!(bed.router.take_notices().is_empty());
        bed.receive(WAN, &conflict);
        assert_eq!(bed.take(), [(WAN, announcement())]);
        assert_eq!(bed.dropped(WAN, DropReason::ArpConflict), 1);
        assert_eq!(
            bed.router.take_notices(),
            ["wan: duplicate address 10.0.0.1 detected, also used by 02:07:07:07:07:07"]
        );
        let wanted = (String::from("10.0.0.1/24"), Mac(RIVAL));
        assert_eq!(conflicts(&bed), [wanted], "and no other address");
        // Two who both defend an address must not go on for ever.
        for _ in 0..9 {
            bed.pass(1000);
            bed.receive(WAN, &conflict);
        }
        assert!(bed.take().is_empty());
        assert!(bed.router.take_notices().is_empty());
        bed.pass(1000);
        bed.receive(WAN, &conflict);
        assert_eq!(bed.take(), [(WAN, announcement())]);
        assert_eq!(bed.router.take_notices().len(), 1);
        assert_eq!(bed.dropped(WAN, DropReason::ArpConflict), 11);
        // The address stays ours.
        bed.receive(WAN, &echo(WAN, A, OURS, 10));
        assert_eq!(bed.take().len(), 1);
        bed.assert_balance();
    }
}

#[test]
fn a_conflict_is_forgotten_when_it_is_over() {
    let mut bed = Bed::ready(CONFIG, &[]);
    bed.receive(WAN, &conflicting_packets()[1]);
    bed.pass(59_999);
    assert_eq!(conflicts(&bed).len(), 1);
    bed.pass(1);
    assert!(conflicts(&bed).is_empty());
    assert_eq!(bed.next, None);
    bed.sent.clear();
    bed.receive(WAN, &conflicting_packets()[1]);
    assert_eq!(bed.take().len(), 1);
    // It begins again with the link.
    bed.router.link_down(InterfaceId(WAN));
    assert!(conflicts(&bed).is_empty());
    // With a new configuration it doesn't, as long as the addresses stay.
    bed.router
        .link_up(bed.now, InterfaceId(WAN), router_mac(0, WAN), 1500);
    bed.pass(5000);
    bed.receive(WAN, &conflicting_packets()[1]);
    let config = bed.router.config().clone();
    bed.router.apply(bed.now, &config).unwrap();
    assert_eq!(conflicts(&bed).len(), 1);
    bed.assert_balance();
}

#[test]
fn our_own_packets_that_come_back_are_no_conflict() {
    let mut bed = Bed::ready(CONFIG, &[]);
    bed.receive(WAN, &announcement());
    bed.receive(WAN, &arp(1, router_mac(0, WAN), [0; 4], [0; 6], OURS));
    assert!(bed.take().is_empty());
    assert_eq!(bed.dropped(WAN, DropReason::OwnSource), 2);
    assert_eq!(bed.dropped(WAN, DropReason::ArpConflict), 0);
    assert!(bed.router.take_notices().is_empty());
    bed.assert_balance();
}

#[test]
fn a_new_address_is_announced() {
    let mut bed = Bed::ready(CONFIG, &[]);
    let text = CONFIG.replace("10.0.0.1/24", "10.0.0.1/24\", \"10.0.7.1/24");
    let config = config::from_toml(&text).unwrap();
    bed.router.apply(bed.now, &config).unwrap();
    bed.poll();
    let about: Vec<_> = bed
        .take()
        .into_iter()
        .map(|(_, f)| f[38..42].to_vec())
        .collect();
    assert_eq!(
        about,
        [[10, 0, 0, 1], [10, 0, 0, 1], [10, 0, 7, 1], [10, 0, 7, 1]]
    );
}
