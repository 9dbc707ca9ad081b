//! Each transition of the state machine, and what it does with packets.

use super::*;
use crate::cx::fixture::{Fixture, LAN, MAC, interface, packet};
use crate::outbox::Job;
use core::net::{Ipv4Addr, Ipv6Addr};
use std::vec::Vec;
use wire::addr::solicited_node;
use wire::ethernet::Ethernet;

const OLD: Mac = Mac([2, 0, 0, 0, 0, 9]);
const NEW: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const HOST4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
const HOST6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9));
/// The grid that deadlines fall on, in ms.
const GRID_MS: u64 = 68;

/// What the state machine works on.
struct World {
    fixture: Fixture,
    interfaces: Vec<Interface>,
    adjacencies: Adjacencies,
    table: NeighborTable,
}

/// Whom the router asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Nobody,
    /// All who could have the address.
    Group,
    /// The neighbor, at its last MAC address.
    Itself,
}

impl World {
    fn new() -> Self {
        let lan = interface(&["10.0.0.1/24", "2001:db8::1/64"]);
        Self {
            fixture: Fixture::new(),
            interfaces: [lan.clone(), lan].into(),
            adjacencies: Adjacencies::new(1),
            table: NeighborTable::default(),
        }
    }

    /// Calls `f` with the state machine.
    fn nud<R>(&mut self, f: impl FnOnce(&mut Nud<'_, '_>) -> R) -> R {
        f(&mut Nud {
            interfaces: &self.interfaces,
            adjacencies: &mut self.adjacencies,
            table: &mut self.table,
            cx: &mut self.fixture.cx(),
        })
    }

    /// Adds a neighbor in a state that ends in 10 s. If it was ever known, it was at [`OLD`].
    fn neighbor(&mut self, address: IpAddr, state: State) -> usize {
        let deadline = self.fixture.in_ms(10_000);
        self.nud(|nud| {
            let index = nud.learn(LAN, address).unwrap();
            if state.is_known() || state == State::Failed {
                nud.open(index, LAN, OLD);
            }
            if !is_open(state) {
                nud.adjacencies.close(index);
            }
            nud.table.set(index, state, deadline);
            index
        })
    }

    fn state(&self, index: usize) -> Option<State> {
        self.table.entry(index).map(|e| e.state)
    }

    /// How long a neighbor stays in its state, in ms; `None` for ever.
    fn deadline_ms(&self, index: usize) -> Option<u64> {
        let deadline = self.table.entry(index).unwrap().deadline;
        let pause = deadline.saturating_since(self.fixture.now);
        (deadline != NEVER).then(|| u64::try_from(pause.as_millis()).unwrap())
    }

    fn is_open(&self, index: usize) -> bool {
        self.adjacencies.get(index).unwrap().max_len() > 0
    }

    /// Lets time pass until a neighbor is due, and does what is then.
    fn expire(&mut self, index: usize) {
        let deadline = self.table.entry(index).unwrap().deadline;
        self.fixture.now = self.fixture.now.max(deadline);
        self.poll();
    }

    fn poll(&mut self) {
        assert!(!self.nud(|nud| nud.poll(100)));
    }

    fn asked(&mut self, address: IpAddr) -> Asked {
        let sent = self.fixture.sent();
        let Some(frame) = sent.first() else {
            return Asked::Nobody;
        };
        assert_eq!(sent.len(), 1);
        let group = match address {
            IpAddr::V4(_) => Mac::BROADCAST,
            IpAddr::V6(address) => Mac::of_group(solicited_node(address)),
        };
        match Ethernet::parse(frame).unwrap().destination {
            OLD => Asked::Itself,
            mac if mac == group => Asked::Group,
            other => panic!("{other}"),
        }
    }
}

/// Returns `true` if the fast path may send to a neighbor in this state.
fn is_open(state: State) -> bool {
    use State::{Delay, Probe, Reachable, Static};
    matches!(state, Reachable | Delay | Probe(_) | Static)
}

/// What happens to a neighbor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    /// A packet is to be sent to it and has to wait.
    Wait,
    /// A packet is sent to it although it is stale.
    Use,
    /// It answers the router's question, from this MAC address.
    Confirm(Mac),
    /// It says by itself that it is at this MAC address.
    Heard(Mac),
    /// Its time is over, and it wasn't sent to.
    Timer,
    /// Its time is over, and it was sent to.
    TimerUsed,
}

