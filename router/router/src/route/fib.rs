//! The forwarding table: maps destinations to targets.

use alloc::vec::Vec;

use crate::route::target::Target;
use lpm::frozen::{FrozenTable, Route};
use lpm::{HIDDEN, Reader, Table};

use crate::DropReason;
use crate::frame::BURST;

/// The maximum number of prefixes of an IPv4 table for which there is a fast copy.
const COPIED: usize = 16 * 1024;
/// The number of nodes of a large table that are processed at once, which takes about 100 us.
const AT_ONCE: usize = 1024;

/// An IPv4 table as lanes read it. Lookups of a small one are quicker in a form that can't be
/// changed, so there is a copy in that form, unless something changed since it was made. Lanes that have an
/// older copy find what it says until their next burst.
#[derive(Clone, Debug)]
pub(crate) struct Fib {
    table: Reader<u32>,
    copy: FrozenTable,
    /// The copy says what the table says.
    is_copied: bool,
    /// How many copies there were.
    copies: u64,
}

impl Fib {
    /// Reads this table.
    pub(crate) fn new(table: Reader<u32>) -> Self {
        Self {
            table,
            copy: FrozenTable::default(),
            is_copied: false,
            copies: 0,
        }
    }

    /// Returns `true` if another one of the same table has the same copy.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.copies, self.is_copied) == (other.copies, other.is_copied)
    }

    /// Has lookups ask the table itself, which is about to change. Returns its reader.
    pub(crate) fn changes(&mut self) -> &mut Reader<u32> {
        if core::mem::take(&mut self.is_copied) {
            self.copy = FrozenTable::default();
        }
        &mut self.table
    }

    /// Returns the copy if it is up to date.
    #[inline(always)]
    fn copy(&self) -> Option<&FrozenTable> {
        self.is_copied.then_some(&self.copy)
    }

    /// Returns `true` if all optimizations for lookups are up to date. `table` is what this reads.
    pub(crate) fn is_settled(&self, table: &Table<u32>) -> bool {
        table.is_settled() && (self.copy().is_some() || table.len() > COPIED)
    }

    /// Rebuilds the copy of a small table that has changed, and optimizes a part of a large one.
    pub(crate) fn settle(&mut self, table: &mut Table<u32>) {
        table.alone(&mut self.table, |table| table.settle(AT_ONCE));
        if self.copy().is_some() {
            return;
        }
        if table.len() > COPIED {
            return;
        }
        let mut routes = Vec::with_capacity(table.len());
        table.for_each(|prefix, len, value| {
            if value & HIDDEN == 0 {
                routes.push(Route { prefix, len, value });
            }
        });
        let default = Target::Drop(DropReason::NoRoute).number();
        self.copy = FrozenTable::new(&mut routes, default);
        self.is_copied = true;
        self.copies += 1;
    }

    /// Returns the target for a destination; a group is not yet resolved.
    #[inline]
    pub(crate) fn lookup(&self, destination: u32) -> Target {
        Target::from_number(self.number(destination))
    }

    /// The same as a number.
    #[inline(always)]
    pub(crate) fn number(&self, destination: u32) -> u32 {
        match self.copy() {
            Some(copy) => copy.lookup(destination),
            None => self.table.lookup(destination),
        }
    }

    /// Replaces the destinations of a burst by the numbers of their targets, converted by `go_on`,
    /// which gets such a number and the destination.
    #[inline(always)]
    pub(crate) fn answer(&self, burst: &mut [u32], go_on: impl Fn(u32, u32) -> u32) {
        let Some(copy) = self.copy() else {
            return self.answer_at_once(burst, go_on);
        };
        // Frames of one flow come in trains: the last destination is often repeated.
        let mut asked = !burst.first().copied().unwrap_or(0);
        let mut answer = 0;
        for lookup in burst {
            if *lookup != asked {
                asked = *lookup;
                answer = go_on(copy.lookup(asked), asked);
            }
            *lookup = answer;
        }
    }

    /// The same in a table without a copy, where lookups miss the cache: all together, so that
    /// the misses overlap.
    #[inline(never)]
    #[expect(
        clippy::indexing_slicing,
        reason = "remainders of the length, and a count of at most that"
    )]
    fn answer_at_once(&self, burst: &mut [u32], go_on: impl Fn(u32, u32) -> u32) {
        let (mut asked, mut answers) = ([0u32; BURST], [0u32; BURST]);
        let mut count = 0usize;
        for lookup in burst.iter_mut() {
            if count == 0 || asked[(count - 1) % BURST] != *lookup {
                asked[count % BURST] = *lookup;
                count += 1;
            }
            *lookup = count as u32 - 1;
        }
        let count = count.min(BURST);
        let (asked, found) = (&asked[..count], &mut answers[..count]);
        self.table.lookup_batch(asked, found);
        for (answer, &asked) in found.iter_mut().zip(asked) {
            *answer = go_on(*answer, asked);
        }
        for lookup in burst {
            *lookup = answers[*lookup as usize % BURST];
        }
    }

    /// Returns the bytes that the copy takes.
    pub(crate) fn bytes(&self) -> usize {
        self.copy.bytes()
    }
}
