//! A longest-prefix match table that is updated one prefix at a time.
//!
//! It is a tree that decides on 6 bits of the address at a time. Each node has two sides.
//! Lookups read a [`SharedNode`](crate::node::SharedNode), in which longer prefixes have already
//! been pushed over shorter ones. Updates keep the prefixes themselves beside it
//! ([`Routes`]), and from them make the node again. Where a block of addresses has many prefixes, its upper
//! two levels are replaced by an index: all nodes of the third level, side by side. A large IPv4
//! table also has the codes of their slots side by side ([`Flat`](crate::flat::Flat)), so that most lookups load one
//! byte.
//!
//! Nodes have the numbers of values, not values ([`ValueInterner`]). Numbers below 255 are codes,
//! of a byte; a node in which only such are answered needs no leaves.
//!
//! An update makes the new leaves and children first, then replaces the node that leads to
//! them, then retires the old ones.

mod answers;
mod beside;
mod children;
mod hide;
mod index;
mod walk;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use crate::address::Address;
use crate::cell::SharedU32;
use crate::epochs::Epochs;
use crate::lookup::Lookup;
use crate::node::{Routes, STRIDE, place, span};
use crate::nodes::Nodes;
use crate::pool::{Pages, Pool, SharedPages};
use crate::retired::{Queue, Retired};
use crate::value_interner::{UNCOVERED, ValueInterner};
use crate::view::{CODES, ROOT, Shared, View, WORDS};
pub use hide::Hiding;

/// Marks a value whose prefix is kept but hidden: lookups ignore it.
pub const HIDDEN: u32 = 1 << 31;

/// Returns a value with [`HIDDEN`] if `hidden` is `true`. The value must not have it.
pub fn marked(value: u32, hidden: bool) -> u32 {
    if hidden { value | HIDDEN } else { value }
}

/// Nodes that get their codes with one change.
const AT_ONCE: usize = 32;
/// Retired things from which on it is worth asking whether lookups are over.
const BATCH: usize = 64;

/// Why a prefix can't be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsertError {
    /// The table has reached its memory limit.
    Full,
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the table takes as much memory as it may take"),
        }
    }
}

impl core::error::Error for InsertError {}

/// A map from prefixes to values below 2^31, with lookup by longest-prefix match. A value with
/// [`HIDDEN`] added is stored and listed, but ignored by lookups.
///
/// Bits of a prefix beyond its length are ignored, and lengths beyond the family's count as the
/// family's.
///
/// Other threads can perform lookups during updates: see [`Table::reader`].
#[derive(Debug)]
pub struct Table<A> {
    /// All that lookups read.
    shared: Arc<Shared>,
    nodes: Nodes,
    /// The numbers of answers that the nodes have no codes of.
    leaves: Pool<SharedPages<SharedU32, WORDS>>,
    /// The values of the numbers that have no code.
    uncoded_values: SharedPages<SharedU32, WORDS>,
    /// The numbers of the prefixes' values, with [`HIDDEN`] or without it.
    values: Pool<Pages<u32, WORDS>>,
    interner: ValueInterner,
    /// Prefixes in each block that are longer than what the root and its like decide, counted
    /// when there are many in all.
    counts: Vec<u32>,
    /// The value of the prefix of length 0.
    zero: Option<u32>,
    default: u32,
    len: usize,
    /// How many prefixes it has when codes are kept, if there is room for them then.
    codes_from: usize,
    /// How many prefixes are hidden, that of length 0 included.
    hidden: usize,
    /// Children that are to inherit another answer.
    pending: Vec<(u32, u32)>,
    /// Nodes of indexes that are to get codes, where the family has them.
    uncoded: Vec<Range<u32>>,
    /// Nobody else looks up, so nothing has to stay as lookups may have found it.
    alone: bool,
    /// Says when others are between two lookups.
    epochs: Option<Arc<Epochs>>,
    retired: Queue,
    /// The last moment of which [`Routes::flat_since`] tells.
    since: u32,
    /// Bytes of the lists of pages that lookups have had so far.
    views: usize,
    /// Bytes from which on it is full.
    limit: usize,
    family: PhantomData<A>,
}

/// Depths at which an IPv6 table has nodes: 0, 6 and so on to 126.
const DEPTHS: usize = 22;

/// Returns the depth of the node that a prefix of this length, 1 or more, ends in, and the rest.
fn split(len: u8) -> (u32, u32) {
    let depth = (u32::from(len) - 1) / STRIDE * STRIDE;
    (depth, u32::from(len) - depth)
}