/// What becomes of the packets that wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Packets {
    /// They go on to wait, or there are none.
    Stay,
    /// They are routed.
    Routed,
    /// Their senders are told that the host is unreachable.
    Reported,
}

/// For how long a state is entered, in ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum For {
    /// For this long.
    Ms(u64),
    /// As long as a neighbor has time to show that it is there.
    Delay,
    /// As long as a neighbor is believed to be reachable.
    Reachable,
    /// Until the time that was set before.
    Same,
    /// For ever.
    Ever,
}

/// The transitions of RFC 4861 appendix C, and those of the states that it doesn't have. The last
/// state is that of a neighbor that is forgotten.
const TRANSITIONS: [(State, Event, State, For, Asked, Packets); 42] = {
    use self::Asked::{Group, Itself, Nobody};
    use self::Event::{Confirm, Heard, Timer, TimerUsed, Use, Wait};
    use self::For::{Ever, Ms, Same};
    use self::Packets::{Reported, Routed, Stay};
    use self::State::{Delay, Failed, Free, Idle, Incomplete, Probe, Reachable, Stale, Static};
    const BELIEVED: For = For::Reachable;
    [
        (Idle, Wait, Incomplete(1), Ms(1000), Group, Stay),
        (Idle, Confirm(NEW), Reachable, BELIEVED, Nobody, Stay),
        (Idle, Heard(NEW), Stale, Ms(60_000), Nobody, Stay),
        (Idle, Timer, Idle, Ever, Nobody, Stay),
        (Incomplete(1), Wait, Incomplete(1), Same, Nobody, Stay),
        (Incomplete(1), Timer, Incomplete(2), Ms(1000), Group, Stay),
        (Incomplete(2), Timer, Incomplete(3), Ms(1000), Group, Stay),
        (Incomplete(3), Timer, Failed, Ms(3000), Nobody, Reported),
        (
            Incomplete(1),
            Confirm(NEW),
            Reachable,
            BELIEVED,
            Nobody,
            Routed,
        ),
        (Incomplete(3), Heard(NEW), Stale, Ms(60_000), Nobody, Routed),
        (Failed, Timer, Free, Ever, Nobody, Stay),
        (Failed, Confirm(NEW), Reachable, BELIEVED, Nobody, Stay),
        (Failed, Heard(OLD), Stale, Ms(60_000), Nobody, Stay),
        (Reachable, Timer, Stale, Ms(60_000), Nobody, Stay),
        (Reachable, TimerUsed, Delay, For::Delay, Nobody, Stay),
        (Reachable, Confirm(OLD), Reachable, BELIEVED, Nobody, Stay),
        (Reachable, Confirm(NEW), Reachable, BELIEVED, Nobody, Stay),
        (Reachable, Heard(OLD), Reachable, Same, Nobody, Stay),
        (Reachable, Heard(NEW), Stale, Ms(60_000), Nobody, Stay),
        (Stale, Timer, Free, Ever, Nobody, Stay),
        (Stale, Use, Delay, For::Delay, Nobody, Stay),
        (Stale, Confirm(OLD), Reachable, BELIEVED, Nobody, Stay),
        (Stale, Heard(OLD), Stale, Same, Nobody, Stay),
        (Stale, Heard(NEW), Stale, Ms(60_000), Nobody, Stay),
        (Delay, Timer, Probe(1), Ms(1000), Itself, Stay),
        (Delay, TimerUsed, Probe(1), Ms(1000), Itself, Stay),
        (Delay, Confirm(OLD), Reachable, BELIEVED, Nobody, Stay),
        (Delay, Heard(OLD), Delay, Same, Nobody, Stay),
        (Delay, Heard(NEW), Stale, Ms(60_000), Nobody, Stay),
        (Probe(1), Timer, Probe(2), Ms(1000), Itself, Stay),
        (Probe(2), TimerUsed, Probe(3), Ms(1000), Itself, Stay),
        (Probe(3), Timer, Free, Ever, Nobody, Stay),
        (Probe(3), TimerUsed, Incomplete(1), Ms(1000), Group, Stay),
        (Probe(1), Confirm(OLD), Reachable, BELIEVED, Nobody, Stay),
        (Probe(3), Confirm(NEW), Reachable, BELIEVED, Nobody, Stay),
        (Probe(1), Heard(OLD), Probe(1), Same, Nobody, Stay),
        (Probe(2), Heard(NEW), Stale, Ms(60_000), Nobody, Stay),
        (Static, Timer, Static, Ever, Nobody, Stay),
        (Static, TimerUsed, Static, Ever, Nobody, Stay),
        (Static, Confirm(NEW), Static, Same, Nobody, Stay),
        (Static, Heard(NEW), Static, Same, Nobody, Stay),
        (Static, Heard(OLD), Static, Same, Nobody, Stay),
    ]
};

