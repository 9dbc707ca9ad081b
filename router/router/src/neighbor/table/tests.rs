//! Who is known, who makes room for whom, and what waits.

use super::*;
use crate::cx::fixture::packet;
use std::net::{Ipv4Addr, Ipv6Addr};

const LAN: InterfaceId = InterfaceId(1);

/// Both halves of a table.
struct Both(NeighborTable, Adjacencies);

impl Both {
    fn new() -> Self {
        Self(
            NeighborTable::default(),
            Adjacencies::new(0x1234_5678_9abc_def0),
        )
    }

    fn add(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
        purpose: Purpose,
    ) -> Result<(usize, Option<Evicted>), TableFull> {
        let key = Key { interface, address };
        self.0.find_or_add(&mut self.1, key, purpose)
    }
}

fn v4(i: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + i).into()
}

fn v6(i: u32) -> IpAddr {
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(i)).into()
}

#[test]
fn a_full_table_forgets_only_those_that_may_be_gone() {
    for address in [v4, v6] {
        let mut n = Both::new();
        for i in 0..1024 {
            let (index, evicted) = n.add(LAN, address(i), Purpose::Learn).unwrap();
            assert!(evicted.is_none());
            n.0.set(index, State::Reachable, Instant::from_secs(60));
        }
        let new = address(5000);
        for purpose in [Purpose::Learn, Purpose::Resolve] {
            assert_eq!(n.add(LAN, new, purpose).unwrap_err(), TableFull);
        }
        n.0.set(700, State::Stale, Instant::from_secs(1));
        n.0.set(900, State::Failed, Instant::from_secs(1));
        for (victim, new) in [(900, new), (700, address(5001))] {
            let gone = n.0.entry(victim).unwrap().address;
            let (index, evicted) = n.add(LAN, new, Purpose::Resolve).unwrap();
            // Who answered once stays until another one does.
            assert_eq!(evicted.is_some(), victim == 900);
            n.0.set(index, State::Reachable, Instant::from_secs(60));
            let settled = n.0.settle(&mut n.1, index);
            assert_eq!(settled.is_some(), victim == 700);
            assert_eq!(n.1.find(LAN, gone), None);
            assert_eq!(n.1.find(LAN, new), Some(index));
        }
        // Another interface and the other family have room of their own.
        let other = InterfaceId(2);
        assert!(n.add(other, new, Purpose::Learn).unwrap().1.is_none());
        let v = if new.is_ipv4() { v6(1) } else { v4(1) };
        assert!(n.add(LAN, v, Purpose::Learn).unwrap().1.is_none());
    }
}

#[test]
fn who_never_answered_displaces_nobody_who_did() {
    let mut n = Both::new();
    n.0.set_limit(LAN, Some(300));
    for i in 0..300 {
        let (index, _) = n.add(LAN, v4(i), Purpose::Learn).unwrap();
        n.0.set(index, State::Stale, Instant::from_secs(u64::from(i)));
    }
    for i in 1000..11_000 {
        let (index, _) = n.add(LAN, v4(i), Purpose::Resolve).unwrap();
        n.0.set(index, State::Incomplete(1), Instant::from_secs(2));
        assert!(n.0.len(LAN, false) <= 300 + 75);
    }
    assert!((0..300).all(|i| n.1.find(LAN, v4(i)).is_some()));
    // A host that is there finds a place, and keeps it: who wasn't heard of for longest makes room.
    let (host, _) = n.add(LAN, v4(20_000), Purpose::Resolve).unwrap();
    n.0.set(host, State::Reachable, Instant::from_secs(60));
    for at in 0..n.0.slots() {
        if at != host && n.0.entry(at).is_some_and(|e| e.state.is_unresolved()) {
            n.0.remove(&mut n.1, at);
        }
    }
    assert!(n.0.settle(&mut n.1, host).is_some());
    assert_eq!(
        (n.1.find(LAN, v4(20_000)), n.0.len(LAN, false)),
        (Some(host), 300)
    );
}

#[test]
fn a_scan_displaces_only_itself() {
    let mut n = Both::new();
    for i in 0..500 {
        let (index, _) = n.add(LAN, v6(i), Purpose::Learn).unwrap();
        n.0.set(index, State::Stale, Instant::from_secs(1));
    }
    let mut evicted = 0;
    for i in 1000..11_000 {
        let (index, gone) = n.add(LAN, v6(i), Purpose::Resolve).unwrap();
        n.0.set(index, State::Incomplete(1), Instant::from_secs(2));
        evicted += usize::from(gone.is_some());
    }
    assert_eq!(evicted, 10_000 - UNRESOLVED);
    assert!((0..500).all(|i| n.1.find(LAN, v6(i)).is_some()));
    // What is found makes room for another question.
    let asked = |(_, e): &(usize, &Entry)| e.state == State::Incomplete(1);
    let found = n.0.iter().find(asked).map(|(i, _)| i).unwrap();
    n.0.set(found, State::Reachable, Instant::from_secs(60));
    assert!(
        n.add(LAN, v6(20_000), Purpose::Resolve)
            .unwrap()
            .1
            .is_none()
    );
}

