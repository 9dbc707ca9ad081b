//! A longest-prefix match table whose prefixes come and go one by one.
//!
//! It is a tree that decides on 6 bits of the address at a time. Each node has two sides.
//! Lookups read a [`Node`], in which longer prefixes have already been pushed over shorter
//! ones. Updates keep the prefixes themselves beside it ([`Routes`]), and from them make the
//! node anew. Where a block of addresses has many prefixes, its upper two levels are
//! replaced by an index: all nodes of the third level, side by side. A large IPv4 table also has
//! the codes of their slots side by side ([`Flat`]), so that most lookups load one byte.
//!
//! Nodes have the numbers of values, not values ([`ValueInterner`]). Numbers below 255 are codes,
//! of a byte; a node in which only such are answered needs no leaves.
//!
//! An update makes the new leaves and children first, then replaces the node that leads to
//! them, then gives the old ones back.

mod lookup;

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::address::Address;
use crate::flat::{Flat, hide_codes};
use crate::node::{INDEXED, INDEXED_BITS};
use crate::node::{NO_CODE, Node, Place, Routes, STRIDE, place, prefix_at, span};
use crate::nodes::{Index, Nodes, ROOT, Whole, first_of};
use crate::pool::Pool;
use crate::value_interner::{UNCOVERED, ValueInterner, code};

/// Marks a value that is kept but answers nothing, as if its prefix weren't there.
pub const HIDDEN: u32 = 1 << 31;

/// A value without [`HIDDEN`], with it or not.
pub fn marked(value: u32, hidden: bool) -> u32 {
    if hidden { value | HIDDEN } else { value }
}

/// Nodes that get their codes with one change.
const AT_ONCE: usize = 32;
/// Leaves or values of one page.
const WORDS: usize = 2048;

/// From prefixes to values below 2^31, the numbers of targets in the router. With [`HIDDEN`]
/// added, a value is kept and listed, but lookups don't see its prefix.
///
/// Bits of a prefix beyond its length don't matter, and lengths beyond the family's count as
/// the family's.
#[derive(Debug)]
pub struct Table<A> {
    nodes: Nodes,
    /// The numbers of answers that the nodes have no codes of.
    leaves: Pool<u32, WORDS>,
    /// The numbers of the prefixes' values, with [`HIDDEN`] or without it.
    values: Pool<u32, WORDS>,
    interner: ValueInterner,
    /// Prefixes in each block that are longer than what the root and its like decide, counted
    /// when there are many in all.
    counts: Vec<u32>,
    /// The value of the prefix of length 0.
    zero: Option<u32>,
    default: u32,
    len: usize,
    /// Children that are to inherit another answer.
    pending: Vec<(u32, u32)>,
    /// Nodes of indexes that are to get codes, where the family has them.
    uncoded: Vec<Range<u32>>,
    family: core::marker::PhantomData<A>,
}

/// Depths at which an IPv6 table has nodes: 0, 6 and so on to 126.
const DEPTHS: usize = 22;

/// The depth of the node that a prefix of this length, 1 or more, ends in, and the rest.
fn split(len: u8) -> (u32, u32) {
    let depth = (u32::from(len) - 1) / STRIDE * STRIDE;
    (depth, u32::from(len) - depth)
}

impl<A: Address> Table<A> {
    /// A table without prefixes. Lookups that match nothing answer with `default`.
    pub fn new(default: u32) -> Self {
        let mut table = Self {
            nodes: Nodes::new(),
            leaves: Pool::new(),
            values: Pool::new(),
            interner: ValueInterner::new(default),
            counts: Vec::new(),
            zero: None,
            default,
            len: 0,
            pending: Vec::new(),
            uncoded: Vec::new(),
            family: core::marker::PhantomData,
        };
        let root = table.blank(UNCOVERED);
        table.nodes.add(&[root]);
        table
    }