#[test]
fn transitions() {
    for address in [HOST4, HOST6] {
        for (before, event, after, time, asked, packets) in TRANSITIONS {
            let what = std::format!("{address}: {before:?}, {event:?}");
            let mut world = World::new();
            let index = world.neighbor(address, before);
            if matches!(before, State::Incomplete(_)) {
                assert!(world.table.wait(index, packet(8)).is_none());
            }
            let until = world.table.entry(index).unwrap().deadline;
            happen(&mut world, index, event);
            assert_eq!(world.state(index).unwrap_or(State::Free), after, "{what}");
            assert_eq!(world.asked(address), asked, "{what}");
            assert_eq!(world.is_open(index), is_open(after), "{what}");
            assert_eq!(fate(&mut world), packets, "{what}");
            if after == State::Free {
                continue;
            }
            check_deadline(&world, index, time, until, &what);
            if after.is_known() {
                let mac = match event {
                    Event::Confirm(mac) | Event::Heard(mac) if before != State::Static => mac,
                    _ => OLD,
                };
                assert_eq!(world.adjacencies.mac(index), Some(mac), "{what}");
            }
        }
    }
}

fn happen(world: &mut World, index: usize, event: Event) {
    match event {
        Event::Wait => world.nud(|nud| nud.wait(index, packet(8))),
        Event::Use => world.nud(|nud| nud.use_stale(index)),
        Event::Confirm(mac) => world.nud(|nud| nud.confirm(index, mac)),
        Event::Heard(mac) => world.nud(|nud| nud.heard(index, mac)),
        Event::Timer | Event::TimerUsed => {
            let used = event == Event::TimerUsed;
            world.adjacencies.set_used(index, used);
            world.expire(index);
        }
    }
}

/// What became of the only packet that waited.
fn fate(world: &mut World) -> Packets {
    match world.fixture.jobs()[..] {
        [] => Packets::Stay,
        [Job::Route(_)] => Packets::Routed,
        [Job::Report(_, IcmpError::HostUnreachable)] => Packets::Reported,
        ref other => panic!("{other:?}"),
    }
}

fn check_deadline(world: &World, index: usize, time: For, until: Instant, what: &str) {
    let (least, most) = match (time, world.table.entry(index).unwrap().address) {
        (For::Ms(ms), _) => (ms, ms),
        (For::Delay, _) => (5000, 6000),
        (For::Reachable, IpAddr::V4(_)) => (30_000, 60_000),
        (For::Reachable, IpAddr::V6(_)) => (15_000, 45_000),
        (For::Same, _) => {
            return assert_eq!(world.table.entry(index).unwrap().deadline, until, "{what}");
        }
        (For::Ever, _) => return assert_eq!(world.deadline_ms(index), None, "{what}"),
    };
    let pause = world.deadline_ms(index).unwrap();
    assert!((least..=most + GRID_MS).contains(&pause), "{what}: {pause}");
}

/// RFC 4861 6.3.2: REACHABLE_TIME, times 0.5 to 1.5.
#[test]
fn neighbors_of_ipv6_are_reachable_for_different_times() {
    let mut world = World::new();
    let index = world.neighbor(HOST6, State::Stale);
    let times: Vec<u64> = (0..1000)
        .map(|_| {
            world.nud(|nud| nud.confirm(index, OLD));
            world.deadline_ms(index).unwrap()
        })
        .collect();
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!((15_000..16_000).contains(least), "{least}");
    assert!((44_000..=45_000 + GRID_MS).contains(most), "{most}");
}

#[test]
fn an_answer_clears_whether_it_was_sent_to() {
    let mut world = World::new();
    let index = world.neighbor(HOST4, State::Probe(3));
    world.adjacencies.set_used(index, true);
    world.nud(|nud| nud.confirm(index, OLD));
    world.expire(index);
    assert_eq!(world.state(index), Some(State::Stale));
}

