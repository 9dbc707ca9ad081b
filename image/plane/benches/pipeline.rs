//! What a frame costs from ring to ring: bursts of 64 frames of 60 bytes from one backend in the
//! same process to another through the whole data plane, with routes, neighbours, counters,
//! header checks and the loop of the guest around it.
//!
//! There are 1 to 1,000,000 routes (10,000 where the name has no number), strict reverse-path
//! filtering on both interfaces or (`plain`) none, and one flow or many. `--only=NAME` runs one of
//! all; `--dump=FOLDER` writes routes and frames for programs in other languages: NAME.routes
//! (prefix, length and next hop as u32), NAME.frames, and NAME.wanted as they have to arrive.
//!
//! Prints `name,value,unit`, ns as the median of all bursts. Under callgrind only the data plane
//! counts, and the fake machine's events, some 3 instructions a frame:
//!
//! ```text
//! cargo bench -p plane --bench pipeline --no-run
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured*' \
//!          BINARY --turns=200 --only=one_flow
//! ```
//!
//! Divide the instructions it prints by the frames that the program prints.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::time::Instant as Clock;

use heapless::Vec as Bounded;
use netfront_rs::fake::Backend;
use netfront_rs::{Features, PeerFault};
use plane::Plane;
use router::addr::Network;
use router::config::{RouteConfig, RouteTarget, Via};
use router::{BURST, Config, InterfaceId, Router};
use xen_hal::DomId;
use xen_hal::fake::FakeHal;
use xenbus::Signal;

const PEER: DomId = DomId(0);
const ROUTES: [u32; 4] = [1, 1_000, 10_000, 1_000_000];
/// Gateways on the way out, which routes take in turn.
const GATEWAYS: u32 = 16;
/// Bytes of a frame: the shortest on Ethernet, without its check sequence.
const LEN: usize = 60;
/// From burst to burst, in ns.
const PERIOD: u64 = 64 * 2_000;
/// Turns before those that count, in which the router makes itself known on its links.
const WARM_UP: usize = 50_000;
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0xa0], [2, 0, 0, 0, 0, 0xa1]];
const STATION: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

/// What is measured.
#[derive(Clone, Copy)]
struct Case {
    routes: u32,
    /// Whether sources are filtered by reverse path.
    strict: bool,
    /// Whether every frame has another source and destination than the one before.
    many: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        ROUTES.into_iter().flat_map(|routes| {
            [(true, false), (true, true), (false, false), (false, true)].map(|(strict, many)| {
                Self {
                    routes,
                    strict,
                    many,
                }
            })
        })
    }

    fn traffic(self) -> String {
        let flows = if self.many { "many_flows" } else { "one_flow" };
        let plural = if self.routes == 1 { "" } else { "s" };
        format!("{flows}_{}_route{plural}", self.routes)
    }

    fn name(self) -> String {
        let traffic = self.traffic();
        let traffic = traffic.trim_end_matches("_10000_routes");
        format!("{traffic}{}", if self.strict { "" } else { "_plain" })
    }

    /// With a million routes more than a cache of the processor holds.
    fn flows(self) -> u32 {
        match (self.many, self.routes) {
            (false, _) => 1,
            (true, 1_000_000) => 1 << 18,
            (true, _) => 4096,
        }
    }

    fn config(self) -> Config {
        let rpf = if self.strict {
            "rpf = \"strict\"\n"
        } else {
            ""
        };
        let mut text = format!(
            "[interface.wan]\nvif = 0\naddress = [\"10.0.0.1/24\", \"2001:db8::1/64\"]\n{rpf}\
             [interface.lan]\nvif = 1\naddress = [\"10.0.1.1/24\", \"2001:db8:1::1/64\"]\n{rpf}\
             [[neighbor]]\ninterface = \"wan\"\naddress = \"10.0.0.254\"\nmac = \"02:00:00:00:00:99\"\n\
             [[route]]\nprefix = \"172.16.0.0/12\"\nvia = [\"10.0.0.254\"]\n",
        );
        for gateway in 0..GATEWAYS {
            let _ = write!(
                text,
                "[[neighbor]]\ninterface = \"lan\"\naddress = \"10.0.1.{}\"\nmac = \"02:00:00:00:01:{gateway:02x}\"\n",
                gateway + 100
            );
        }
        router::config::from_toml(&text).expect("the benchmark's configuration")
    }

    /// The router with all its routes, which as text would take long to read.
    fn router(self, now: u64) -> Router {
        let mut router = Router::new(&self.config(), 1, router::Instant(now));
        for i in 0..self.routes {
            let via = Via {
                address: Ipv4Addr::from_bits(0x0a00_0164 + i % GATEWAYS).into(),
                interface: 1,
                weight: 1,
            };
            let route = RouteConfig {
                prefix: Network {
                    address: Ipv4Addr::from_bits(prefix(i)).into(),
                    len: 24,
                },
                vrf: 0,
                target: RouteTarget::Via(vec![via]),
                mtu: None,
            };
            router.insert_route(&route).expect("a route");
        }
        router
    }

    /// The route that a flow takes.
    fn route(self, flow: u32) -> u32 {
        flow.wrapping_mul(2_654_435_761) % self.routes
    }

    /// The frames of all flows as they come.
    fn frames(self) -> Vec<[u8; LEN]> {
        let flows = 0..self.flows();
        flows
            .map(|flow| frame(flow, self.route(flow), [MACS[0], STATION], 64))
            .collect()
    }

    /// The same as they have to leave.
    fn wanted(self) -> Vec<[u8; LEN]> {
        let flows = 0..self.flows();
        flows
            .map(|flow| {
                let route = self.route(flow);
                let gateway = [2, 0, 0, 0, 1, (route % GATEWAYS) as u8];
                frame(flow, route, [gateway, MACS[1]], 63)
            })
            .collect()
    }

    fn dump(self, folder: &str) {
        let file = |what: &str| {
            let path = format!("{folder}/{}.{what}", self.traffic());
            BufWriter::new(File::create(path).expect("a new file"))
        };
        let mut out = file("routes");
        let routes = (0..self.routes).map(|i| [prefix(i), 24, i % GATEWAYS]);
        for route in routes.chain([[0xac10_0000, 12, GATEWAYS]]) {
            let bytes = route.map(u32::to_le_bytes);
            out.write_all(bytes.as_flattened()).expect("room");
        }
        for (what, frames) in [("frames", self.frames()), ("wanted", self.wanted())] {
            file(what).write_all(frames.as_flattened()).expect("room");
        }
    }
}

