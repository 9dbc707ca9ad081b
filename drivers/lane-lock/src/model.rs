//! All orders in which a few threads can meet at the lock, tried by loom.
//!
//! What is locked is made of loom's cells, which notice each access that isn't ordered after
//! another one's by the lock itself.

extern crate std;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::*;

/// Lets the others run.
struct Yield;

impl RelaxStrategy for Yield {
    fn relax() {
        thread::yield_now();
    }
}

/// A number whose reads and writes loom sees.
struct Cell(UnsafeCell<u32>);

// SAFETY: loom reports an access that isn't ordered, and ends the test.
unsafe impl Sync for Cell {}

impl Cell {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn get(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|value| unsafe { *value })
    }

    fn add(&self) {
        // SAFETY: as above.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }
}

type ModelLock = LaneLock<Cell, Yield>;

#[test]
fn a_lane_is_entered_by_one_at_a_time() {
    loom::model(|| {
        let lock = Arc::new(ModelLock::new([Cell::new()]));
        let turns = |lock: &ModelLock| [0, 0].map(|lane| lock.enter(lane).unwrap().add());
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || turns(&lock))
        };
        turns(&lock);
        other.join().unwrap();
        assert_eq!(lock.enter(0).unwrap().get(), 4);
    });
}

/// One takes turns with either lane while somebody visits both, one after the other.
#[test]
fn lanes_are_visited_between_turns() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let lock = Arc::new(ModelLock::new([Cell::new(), Cell::new()]));
        let turns = [0, 1].map(|lane| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.enter(lane).unwrap().add())
        });
        let seen = [0, 1].map(|lane| {
            let lane = lock.enter(lane).unwrap();
            lane.add();
            lane.get()
        });
        for turn in turns {
            turn.join().unwrap();
        }
        assert!(seen.iter().all(|seen| (1..=2).contains(seen)));
        assert_eq!([0, 1].map(|lane| lock.enter(lane).unwrap().get()), [2, 2]);
    });
}
