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

type TestLock<L> = LaneLock<L, Patient>;

#[test]
fn lanes_are_entered_side_by_side() {
    let lanes = TestLock::new([1, 2, 3]);
    assert_eq!(lanes.len(), 3);
    let (one, two) = (lanes.enter(0).unwrap(), lanes.enter(2).unwrap());
    assert_eq!((*one, *two), (1, 3));
    assert!(lanes.enter(3).is_none());
    assert_eq!(TestLock::new([(); 20]).len(), MAX_LANES);
}

/// A lane has two numbers that whoever enters it must find equal.
#[test]
fn nobody_sees_a_turn_half_done_and_everybody_has_one() {
    const VISITS: u64 = 500;
    let lanes = TestLock::new([[0u64; 2]; 3]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for at in 0..lanes.len() {
            let (lanes, done) = (&lanes, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let mut lane = lanes.enter(at).unwrap();
                    assert_eq!(lane[0], lane[1]);
                    lane[0] += 1;
                    std::hint::black_box(&lane);
                    lane[1] += 1;
                }
            });
        }
        // Neither side keeps the other from its turn: each visit is followed by a turn.
        for visit in 0..VISITS {
            for at in 0..lanes.len() {
                let lane = lanes.enter(at).unwrap();
                assert_eq!(lane[0], lane[1], "visit {visit}");
            }
        }
        while (0..lanes.len()).any(|at| lanes.enter(at).unwrap()[0] < VISITS) {}
        done.store(true, Ordering::Relaxed);
    });
}