#[test]
fn a_question_that_found_no_room_is_no_try() {
    for address in [HOST4, HOST6] {
        let mut world = World::new();
        let index = world.neighbor(address, State::Idle);
        world.fixture.set_room(0);
        world.nud(|nud| nud.wait(index, packet(8)));
        for tries in 1..100 {
            assert_eq!(world.state(index), Some(State::Incomplete(0)));
            assert_eq!(world.fixture.dropped(DropReason::TxFull), tries);
            assert!(world.deadline_ms(index).unwrap() <= 20 + GRID_MS);
            world.expire(index);
        }
        world.fixture.set_room(1);
        world.expire(index);
        assert_eq!(world.state(index), Some(State::Incomplete(1)));
        assert_eq!(world.asked(address), Asked::Group);
    }
}

#[test]
fn who_can_not_be_asked_for_want_of_a_link_does_not_answer() {
    let mut world = World::new();
    world.interfaces[LAN.index()].up = false;
    let index = world.neighbor(HOST4, State::Idle);
    world.nud(|nud| nud.wait(index, packet(8)));
    for _ in 0..3 {
        world.expire(index);
    }
    assert_eq!(world.state(index), Some(State::Failed));
    assert_eq!(world.asked(HOST4), Asked::Nobody);
}

#[test]
fn senders_are_told_of_a_neighbor_that_does_not_answer_in_the_order_of_their_packets() {
    let mut world = World::new();
    let index = world.neighbor(HOST4, State::Incomplete(3));
    for len in 0..8 {
        world.nud(|nud| nud.wait(index, packet(len)));
    }
    world.expire(index);
    assert_eq!(world.fixture.dropped(DropReason::NeighborUnreachable), 8);
    let jobs = world.fixture.jobs();
    let told = jobs.iter().map(|job| match job {
        Job::Report(packet, IcmpError::HostUnreachable) => packet.ip_bytes().len() - 20,
        other => panic!("{other:?}"),
    });
    assert!(told.eq(0..8));
}

/// RFC 1122 2.3.2.2: the latest packets are those to keep.
#[test]
fn the_oldest_of_too_many_packets_for_a_neighbor_are_dropped() {
    let mut world = World::new();
    let index = world.neighbor(HOST4, State::Incomplete(1));
    for len in 0..10 {
        world.nud(|nud| nud.wait(index, packet(len)));
    }
    assert_eq!(world.fixture.dropped(DropReason::NeighborQueueFull), 2);
    world.nud(|nud| nud.confirm(index, NEW));
    let jobs = world.fixture.jobs();
    let routed = jobs.iter().map(|job| match job {
        Job::Route(packet) => packet.ip_bytes().len() - 20,
        other => panic!("{other:?}"),
    });
    assert!(routed.eq(2..10));
    assert_eq!(world.table.waiting(), 0);
}

#[test]
fn a_neighbor_is_forgotten_with_what_waits_for_it() {
    for pinned in [0, 1] {
        let mut world = World::new();
        let index = world.neighbor(HOST4, State::Incomplete(1));
        world.table.entry_mut(index).unwrap().pinned = pinned;
        world.nud(|nud| nud.wait(index, packet(8)));
        world.nud(|nud| nud.forget(index));
        assert_eq!(world.fixture.dropped(DropReason::LinkDown), 1);
        assert_eq!(world.table.waiting(), 0);
        let found = world.adjacencies.find(LAN, HOST4);
        match pinned {
            0 => assert_eq!((found, world.state(index)), (None, None)),
            _ => assert_eq!(
                (found, world.state(index)),
                (Some(index), Some(State::Idle))
            ),
        }
    }
}

#[test]
fn a_neighbor_that_a_route_needs_keeps_its_index_when_it_does_not_answer() {
    for before in [State::Stale, State::Probe(3), State::Failed] {
        let mut world = World::new();
        let index = world.neighbor(HOST6, before);
        world.table.entry_mut(index).unwrap().pinned = 1;
        world.expire(index);
        assert_eq!(world.state(index), Some(State::Idle));
        assert_eq!(world.deadline_ms(index), None);
        assert!(!world.is_open(index));
    }
}

#[test]
fn all_that_a_link_had_are_forgotten() {
    let mut world = World::new();
    let gone = world.neighbor(HOST4, State::Reachable);
    let other = world.neighbor(HOST6, State::Reachable);
    world.nud(|nud| nud.forget_all(|e| e.address.is_ipv4()));
    assert_eq!(world.state(gone), None);
    assert_eq!(world.state(other), Some(State::Reachable));
}

