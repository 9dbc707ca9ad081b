//! What one CPU receives for a vif that has no queue there leaves by another CPU's.

use data_plane::{Control, Resting, Worker};
use netif::Features;
use netif::fakes::{Backend, Delivery, Sent};
use netif::messages::{Extra, RxFlags};
use netif::{Gso, GsoKind};
use router::{Counters, DropReason, Instant, InterfaceId, Router};
use xen_hal::DomId;
use xen_hal::fake::FakeHal;

const MS: u64 = 1_000_000;
const WAN: InterfaceId = InterfaceId(0);
const LAN: InterfaceId = InterfaceId(1);
const TAGGED: InterfaceId = InterfaceId(2);
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0xa0], [2, 0, 0, 0, 0, 0xa1]];
const HOST: [u8; 6] = [2, 0, 0, 0, 0, 0x99];
const CONFIG: &str = r#"
[interface.wan]
vif = 0
address = ["10.0.0.1/24"]
[interface.lan]
vif = 1
address = ["10.0.1.1/24"]
[interface.tagged]
parent = "lan"
vlan = 100
address = ["10.0.2.1/24"]
[[neighbor]]
interface = "lan"
address = "10.0.1.9"
mac = "02:00:00:00:00:99"
[[neighbor]]
interface = "tagged"
address = "10.0.2.9"
mac = "02:00:00:00:00:99"
"#;
/// Bytes of the three headers of a TCP packet without options.
const HEADERS: usize = 14 + 20 + 20;
/// Copies that are under way at most: a quarter of the pages of a vif.
const COPIES: usize = 684 / 4;
/// Frames that wait for a vif at most.
const WAITING: usize = 64;

/// Two planes: both have a queue of the first vif, one has the second vif's only queue.
struct Bed {
    hal: FakeHal,
    router: Router,
    planes: [Worker<FakeHal>; 2],
    wan: [Backend; 2],
    lan: Backend,
    now: u64,
    /// The number of the next frame.
    next: u16,
}

impl Bed {
    /// With vifs of backends that can do what is said, one for both vifs or one for each.
    fn new(lan_features: Features, lan_peer: DomId) -> Self {
        let hal = FakeHal::new();
        let now = 1_000 * MS;
        let config = router::config::from_toml(CONFIG).expect("a configuration");
        let mut router = Router::new(&config, 1, Instant(now));
        let mut planes = [(); 2].map(|()| Worker::new(hal, &mut router, 4096, 2));
        let workers = Resting::new(&mut planes);
        let mut control = Control::new(&mut router, &workers);
        let infos = control.attach(now, WAN, DomId(0), Features::all(), 2);
        let infos = infos.expect("a vif");
        let wan = [0, 1].map(|at| Backend::connect(hal, DomId(0), infos[at]));
        let infos = control.attach(now, LAN, lan_peer, lan_features, 1);
        let lan = Backend::connect(hal, lan_peer, infos.expect("a vif")[0]);
        control.link_up(now, WAN, MACS[0], 1500);
        control.link_up(now, LAN, MACS[1], 1500);
        control.serve(now);
        drop(workers);
        let mut bed = Self {
            hal,
            router,
            planes,
            wan,
            lan,
            now,
            next: 0,
        };
        // What the router says by itself as its links come up.
        bed.turn();
        bed.lan.transmit();
        bed.lan.publish();
        bed
    }

    /// Both CPUs take turns until there is nothing more to do at once, as the guest's loop does.
    fn turn(&mut self) {
        self.now += MS;
        let now = self.now;
        while (0..2).fold(false, |busy, at| {
            let more = self.planes[at].turn(self.router.tables(), now);
            let handed = self.planes[at].has_handoff() && self.hand_over(at);
            busy | more | handed
        }) {}
    }

