//! Duplicate Address Detection: which of its IPv6 addresses the router uses.

use router::snapshot::{self, AddressState};
use router::{DropReason, InterfaceId};
use std::net::Ipv6Addr;
use testkit::bed::*;
use testkit::bed6::*;

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9);
const WAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

#[test]
fn addresses_are_used_once_nobody_objected() {
    let mut bed = Bed::new(CONFIG6, 0);
    bed.poll();
    let sent: Vec<Sent> = bed
        .take()
        .iter()
        .filter(|(_, f)| f[12] == 0x86)
        .map(Sent::read)
        .collect();
    let asked = of_kind(&sent, WAN, NS);
    let targets: Vec<Ipv6Addr> = asked.iter().map(Sent::target).collect();
    assert_eq!(targets, [local6(WAN), WAN6]);
    for question in &asked {
        assert_eq!(
            (question.source, question.hops),
            (Ipv6Addr::UNSPECIFIED, 255)
        );
        assert_eq!(question.destination, solicited(question.target()));
        assert_eq!(question.payload.len(), 24, "no option");
    }
    // Groups are reported, behind a router alert, from nobody yet.
    let report = sent.iter().find(|s| s.out == WAN && s.next == 0).unwrap();
    assert_eq!((report.hops, report.source), (1, Ipv6Addr::UNSPECIFIED));
    assert_eq!(report.payload[..9], [58, 0, 5, 2, 0, 0, 1, 0, 143]);
    // Before anything is asked in them (RFC 4862 5.4.2).
    assert_eq!(sent.iter().find(|s| s.out == WAN).unwrap().next, 0);
    // Not answered for yet.
    bed.receive(WAN, &ns(WAN, A, solicited(WAN6), WAN6));
    bed.receive(WAN, &echo6(WAN, A, WAN6, 4));
    assert!(bed.take().is_empty());
    assert_eq!(bed.dropped(WAN, DropReason::TentativeAddress), 1);
    for _ in 0..12 {
        bed.pass(100);
    }
    let sent = bed.take6();
    let told = of_kind(&sent, WAN, NA);
    let targets: Vec<Ipv6Addr> = told.iter().map(Sent::target).collect();
    assert_eq!(targets, [local6(WAN), WAN6]);
    assert!(
        told.iter()
            .all(|s| s.destination == ALL && s.payload[4] == 0xa0)
    );
    bed.receive(WAN, &ns(WAN, A, solicited(WAN6), WAN6));
    let answer = &bed.take6()[0];
    assert_eq!((answer.kind(), answer.payload[4]), (NA, 0xe0));
    for _ in 0..100 {
        bed.pass(1000);
    }
    bed.take();
    assert_eq!(bed.next, None, "an idle router has nothing to wait for");
    bed.assert_balance();
}

/// The state that is shown of an address of the first interface.
fn shown(bed: &Bed, address: Ipv6Addr) -> AddressState {
    let interfaces = snapshot::interfaces(&bed.router);
    let addresses = &interfaces[usize::from(WAN)].addresses;
    let text = format!("{address}/64");
    let mut found = addresses.iter().filter(|it| it.network.to_string() == text);
    let state = found.next().unwrap().state;
    assert!(found.next().is_none(), "{address} twice");
    state
}

#[test]
fn an_address_of_somebody_else_is_left_alone() {
    for objection in [
        na(WAN, WAN6, ALL, Some([2, 9, 9, 9, 9, 9]), 0x20),
        ns(WAN, Ipv6Addr::UNSPECIFIED, solicited(WAN6), WAN6),
    ] {
        let mut bed = Bed::new(CONFIG6, 0);
        bed.poll();
        bed.receive(WAN, &objection);
        for _ in 0..30 {
            bed.pass(100);
        }
        bed.take();
        bed.receive(WAN, &ns(WAN, A, solicited(WAN6), WAN6));
        assert!(bed.take().is_empty(), "not answered for");
        bed.receive(WAN, &ns(WAN, A, local6(WAN), local6(WAN)));
        assert_eq!(bed.take6()[0].target(), local6(WAN), "the other one works");
        assert_eq!(shown(&bed, WAN6), AddressState::Duplicate);
        bed.assert_balance();
    }
    // Our own question, come back to us, is no objection.
    let mut bed = Bed::new(CONFIG6, 0);
    bed.poll();
    let mut own = ns(WAN, Ipv6Addr::UNSPECIFIED, solicited(WAN6), WAN6);
    own[6..12].copy_from_slice(&router_mac(0, WAN));
    bed.receive(WAN, &own);
    for _ in 0..30 {
        bed.pass(100);
    }
    bed.take();
    bed.receive(WAN, &ns(WAN, A, WAN6, WAN6));
    assert_eq!(bed.take().len(), 1);
}