impl<A: Address> Table<A> {
    /// Creates an empty table. Lookups without a match return `default`.
    #[must_use]
    pub fn new(default: u32) -> Self {
        let nodes = Nodes::new();
        let leaves: Pool<SharedPages<_, WORDS>> = Pool::new();
        let uncoded_values = SharedPages::new();
        let view = View {
            first: nodes.pages.first(),
            nodes: nodes.pages.list(),
            leaves: leaves.pages.list(),
            values: uncoded_values.list(),
            indexes: nodes.indexes.clone(),
            flat: None,
        };
        let mut table = Self {
            shared: Arc::new(Shared::new(view)),
            nodes,
            leaves,
            uncoded_values,
            values: Pool::new(),
            interner: ValueInterner::new(),
            counts: Vec::new(),
            zero: None,
            default,
            len: 0,
            codes_from: A::FLAT,
            hidden: 0,
            pending: Vec::new(),
            uncoded: Vec::new(),
            alone: true,
            epochs: None,
            retired: Queue::default(),
            since: 0,
            views: 0,
            limit: usize::MAX,
            family: PhantomData,
        };
        table.set_zero(None);
        let root = table.blank(UNCOVERED);
        table.add_nodes(&[root]);
        table
    }
}

/// What changes and lists prefixes.
impl<A: Address> Table<A> {
    /// Makes [`Table::try_insert`] refuse prefixes once the table takes this many bytes.
    ///
    /// The table can exceed the limit by an eighth or by half a MiB, whichever is more, since it grows in
    /// such steps. Optional structures that speed up lookups in large tables are omitted if they don't
    /// fit.
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Inserts a prefix or changes its value as [`Table::insert`] does, within the memory limit.
    ///
    /// # Errors
    ///
    /// [`InsertError::Full`] if the table has reached its limit and doesn't have this prefix yet.
    pub fn try_insert(
        &mut self,
        prefix: A,
        len: u8,
        value: u32,
    ) -> Result<Option<u32>, InsertError> {
        if self.bytes() >= self.limit && self.get(prefix, len).is_none() {
            return Err(InsertError::Full);
        }
        Ok(self.insert(prefix, len, value))
    }

    /// Inserts a prefix or changes its value. Returns the previous value.
    pub fn insert(&mut self, prefix: A, len: u8, value: u32) -> Option<u32> {
        self.begin();
        let old = self.insert_at_once(prefix, len.min(A::BITS), value);
        self.end();
        old
    }

    fn insert_at_once(&mut self, prefix: A, len: u8, value: u32) -> Option<u32> {
        if len == 0 {
            let old = self.set_zero(Some(value));
            self.len += usize::from(old.is_none());
            self.add_codes();
            return old;
        }
        let (depth, rest) = split(len);
        let node = self.reach(prefix, depth);
        let value = marked(self.intern(value & !HIDDEN), value & HIDDEN != 0);
        self.hidden += usize::from(value & HIDDEN != 0);
        let place = place(prefix.bits(depth, STRIDE), rest);
        let routes = *self.nodes.routes(node);
        let rank = routes.rank(place) as usize;
        let held = self.value_run(&routes, place.half);
        if routes.has(place) {
            let old = held[rank];
            self.hidden -= usize::from(old & HIDDEN != 0);
            if old != value {
                *self.values.get_mut(routes.values[place.half] + rank as u32) = value;
                self.refresh(node, span(place));
            }
            return Some(self.release(old));
        }
        let mut values = [0; 64];
        let count = held.len();
        values[..rank].copy_from_slice(&held[..rank]);
        values[rank] = value;
        values[rank + 1..=count].copy_from_slice(&held[rank..]);
        self.set_values(node, &values[..=count], place);
        self.refresh(node, span(place));
        self.len += 1;
        self.count(prefix, len, true);
        self.add_codes();
        None
    }

    /// Removes a prefix. Returns its value.
    pub fn remove(&mut self, prefix: A, len: u8) -> Option<u32> {
        self.begin();
        let old = self.remove_at_once(prefix, len.min(A::BITS));
        self.end();
        old
    }

    fn remove_at_once(&mut self, prefix: A, len: u8) -> Option<u32> {
        if len == 0 {
            let old = self.set_zero(None);
            self.len -= usize::from(old.is_some());
            return old;
        }
        let (depth, rest) = split(len);
        let mut path = [ROOT; DEPTHS];
        let node = self.find(prefix, depth, &mut path)?;
        let place = place(prefix.bits(depth, STRIDE), rest);
        let routes = *self.nodes.routes(node);
        if !routes.has(place) {
            return None;
        }
        let rank = routes.rank(place) as usize;
        let held = self.value_run(&routes, place.half);
        let (mut values, count, removed) = ([0; 64], held.len(), held[rank]);
        values[..rank].copy_from_slice(&held[..rank]);
        values[rank..count - 1].copy_from_slice(&held[rank + 1..]);
        self.hidden -= usize::from(removed & HIDDEN != 0);
        self.set_values(node, &values[..count - 1], place);
        self.refresh(node, span(place));
        self.len -= 1;
        self.count(prefix, len, false);
        self.add_codes();
        self.prune(prefix, depth, &path);
        Some(self.release(removed))
    }

