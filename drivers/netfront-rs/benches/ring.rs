//! What the data path costs, against a backend in the same process.
//!
//! Prints `name,value,unit`. Under callgrind only what the frontend does counts:
//!
//! ```text
//! cargo bench -p netfront-rs --bench ring --no-run
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*front_turn*' BINARY --turns=200
//! ```
//!
//! Divide the instructions it prints by the frames that the program prints.

use std::hint::black_box;
use std::time::{Duration, Instant};

use netfront_rs::Queue;
use netif::Features;
use netif::fakes::Backend;
use page_pool::HEADER_LEN;
use page_pool::{Frame, HomeId, PagePool};
use xen_hal::DomId;
use xen_hal::fake::FakeHal;

const BURST: usize = 64;
const PEER: DomId = DomId(0);

/// A frame of a burst, as a router collects them.
#[repr(align(64))]
struct Received {
    header: [u8; HEADER_LEN],
    frame: Frame,
}

type Burst = [Received; BURST];

/// Reaps, receives a burst from one queue, sends it to the other, refills, publishes.
#[inline(never)]
fn front_turn(
    pool: &mut PagePool<FakeHal>,
    from: &mut Queue<FakeHal>,
    to: &mut Queue<FakeHal>,
    burst: &mut Burst,
    rewrite: bool,
) -> usize {
    let _ = to.reap(pool);
    let mut free = burst.iter_mut();
    let count = from.receive(pool, BURST, move |frame, first, _info| {
        if let Some(received) = free.next() {
            first.copy_to(&mut received.header);
            received.frame = frame;
        }
    });
    let count = count.unwrap_or(0);
    let received = burst.iter_mut().take(count);
    if rewrite {
        let frames = received.map(|it| (&mut it.frame, &it.header));
        to.forward(pool, from.home(), frames, 40);
    } else {
        for it in received {
            if let Err(unsent) = to.send(pool, core::mem::take(&mut it.frame)) {
                pool.free(unsent.frame);
            }
        }
    }
    from.refill(pool);
    to.publish();
    from.publish();
    count
}

fn run(name: &str, turns: usize, len: i16, rewrite: bool) {
    let hal = FakeHal::new();
    let mut pool = PagePool::new(hal, PEER);
    let homes = [0, 1].map(|n| HomeId::vif(n).expect("a vif"));
    let [(mut a, mut back_a), (mut b, mut back_b)] = homes.map(|home| {
        pool.add_home(home, 512).expect("pages");
        let (mut queue, info) = Queue::new(&mut pool, home, Features::all()).expect("a queue");
        queue.refill(&mut pool);
        queue.publish();
        (queue, Backend::connect(hal, PEER, info))
    });
    let mut burst: Burst = core::array::from_fn(|_| Received {
        header: [0; HEADER_LEN],
        frame: Frame::default(),
    });
    let (mut frames, mut front, mut back) = (0, Duration::ZERO, Duration::ZERO);
    for _ in 0..turns {
        let start = Instant::now();
        back_a.flood(BURST, len);
        back_a.publish();
        let middle = Instant::now();
        frames += black_box(front_turn(&mut pool, &mut a, &mut b, &mut burst, rewrite));
        let end = Instant::now();
        back_b.drain(usize::MAX);
        back_b.publish();
        front += end - middle;
        back += middle - start + end.elapsed();
    }
    let stats = pool.stats();
    assert_eq!(
        stats.sum().total(),
        stats.total,
        "every page is accounted for"
    );
    let each = |time: Duration| time.as_nanos() as f64 / frames as f64;
    println!("{name}_frames,{frames},frames");
    println!("{name}_front,{:.1},ns/frame", each(front));
    println!("{name}_back,{:.1},ns/frame", each(back));
    println!(
        "{name}_events,{:.4},events/frame",
        b.counters().notifications as f64 / frames as f64
    );
    a.close(&mut pool);
    b.close(&mut pool);
}

fn main() {
    let turns =
        std::env::args().find_map(|arg| arg.strip_prefix("--turns=").and_then(|n| n.parse().ok()));
    let only = std::env::args().find_map(|arg| arg.strip_prefix("--only=").map(String::from));
    println!("name,value,unit");
    for (name, rewrite) in [("forward_60", false), ("forward_rewrite_60", true)] {
        if only.as_deref().is_none_or(|only| only == name) {
            run(name, turns.unwrap_or(20_000), 60, rewrite);
        }
    }
}