/// Nobody can fill the log by saying again what is known.
#[test]
fn a_duplicate_is_told_once() {
    let mut bed = Bed::new(CONFIG6, 0);
    bed.poll();
    bed.router.take_notices();
    for _ in 0..3 {
        bed.receive(WAN, &na(WAN, WAN6, ALL, Some([2, 9, 9, 9, 9, 9]), 0x20));
        bed.receive(WAN, &ns(WAN, Ipv6Addr::UNSPECIFIED, solicited(WAN6), WAN6));
    }
    let told = ["wan: duplicate address 2001:db8::1 detected, it isn't used"];
    assert_eq!(bed.router.take_notices(), told);
    bed.assert_balance();
}

const RIVAL: [u8; 6] = [2, 7, 7, 7, 7, 7];

/// A message that the rival sends from an address, whose checksum is still to be filled.
fn from_rival(source: Ipv6Addr, to: Ipv6Addr, frame: &[u8]) -> Frame {
    let mut message = frame[54..].to_vec();
    message[2..4].fill(0);
    let mut frame = icmp6(WAN, source, to, 255, &message);
    frame[6..12].copy_from_slice(&RIVAL);
    frame
}

#[test]
fn who_else_uses_an_address_is_logged_shown_and_counted() {
    let claim = na(WAN, WAN6, ALL, Some(RIVAL), 0x20);
    let question = ns(WAN, WAN6, solicited(A), A);
    for frame in [
        from_rival(WAN6, ALL, &claim),
        from_rival(a6("fe80::7"), ALL, &claim),
        from_rival(WAN6, solicited(WAN6), &ns(WAN, WAN6, solicited(WAN6), WAN6)),
        from_rival(WAN6, local6(WAN), &ns(WAN, WAN6, local6(WAN), local6(WAN))),
    ] {
        let mut bed = Bed::ready6(CONFIG6, &[]);
        bed.router.take_notices();
        assert_eq!(shown(&bed, WAN6), AddressState::Usable);
        bed.receive(WAN, &frame);
        assert_eq!(bed.dropped(WAN, DropReason::NdConflict), 1);
        let told = "wan: duplicate address 2001:db8::1 detected, also used by 02:07:07:07:07:07";
        assert_eq!(bed.router.take_notices(), [told]);
        let conflict = AddressState::Conflict(wire::addr::Mac(RIVAL));
        assert_eq!(shown(&bed, WAN6), conflict);
        // It doesn't fill the log.
        for _ in 0..9 {
            bed.pass(1000);
            bed.receive(WAN, &frame);
        }
        assert!(bed.router.take_notices().is_empty());
        bed.pass(1000);
        bed.receive(WAN, &frame);
        assert_eq!(bed.router.take_notices(), [told]);
        assert_eq!(bed.dropped(WAN, DropReason::NdConflict), 11);
        // The router goes on, and forgets it in time.
        bed.sent.clear();
        bed.receive(WAN, &ns(WAN, A, solicited(WAN6), WAN6));
        assert_eq!(bed.take6()[0].target(), WAN6);
        for _ in 0..60 {
            assert_eq!(shown(&bed, WAN6), conflict);
            bed.pass(1000);
        }
        bed.pass(1000);
        assert_eq!(shown(&bed, WAN6), AddressState::Usable);
        bed.assert_balance();
    }
    // The router's own, come back.
    let mut own = claim.clone();
    own[6..12].copy_from_slice(&router_mac(0, WAN));
    // In no other link's name, and not past the check of sources.
    let other = a6("2001:db8:1::1");
    for frame in [
        own,
        from_rival(other, ALL, &na(WAN, other, ALL, Some(RIVAL), 0x20)),
        from_rival(WAN6, B, &claim),
        from_rival(WAN6, solicited(A), &question),
    ] {
        let mut bed = Bed::ready6(CONFIG6, &[(LAN, "2001:db8:1::9")]);
        bed.router.take_notices();
        bed.receive(WAN, &frame);
        assert_eq!(bed.dropped(WAN, DropReason::OwnSource), 1);
        assert!(bed.take().is_empty() && bed.router.take_notices().is_empty());
        bed.assert_balance();
    }
}

