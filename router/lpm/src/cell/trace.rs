//! Lookups between any two stores of changes.
//!
//! [`record`] notes each store of changes. Then [`each_lookup`] has a lookup run again and
//! again, each time with other stores done between its loads, as if another thread made them
//! meanwhile, until no other outcome is possible.
//!
//! How a lookup goes on depends on the list of pages it began with, on the last few loads, which are
//! those of one node, and on the moment. Where two runs have all of them in common, only one goes on.
//!
//! Loads acquire and stores release, and one thread stores. So what a thread loads is what some
//! moment between two stores had, and no later load is of an earlier moment: there is nothing beyond
//! these interleavings that a processor or a compiler may do.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::vec::Vec;

/// A load that could have found several values.
struct Choice {
    taken: usize,
    of: usize,
}

#[derive(Default)]
struct Trace {
    recording: bool,
    /// The bytes whose stores are noted, in order, if not those of all.
    watched: Option<Vec<usize>>,
    /// How many stores were noted: each moment is the number of those before it.
    stores: usize,
    /// For each cell the moments before each store to it, and what it had until then.
    cells: HashMap<usize, Vec<(usize, u64)>>,
    /// A lookup runs. It is at this moment now.
    replaying: bool,
    now: usize,
    /// What its loads took of all that they could have found, or a random number instead.
    choices: Vec<Choice>,
    chosen: usize,
    random: u64,
    /// Its loads: cells and values.
    loads: Vec<(usize, u64)>,
    /// In which states lookups chose, and whether this one goes on as another did.
    states: HashSet<State>,
    is_known: bool,
}

/// How many loads a lookup depends on: those of one node, of a leaf and of a view.
const RECENT: usize = 4;

/// The first load, the last ones, and the moment.
type State = (Option<(usize, u64)>, Vec<(usize, u64)>, usize);

std::thread_local! {
    static TRACE: RefCell<Trace> = RefCell::default();
    /// Something is recorded, or a lookup runs: all else should be quick.
    static IS_BUSY: Cell<bool> = const { Cell::new(false) };
}

fn with<T>(f: impl FnOnce(&mut Trace) -> T) -> T {
    TRACE.with_borrow_mut(f)
}

/// Returns where a cell is.
pub(crate) fn place<T>(cell: &T) -> usize {
    core::ptr::from_ref(cell).addr()
}

/// Returns what a load finds of a cell that has `value` now.
pub(super) fn loaded<T>(cell: &T, value: u64) -> u64 {
    if !IS_BUSY.get() {
        return value;
    }
    with(|trace| match trace.replaying {
        true => trace.load(place(cell), value),
        false => value,
    })
}

pub(super) fn stored<T>(cell: &T, old: u64, new: u64) {
    if !IS_BUSY.get() {
        return;
    }
    with(|trace| {
        let ignored = |watched: &Vec<usize>| watched.binary_search(&place(cell)).is_err();
        let is_byte = size_of::<T>() == 1;
        if trace.recording
            && old != new
            && !(is_byte && trace.watched.as_ref().is_some_and(ignored))
        {
            let stores = trace.cells.entry(place(cell)).or_default();
            stores.push((trace.stores, old));
            trace.stores += 1;
        }
    });
}

impl Trace {
    fn load(&mut self, cell: usize, value: u64) -> u64 {
        let Some(stores) = self.cells.get(&cell) else {
            self.loads.push((cell, value));
            return value;
        };
        // What it has now, and from which moments on it has something else.
        let first = stores.partition_point(|&(before, _)| before < self.now);
        let after = |at: usize| stores.get(at).map_or(value, |&(_, old)| old);
        let mut found = Vec::from([(self.now, after(first))]);
        for (at, &(before, _)) in stores.iter().enumerate().skip(first) {
            let value = after(at + 1);
            if found.iter().all(|&(_, known)| known != value) {
                found.push((before + 1, value));
            }
        }
        let (now, value) = found[self.choose(cell, found.len())];
        self.loads.push((cell, value));
        self.now = now;
        value
    }

    fn choose(&mut self, cell: usize, of: usize) -> usize {
        if of == 1 || self.is_known {
            return 0;
        }
        if self.random != 0 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            // Mostly what there is, so that lookups get far before they meet a store.
            let any = self.random >> 32 & 7 == 0;
            return if any { self.random as usize % of } else { 0 };
        }
        if self.choices.len() == self.chosen {
            let mut recent = Vec::from([(cell, 0)]);
            recent.extend(self.loads.iter().rev().take(RECENT));
            let state = (self.loads.first().copied(), recent, self.now);
            if !self.states.insert(state) {
                self.is_known = true;
                return 0;
            }
            self.choices.push(Choice { taken: 0, of });
        }
        let choice = &self.choices[self.chosen];
        assert_eq!(choice.of, of, "a lookup depends on nothing but its loads");
        self.chosen += 1;
        choice.taken
    }

    /// Goes on to the next choices. Returns `false` if there are none.
    fn next(&mut self) -> bool {
        while let Some(choice) = self.choices.last_mut() {
            choice.taken += 1;
            if choice.taken < choice.of {
                return true;
            }
            self.choices.pop();
        }
        false
    }
}

/// Notes all stores from now on; of those to bytes only some, if so wanted.
pub(crate) fn record(mut watched: Option<Vec<usize>>) {
    IS_BUSY.set(true);
    if let Some(watched) = &mut watched {
        watched.sort_unstable();
    }
    with(|trace| {
        (trace.recording, trace.watched) = (true, watched);
        (trace.stores, trace.cells) = (0, HashMap::new());
    });
}

/// Returns how many stores were noted.
pub(crate) fn moment() -> usize {
    with(|trace| trace.stores)
}

/// Notes no more stores.
pub(crate) fn stop() {
    IS_BUSY.set(false);
    with(|trace| trace.recording = false);
}

/// Runs a lookup that begins at some moment, as often as it takes for all outcomes. `check` gets what
/// it found, and the first moment at which it can be over. Returns how often it ran.
pub(crate) fn each_lookup<T>(
    begin: usize,
    mut look: impl FnMut() -> T,
    mut check: impl FnMut(T, usize),
) -> usize {
    with(|trace| {
        (trace.random, trace.choices) = (0, Vec::new());
        trace.states.clear();
    });
    let mut runs = 0;
    loop {
        let (found, over) = run(begin, &mut look);
        check(found, over);
        runs += 1;
        if !with(Trace::next) {
            return runs;
        }
    }
}

/// Runs it once, with outcomes that depend on a number other than 0.
pub(crate) fn some_lookup<T>(begin: usize, random: u64, look: impl FnOnce() -> T) -> (T, usize) {
    with(|trace| trace.random = random);
    run(begin, look)
}

fn run<T>(begin: usize, look: impl FnOnce() -> T) -> (T, usize) {
    IS_BUSY.set(true);
    with(|trace| {
        (trace.replaying, trace.now, trace.chosen) = (true, begin, 0);
        (trace.loads, trace.is_known) = (Vec::new(), false);
    });
    let over = Over;
    let found = look();
    drop(over);
    (found, with(|trace| trace.now))
}

/// Ends a lookup, even one that fails.
struct Over;

impl Drop for Over {
    fn drop(&mut self) {
        IS_BUSY.set(false);
        with(|trace| trace.replaying = false);
    }
}
