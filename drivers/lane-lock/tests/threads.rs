//! The lock among real threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lane_lock::{LaneLock, MAX_LANES};
use spin::RelaxStrategy;

/// Lets whoever holds the lock run.
struct Patient;

impl RelaxStrategy for Patient {
    fn relax() {
        thread::yield_now();
    }
}

type TestLock<L, S> = LaneLock<L, S, Patient>;

#[test]
fn lanes_are_entered_side_by_side() {
    let lanes = TestLock::new(1, [2, 3], 10);
    assert_eq!(lanes.len(), 3);
    let (mut one, mut two) = (lanes.enter(0).unwrap(), lanes.enter(2).unwrap());
    assert_eq!(one.parts(), (&mut 1, &10));
    assert_eq!(two.parts(), (&mut 3, &10));
    assert!(lanes.enter(3).is_none());
    assert_eq!(TestLock::new((), [(); 20], ()).len(), MAX_LANES);
}

/// What is shared is two numbers that whoever reads them must find equal.
#[test]
fn nobody_sees_a_change_half_done() {
    const CHANGES: u64 = 2000;
    let lanes = TestLock::new(0u64, [0, 0], [0u64; 2]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for at in 0..lanes.len() {
            let (lanes, done) = (&lanes, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let mut entered = lanes.enter(at).unwrap();
                    let (turns, shared) = entered.parts();
                    assert_eq!(shared[0], shared[1]);
                    *turns += 1;
                }
            });
        }
        // Neither side keeps the other from its turn: each change is followed by turns of
        // every lane before the last one is made.
        for _ in 0..CHANGES {
            let mut stopped = lanes.stop_all();
            let (shared, _) = stopped.parts();
            shared[0] += 1;
            std::hint::black_box(&shared);
            shared[1] += 1;
        }
        while lanes.stop_all().parts().1.any(|turns| *turns < CHANGES) {}
        done.store(true, Ordering::Relaxed);
    });
    let mut stopped = lanes.stop_all();
    let (shared, turns) = stopped.parts();
    assert_eq!(shared[0], CHANGES);
    assert!(turns.len() == 3);
}
