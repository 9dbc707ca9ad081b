//! What the outbox takes, in what order it comes out, and what is lost.

use super::*;
use crate::cx::fixture::{Fixture, LAN, Links, packet};
use std::format;

const WAN: InterfaceId = InterfaceId(0);
/// A VLAN of [`LAN`].
const VLAN: InterfaceId = InterfaceId(2);

/// An outbox of two vifs, one of them with a VLAN, with room for this many frames each.
fn outbox(room: usize) -> Outbox {
    let mut outbox = Outbox::default();
    begin(&mut outbox, room);
    outbox
}

fn begin(outbox: &mut Outbox, room: usize) {
    let links = Links {
        room,
        ..Links::default()
    };
    let ports = [(WAN, WAN), (LAN, LAN), (VLAN, LAN)];
    outbox.begin(ports.into_iter(), &links);
}

fn send(outbox: &mut Outbox, out: InterfaceId, frame: &[u8], stats: &mut Lane) -> bool {
    outbox.send(out, frame.to_vec(), FrameMeta::plain(frame.len()), stats)
}

#[test]
fn frames_leave_in_order_and_are_counted() {
    let (mut outbox, mut stats) = (outbox(10), Lane::new(3));
    for at in 0..6 {
        let out = [LAN, WAN, VLAN][usize::from(at) % 3];
        assert!(send(&mut outbox, out, &[at; 60], &mut stats));
    }
    let mut links = Links {
        room: 10,
        ..Links::default()
    };
    outbox.flush(&mut links, &mut stats);
    let sent = links.frames.iter().map(|(out, frame)| (*out, frame[0]));
    assert!(sent.eq([(LAN, 0), (WAN, 1), (VLAN, 2), (LAN, 3), (WAN, 4), (VLAN, 5)]));
    for out in [WAN, LAN, VLAN] {
        let counters = stats.counters(out).unwrap();
        assert_eq!((counters.tx_packets, counters.tx_bytes), (2, 120));
    }
    outbox.flush(&mut links, &mut stats);
    assert_eq!(links.frames.len(), 6, "each leaves once");
}

#[test]
fn a_vif_has_its_room_together_with_its_vlans() {
    let (mut outbox, mut stats) = (outbox(3), Lane::new(3));
    assert!(send(&mut outbox, LAN, &[0; 60], &mut stats));
    assert!(send(&mut outbox, VLAN, &[0; 60], &mut stats));
    assert!(send(&mut outbox, VLAN, &[0; 60], &mut stats));
    for out in [LAN, VLAN] {
        assert!(!send(&mut outbox, out, &[0; 60], &mut stats));
        let counters = stats.counters(out).unwrap();
        assert_eq!(counters.dropped(DropReason::TxFull), 1);
    }
    assert_eq!(stats.counters(LAN).unwrap().tx_packets, 1);
    assert!(send(&mut outbox, WAN, &[0; 60], &mut stats), "another vif");
}

#[test]
fn room_is_what_links_have_when_it_begins() {
    let (mut outbox, mut stats) = (Outbox::default(), Lane::new(3));
    assert!(
        !send(&mut outbox, LAN, &[0; 60], &mut stats),
        "not asked yet"
    );
    begin(&mut outbox, 1);
    assert!(send(&mut outbox, LAN, &[0; 60], &mut stats));
    begin(&mut outbox, 1);
    assert!(send(&mut outbox, LAN, &[0; 60], &mut stats));
    begin(&mut outbox, 0);
    assert!(!send(&mut outbox, LAN, &[0; 60], &mut stats));
    let nowhere = InterfaceId(u8::MAX);
    assert!(!send(&mut outbox, nowhere, &[0; 60], &mut stats));
}

#[test]
fn a_frame_that_finds_no_room_after_all_was_not_sent() {
    let (mut outbox, mut stats) = (outbox(2), Lane::new(3));
    for _ in 0..2 {
        assert!(send(&mut outbox, LAN, &[0; 60], &mut stats));
    }
    let mut links = Links {
        room: 1,
        ..Links::default()
    };
    outbox.flush(&mut links, &mut stats);
    let counters = stats.counters(LAN).unwrap();
    assert_eq!((counters.tx_packets, counters.tx_bytes), (1, 60));
    assert_eq!(counters.dropped(DropReason::TxFull), 1);
}

#[test]
fn jobs_are_done_in_order_and_too_many_are_counted() {
    let (mut outbox, mut stats) = (outbox(0), Lane::new(3));
    for len in 0..JOBS + 3 {
        assert_eq!(outbox.has_room(), len <= JOBS - STEP);
        let job = match len % 2 {
            0 => Job::Route(packet(len)),
            _ => Job::Report(packet(len), IcmpError::HostUnreachable),
        };
        outbox.push(job, &mut stats);
    }
    let counters = stats.counters(LAN).unwrap();
    assert_eq!(counters.dropped(DropReason::PuntFull), 2);
    assert_eq!(counters.icmp_suppressed, 1);
    for len in 0..JOBS {
        let done = match (len % 2, outbox.pop().unwrap()) {
            (0, Job::Route(packet)) | (1, Job::Report(packet, _)) => packet,
            (_, other) => panic!("{other:?}"),
        };
        assert_eq!(done.ip_bytes().len(), 20 + len);
    }
    assert!(outbox.pop().is_none() && outbox.has_room());
}

#[test]
fn the_first_notices_are_kept_until_they_are_taken() {
    let mut outbox = outbox(0);
    for _ in 0..2 {
        for at in 0..NOTICES + 2 {
            outbox.notice(format!("{at}"));
        }
        let taken = outbox.take_notices();
        assert!(taken.into_iter().eq((0..NOTICES).map(|at| format!("{at}"))));
    }
    assert!(outbox.take_notices().is_empty());
}

/// What a packet of the router's own that can't be read counts as.
#[test]
fn originated_packets_are_counted_where_their_cause_came_in() {
    let mut fixture = Fixture::new();
    fixture.cx().originate(LAN, packet(8).into_frame());
    fixture.cx().originate(LAN, [0; 60].into());
    let counters = fixture.stats.counters(LAN).unwrap();
    assert_eq!(counters.originated, 2);
    assert_eq!(counters.dropped(DropReason::BadVersion), 1);
    assert!(matches!(&fixture.jobs()[..], [Job::Route(p)] if p.originated));
}
