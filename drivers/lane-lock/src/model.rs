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

type ModelLock = LaneLock<Cell, [Cell; 2], Yield>;

/// Tries all orders of what two threads do: `other` and then `this`, which is given what joins
/// the other one.
fn check<T: 'static>(
    lanes: usize,
    other: fn(&ModelLock) -> T,
    this: impl Fn(&ModelLock, &dyn Fn() -> T) + Sync + Send + 'static,
) {
    loom::model(move || {
        let others = (1..lanes).map(|_| Cell::new());
        let shared = [Cell::new(), Cell::new()];
        let lock = Arc::new(LaneLock::new(Cell::new(), others, shared));
        let thread = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || other(&lock))
        };
        let thread = core::cell::Cell::new(Some(thread));
        this(&lock, &|| thread.take().unwrap().join().unwrap());
    });
}

/// Enters a lane: what is shared is whole, and the lane is this thread's alone.
fn read(lanes: &ModelLock, lane: usize) -> u32 {
    let mut entered = lanes.enter(lane).unwrap();
    let (own, [first, second]) = entered.parts();
    own.add();
    let seen = first.get();
    assert_eq!(seen, second.get(), "half a change was seen");
    seen
}

/// Changes what is shared. Returns the number of times that all lanes together were entered.
fn change(lanes: &ModelLock) -> u32 {
    let mut stopped = lanes.stop_all();
    let ([first, second], all) = stopped.parts();
    first.add();
    let entered = all.map(|lane| lane.get()).sum();
    second.add();
    entered
}

#[test]
fn a_change_is_seen_whole_or_not_at_all() {
    check(
        2,
        |lock| [0, 1].map(|lane| read(lock, lane)),
        |lock, join| {
            let before = change(lock);
            let seen = join();
            // Who came before the change saw none of it, who came after saw all.
            assert_eq!(seen.iter().sum::<u32>(), 2 - before);
            assert!(seen.is_sorted());
        },
    );
}

#[test]
fn changes_come_one_after_the_other() {
    check(2, change, |lock, join| {
        change(lock);
        assert!(read(lock, 1) >= 1);
        join();
        assert_eq!(read(lock, 0), 2);
    });
}

#[test]
fn a_lane_is_entered_by_one_at_a_time() {
    let twice = |lock: &ModelLock| [0, 0].map(|lane| read(lock, lane));
    check(1, twice, move |lock, join| {
        twice(lock);
        join();
        assert_eq!(change(lock), 4);
    });
}

/// Three threads, interrupted at most once where they needn't be.
#[test]
fn a_change_between_two_lanes() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(1);
    model.check(|| {
        let shared = [Cell::new(), Cell::new()];
        let lock = Arc::new(ModelLock::new(Cell::new(), [Cell::new()], shared));
        let readers = [0, 1].map(|lane| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || read(&lock, lane))
        });
        let before = change(&lock);
        let seen = readers.map(|reader| reader.join().unwrap());
        assert_eq!(seen.iter().sum::<u32>(), 2 - before);
    });
}
