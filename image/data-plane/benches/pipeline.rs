//! What a frame costs from ring to ring: bursts of 64 frames of 60 bytes from one backend in the
//! same process to another through the whole data plane, with routes, neighbors, counters,
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
//! cargo bench -p data-plane --bench pipeline --no-run
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured*' \
//!          BINARY --turns=200 --only=one_flow
//! ```
//!
//! Divide the instructions it prints by the frames that the program prints.

mod case;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::Instant as Clock;

use case::{Case, GATEWAYS, LEN, MACS, PERIOD, frame, measured, prefix};
use data_plane::{Control, Resting, Worker};
use netif::fakes::Delivery;
use netif::messages::Extra;
use router::BURST;
use xen_hal::fake::FakeHal;

/// The same as they have to leave.
fn wanted(case: Case) -> Vec<[u8; LEN]> {
    let flows = 0..case.flows();
    flows
        .map(|flow| {
            let route = case.route(flow);
            let gateway = [2, 0, 0, 0, 1, (route % GATEWAYS) as u8];
            frame(flow, route, [gateway, MACS[1]], 63)
        })
        .collect()
}

fn dump(case: Case, folder: &str) {
    let file = |what: &str| {
        let path = format!("{folder}/{}.{what}", case.traffic());
        BufWriter::new(File::create(path).expect("a new file"))
    };
    let mut out = file("routes");
    let routes = (0..case.routes).map(|i| [prefix(i), 24, i % GATEWAYS]);
    for route in routes.chain([[0xac10_0000, 12, GATEWAYS]]) {
        let bytes = route.map(u32::to_le_bytes);
        out.write_all(bytes.as_flattened()).expect("room");
    }
    for (what, frames) in [("frames", case.frames()), ("wanted", wanted(case))] {
        file(what).write_all(frames.as_flattened()).expect("room");
    }
}

/// Ends the names of those in which each frame comes with its hash, as netback sends it where it
/// chooses queues by that: in two slots.
const HASHED: &str = "_hashed";
/// Turns before those that count, in which the router makes itself known on its links.
const WARM_UP: usize = 50_000;

fn run(case: Case, hashed: bool, turns: usize) {
    let hal = FakeHal::new();
    let mut now = 1_000_000_000;
    let mut router = case.router(now);
    let mut plane = Worker::new(hal, &mut router, 4096, 1);
    let [mut from, mut to] = case::attach(hal, &mut router, &mut plane, now);
    let (frames, wanted) = (case.frames(), wanted(case));
    for _ in 0..WARM_UP {
        now += PERIOD;
        plane.turn(router.tables(), now);
        Control::new(&mut router, &Resting::new([&mut plane])).serve(now);
        plane.arm(now, 0);
        for backend in [&mut from, &mut to] {
            backend.drain(usize::MAX);
            backend.publish();
        }
    }
    let before = plane.stats();
    let mut spent = Vec::with_capacity(turns);
    let mut how = Delivery::default();
    if hashed {
        how.extras.push(Extra::Hash {
            kind: 1,
            algorithm: 1,
            value: 0x1234_5678,
        });
    }
    for turn in 0..turns {
        for i in 0..BURST {
            assert!(from.deliver_as(&frames[(turn * BURST + i) % frames.len()], &how));
        }
        from.publish();
        now += PERIOD;
        let start = Clock::now();
        measured(&mut plane, router.tables(), now, turn as u64 * PERIOD / 4);
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
    let work = plane.stats();
    let events = work.notifications - before.notifications;
    spent.sort_unstable();
    let name = format!("{}{}", case.name(), if hashed { HASHED } else { "" });
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
            .for_each(|case| dump(case, &folder));
        return;
    }
    println!("name,value,unit");
    for case in Case::all() {
        for hashed in [false, true] {
            let name = format!("{}{}", case.name(), if hashed { HASHED } else { "" });
            let usual = case.routes == 10_000 && case.strict;
            if only
                .as_deref()
                .map_or(usual || !hashed, |only| only == name)
            {
                run(case, hashed, turns.unwrap_or(5_000));
            }
        }
    }
}
