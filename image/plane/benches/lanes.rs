//! What a second CPU is worth: bursts of 64 frames of 60 bytes from ring to ring as in `pipeline`,
//! in one thread and in two, each with a queue of both vifs and backends of its own. They share a
//! router behind the lock that the guest has it behind; beside that, each has its own router, so
//! that nothing at all is shared but the machine. Processors that are two threads of one core
//! slow each other down: what two routers apart gain is the most that can be had.
//!
//! Prints `name,value,unit`: for each thread alone and beside the other one the ns of a frame, and
//! how many times what one does both do together. All take turns; of all bursts the time counts
//! that a tenth of them stays below, for what else a machine does makes bursts slow, never quick.

mod case;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant as Clock;

use case::{Case, PERIOD, measured};
use plane::Plane;
use router::{BURST, Router};
use xen_hal::fake::FakeHal;
use xen_hal::lanes::Lanes;

/// Turns of a round, and rounds of each kind.
const TURNS: usize = 200;
const ROUNDS: usize = 200;
const THREADS: usize = 2;

/// A thread's times of a burst in ns, alone and beside the other.
type Times = [Vec<u64>; 2];
/// The router, and a lane for each thread.
type Shared = Lanes<Times, Router, Patient>;

/// Lets whoever holds the lock run.
struct Patient;

impl spin::RelaxStrategy for Patient {
    fn relax() {
        std::thread::yield_now();
    }
}

/// Which threads work in a round. The first one is for warming up.
fn is_working(thread: usize, round: usize) -> bool {
    match round % 4 {
        1 => thread == 0,
        3 => thread == 1,
        _ => true,
    }
}

/// One thread.
fn work(at: usize, case: Case, shared: &Shared, barrier: &Barrier, done: &AtomicBool) {
    let hal = FakeHal::new();
    let mut now = 1_000_000_000;
    let (mut plane, [mut from, mut to]) = {
        let mut all = shared.stop_all();
        let (router, _) = all.parts();
        let mut plane = Plane::new(hal, router, 4096, 1);
        let backends = case::attach(hal, router, &mut plane, now);
        (plane, backends)
    };
    let frames = case.frames();
    let mut turn = 0;
    for round in 0..=4 * ROUNDS {
        barrier.wait();
        done.store(false, Ordering::Relaxed);
        barrier.wait();
        if !is_working(at, round) {
            continue;
        }
        let beside = usize::from(round.is_multiple_of(2));
        for _ in 0..TURNS {
            // Nobody works on when the other is done.
            if done.load(Ordering::Relaxed) {
                break;
            }
            for i in 0..BURST {
                assert!(from.deliver(&frames[(turn * BURST + i) % frames.len()]));
            }
            from.publish();
            turn += 1;
            now += PERIOD;
            let start = Clock::now();
            let mut lane = shared.enter(at).expect("a lane for each thread");
            let (times, router) = lane.parts();
            measured(&mut plane, router, now, turn as u64 * PERIOD / 4);
            if round > 0 {
                times[beside].push(start.elapsed().as_nanos() as u64);
            }
            drop(lane);
            assert_eq!(to.transmit().len(), BURST);
            from.drain(usize::MAX);
            to.publish();
        }
        done.store(true, Ordering::Relaxed);
    }
}

/// Runs both threads, thread `n` with `routers[n % routers.len()]`.
fn run(name: &str, case: Case, routers: &[Shared]) {
    let (barrier, done) = (Barrier::new(THREADS), AtomicBool::new(false));
    let router_of = |at: usize| &routers[at % routers.len()];
    std::thread::scope(|scope| {
        for at in 0..THREADS {
            let (barrier, done) = (&barrier, &done);
            scope.spawn(move || work(at, case, router_of(at), barrier, done));
        }
    });
    let mut gain = 0.0;
    for at in 0..THREADS {
        let mut lane = router_of(at).enter(at).expect("a lane for each thread");
        let (times, _) = lane.parts();
        let [alone, beside] = times.each_mut().map(|times| {
            times.sort_unstable();
            times[times.len() / 10] as f64 / BURST as f64
        });
        println!("{name}_{at}_alone,{alone:.1},ns/frame");
        println!("{name}_{at}_beside,{beside:.1},ns/frame");
        gain += alone / beside;
    }
    println!("{name}_gain,{gain:.2},times");
}

fn main() {
    println!("name,value,unit");
    for case in Case::all().filter(|case| case.strict && case.routes >= 10_000) {
        let router = || {
            let [first, second] = [(); THREADS].map(|()| Times::default());
            Shared::new(first, [second], case.router(1_000_000_000))
        };
        let name = case.name();
        run(&format!("lanes_{name}_shared"), case, &[router()]);
        run(&format!("lanes_{name}_apart"), case, &[router(), router()]);
    }
}