#[test]
fn who_has_an_address_rightfully_is_reached() {
    let mut bed = Bed::new(CONFIG6, 0);
    bed.poll();
    let mut claim = na(WAN, WAN6, ALL, Some(RIVAL), 0x20);
    claim[6..12].copy_from_slice(&RIVAL);
    bed.receive(WAN, &claim);
    for _ in 0..30 {
        bed.pass(100);
    }
    bed.introduce(LAN, B);
    bed.sent.clear();
    assert_eq!(shown(&bed, WAN6), AddressState::Duplicate);
    // It is asked for like any neighbor, and gets what is for it.
    bed.receive(LAN, &udp6(LAN, B, WAN6, 10));
    let asked = bed.take6();
    assert_eq!(
        (asked[0].out, asked[0].kind(), asked[0].target()),
        (WAN, NS, WAN6)
    );
    let mut answer = na(WAN, WAN6, local6(WAN), Some(RIVAL), 0x60);
    answer[6..12].copy_from_slice(&RIVAL);
    bed.receive(WAN, &answer);
    let sent = bed.take6();
    assert_eq!(
        (sent[0].to, sent[0].destination, sent[0].next),
        (RIVAL, WAN6, 17)
    );
    // And what it sends is forwarded.
    let mut frame = udp6(WAN, WAN6, B, 10);
    frame[6..12].copy_from_slice(&RIVAL);
    bed.receive(WAN, &frame);
    assert_eq!(
        (bed.take6()[0].out, bed.dropped(WAN, DropReason::OwnSource)),
        (LAN, 0)
    );
    // The router doesn't take it back.
    bed.receive(WAN, &echo6(WAN, A, WAN6, 4));
    assert!(bed.take6().iter().all(|s| s.source != WAN6));
    assert_eq!(shown(&bed, WAN6), AddressState::Duplicate);
    bed.assert_balance();
}

/// RFC 4862 5.4.5, with a link-local address made of the hardware address and a given one.
#[test]
fn a_duplicate_of_the_hardware_address_disables_ipv6() {
    let given = CONFIG6.replace("\"2001:db8::1/64\"", "\"2001:db8::1/64\", \"fe80::1/64\"");
    let text = |config: &str| {
        format!(
            "{config}[[neighbor]]\ninterface = \"wan\"\naddress = \"2001:db8::9\"\nmac = \"02:00:00:00:00:09\"\n\
             [[route]]\nprefix = \"2001:db8:40::/48\"\nvia = [\"2001:db8::9\"]\n"
        )
    };
    for (config, local, disabled) in [
        (text(CONFIG6), local6(WAN), true),
        (text(&given), a6("fe80::1"), false),
    ] {
        let mut bed = Bed::new(&config, 0);
        bed.poll();
        bed.sent.clear();
        bed.receive(WAN, &na(WAN, local, ALL, Some([2, 9, 9, 9, 9, 9]), 0x20));
        let mut sent = Vec::new();
        // To a neighbor that is known, and one that isn't.
        for to in [A, a6("2001:db8:40::1"), a6("2001:db8::99"), a6("2a00::1")] {
            bed.introduce(LAN, B);
            bed.receive(LAN, &udp6(LAN, B, to, 10));
        }
        for _ in 0..40 {
            bed.pass(100);
            let frames = bed.take();
            sent.extend(
                frames
                    .into_iter()
                    .filter(|(at, f)| *at == WAN && f[12] == 0x86),
            );
        }
        assert_eq!(sent.is_empty(), disabled, "{sent:?}");
        bed.receive(WAN, &ns(WAN, A, solicited(WAN6), WAN6));
        bed.receive(WAN, &udp6(WAN, A, B, 10));
        let dropped = bed.dropped(WAN, DropReason::Ipv6Disabled);
        assert_eq!(dropped, if disabled { 2 } else { 0 });
        assert_eq!(shown(&bed, local), AddressState::Duplicate);
        let wanted = match disabled {
            true => AddressState::Ipv6Disabled,
            false => AddressState::Usable,
        };
        assert_eq!(shown(&bed, WAN6), wanted);
        // The same configuration again changes nothing.
        let again = config::from_toml(&config).unwrap();
        bed.router.apply(bed.now, &again).unwrap();
        assert_eq!(shown(&bed, WAN6), wanted);
        // Another link may have room for it.
        let wan = InterfaceId(WAN);
        bed.router.link_up(bed.now, wan, router_mac(0, WAN), 1500);
        for _ in 0..30 {
            bed.pass(100);
        }
        bed.take();
        bed.receive(WAN, &ns(WAN, A, WAN6, WAN6));
        assert_eq!(bed.take6().len(), 1);
        bed.assert_balance();
    }
}