    fn control<T>(&mut self, f: impl FnOnce(&mut Control<'_, FakeHal>) -> T) -> T {
        f(&mut Control::new(
            &mut self.router,
            &Resting::new(&mut self.planes),
        ))
    }

    /// Has worker `at` hand over what it has for the first one, as the guest does.
    fn hand_over(&mut self, at: usize) -> bool {
        let now = self.now;
        let mut any = false;
        let mut which = 0;
        while let Some(to) = self.planes[at].handoff_target(which, at) {
            let [source, target] = self.planes.get_disjoint_mut([at, to]).expect("two");
            any |= source.hand_over(which, target, now);
            which += 1;
        }
        any
    }

    /// Has the second CPU receive `count` frames for an address.
    fn receive(&mut self, count: u8, to: [u8; 4]) {
        for _ in 0..count {
            let number = self.next.to_be_bytes();
            assert!(self.wan[1].deliver(&packet(to, &number)));
            self.next += 1;
        }
        self.wan[1].publish();
        self.turn();
    }

    /// The numbers of the frames that the second vif's backend gets.
    fn sent(&mut self) -> Vec<u16> {
        let sent = self.lan.transmit();
        self.lan.publish();
        let number =
            |sent: &Sent| u16::from_be_bytes([sent.bytes[HEADERS], sent.bytes[HEADERS + 1]]);
        sent.iter().map(number).collect()
    }

    fn counters(&mut self, interface: InterfaceId) -> Counters {
        self.control(|control| control.gather_counters());
        self.router.counters(interface).expect("an interface")
    }

    /// Frames for an interface that were dropped for want of room.
    fn lost(&mut self, interface: InterfaceId) -> u64 {
        self.counters(interface).dropped(DropReason::TxFull)
    }

    /// Every page of both planes is free or waits for packets.
    fn assert_idle(&self) {
        for plane in &self.planes {
            for (peer, stats) in plane.pools() {
                assert_eq!(stats.sum().held, 0, "pages for {peer:?}");
            }
        }
    }
}

/// A TCP packet for the first vif.
fn packet(to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = [MACS[0], HOST].as_flattened().to_vec();
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend((40 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 9]);
    bytes.extend(to);
    let words = bytes[14..34].as_chunks::<2>().0.iter();
    let sum: u32 = words.map(|&word| u32::from(u16::from_be_bytes(word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    bytes[24..26].copy_from_slice(&(!sum as u16).to_be_bytes());
    bytes.extend([4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0xff, 0xff]);
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// How a large TCP packet is delivered.
fn large() -> Delivery {
    Delivery {
        flags: RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED,
        extras: vec![Extra::Gso(Gso {
            kind: GsoKind::TcpV4,
            size: 1000,
        })],
        ..Delivery::default()
    }
}

#[test]
fn frames_leave_by_the_other_cpu_in_order() {
    for peer in [DomId(0), DomId(7)] {
        let mut bed = Bed::new(Features::all(), peer);
        let before = bed.counters(LAN).tx_packets;
        bed.receive(100, [10, 0, 1, 9]);
        let sent = bed.lan.transmit();
        bed.lan.publish();
        assert_eq!(sent.len(), 100);
        for (number, sent) in sent.iter().enumerate() {
            assert_eq!(sent.bytes[..12], *[HOST, MACS[1]].as_flattened());
            assert_eq!(
                (sent.bytes[22], sent.bytes[HEADERS + 1]),
                (63, number as u8)
            );
        }
        bed.turn();
        assert_eq!(bed.lost(LAN), 0);
        assert_eq!(bed.counters(LAN).tx_packets - before, 100);
        bed.assert_idle();
    }
}

#[test]
fn they_get_the_tags_of_their_interface() {
    let mut bed = Bed::new(Features::all(), DomId(0));
    bed.receive(1, [10, 0, 2, 9]);
    let sent = bed.lan.transmit();
    bed.lan.publish();
    assert_eq!(sent[0].bytes[12..18], [0x81, 0, 0, 100, 8, 0]);
    let now = bed.now;
    bed.control(|control| control.reap(now));
    assert!(!bed.control(|control| control.has_faults()));
    assert_eq!(bed.lost(TAGGED), 0);
    bed.assert_idle();
}

#[test]
fn without_room_they_wait_and_what_finds_no_place_is_lost() {
    let mut bed = Bed::new(Features::all(), DomId(0));
    for _ in 0..4 {
        bed.receive(100, [10, 0, 1, 9]);
    }
    let now = bed.now;
    assert!(!bed.planes[1].arm(now, 0));
    assert!(bed.planes[1].deadline().is_some_and(|at| at <= now + MS));
    let mut sent = bed.sent();
    assert_eq!(sent.len(), COPIES);
    for _ in 0..10 {
        bed.turn();
        sent.extend(bed.sent());
    }
    assert!(sent.len() >= COPIES + WAITING);
    assert!(sent.is_sorted_by(|one, next| one < next));
    assert_eq!(sent.len() as u64 + bed.lost(LAN), 400);
    bed.turn();
    bed.assert_idle();
    // All is as before.
    bed.receive(100, [10, 0, 1, 9]);
    assert_eq!(bed.sent().len(), 100);
}

#[test]
fn a_backend_that_takes_nothing_holds_up_nobody_for_ever() {
    let mut bed = Bed::new(Features::all(), DomId(0));
    bed.receive(100, [10, 0, 1, 9]);
    bed.receive(COPIES as u8 - 100 + 10, [10, 0, 1, 9]);
    assert_eq!(bed.lost(LAN), 0);
    assert!(bed.planes[1].pools().any(|(_, stats)| stats.sum().held > 0));
    bed.now += 100 * MS;
    bed.turn();
    assert_eq!(bed.lost(LAN), 10);
    bed.assert_idle();
}

#[test]
fn large_frames_are_cut_for_a_backend_that_cannot() {
    let mut payload: Vec<u8> = (0..30_000u32).map(|at| (at % 251) as u8).collect();
    let segments = payload.len() / 1000;
    for features in [Features::all(), Features::empty()] {
        let mut bed = Bed::new(features, DomId(0));
        let bytes = packet([10, 0, 1, 9], &payload);
        for _ in 0..12 {
            assert!(bed.wan[1].deliver_as(&bytes, &large()));
            bed.wan[1].publish();
            bed.turn();
        }
        let mut sent = Vec::new();
        for _ in 0..20 {
            sent.extend(bed.lan.transmit());
            bed.lan.publish();
            bed.turn();
        }
        let frames = if features.is_empty() { segments } else { 1 };
        assert_eq!(sent.len(), 12 * frames);
        let got = sent.iter().flat_map(|sent| &sent.bytes[HEADERS..]);
        assert!(got.eq(payload.iter().cycle().take(12 * payload.len())));
        assert_eq!(bed.lost(LAN), 0);
        bed.assert_idle();
    }
    // One that is no TCP packet can't be segmented, and is lost alone.
    payload.truncate(5000);
    let mut bytes = packet([10, 0, 1, 9], &payload);
    bytes[46] = 0x10;
    let mut bed = Bed::new(Features::SG, DomId(0));
    assert!(bed.wan[1].deliver_as(&bytes, &large()));
    bed.receive(1, [10, 0, 1, 9]);
    let lost = bed.counters(LAN).dropped(DropReason::BadGso);
    assert_eq!((bed.sent().len(), bed.lost(LAN), lost), (1, 0, 1));
    bed.turn();
    bed.assert_idle();
}

#[test]
fn what_waits_for_a_vif_that_goes_is_given_back() {
    for gone in [WAN, LAN] {
        let mut bed = Bed::new(Features::all(), DomId(0));
        for _ in 0..3 {
            bed.receive(100, [10, 0, 1, 9]);
        }
        let held = |bed: &Bed| bed.planes[1].pools().any(|(_, stats)| stats.sum().held > 0);
        assert!(held(&bed));
        let now = bed.now;
        bed.control(|control| control.detach(now, gone));
        assert!(!held(&bed));
        bed.turn();
        for interface in [WAN, LAN] {
            bed.control(|control| control.detach(now, interface));
        }
        assert!(bed.lost(LAN) > 0);
        assert_eq!(bed.hal.grants(), 0);
    }
}