/// The prefixes, spread over the address space like those of many origins.
fn prefix(i: u32) -> u32 {
    const ALL: u32 = 100 * 256;
    let second = ((i % ALL).wrapping_mul(0x9e37_79b1) >> 24) + i / ALL;
    (20 + i % 100) << 24 | (second & 0xff) << 16 | ((i / 100) & 0xff) << 8
}

/// A frame; flows differ in source and destination.
fn frame(flow: u32, route: u32, macs: [[u8; 6]; 2], ttl: u8) -> [u8; LEN] {
    let source = 0xac10_0000 | flow.wrapping_mul(0x9e37_79b1) >> 12;
    let destination = prefix(route) | 7;
    let mut f = [0; LEN];
    f[..12].copy_from_slice(macs.as_flattened());
    f[12..15].copy_from_slice(&[8, 0, 0x45]);
    f[16..18].copy_from_slice(&(LEN as u16 - 14).to_be_bytes());
    f[22..24].copy_from_slice(&[ttl, 17]);
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

fn run(case: Case, turns: usize) {
    let hal = FakeHal::new();
    let mut now = 1_000_000_000;
    let mut plane = Plane::new(hal, case.router(now), now, 4096);
    let [mut from, mut to] = [0, 1].map(|n| {
        let id = InterfaceId(n);
        let info = plane.attach(now, id, PEER, Features::all(), Signal::<PeerFault>::new());
        let backend = Backend::connect(hal, PEER, info.expect("a vif"));
        plane.link_up(now, id, MACS[usize::from(n)], 1500);
        backend
    });
    let (frames, wanted) = (case.frames(), case.wanted());
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
    let mut spent = Vec::with_capacity(turns);
    for turn in 0..turns {
        for i in 0..BURST {
            assert!(from.deliver(&frames[(turn * BURST + i) % frames.len()]));
        }
        from.publish();
        now += PERIOD;
        let start = Clock::now();
        measured(&mut plane, now, turn as u64 * PERIOD / 4);
        spent.push(start.elapsed().as_nanos());
        let sent = to.transmit();
        assert_eq!(sent.len(), BURST);
        for (i, sent) in sent.iter().enumerate() {
            assert_eq!(sent.bytes, wanted[(turn * BURST + i) % wanted.len()]);
        }
        from.drain(usize::MAX);
        to.publish();
    }
    let count = turns * BURST;
    let work = plane.work();
    let events = work.notifications - before.notifications;
    spent.sort_unstable();
    let name = case.name();
    println!("pipeline_{name}_frames,{count},frames");
    println!(
        "pipeline_{name},{:.1},ns/frame",
        spent[turns / 2] as f64 / BURST as f64
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
    if let Some(folder) = argument("--dump=") {
        Case::all()
            .filter(|case| !case.strict)
            .for_each(|case| case.dump(&folder));
        return;
    }
    println!("name,value,unit");
    for case in Case::all() {
        if only.as_deref().is_none_or(|only| only == case.name()) {
            run(case, turns.unwrap_or(5_000));
        }
    }
}