    /// Adds a prefix or changes its value. Returns the value it had.
    pub fn insert(&mut self, prefix: A, len: u8, value: u32) -> Option<u32> {
        let len = len.min(A::BITS);
        if len == 0 {
            let old = self.set_zero(Some(value));
            self.len += usize::from(old.is_none());
            return old;
        }
        let (depth, rest) = split(len);
        let node = self.reach(prefix, depth);
        let value = marked(self.interner.intern(value & !HIDDEN), value & HIDDEN != 0);
        let place = place(prefix.bits(depth, STRIDE), rest);
        let routes = *self.nodes.routes.get(node);
        let rank = routes.rank(place) as usize;
        let held = self.value_run(&routes, place.half);
        if routes.has(place) {
            let old = held[rank];
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

    /// Removes a prefix. Returns the value it had.
    pub fn remove(&mut self, prefix: A, len: u8) -> Option<u32> {
        let len = len.min(A::BITS);
        if len == 0 {
            let old = self.set_zero(None);
            self.len -= usize::from(old.is_some());
            return old;
        }
        let (depth, rest) = split(len);
        let mut path = [ROOT; DEPTHS];
        let node = self.find(prefix, depth, &mut path)?;
        let place = place(prefix.bits(depth, STRIDE), rest);
        let routes = *self.nodes.routes.get(node);
        if !routes.has(place) {
            return None;
        }
        let rank = routes.rank(place) as usize;
        let held = self.value_run(&routes, place.half);
        let (mut values, count, removed) = ([0; 64], held.len(), held[rank]);
        values[..rank].copy_from_slice(&held[..rank]);
        values[rank..count - 1].copy_from_slice(&held[rank + 1..]);
        self.set_values(node, &values[..count - 1], place);
        self.refresh(node, span(place));
        self.len -= 1;
        self.count(prefix, len, false);
        self.add_codes();
        self.prune(prefix, depth, &path);
        Some(self.release(removed))
    }

    /// The value of exactly this prefix.
    pub fn get(&self, prefix: A, len: u8) -> Option<u32> {
        let len = len.min(A::BITS);
        if len == 0 {
            return self.zero;
        }
        let (depth, rest) = split(len);
        let node = self.find(prefix, depth, &mut [ROOT; DEPTHS])?;
        let place = place(prefix.bits(depth, STRIDE), rest);
        let routes = self.nodes.routes.get(node);
        routes.has(place).then(|| {
            let at = routes.values[place.half] + routes.rank(place);
            self.value(self.values.get(at))
        })
    }

    /// Hides the prefixes whose values `hidden` holds for, and shows all others. It is given
    /// values without [`HIDDEN`].
    pub fn hide(&mut self, hidden: impl Fn(u32) -> bool) {
        let zero = self.zero.map(|value| value & !HIDDEN);
        self.set_zero(zero.map(|value| marked(value, hidden(value))));
        let interner = &self.interner;
        let hidden: Vec<bool> = interner
            .numbers()
            .map(|at| hidden(interner.value(at)))
            .collect();
        let anew = |number: u32| {
            let number = number & !HIDDEN;
            marked(number, hidden[number as usize])
        };
        let mut stack = vec![ROOT];
        while let Some(at) = stack.pop() {
            let routes = *self.nodes.routes.get(at);
            let mut changed = false;
            for half in [0, 1].into_iter().filter(|&half| routes.set[half] != 0) {
                let values = self.values.run_mut(routes.values[half], routes.count(half));
                for value in values {
                    let new = anew(*value);
                    changed |= new != core::mem::replace(value, new);
                }
            }
            // Nodes above came first: what this one inherits is right.
            if changed {
                self.refresh(at, (0, 64));
            }
            let node = self.nodes.nodes.get(at);
            stack.extend(ones(node.children).map(|slot| node.child(slot)));
        }
    }

    /// How many prefixes it has, hidden ones too.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes it takes, with all that its changes need.
    pub fn bytes(&self) -> usize {
        self.nodes.bytes()
            + self.leaves.bytes()
            + self.values.bytes()
            + self.counts.capacity() * size_of::<u32>()
            + self.interner.bytes()
            + self.pending.capacity() * size_of::<(u32, u32)>()
            + self.uncoded.capacity() * size_of::<Range<u32>>()
    }

    /// Calls `each` with all prefixes, their lengths and values, in no particular order.
    pub fn for_each(&self, mut each: impl FnMut(A, u8, u32)) {
        if let Some(value) = self.zero {
            each(A::ZERO, 0, value);
        }
        let mut stack = vec![(ROOT, 0, A::ZERO)];
        while let Some((at, depth, prefix)) = stack.pop() {
            let routes = self.nodes.routes.get(at);
            for half in [0, 1] {
                let values = self.value_run(routes, half);
                for (place, &value) in routes.places(half).zip(values) {
                    let (len, bits) = prefix_at(place);
                    let prefix = prefix.with_bits(depth, len, bits);
                    each(prefix, (depth + len) as u8, self.value(value));
                }
            }
            let node = self.nodes.nodes.get(at);
            for slot in ones(node.children) {
                let prefix = prefix.with_bits(depth, STRIDE, slot as u32);
                stack.push((node.child(slot), depth + STRIDE, prefix));
            }
        }
    }
}

/// What changes nodes.
impl<A: Address> Table<A> {
    /// Whether the block of a prefix has an index.
    fn is_indexed(&self, prefix: A) -> bool {
        self.nodes.has_index(prefix.bits(0, A::INDEX))
    }

    /// The first node of a lookup and its depth.
    fn start(&self, address: A) -> (u32, u32) {
        let block = address.bits(0, A::INDEX);
        if self.nodes.has_index(block) {
            let within = address.bits(A::INDEX, INDEXED_BITS) as u32;
            (first_of(block) + within, A::INDEX + INDEXED_BITS)
        } else {
            (ROOT, 0)
        }
    }

    /// Where the way to a node of some depth begins.
    fn way(&self, prefix: A, depth: u32) -> (u32, u32) {
        match self.start(prefix) {
            (node, from) if from <= depth => (node, from),
            _ => (ROOT, 0),
        }
    }

    /// The node of some depth on the way to a prefix, made if it doesn't exist.
    fn reach(&mut self, prefix: A, depth: u32) -> u32 {
        let (mut at, mut from) = self.way(prefix, depth);
        while from < depth {
            let slot = prefix.bits(from, STRIDE);
            let node = self.nodes.nodes.get(at);
            at = if node.has(slot) {
                node.child(slot)
            } else {
                self.add_child(at, slot)
            };
            from += STRIDE;
        }
        at
    }

    /// The same if it exists. `path` gets the nodes on the way by their depths, as far as
    /// they aren't indexed.
    fn find(&self, prefix: A, depth: u32, path: &mut [u32; DEPTHS]) -> Option<u32> {
        let (mut at, mut from) = self.way(prefix, depth);
        while from < depth {
            path[(from / STRIDE) as usize] = at;
            let slot = prefix.bits(from, STRIDE);
            let node = self.nodes.nodes.get(at);
            if !node.has(slot) {
                return None;
            }
            at = node.child(slot);
            from += STRIDE;
        }
        path[(from / STRIDE) as usize] = at;
        Some(at)
    }

    /// A node without prefixes and children.
    fn blank(&mut self, inherited: u32) -> Whole {
        let mut blank = Whole::default();
        blank.routes.inherited = inherited;
        self.lead(&mut blank.node, &[inherited; 64], false);
        blank
    }

    fn value_run(&self, routes: &Routes, half: usize) -> &[u32] {
        self.values.run(routes.values[half], routes.count(half))
    }

    /// The value with a number, both with [`HIDDEN`] or without it.
    fn value(&self, number: u32) -> u32 {
        self.interner.value(number & !HIDDEN) | number & HIDDEN
    }

    /// The same, of a prefix that is gone.
    fn release(&mut self, number: u32) -> u32 {
        let value = self.value(number);
        self.interner.release(number & !HIDDEN);
        value
    }

    /// Replaces the value of the prefix of length 0.
    fn set_zero(&mut self, value: Option<u32>) -> Option<u32> {
        let shown = value.filter(|value| value & HIDDEN == 0);
        self.interner.set_uncovered(shown.unwrap_or(self.default));
        core::mem::replace(&mut self.zero, value)
    }

    /// The number of a node's answer for each slot.
    fn by_slot(&self, routes: &Routes) -> [u32; 64] {
        let mut answers = [routes.inherited; 64];
        for (place, &value) in routes.places(0).zip(self.value_run(routes, 0)) {
            let (first, count) = span(place);
            if value & HIDDEN == 0 {
                answers[first..first + count].fill(value);
            }
        }
        for (place, &value) in routes.places(1).zip(self.value_run(routes, 1)) {
            if value & HIDDEN == 0 {
                answers[place.bit as usize % 64] = value;
            }
        }
        answers
    }

    /// Replaces the values of a node in which the prefix at `place` comes or goes.
    fn set_values(&mut self, node: u32, values: &[u32], place: Place) {
        let routes = self.nodes.routes.get_mut(node);
        let (start, count) = (routes.values[place.half], routes.count(place.half));
        routes.flip(place);
        routes.values[place.half] = self.values.add(values);
        self.values.remove(start, count);
    }

    fn add_child(&mut self, at: u32, slot: usize) -> u32 {
        let inherited = self.by_slot(self.nodes.routes.get(at))[slot];
        let blank = self.blank(inherited);
        let node = *self.nodes.nodes.get(at);
        let (rank, count) = (node.before(slot) as usize, node.child_count() as usize);
        let mut run = [Whole::default(); 64];
        self.nodes.copy(node.child_base(), &mut run[..count]);
        run.copy_within(rank..count, rank + 1);
        run[rank] = blank;
        let base = self.nodes.add(&run[..=count]);
        self.set_children(at, node.children | 1 << slot, base);
        self.nodes.remove(node.child_base(), count as u32);
        base + rank as u32
    }

    fn remove_child(&mut self, at: u32, slot: usize) {
        let node = *self.nodes.nodes.get(at);
        let (rank, count) = (node.before(slot) as usize, node.child_count() as usize);
        let child = *self.nodes.nodes.get(node.child(slot));
        let mut run = [Whole::default(); 64];
        self.nodes.copy(node.child_base(), &mut run[..count]);
        run.copy_within(rank + 1..count, rank);
        let base = self.nodes.add(&run[..count - 1]);
        self.set_children(at, node.children & !(1 << slot), base);
        self.renew(at, (0, 0));
        self.nodes.remove(node.child_base(), count as u32);
        self.drop_leaves(child);
    }

    fn set_children(&mut self, at: u32, set: u64, base: u32) {
        self.nodes.hide_codes(at, set);
        let node = self.nodes.nodes.get_mut(at);
        (node.children, node.child_end) = (set, base + set.count_ones());
    }

    /// Takes nodes that serve no purpose any more away, from a depth upwards.
    fn prune(&mut self, prefix: A, mut depth: u32, path: &[u32; DEPTHS]) {
        let fixed = if self.is_indexed(prefix) {
            A::INDEX + INDEXED_BITS
        } else {
            0
        };
        while depth > fixed {
            let at = path[(depth / STRIDE) as usize];
            let used = !self.nodes.routes.get(at).is_empty();
            if used || self.nodes.nodes.get(at).children != 0 {
                return;
            }
            depth -= STRIDE;
            self.remove_child(path[(depth / STRIDE) as usize], prefix.bits(depth, STRIDE));
        }
    }

    /// Makes the answers of a node anew, and those of all that inherit from the given slots.
    fn refresh(&mut self, at: u32, slots: (usize, usize)) {
        self.renew(at, slots);
        while let Some((child, inherited)) = self.pending.pop() {
            self.nodes.routes.get_mut(child).inherited = inherited;
            self.renew(child, (0, 64));
        }
    }

    /// Makes the answers of a node anew, and notes what children in the given slots are to
    /// inherit.
    fn renew(&mut self, at: u32, (first, count): (usize, usize)) {
        let old = *self.nodes.nodes.get(at);
        let answers = self.by_slot(self.nodes.routes.get(at));
        let mut node = old;
        let flat = self.nodes.is_flat(at);
        if flat {
            let mut codes = answers.map(code);
            hide_codes(&mut codes, old.children);
            self.nodes.set_codes(at, &codes);
        }
        self.lead(&mut node, &answers, flat);
        *self.nodes.nodes.get_mut(at) = node;
        if (node.leaf_end, node.leaf_count()) != (old.leaf_end, old.leaf_count()) {
            self.drop_leaves(old);
        }
        let asked = u64::MAX.checked_shr(64 - count as u32).unwrap_or(0) << first;
        for slot in ones(node.children & asked) {
            let child = node.child(slot);
            if self.nodes.routes.get(child).inherited != answers[slot] {
                self.pending.push((child, answers[slot]));
            }
        }
    }

    /// Lets a node lead to answers: if all have codes by these, which a node whose codes are in
    /// its index (`flat`) needs none of, else by leaves. Those it had aren't given back.
    fn lead(&mut self, node: &mut Node, answers: &[u32; 64], flat: bool) {
        let coded = answers.iter().all(|&number| number < NO_CODE.into());
        let ends = if coded && flat {
            0
        } else {
            ends_of_runs(answers, node.children)
        };
        if coded && node.take_codes(ends, ones(ends).map(|slot| code(answers[slot]))) {
            return;
        }
        let (mut leaves, mut filled) = ([0; 64], 0);
        for slot in ones(ends) {
            leaves[filled] = answers[slot];
            filled += 1;
        }
        if ends == node.ends && node.leaf_count() != 0 {
            let held = self.leaves.run_mut(node.leaf_base(), node.leaf_count());
            held.copy_from_slice(&leaves[..filled]);
        } else {
            node.take_leaves(ends, self.leaves.add(&leaves[..filled]));
        }
    }

    /// Gives the leaves back that a node had.
    fn drop_leaves(&mut self, node: Node) {
        self.leaves.remove(node.leaf_base(), node.leaf_count());
    }
    /// Notes that a prefix came or went, and makes an index where there are many now.
    fn count(&mut self, prefix: A, len: u8, came: bool) {
        if u32::from(len) <= A::INDEX {
            return;
        }
        let block = prefix.bits(0, A::INDEX);
        if self.counts.is_empty() {
            if self.len < A::MANY as usize {
                return;
            }
            let mut counts = vec![0; 1 << A::INDEX];
            self.for_each(|prefix, len, _| {
                if u32::from(len) > A::INDEX {
                    counts[prefix.bits(0, A::INDEX)] += 1;
                }
            });
            self.counts = counts;
        } else if came {
            self.counts[block] += 1;
        } else {
            self.counts[block] -= 1;
        }
        if self.counts[block] >= A::MANY && !self.nodes.has_index(block) {
            self.make_index(prefix, block);
        }
    }

    /// Puts all nodes of a block's third level side by side. It stays that way.
    fn make_index(&mut self, prefix: A, block: usize) {
        let top = self.reach(prefix, A::INDEX);
        for slot in 0..64 {
            if !self.nodes.nodes.get(top).has(slot) {
                self.add_child(top, slot);
            }
        }
        let mut index = Index::new();
        for slot in 0..64 {
            let at = self.nodes.nodes.get(top).child(slot);
            let middle = self.nodes.whole(at);
            let answers = self.by_slot(&middle.routes);
            for (below, &inherited) in answers.iter().enumerate() {
                index.push(if middle.node.has(below) {
                    self.nodes.whole(middle.node.child(below))
                } else {
                    self.blank(inherited)
                });
            }
        }
        self.nodes.add_index(index, block, 1 << A::INDEX);
        for slot in 0..64u32 {
            let at = self.nodes.nodes.get(top).child(slot as usize);
            let middle = *self.nodes.nodes.get(at);
            self.set_children(at, u64::MAX, first_of(block) + slot * 64);
            self.nodes.remove(middle.child_base(), middle.child_count());
            self.renew(at, (0, 0));
        }
        self.renew(top, (0, 0));
        if A::FLAT != usize::MAX {
            self.uncoded
                .push(first_of(block)..first_of(block) + INDEXED as u32);
        }
    }

    /// Keeps the codes of a table that got large, if there is room for them. Each change gives
    /// some nodes their codes, so that none takes long.
    fn add_codes(&mut self) {
        if self.len == A::FLAT && self.nodes.flat.is_none() {
            self.nodes.flat = Flat::new();
            self.renew(ROOT, (0, 0));
        }
        self.settle(AT_ONCE);
    }

    /// Whether all nodes have their codes, of those that get any.
    pub fn is_settled(&self) -> bool {
        self.nodes.flat.is_none() || self.uncoded.is_empty()
    }

    /// Gives so many nodes more their codes.
    pub fn settle(&mut self, nodes: usize) {
        if self.nodes.flat.is_none() {
            return;
        }
        for _ in 0..nodes {
            let Some(nodes) = self.uncoded.last_mut() else {
                return;
            };
            match nodes.next() {
                Some(node) => self.renew(node, (0, 0)),
                None => drop(self.uncoded.pop()),
            }
        }
    }
}

/// Where each run of equal answers ends, slots with children left out.
fn ends_of_runs(answers: &[u32; 64], children: u64) -> u64 {
    if children == 0 {
        // Most nodes by far, and without a branch that can't be foreseen.
        let pairs = answers.windows(2).rev();
        let changes = pairs.fold(0, |bits, pair| bits << 1 | u64::from(pair[0] != pair[1]));
        return changes | 1 << 63;
    }
    let (mut ends, mut last) = (0, None);
    for (slot, &answer) in answers.iter().enumerate().rev() {
        if last != Some(answer) && children >> slot & 1 == 0 {
            last = Some(answer);
            ends |= 1 << slot;
        }
    }
    ends
}

/// The bits that are set, from the lowest on.
#[inline(always)]
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = bits.trailing_zeros();
        bits &= bits.checked_sub(1)?;
        Some(bit as usize)
    })
}

#[cfg(test)]
mod tests;
