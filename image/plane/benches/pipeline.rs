//! What a frame costs from ring to ring: bursts of 64 frames of 60 bytes from one backend in the
//! same process to another through the whole data plane, with 10,000 routes, neighbours, counters,
//! header checks and strict reverse-path filtering, and the loop of the guest around it.
//!
//! Prints `name,value,unit`. Under callgrind only the data plane counts, and the fake machine's
//! events, some 3 instructions a frame:
//!
//! ```text
//! cargo bench -p plane --bench pipeline --no-run
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured*' \
//!          BINARY --turns=200 --only=one_flow
//! ```
//!
//! Divide the instructions it prints by the frames that the program prints.

use std::fmt::Write;
use std::time::{Duration, Instant as Clock};

use heapless::Vec as Bounded;
use netfront_rs::fake::Backend;
use netfront_rs::{Features, PeerFault};
use plane::Plane;
use router::{BURST, Config, InterfaceId, Router};
use xen_hal::DomId;
use xen_hal::fake::FakeHal;
use xenbus::Signal;

const PEER: DomId = DomId(0);
const ROUTES: u32 = 10_000;
/// Bytes of a frame: the shortest on Ethernet, without its check sequence.
const LEN: usize = 60;
/// From burst to burst, in ns.
const PERIOD: u64 = 64 * 2_000;
/// Turns before those that count, in which the router makes itself known on its links.
const WARM_UP: usize = 50_000;
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0xa0], [2, 0, 0, 0, 0, 0xa1]];
const STATION: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

fn config() -> Config {
    let mut text = String::from(
        "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/24\", \"2001:db8::1/64\"]\nrpf = \"strict\"\n\
         [interface.lan]\nvif = 1\naddress = [\"10.0.1.1/24\", \"2001:db8:1::1/64\"]\nrpf = \"strict\"\n\
         [[neighbor]]\ninterface = \"wan\"\naddress = \"10.0.0.254\"\nmac = \"02:00:00:00:00:99\"\n\
         [[route]]\nprefix = \"172.16.0.0/12\"\nvia = [\"10.0.0.254\"]\n",
    );
    for gateway in 0..16 {
        let _ = write!(
            text,
            "[[neighbor]]\ninterface = \"lan\"\naddress = \"10.0.1.{}\"\nmac = \"02:00:00:00:01:{gateway:02x}\"\n",
            gateway + 100
        );
    }
    for i in 0..ROUTES {
        let [a, b, c, _] = prefix(i).to_be_bytes();
        let _ = write!(
            text,
            "[[route]]\nprefix = \"{a}.{b}.{c}.0/24\"\nvia = [\"10.0.1.{}\"]\n",
            i % 16 + 100
        );
    }
    router::config::from_toml(&text).expect("the benchmark's configuration")
}

/// The prefixes, spread over the address space like those of many origins.
fn prefix(i: u32) -> u32 {
    (20 + i % 100) << 24 | (i.wrapping_mul(0x9e37_79b1) >> 24) << 16 | ((i / 100) & 0xff) << 8
}

/// Frame `flow` of all that differ in source and destination.
fn frame(flow: u32) -> [u8; LEN] {
    let source = 0xac10_0000 | flow.wrapping_mul(0x9e37_79b1) >> 12;
    let destination = prefix(flow.wrapping_mul(2_654_435_761) % ROUTES) | 7;
    let mut f = [0; LEN];
    f[..6].copy_from_slice(&MACS[0]);
    f[6..12].copy_from_slice(&STATION);
    f[12..15].copy_from_slice(&[8, 0, 0x45]);
    f[16..18].copy_from_slice(&(LEN as u16 - 14).to_be_bytes());
    f[22..24].copy_from_slice(&[64, 17]);
    f[26..30].copy_from_slice(&source.to_be_bytes());
    f[30..34].copy_from_slice(&destination.to_be_bytes());
    let words = f[14..34].as_chunks::<2>().0.iter();
    let sum: u32 = words.map(|&word| u32::from(u16::from_be_bytes(word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    f[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    f
}

/// The loop of the guest, until it would sleep.
#[inline(never)]
fn measured(plane: &mut Plane<FakeHal>, now: u64, ran: u64) -> Option<u64> {
    let mut ports = Bounded::<u32, 64>::new();
    loop {
        if plane.turn(now) {
            continue;
        }
        ports.clear();
        plane.take_events(&mut ports);
        if !plane.arm(now, ran) {
            return plane.deadline(now);
        }
    }
}

fn run(name: &str, turns: usize, flows: u32) {
    let hal = FakeHal::new();
    let mut now = 1_000_000_000;
    let router = Router::new(&config(), 1, router::Instant(now));
    let mut plane = Plane::new(hal, router, now, 4096);
    let [mut from, mut to] = [0, 1].map(|n| {
        let id = InterfaceId(n);
        let info = plane.attach(now, id, PEER, Features::all(), Signal::<PeerFault>::new());
        let backend = Backend::connect(hal, PEER, info.expect("a vif"));
        plane.link_up(now, id, MACS[usize::from(n)], 1500);
        backend
    });
    let frames: Vec<_> = (0..flows).map(frame).collect();
    for _ in 0..WARM_UP {
        now += PERIOD;
        plane.turn(now);
        plane.arm(now, 0);
        for backend in [&mut from, &mut to] {
            backend.drain(usize::MAX);
            backend.publish();
        }
    }
    let before = plane.work();
    let mut spent = Duration::ZERO;
    for turn in 0..turns {
        for i in 0..BURST {
            assert!(from.deliver(&frames[(turn * BURST + i) % frames.len()]));
        }
        from.publish();
        now += PERIOD;
        let start = Clock::now();
        measured(&mut plane, now, turn as u64 * PERIOD / 4);
        spent += start.elapsed();
        let sent = to.transmit();
        assert_eq!(sent.len(), BURST);
        for (i, sent) in sent.iter().enumerate() {
            let mut wanted = frames[(turn * BURST + i) % frames.len()];
            assert_eq!(sent.bytes[6..12], MACS[1]);
            wanted[..12].copy_from_slice(&sent.bytes[..12]);
            wanted[22..26].copy_from_slice(&[63, 17, sent.bytes[24], sent.bytes[25]]);
            assert_eq!(sent.bytes, wanted);
        }
        from.drain(usize::MAX);
        to.publish();
    }
    let count = turns * BURST;
    let work = plane.work();
    let events = work.notifications - before.notifications;
    println!("pipeline_{name}_frames,{count},frames");
    println!(
        "pipeline_{name},{:.1},ns/frame",
        spent.as_nanos() as f64 / count as f64
    );
    println!(
        "pipeline_{name}_events,{:.4},events/frame",
        events as f64 / count as f64
    );
}

fn main() {
    let argument =
        |key: &str| std::env::args().find_map(|arg| arg.strip_prefix(key).map(String::from));
    let turns = argument("--turns=").and_then(|n| n.parse().ok());
    let only = argument("--only=");
    println!("name,value,unit");
    for (name, flows) in [("one_flow", 1), ("many_flows", 4096)] {
        if only.as_deref().is_none_or(|only| only == name) {
            run(name, turns.unwrap_or(5_000), flows);
        }
    }
}