    /// Returns the value of exactly this prefix.
    #[must_use]
    pub fn get(&self, prefix: A, len: u8) -> Option<u32> {
        let len = len.min(A::BITS);
        if len == 0 {
            return self.zero;
        }
        let (depth, rest) = split(len);
        let node = self.find(prefix, depth, &mut [ROOT; DEPTHS])?;
        let place = place(prefix.bits(depth, STRIDE), rest);
        let routes = self.nodes.routes(node);
        routes.has(place).then(|| {
            let at = routes.values[place.half] + routes.rank(place);
            self.value(self.values.get(at))
        })
    }

    /// Returns the number of prefixes, hidden ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns `true` if there are no prefixes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the size of the table in bytes, including what updates need.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Shared>()
            + self.views
            + self.nodes.bytes()
            + self.leaves.bytes()
            + self.uncoded_values.bytes()
            + self.values.bytes()
            + self.counts.capacity() * size_of::<u32>()
            + self.interner.bytes()
            + self.pending.capacity() * size_of::<(u32, u32)>()
            + self.uncoded.capacity() * size_of::<Range<u32>>()
            + self.retired.bytes()
    }
}

/// What looks up.
impl<A: Address> Table<A> {
    /// Returns the value of the longest prefix that contains `address`.
    #[inline]
    #[must_use]
    pub fn lookup(&self, address: A) -> u32 {
        Lookup::new(&self.shared).one(address)
    }

    /// Looks up many addresses, best 64 at a time, so that their cache misses overlap: `values[i]`
    /// becomes the value for `addresses[i]`, up to the length of the shorter slice.
    pub fn lookup_batch(&self, addresses: &[A], values: &mut [u32]) {
        Lookup::batch(&self.shared, addresses, values);
    }

    /// Returns a reader, which performs lookups from any thread while the table is updated: each
    /// answer is the right one at some time between the start and the end of its lookup. Updates never
    /// wait. Memory that they free is reused when no lookup can find it any more:
    ///
    /// - once all online lanes of `epochs` have been quiescent, which the table checks in later updates
    ///   and in [`Table::settle`];
    /// - or once there are no readers.
    ///
    /// All readers of a table must be used by lanes of the same `epochs`; the latest one counts.
    #[must_use]
    pub fn reader(&mut self, epochs: &Arc<Epochs>) -> Reader<A> {
        self.epochs = Some(epochs.clone());
        self.alone = false;
        Reader {
            shared: self.shared.clone(),
            family: PhantomData,
        }
    }
}

/// Performs lookups in a [`Table`] that may be updated meanwhile. Created by [`Table::reader`].
#[derive(Clone, Debug)]
pub struct Reader<A> {
    shared: Arc<Shared>,
    family: PhantomData<A>,
}

impl<A: Address> Reader<A> {
    /// See [`Table::lookup`].
    #[inline]
    #[must_use]
    pub fn lookup(&self, address: A) -> u32 {
        Lookup::new(&self.shared).one(address)
    }

    /// See [`Table::lookup_batch`].
    pub fn lookup_batch(&self, addresses: &[A], values: &mut [u32]) {
        Lookup::batch(&self.shared, addresses, values);
    }
}

/// Values and their numbers.
impl<A: Address> Table<A> {
    fn value_run(&self, routes: &Routes, half: usize) -> &[u32] {
        self.values.run(routes.values[half], routes.count(half))
    }

    /// Returns the value with a number, both with [`HIDDEN`] or without it.
    fn value(&self, number: u32) -> u32 {
        self.interner.value(number & !HIDDEN) | number & HIDDEN
    }

    /// Returns the number of a value that one prefix more has.
    fn intern(&mut self, value: u32) -> u32 {
        let (number, is_new) = self.interner.intern(value);
        if is_new {
            match number.checked_sub(CODES) {
                None => self.shared.coded()[number as usize % CODES as usize].store(value),
                Some(beyond) => {
                    if beyond as usize >= self.uncoded_values.len() {
                        self.uncoded_values.grow();
                        self.publish();
                    }
                    self.uncoded_values.get(beyond).store(value);
                }
            }
        }
        number
    }

    /// Returns the value with the number of a prefix that is gone, both with [`HIDDEN`] or without
    /// it.
    fn release(&mut self, number: u32) -> u32 {
        let value = self.value(number);
        if self.interner.release(number & !HIDDEN) {
            self.retire(Retired::Number(number & !HIDDEN));
        }
        value
    }

    /// Replaces the value of the prefix of length 0.
    fn set_zero(&mut self, value: Option<u32>) -> Option<u32> {
        let shown = value.filter(|value| value & HIDDEN == 0);
        self.shared.coded()[UNCOVERED as usize].store(shown.unwrap_or(self.default));
        let is_hidden = |value: Option<u32>| value.is_some_and(|value| value & HIDDEN != 0);
        self.hidden += usize::from(is_hidden(value));
        self.hidden -= usize::from(is_hidden(self.zero));
        core::mem::replace(&mut self.zero, value)
    }
}