#[test]
fn who_does_not_answer_makes_room_first_and_who_a_route_needs_never() {
    let mut n = Both::new();
    for i in 0..PER_INTERFACE as u32 {
        let (index, _) = n.add(LAN, v4(i), Purpose::Learn).unwrap();
        n.0.set(index, State::Reachable, Instant::from_secs(60));
    }
    let states = [
        (100, State::Stale, 5),
        (200, State::Idle, 1),
        (300, State::Incomplete(1), 1),
        (400, State::Failed, 7),
        (500, State::Failed, 3),
    ];
    for (index, state, due) in states {
        n.0.set(index, state, Instant::from_secs(due));
    }
    n.0.set(600, State::Failed, Instant::from_secs(1));
    n.0.entry_mut(600).unwrap().pinned = 1;
    for (i, victim) in (2000..).zip([500, 400, 300, 200, 100]) {
        let (index, evicted) = n.add(LAN, v4(i), Purpose::Learn).unwrap();
        assert_eq!((index, evicted.is_some()), (victim, true));
        n.0.set(index, State::Reachable, Instant::from_secs(60));
    }
    assert!(n.add(LAN, v4(3000), Purpose::Learn).is_err());
}

#[test]
fn what_is_lost_with_a_neighbor_that_makes_room_is_counted() {
    let mut n = Both::new();
    for i in 0..PER_INTERFACE as u32 {
        let (index, _) = n.add(LAN, v4(i), Purpose::Learn).unwrap();
        n.0.set(index, State::Incomplete(1), Instant::from_secs(1));
    }
    assert!((0..3).all(|_| n.0.wait(0, packet(8)).is_none()));
    let mut stats = Lane::new(3);
    let key = Key {
        interface: LAN,
        address: v4(5000),
    };
    let Both(table, adjacencies) = &mut n;
    let mut add = || table.add(adjacencies, &mut stats, key, Purpose::Learn);
    assert_eq!(add(), Some(0), "the place of the one that made room");
    assert_eq!(add(), Some(0), "found now");
    let counters = stats.counters(LAN).unwrap();
    assert_eq!(counters.neighbors_evicted, 1);
    assert_eq!(counters.dropped(DropReason::NeighborTableFull), 3);
    assert_eq!(n.0.waiting(), 0);
}

#[test]
fn packets_that_wait_are_bounded_in_number() {
    let mut n = Both::new();
    let all: Vec<usize> = (0..40)
        .map(|i| n.add(LAN, v4(i), Purpose::Learn).unwrap().0)
        .collect();
    let (last, full) = all.split_last().unwrap();
    for &index in full {
        for _ in 0..QUEUE {
            n.0.wait(index, packet(8));
        }
    }
    assert_eq!(n.0.waiting(), WAITING_PACKETS);
    let dropped = n.0.wait(*last, packet(99)).unwrap();
    assert_eq!(dropped.frame(), packet(99).frame(), "the new one");
    assert_eq!(n.0.take_queue(0).len(), QUEUE);
    assert!((0..QUEUE).all(|_| n.0.wait(*last, packet(99)).is_none()));
    assert!(n.0.wait(1, packet(99)).is_some());
    n.0.remove(&mut n.1, 1);
    assert_eq!(n.0.waiting(), WAITING_PACKETS - QUEUE);
}

#[test]
fn packets_that_wait_are_bounded_in_bytes() {
    let mut n = Both::new();
    let mut bytes = 0;
    for i in 0.. {
        let (index, _) = n.add(LAN, v4(i / 4), Purpose::Learn).unwrap();
        if n.0.wait(index, packet(9000)).is_some() {
            break;
        }
        bytes += packet(9000).frame().len();
    }
    assert!(bytes <= WAITING_BYTES && bytes + packet(9000).frame().len() > WAITING_BYTES);
    // A longer packet in the place of a shorter one counts, too.
    assert!(n.0.wait(0, packet(WAITING_BYTES - bytes)).is_some());
}

#[test]
fn nothing_waits_for_nobody() {
    let mut n = Both::new();
    assert!(n.0.wait(0, packet(8)).is_some());
    let (index, _) = n.add(LAN, v4(1), Purpose::Learn).unwrap();
    n.0.remove(&mut n.1, index);
    assert!(n.0.wait(index, packet(8)).is_some());
    assert_eq!(n.0.waiting(), 0);
    assert!(n.0.entry(index).is_none() && n.0.iter().next().is_none());
}

#[test]
fn deadlines_that_are_close_are_one_and_never_early() {
    let mut n = Both::new();
    assert_eq!(n.0.next, NEVER);
    let (a, _) = n.add(LAN, v4(1), Purpose::Learn).unwrap();
    let (b, _) = n.add(LAN, v4(2), Purpose::Learn).unwrap();
    n.0.set(a, State::Static, NEVER);
    assert_eq!(n.0.entry(a).unwrap().deadline, NEVER);
    let wanted = Instant::from_millis(10_000);
    n.0.set(a, State::Stale, wanted);
    n.0.set(b, State::Stale, Instant(wanted.0 + 1000));
    let deadlines = [a, b].map(|index| n.0.entry(index).unwrap().deadline);
    assert_eq!(deadlines[0], deadlines[1]);
    assert!(deadlines[1] >= wanted);
    assert!(deadlines[1] < Instant::from_millis(10_068));
    assert_eq!(n.0.next, deadlines[0]);
}

#[test]
fn only_neighbors_of_the_same_interface_and_family_make_room() {
    let mut n = Both::new();
    let other = InterfaceId(2);
    for (interface, address) in [(other, v4(1)), (LAN, v6(1)), (other, v6(1))] {
        let (index, _) = n.add(interface, address, Purpose::Learn).unwrap();
        n.0.set(index, State::Failed, Instant::from_secs(1));
    }
    for i in 0..PER_INTERFACE as u32 {
        let (index, _) = n.add(LAN, v4(i), Purpose::Learn).unwrap();
        n.0.set(index, State::Reachable, Instant::from_secs(60));
    }
    assert!(n.add(LAN, v4(5000), Purpose::Learn).is_err());
}
