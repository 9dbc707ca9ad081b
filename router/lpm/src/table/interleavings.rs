//! Each lookup, between any two stores of the changes beside it, answers what was right at some
//! moment meanwhile.

use alloc::sync::Arc;
use std::collections::BTreeMap;
use std::ops::{BitOr, Not, RangeInclusive};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::tests::{crowded, flat, indexed, used};
use super::{HIDDEN, Hiding, Reader, Table};
use crate::address::Address;
use crate::cell::trace;
use crate::epochs::{Epochs, Lane};
use crate::flat::Flat;

const NO_ROUTE: u32 = 0;
/// Steps beside which a lookup is.
const MOST: usize = 3;

/// Something that is done to a table.
#[derive(Clone, Debug)]
enum Step<A> {
    /// With a value, hidden or not.
    Insert(A, u8, u32),
    /// A prefix near this one.
    Remove(A, u8),
    /// Hides the prefixes of a value, and shows all others.
    Hide(u32),
    Reclaim,
    Settle(usize),
    /// Makes an index of a block.
    Index(A),
    /// Keeps codes of all slots.
    Flat,
    /// Lanes are between two bursts.
    Quiescent,
}

/// What prefixes there are.
type Held<A> = BTreeMap<(A, u8), u32>;

/// Returns the right answer by prefixes of some lengths, if there is one.
fn answer<A: Address>(held: &Held<A>, address: A, lens: RangeInclusive<u8>) -> Option<u32> {
    let shown = |len| {
        let value = *held.get(&(address.masked(len), len))?;
        (value & HIDDEN == 0).then_some(value)
    };
    lens.rev().find_map(shown)
}

/// The right answers for some addresses, and for all that have none.
struct Answers {
    each: Vec<Option<u32>>,
    others: u32,
}

struct Run<A: Address> {
    table: Table<A>,
    reader: Reader<A>,
    lane: Lane,
    held: Held<A>,
    /// Codes that the table may get, so that it is known where they will be.
    flat: Option<Flat>,
    /// What is looked up.
    addresses: Vec<A>,
    lookups: usize,
}

impl<A: Address> Run<A> {
    fn new(mut table: Table<A>, addresses: Vec<A>) -> Self {
        let epochs = Arc::new(Epochs::new(1));
        let mut lane = epochs.lane().unwrap();
        lane.online();
        let reader = table.reader(&epochs);
        let mut held = Held::new();
        table.for_each(|prefix, len, value| {
            held.insert((prefix, len), value);
        });
        Self {
            table,
            reader,
            lane,
            held,
            flat: None,
            addresses,
            lookups: 0,
        }
    }

    fn step(&mut self, step: &Step<A>) {
        let Self { table, held, .. } = self;
        match *step {
            Step::Insert(prefix, len, value) => {
                let old = held.insert((prefix.masked(len), len), value);
                assert_eq!(table.insert(prefix, len, value), old);
            }
            Step::Remove(prefix, len) => {
                let near = held.range((prefix.masked(len), len)..).next();
                let (prefix, len) = near.map_or((prefix, len), |(&key, _)| key);
                let old = held.remove(&(prefix.masked(len), len));
                assert_eq!(table.remove(prefix, len), old);
            }
            Step::Hide(..) => {}
            Step::Reclaim => table.reclaim(),
            Step::Settle(nodes) => table.settle(nodes),
            Step::Index(prefix) => {
                let block = prefix.bits(0, A::INDEX);
                if !table.is_indexed(prefix) {
                    table.count_all();
                    table.make_index(prefix, block);
                }
            }
            Step::Flat => {
                if let Some(flat) = self.flat.take() {
                    table.use_codes(flat);
                }
            }
            Step::Quiescent => self.lane.quiescent(),
        }
    }

    /// Hides the prefixes of a value and shows all others: some at a time, of which each is a change
    /// by itself.
    fn hide(&mut self, hidden: u32, mut done: impl FnMut(&Self)) {
        let is_hidden = |value| value == hidden;
        let (mut hiding, mut over) = (Hiding::new(), false);
        while !over {
            let before = trace::moment();
            over = self.table.hide_some(&mut hiding, 1, is_hidden);
            if trace::moment() != before || over {
                let held = &mut self.held;
                self.table.for_each(|prefix, len, value| {
                    held.insert((prefix, len), value);
                });
                done(self);
            }
        }
        for &value in self.held.values() {
            assert_eq!(value & HIDDEN != 0, is_hidden(value & !HIDDEN));
        }
    }

