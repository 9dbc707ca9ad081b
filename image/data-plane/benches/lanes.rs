//! What a second CPU is worth: frames of 60 bytes from ring to ring as in `pipeline`, a full ring each
//! turn, in one thread and in two, each with a queue of both vifs and backends of its own. They share a
//! router's tables, each in a lane as in the guest; beside that, each has its own router, so
//! that nothing at all is shared but the machine. Processors that are two threads of one core
//! slow each other down: what two routers apart gain is the most that can be had.
//!
//! Prints `name,value,unit`: for each thread alone and beside the other one the ns of a frame, and
//! how many times what one does both do together. Each thread has a processor; rounds of one, of
//! the other and of both take turns, and both begin each turn together. The gain is the median over
//! all rounds of what neighboring ones tell, for what else a machine does lasts longer.

mod case;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Instant as Clock;

use std::alloc::{GlobalAlloc, Layout, System};

use case::{Case, PERIOD, measured};
use data_plane::Worker;
use lane_lock::LaneLock;
use router::{BURST, Router};
use xen_hal::fake::FakeHal;

/// An allocator that keeps blocks as far apart as the guest's does.
struct Apart;

#[expect(unsafe_code, reason = "an allocator hands out memory")]
// SAFETY: each call is the system's, with a layout that depends only on the one that is given.
unsafe impl GlobalAlloc for Apart {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no smaller than what the caller promises to be of a size.
        unsafe { System.alloc(lane_lock::apart(layout)) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `alloc` made the block with the same layout.
        unsafe { System.dealloc(block, lane_lock::apart(layout)) }
    }
}

#[global_allocator]
static ALLOCATOR: Apart = Apart;

/// Turns of a round, and rounds of each kind.
const TURNS: usize = 100;
/// Frames of a turn: a full ring.
const FRAMES: usize = 4 * BURST;
const ROUNDS: usize = 60;
const THREADS: usize = 2;

/// A thread's median times of a turn in each round, in ns, alone and beside the other.
type Times = [Vec<u64>; 2];
/// The router, and a lane for each thread.
struct Shared {
    lanes: LaneLock<Times, Patient>,
    router: Mutex<Router>,
}

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

/// Where threads meet: at the beginning of a round, and before each turn.
struct Meeting {
    barrier: Barrier,
    turns: [Turn; THREADS],
}

/// How many turns a thread has begun; on cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
struct Turn(AtomicUsize);

impl Meeting {
    /// Waits until both threads begin turn `turn`.
    fn begin(&self, at: usize, turn: usize) {
        self.turns[at].0.store(turn, Ordering::Relaxed);
        for other in &self.turns {
            while other.0.load(Ordering::Relaxed) < turn {
                std::hint::spin_loop();
            }
        }
    }
}

/// One thread.
fn work(at: usize, case: Case, shared: &Shared, meeting: &Meeting) {
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let cpu = cpus.get(at).expect("a processor for each thread");
    assert!(core_affinity::set_for_current(*cpu));
    let hal = FakeHal::new();
    let mut now = 1_000_000_000;
    let (mut plane, mut view, [mut from, mut to]) = {
        let router = &mut *shared.router.lock().expect("nobody panicked");
        let mut plane = Worker::new(hal, router, 4096, 1);
        let backends = case::attach(hal, router, &mut plane, now);
        (plane, router.new_view(), backends)
    };
    let frames = case.frames();
    let (mut next, mut turns) = (0, Vec::with_capacity(TURNS));
    for round in 0..=4 * ROUNDS {
        meeting.barrier.wait();
        if !is_working(at, round) {
            continue;
        }
        let both = (0..THREADS).all(|at| is_working(at, round));
        turns.clear();
        for turn in 0..TURNS {
            for _ in 0..FRAMES {
                assert!(from.deliver(&frames[next % frames.len()]));
                next += 1;
            }
            from.publish();
            now += PERIOD;
            if both {
                meeting.begin(at, round * TURNS + turn);
            }
            let start = Clock::now();
            let lane = shared.lanes.enter(at).expect("a lane for each thread");
            let tables = view.tables().expect("it doesn't rest");
            measured(&mut plane, tables, now, now / 4);
            drop(lane);
            turns.push(start.elapsed().as_nanos() as u64);
            assert_eq!(to.transmit().len(), FRAMES);
            from.drain(usize::MAX);
            to.publish();
        }
        turns.sort_unstable();
        if round > 0 {
            let mut lane = shared.lanes.enter(at).expect("a lane for each thread");
            lane[usize::from(both)].push(turns[TURNS / 2]);
        }
    }
}

/// Runs both threads, thread `n` with `routers[n % routers.len()]`.
fn run(name: &str, case: Case, routers: &[Shared]) {
    let meeting = Meeting {
        barrier: Barrier::new(THREADS),
        turns: Default::default(),
    };
    let router_of = |at: usize| &routers[at % routers.len()];
    std::thread::scope(|scope| {
        for at in 0..THREADS {
            let meeting = &meeting;
            scope.spawn(move || work(at, case, router_of(at), meeting));
        }
    });
    let mut gain = 0.0;
    for at in 0..THREADS {
        let lane = router_of(at).lanes.enter(at);
        let lane = lane.expect("a lane for each thread");
        let [alone, beside] = &*lane;
        let ratio = |(&alone, beside): (&u64, &[u64])| {
            alone as f64 * beside.len() as f64 / beside.iter().sum::<u64>() as f64
        };
        gain += median(alone.iter().zip(beside.chunks(2)).map(ratio));
        for (what, times) in [("alone", alone), ("beside", beside)] {
            let ns = median(times.iter().map(|&ns| ns as f64)) / FRAMES as f64;
            println!("{name}_{at}_{what},{ns:.1},ns/frame");
        }
    }
    println!("{name}_gain,{gain:.2},times");
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    println!("name,value,unit");
    for case in Case::all().filter(|case| case.strict && case.routes >= 10_000) {
        let router = || Shared {
            lanes: LaneLock::new([(); THREADS].map(|()| Times::default())),
            router: Mutex::new(case.router(1_000_000_000)),
        };
        let name = case.name();
        run(&format!("lanes_{name}_shared"), case, &[router()]);
        run(&format!("lanes_{name}_apart"), case, &[router(), router()]);
    }
}