/// RFC 6583 7.1.
#[test]
fn new_neighbors_are_looked_for_at_a_limited_rate() {
    let mut world = World::new();
    let known = world.neighbor(HOST4, State::Reachable);
    let mut host = 0x0a01_0000;
    let mut resolve = |world: &mut World, interface: u8| {
        host += 1;
        let address = Ipv4Addr::from_bits(host).into();
        world.nud(|nud| nud.resolve(InterfaceId(interface), address))
    };
    let at_once = (0..1000).filter(|_| resolve(&mut world, LAN.0).is_some());
    assert_eq!(at_once.count(), 256);
    assert_eq!(world.nud(|nud| nud.resolve(LAN, HOST4)), Some(known));
    assert!(resolve(&mut world, 0).is_some(), "another link");
    assert!(world.nud(|nud| nud.learn(LAN, HOST6)).is_some());
    world.fixture.pass_ms(1);
    assert!(resolve(&mut world, LAN.0).is_some());
    assert!(resolve(&mut world, LAN.0).is_none());
}

#[test]
fn what_is_due_is_done_within_the_budget() {
    let mut world = World::new();
    assert_eq!(world.table.next, NEVER);
    for host in 0..10 {
        let address = Ipv4Addr::from_bits(0x0a00_0010 + host).into();
        world.neighbor(address, State::Delay);
    }
    world.fixture.pass_ms(9000);
    assert!(!world.nud(|nud| nud.poll(4)), "nothing is due yet");
    world.fixture.pass_ms(2000);
    for more in [true, true, false] {
        assert_eq!(world.nud(|nud| nud.poll(4)), more);
        assert_eq!(world.table.next <= world.fixture.now, more);
    }
    assert_eq!(world.fixture.sent().len(), 10);
    let pause = world.table.next.saturating_since(world.fixture.now);
    assert!((1000..=1000 + u128::from(GRID_MS)).contains(&pause.as_millis()));
}

#[test]
fn failures_wait_while_the_outbox_is_full_and_lose_no_report() {
    let mut world = World::new();
    for host in 0..20 {
        let address = Ipv4Addr::from_bits(0x0a00_0010 + host).into();
        let index = world.neighbor(address, State::Incomplete(3));
        for _ in 0..8 {
            world.nud(|nud| nud.wait(index, packet(8)));
        }
    }
    world.fixture.pass_ms(11_000);
    let mut reports = 0;
    while world.nud(|nud| nud.poll(1000)) {
        reports += world.fixture.jobs().len();
    }
    reports += world.fixture.jobs().len();
    assert_eq!(reports, 160);
    assert_eq!(world.fixture.dropped(DropReason::PuntFull), 0);
}

#[test]
fn frames_to_a_neighbor_go_between_the_two_mac_addresses_and_are_as_long_as_the_mtu_allows() {
    let mut world = World::new();
    world.interfaces[LAN.index()].mtu = 1400;
    let index = world.neighbor(HOST4, State::Idle);
    world.nud(|nud| nud.confirm(index, NEW));
    let adjacency = world.adjacencies.get(index).unwrap();
    assert_eq!(adjacency.max_len(), 1414);
    assert_eq!(adjacency.mac_addresses(), [NEW.0, MAC.0].concat()[..]);
    world.interfaces[LAN.index()].up = false;
    world.adjacencies.close(index);
    world.nud(|nud| nud.confirm(index, NEW));
    assert!(!world.is_open(index), "the link is down");
}

#[test]
fn the_earliest_deadline_is_waited_for() {
    let mut world = World::new();
    let seconds = [40, 10, 20, 30];
    for (host, seconds) in (0..).zip(seconds) {
        let address = Ipv4Addr::from_bits(0x0a00_0010 + host).into();
        let index = world.neighbor(address, State::Reachable);
        let deadline = world.fixture.in_ms(seconds * 1000);
        world.table.set(index, State::Reachable, deadline);
    }
    let start = world.fixture.now;
    for wanted in [10, 20, 30, 40] {
        let next = world.table.next.saturating_since(start);
        assert_eq!(next.as_secs(), wanted);
        world.fixture.now = world.table.next;
        world.poll();
    }
}