    /// Does steps in which no lane is quiescent, and lets a lookup begin after each of them.
    fn segment(&mut self, steps: &[Step<A>]) -> Result<(), TestCaseError> {
        let flat = self.table.nodes.flat.as_deref().or(self.flat.as_ref());
        let watched = flat.map(|flat| {
            let code = |&address: &A| trace::place(&flat.codes[address.bits(0, 24)]);
            self.addresses.iter().map(code).collect()
        });
        trace::record(watched);
        let mut moments = vec![trace::moment()];
        let mut answers = vec![self.answers()];
        let mut done = |run: &Self| {
            moments.push(trace::moment());
            answers.push(run.answers());
        };
        for step in steps {
            match *step {
                Step::Hide(hidden) => self.hide(hidden, &mut done),
                _ => self.step(step),
            }
            done(self);
        }
        trace::stop();
        // What may be answered from one step to a moment. The prefix of length 0 is looked up last.
        let right = |at: usize, from: usize, over: usize| {
            let until = moments.partition_point(|&moment| moment < over).max(from);
            let mut right = Vec::new();
            for step in from..=until {
                match answers[step].each[at] {
                    Some(value) => right.push(value),
                    None => right.extend(answers[step..=until].iter().map(|a| a.others)),
                }
            }
            right
        };
        let (reader, lookups) = (&self.reader, &mut self.lookups);
        for (from, &begin) in moments.iter().enumerate() {
            let mut wrong = None;
            for (at, &address) in self.addresses.iter().enumerate() {
                let look = || reader.lookup(address);
                *lookups += trace::each_lookup(begin, look, |found, over| {
                    let right = right(at, from, over);
                    if !right.contains(&found) {
                        wrong = Some((address, found, right));
                    }
                });
            }
            for random in 1..=4 {
                let mut found = vec![0; self.addresses.len()];
                let look = || reader.lookup_batch(&self.addresses, &mut found);
                let (_, over) = trace::some_lookup(begin, random * 0x9e37_79b9, look);
                for (at, &found) in found.iter().enumerate() {
                    let right = right(at, from, over);
                    if !right.contains(&found) {
                        wrong = Some((self.addresses[at], found, right));
                    }
                }
            }
            prop_assert_eq!(wrong, None, "from {} of {:?}", from, steps);
        }
        Ok(())
    }

    fn answers(&self) -> Answers {
        let longer = |&address| answer(&self.held, address, 1..=A::BITS);
        Answers {
            each: self.addresses.iter().map(longer).collect(),
            others: answer(&self.held, A::ZERO, 0..=0).unwrap_or(NO_ROUTE),
        }
    }

    /// Does steps, with lookups beside those between which no lane is quiescent. Returns how many
    /// lookups that were.
    fn all(mut self, steps: &[Step<A>]) -> Result<usize, TestCaseError> {
        let before = used(&self.table);
        for steps in steps.split_inclusive(|step| matches!(step, Step::Quiescent)) {
            for steps in steps.chunks(MOST) {
                self.segment(steps)?;
                self.lane.quiescent();
            }
        }
        for (prefix, len) in self.held.keys().copied().collect::<Vec<_>>() {
            self.step(&Step::Remove(prefix, len));
        }
        for _ in 0..4 {
            self.step(&Step::Reclaim);
            self.step(&Step::Quiescent);
        }
        prop_assert_eq!(self.table.retired(), 0);
        prop_assert!(self.table.is_empty());
        if !steps
            .iter()
            .any(|s| matches!(s, Step::Index(_) | Step::Flat))
        {
            prop_assert_eq!(used(&self.table), before);
        }
        Ok(self.lookups)
    }
}

