//! Threads that look up while another one changes the table.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use lpm::epochs::Epochs;
use lpm::{Address, HIDDEN, Hiding, Reader, Table, marked};
use proptest::prelude::*;

/// Values that one prefix has in turn.
const VALUES: u32 = 8;
const READERS: usize = 3;
const BURST: usize = 64;

/// Prefixes that come and go, and addresses that are looked up meanwhile.
#[derive(Debug)]
struct World<A> {
    prefixes: Vec<(A, u8)>,
    addresses: Vec<A>,
}

impl<A: Address> World<A> {
    /// The value of a prefix, the `turn`-th time.
    fn value(at: usize, turn: u32) -> u32 {
        1 + at as u32 * VALUES + turn % VALUES
    }

    /// Returns `true` if a value is that of a prefix that holds the address, or of none.
    fn may_answer(&self, address: A, value: u32) -> bool {
        let Some(value) = value.checked_sub(1) else {
            return true;
        };
        let prefix = self.prefixes.get((value / VALUES) as usize);
        prefix.is_some_and(|&(prefix, len)| address.masked(len) == prefix.masked(len))
    }
}

/// A step of the thread that changes the table: a prefix, and what becomes of it.
#[derive(Clone, Copy, Debug)]
struct Step {
    at: usize,
    kind: u8,
}

/// Looks up until told to stop. The prefix of one address has a counter as its value, and is never
/// removed.
fn read<A: Address>(
    world: &World<A>,
    reader: &Reader<A>,
    epochs: &Arc<Epochs>,
    counted: A,
    done: &AtomicBool,
) {
    let mut lane = epochs.lane().expect("there is room");
    lane.online();
    let (mut bursts, mut last) = (0, 0);
    let mut values = [0; BURST];
    while !done.load(Ordering::Acquire) {
        for addresses in world.addresses.chunks(BURST) {
            reader.lookup_batch(addresses, &mut values);
            for (&address, &value) in addresses.iter().zip(&values) {
                assert!(world.may_answer(address, value), "{address:?}: {value}");
                let value = reader.lookup(address);
                assert!(world.may_answer(address, value), "{address:?}: {value}");
            }
            let count = reader.lookup(counted);
            assert!(count >= last, "{count} after {last}");
            last = count;
            bursts += 1;
            if bursts % 64 == 0 {
                lane.offline();
                lane.online();
            } else {
                lane.quiescent();
            }
        }
    }
}

/// Does the steps beside readers, and compares what comes of it.
fn race<A: Address>(
    mut table: Table<A>,
    world: &World<A>,
    counted: A,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let epochs = Arc::new(Epochs::new(READERS));
    let mut held: BTreeMap<(A, u8), u32> = BTreeMap::new();
    let first_count = 1 + world.prefixes.len() as u32 * VALUES;
    table.insert(counted, A::BITS, first_count);
    let done = AtomicBool::new(false);
    let reader = table.reader(&epochs);
    let begin = Barrier::new(READERS + 1);
    thread::scope(|scope| {
        let (reader, epochs, done, begin) = (&reader, &epochs, &done, &begin);
        for _ in 0..READERS {
            scope.spawn(move || {
                begin.wait();
                read(world, reader, epochs, counted, done);
            });
        }
        begin.wait();
        for (turn, step) in (0u32..).zip(steps) {
            let (prefix, len) = world.prefixes[step.at];
            let key = (prefix.masked(len), len);
            let value = World::<A>::value(step.at, turn);
            match step.kind {
                0..4 => assert_eq!(table.insert(prefix, len, value), held.insert(key, value)),
                4 => {
                    let hidden = value | HIDDEN;
                    assert_eq!(table.insert(prefix, len, hidden), held.insert(key, hidden));
                }
                5 => {
                    let is_hidden = |other| other == value;
                    let mut hiding = Hiding::new();
                    while !table.hide_some(&mut hiding, 64, is_hidden) {}
                    for value in held.values_mut() {
                        *value = marked(*value & !HIDDEN, is_hidden(*value & !HIDDEN));
                    }
                }
                _ => assert_eq!(table.remove(prefix, len), held.remove(&key)),
            }
            table.insert(counted, A::BITS, first_count + 1 + turn);
            table.settle(8);
        }
        done.store(true, Ordering::Release);
    });
    for &address in &world.addresses {
        let shown = |len| {
            let value = *held.get(&(address.masked(len), len))?;
            (value & HIDDEN == 0).then_some(value)
        };
        let right = (0..=A::BITS).rev().find_map(shown).unwrap_or(0);
        prop_assert_eq!(reader.lookup(address), right);
    }
    // All lanes are gone, so everything can be used again, in three rounds at most.
    for _ in 0..4 {
        table.reclaim();
    }
    prop_assert_eq!(table.retired(), 0);
    Ok(())
}

fn steps(prefixes: usize, most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..prefixes, 0u8..9).prop_map(|(at, kind)| Step { at, kind });
    prop::collection::vec(step, most / 2..most)
}

fn world4() -> impl Strategy<Value = World<u32>> {
    let prefix = (0u32..1 << 12, prop_oneof![1u8..=31, 18u8..=31]);
    prop::collection::vec(prefix, 60).prop_map(|prefixes| {
        // Not the one that is counted, which is the last address.
        let at = |bits: u32| 0x0a00_0000 | bits << 6;
        let addresses = prefixes
            .iter()
            .flat_map(|&(bits, _)| [at(bits), at(bits) + 63]);
        World {
            addresses: addresses.collect(),
            prefixes: prefixes
                .iter()
                .map(|&(bits, len)| (at(bits), len))
                .collect(),
        }
    })
}

fn world6() -> impl Strategy<Value = World<u128>> {
    let prefix = (0u128..1 << 12, prop_oneof![1u8..=127, 30u8..=64]);
    prop::collection::vec(prefix, 60).prop_map(|prefixes| {
        let at = |bits: u128| 0x2a00 << 112 | bits << 70;
        let addresses = prefixes
            .iter()
            .flat_map(|&(bits, _)| [at(bits), at(bits) + 1]);
        World {
            addresses: addresses.collect(),
            prefixes: prefixes
                .iter()
                .map(|&(bits, len)| (at(bits), len))
                .collect(),
        }
    })
}

/// A table with enough prefixes in one block to have an index; all of them lead
/// nowhere.
fn with_index<A: Address>(prefix: impl Fn(u32) -> (A, u8), count: u32) -> Table<A> {
    let mut table = Table::new(0);
    for i in 0..count {
        let (prefix, len) = prefix(i);
        table.insert(prefix, len, 0);
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn ipv4(world in world4(), steps in steps(60, 4000)) {
        race(Table::new(0), &world, u32::MAX, &steps)?;
        let table = with_index(|i| (0x0b00_0000 + (i << 8), 24), 2000);
        race(table, &world, u32::MAX, &steps)?;
    }

    #[test]
    fn ipv6(world in world6(), steps in steps(60, 3000)) {
        race(Table::new(0), &world, u128::MAX, &steps)?;
        let table = with_index(|i| ((0x2a00 << 112) + (1 << 104) + (u128::from(i) << 80), 48), 2000);
        race(table, &world, u128::MAX, &steps)?;
    }
}

/// Codes come while others look up, and indexes and pages for all prefixes of a large table.
#[test]
fn a_table_grows_large() {
    let prefix = |i: u32| (i.wrapping_mul(0x9e37_79b1) & 0xffff_ff00, 24);
    let prefixes: Vec<(u32, u8)> = (0..140_000).map(prefix).collect();
    let addresses = prefixes.iter().step_by(700).map(|&(prefix, _)| prefix | 7);
    let world = World {
        addresses: addresses.collect(),
        prefixes,
    };
    let steps = (0..world.prefixes.len()).map(|at| Step { at, kind: 0 });
    let steps: Vec<Step> = steps.collect();
    race(Table::new(0), &world, u32::MAX, &steps).expect("it is right");
}

/// With its only reader in hand the table takes everything into use again at once; with another one it
/// doesn't.
#[test]
fn changes_alone_leave_nothing_behind() {
    let epochs = Arc::new(Epochs::new(1));
    let mut lane = epochs.lane().expect("there is room");
    let mut table = Table::<u32>::new(0);
    let mut reader = table.reader(&epochs);
    lane.online();
    let prefix = |i: u32| i.wrapping_mul(0x9e37_79b9) & 0xffff_ff00;
    for i in 0..1000 {
        table.insert(prefix(i), 24, 1 + i % 300);
    }
    assert!(table.retired() > 1000, "{}", table.retired());
    let left = table.alone(&mut reader, |table| {
        for i in 0..500 {
            table.remove(prefix(i), 24);
        }
        table.retired()
    });
    assert_eq!(left, 0);
    for i in 0..1000 {
        let right = if i < 500 { 0 } else { 1 + i % 300 };
        assert_eq!(reader.lookup(prefix(i) | 9), right);
    }
    // From now on a lookup may be under way again.
    table.insert(prefix(0), 24, 7);
    assert!(table.retired() > 0);
    let other = reader.clone();
    let left = table.alone(&mut reader, |table| {
        table.insert(prefix(1), 24, 7);
        table.retired()
    });
    assert!(left > 1);
    assert_eq!((other.lookup(prefix(0)), other.lookup(prefix(1))), (7, 7));
}