/// Steps with these prefixes.
fn steps<A: Address>(
    prefix: impl Strategy<Value = (A, u8)>,
) -> impl Strategy<Value = Vec<Step<A>>> {
    let value = prop_oneof![1u32..6, 1000u32..1400, (1u32..6).prop_map(|v| v | HIDDEN)];
    let step = (prefix, value, 0u8..32).prop_map(|((prefix, len), value, kind)| match kind {
        0..12 => Step::Insert(prefix, len, value),
        12..21 => Step::Remove(prefix, len),
        21..26 => Step::Quiescent,
        26..28 => Step::Reclaim,
        28 => Step::Hide(value),
        29 => Step::Settle(2),
        30 => Step::Index(prefix),
        _ => Step::Flat,
    });
    prop::collection::vec(step, 1..40)
}

fn v4() -> impl Strategy<Value = (u32, u8)> {
    let bits = prop_oneof![
        (0u32..4).prop_map(|low| 0x0a00_0000 | low << 5),
        (0u32..1 << 6).prop_map(|low| 0x0a00_0000 | low << 8 | low & 3),
        (0u32..1 << 8).prop_map(|low| 0x0a00_0000 | low << 24),
    ];
    (bits, prop_oneof![0u8..=32, 18u8..=32])
}

fn v6() -> impl Strategy<Value = (u128, u8)> {
    let top = 0x2a00_u128 << 112;
    let bits = prop_oneof![
        (0u128..8).prop_map(move |low| top | low << 80),
        (0u128..1 << 6).prop_map(move |low| top | low << 74 | low & 1),
    ];
    (bits, prop_oneof![0u8..=128, 30u8..=56])
}

/// First and last addresses of the prefixes of steps, and those beside them.
fn ends<A: Address + Not<Output = A> + BitOr<Output = A>>(steps: &[Step<A>]) -> Vec<A> {
    let mut ends = Vec::new();
    for step in steps {
        if let Step::Insert(prefix, len, _) = *step {
            let first = prefix.masked(len);
            ends.extend([prefix, first, first | !(!A::ZERO).masked(len)]);
        }
    }
    ends.sort();
    ends.dedup();
    ends
}

/// Some of the addresses, evenly.
fn some<A: Copy>(addresses: Vec<A>) -> Vec<A> {
    let step = addresses.len().div_ceil(24).max(1);
    addresses.into_iter().step_by(step).collect()
}

fn run4(table: Table<u32>, steps: &[Step<u32>]) -> Result<usize, TestCaseError> {
    let mut run = Run::new(table, some(ends(steps)));
    let gets_codes = steps.iter().any(|step| matches!(step, Step::Flat));
    if gets_codes && run.table.nodes.flat.is_none() {
        run.flat = Flat::new();
    }
    run.all(steps)
}

fn run6(table: Table<u128>, steps: &[Step<u128>]) -> Result<usize, TestCaseError> {
    let steps = steps.iter().filter(|step| !matches!(step, Step::Flat));
    let steps: Vec<Step<u128>> = steps.cloned().collect();
    Run::new(table, some(ends(&steps))).all(&steps)
}

/// Returns the steps without prefixes that are so short that all codes change.
fn long(steps: &[Step<u32>]) -> Vec<Step<u32>> {
    let steps = steps.iter().cloned().map(|step| match step {
        Step::Insert(prefix, len, value) => Step::Insert(prefix, len.max(6), value),
        step => step,
    });
    steps.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn ipv4_lookups_between_any_two_stores(steps in steps(v4())) {
        run4(Table::new(NO_ROUTE), &steps)?;
        run4(crowded(Table::new(NO_ROUTE)), &steps)?;
        run4(indexed(0x0a00_0000), &steps)?;
        run4(crowded(indexed(0x0a00_0000)), &steps)?;
    }

    #[test]
    fn lookups_by_codes_between_any_two_stores(steps in steps(v4())) {
        run4(flat(indexed(0x0a00_0000)), &long(&steps))?;
        run4(flat(crowded(indexed(0x0a00_0000))), &long(&steps))?;
    }

    #[test]
    fn ipv6_lookups_between_any_two_stores(steps in steps(v6())) {
        run6(Table::new(NO_ROUTE), &steps)?;
        run6(crowded(Table::new(NO_ROUTE)), &steps)?;
        run6(indexed(0x2a00 << 112), &steps)?;
    }
}
