//! Lookups: one by one, or a burst step by step, while one thread may change the table.
//!
//! A lookup that meets a node which has moved, or a page younger than its view, begins again beside
//! all others ([`Lookup::one_in_a_change`]): that costs the others nothing but the test whether there
//! is a node, which they have anyway.

use core::hint::select_unpredictable;
use core::marker::PhantomData;

use crate::address::Address;
use crate::cell::{SharedOnce, SharedU32};
use crate::flat::{Codes, Flat};
use crate::node::{INDEXED_BITS, NO_CODE, STRIDE, SharedNode, moved_to};
use crate::nodes::ones;
use crate::view::{CODES, Index, NodePage, Shared, UNCODED, View, WORDS, node_in};

/// Addresses that are looked up side by side.
const BURST: usize = 64;
/// All go on together while more than one in this many has further to go.
const FEW: usize = 3;
/// So many go down together, fewer one after the other.
const MANY: u32 = 5;
/// Bits of the address that find its code.
const FLAT_BITS: u32 = STRIDE + INDEXED_BITS + STRIDE;
/// Steps after which the 64 bits at hand still have those of a slot.
const MOST: u32 = 64 / STRIDE - 1;

/// Looks up in what there is of a table.
#[derive(Debug)]
pub(crate) struct Lookup<'a, A> {
    shared: &'a Shared,
    view: &'a View,
    family: PhantomData<A>,
}

impl<'a, A: Address> Lookup<'a, A> {
    #[inline(always)]
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            view: shared.view(),
            family: PhantomData,
        }
    }

    /// Returns the value of the longest prefix that holds `address`.
    #[inline(always)]
    pub(crate) fn one(&self, address: A) -> u32 {
        match self.coded(address) {
            Some(value) => value,
            None => self.uncoded(address),
        }
    }

    /// Returns the value for an address whose code isn't known.
    #[inline(never)]
    fn uncoded(&self, address: A) -> u32 {
        let (node, depth) = self.first(address);
        match self.walk(address, node, depth) {
            Some(value) => value,
            None => Self::one_in_a_change(self.shared, address),
        }
    }

    /// Returns the codes of all slots, if there are any. Only some families have them.
    #[inline(always)]
    fn flat(&self) -> Option<&'a Flat> {
        if A::FLAT == usize::MAX {
            return None;
        }
        self.view.flat.as_deref()
    }

    /// Returns the value, if the code of the address is known.
    #[inline(always)]
    fn coded(&self, address: A) -> Option<u32> {
        let flat = self.flat()?;
        let code = flat.codes[address.bits(0, FLAT_BITS)].load();
        (code != NO_CODE).then(|| self.value_of(code))
    }

    #[inline(always)]
    fn value_of(&self, code: u8) -> u32 {
        self.shared.coded()[usize::from(code)].load()
    }

    /// Returns the first node on the way to an address, and its depth.
    #[inline(always)]
    fn first(&self, address: A) -> (&'a SharedNode, u32) {
        match first_in(&self.view.indexes, address) {
            Some(node) => (node, Self::LEVEL),
            None => (self.view.root(), 0),
        }
    }

    /// Returns the answer for an address, from a node on the way to it, if no change is in the way.
    #[inline]
    fn walk(&self, address: A, mut node: &'a SharedNode, mut depth: u32) -> Option<u32> {
        loop {
            let slot = address.bits(depth, STRIDE);
            let (has, child) = node.perhaps_child(slot);
            if !has {
                return self.answer(node, slot);
            }
            node = node_in(&self.view.nodes, child)?;
            depth += STRIDE;
        }
    }

    /// Returns the answer of a node in a slot without a child, if no change is in the way.
    #[inline(always)]
    fn answer(&self, node: &SharedNode, slot: usize) -> Option<u32> {
        match node.code(slot) {
            (NO_CODE, left) => self.leaf(node.leaf_end().wrapping_sub(left)),
            (code, _) => Some(self.value_of(code)),
        }
    }

    /// Returns the value of a leaf, if there is one of that number.
    #[inline]
    fn leaf(&self, at: u32) -> Option<u32> {
        let number = self.view.leaf(at)?;
        match number.checked_sub(CODES) {
            None => Some(self.value_of(number as u8)),
            Some(beyond) => {
                let page = self.view.values.get(beyond as usize / WORDS)?;
                Some(page[beyond as usize % WORDS].load())
            }
        }
    }

    /// The answers for many addresses, as far as both slices reach.
    ///
    /// Each step is taken for all addresses before the next one, so that cache misses of
    /// different addresses overlap. The fewer instructions between two loads, the more loads the
    /// processor has under way.
    #[inline(always)]
    pub(crate) fn batch(shared: &'a Shared, addresses: &[A], values: &mut [u32]) {
        let count = addresses.len().min(values.len());
        let (addresses, values) = (&addresses[..count], &mut values[..count]);
        if count <= BURST {
            return Self::new(shared).burst(addresses, values);
        }
        Self::bursts(shared, addresses, values);
    }

    #[inline(never)]
    fn bursts(shared: &'a Shared, addresses: &[A], values: &mut [u32]) {
        for (addresses, values) in addresses.chunks(BURST).zip(values.chunks_mut(BURST)) {
            Self::new(shared).burst(addresses, values);
        }
    }

    /// As many addresses as values, at most [`BURST`].
    #[inline(always)]
    fn burst(&self, addresses: &[A], values: &mut [u32]) {
        let Some(flat) = self.flat() else {
            return self.descend(addresses, values);
        };
        let others = by_codes(&flat.codes, self.shared.coded(), addresses, values);
        if others != 0 {
            self.descend_for(others, addresses, values);
        }
    }

    /// The answers for some of the addresses.
    #[inline(never)]
    fn descend_for(&self, which: u64, addresses: &[A], values: &mut [u32]) {
        if which.count_ones() < MANY {
            for i in ones(which) {
                values[i] = self.uncoded(addresses[i]);
            }
            return;
        }
        let (mut some, mut answers) = ([A::ZERO; BURST], [0; BURST]);
        let mut count = 0;
        for (some, i) in some.iter_mut().zip(ones(which)) {
            *some = addresses[i];
            count += 1;
        }
        self.descend(&some[..count], &mut answers[..count]);
        for (answer, i) in answers.into_iter().zip(ones(which)) {
            values[i] = answer;
        }
    }

    /// The answers for as many addresses, at most [`BURST`]. They go down together; none branches
    /// on where it ends.
    #[inline(never)]
    fn descend(&self, addresses: &[A], values: &mut [u32]) {
        let (root, indexes) = (self.view.root(), &*self.view.indexes);
        let mut at = [root; BURST];
        let mut rest = [Slots::from_root(0); BURST];
        for ((at, rest), &address) in at.iter_mut().zip(&mut rest).zip(addresses) {
            (*at, *rest) = match first_in(indexes, address) {
                Some(node) => (node, Slots::from_index(address.rest(Self::LEVEL))),
                None => (root, Slots::from_root(address.rest(0))),
            };
        }
        let count = addresses.len().min(BURST);
        let fours = count.div_ceil(4).min(BURST / 4);
        // The last four may have some that nobody asked for: they go where the first one goes.
        let (first, rest_of_first) = (at[0], rest[0]);
        at[count..fours * 4].fill(first);
        rest[count..fours * 4].fill(rest_of_first);
        let at = &mut at.as_chunks_mut().0[..fours];
        let rest = &mut rest.as_chunks_mut().0[..fours];
        let mut steps = 0;
        loop {
            step(&self.view.nodes, at, rest);
            steps += 1;
            if inner(at, rest) * FEW <= count || steps == MOST {
                break;
            }
        }
        let each = at.as_flattened().iter().zip(rest.as_flattened());
        for ((value, &address), (&node, &rest)) in values.iter_mut().zip(addresses).zip(each) {
            let slot = rest.first();
            let found = if node.has(slot) {
                self.walk(address, node, rest.depth(Self::LEVEL))
            } else {
                self.answer(node, slot)
            };
            *value = match found {
                Some(found) => found,
                None => Self::one_in_a_change(self.shared, address),
            };
        }
    }

    /// Returns the value for an address, wherever nodes have moved to.
    #[cold]
    #[inline(never)]
    fn one_in_a_change(shared: &'a Shared, address: A) -> u32 {
        let this = Self::new(shared);
        if let Some(value) = this.coded(address) {
            return value;
        }
        let (mut node, mut depth) = this.first(address);
        loop {
            let next = match Self::way(shared, node, address.bits(depth, STRIDE)) {
                Way::Answer(value) => return value,
                Way::Moved(copy) => copy,
                Way::Child(child) => {
                    depth += STRIDE;
                    child
                }
            };
            // The view is as young as what led here, so the node is in it.
            node = match Self::new(shared).view.any_node(next) {
                Some(node) => node,
                None => return this.value_of(0),
            };
        }
    }

    /// Returns how a lookup goes on from a node.
    fn way(shared: &'a Shared, node: &SharedNode, slot: usize) -> Way {
        let children = node.children().wrapping_shr(slot as u32);
        if children & 1 != 0 {
            let end = node.child_end();
            let child = end.wrapping_sub(children.count_ones());
            return moved_to(end).map_or(Way::Child(child), Way::Moved);
        }
        let (code, left) = node.code(slot);
        if code != NO_CODE {
            return Way::Answer(Self::new(shared).value_of(code));
        }
        let end = node.leaf_end();
        let this = Self::new(shared);
        let leaf = || {
            this.leaf(end.wrapping_sub(left))
                .unwrap_or(this.value_of(0))
        };
        moved_to(end).map_or_else(|| Way::Answer(leaf()), Way::Moved)
    }

    /// The depth of the nodes that are indexed.
    const LEVEL: u32 = A::INDEX + INDEXED_BITS;
}

/// How a lookup goes on from a node.
enum Way {
    /// To its end.
    Answer(u32),
    /// To a child.
    Child(u32),
    /// To where the node has moved.
    Moved(u32),
}

/// Returns the node on the way to an address with which its block's index begins.
#[inline(always)]
fn first_in<A: Address>(indexes: &[SharedOnce<Index>], address: A) -> Option<&SharedNode> {
    let index = indexes.get(address.bits(0, A::INDEX))?.get()?;
    Some(&index[address.bits(A::INDEX, INDEXED_BITS)])
}

/// The slots of an address in nodes on its way, from the highest bits on. The lowest bit that is set
/// is at first 0 or 1, which tells where the way began, and then how far it has come: while the
/// table changes, not all that go on have come as far.
#[derive(Clone, Copy)]
struct Slots(u64);

impl Slots {
    /// Of an address that begins in an index, with its bits from there on.
    #[inline(always)]
    fn from_index(bits: u64) -> Self {
        Self(bits | 1)
    }

    /// Of one that begins at the root.
    #[inline(always)]
    fn from_root(bits: u64) -> Self {
        Self(bits & !3 | 2)
    }

    /// Returns the depth of the first node, if that of nodes in indexes is `level`.
    #[inline]
    fn depth(self, level: u32) -> u32 {
        let passed = self.0.trailing_zeros();
        let began = if passed.is_multiple_of(STRIDE) {
            level
        } else {
            0
        };
        began + passed / STRIDE * STRIDE
    }

    /// Returns the slot in the first node.
    #[inline(always)]
    fn first(self) -> usize {
        (self.0 >> (64 - STRIDE)) as usize
    }

    /// Returns those in the others.
    #[inline(always)]
    fn rest(self) -> Self {
        Self(self.0 << STRIDE)
    }
}

/// Returns the answers for the addresses that have a code at once. The others are returned, a bit
/// for each. Apart from all else, so that all of its values are in registers, and some at a time,
/// so that little is counted.
#[inline(never)]
fn by_codes<A: Address>(
    codes: &Codes,
    answers: &[SharedU32; CODES as usize],
    addresses: &[A],
    values: &mut [u32],
) -> u64 {
    let values = &mut values[..addresses.len()];
    let place = |address: A| address.bits(0, FLAT_BITS);
    let answer = |place: usize| answers[usize::from(codes[place].load())].load();
    let (many, rest) = addresses.as_chunks::<16>();
    let (values_of_many, values_of_rest) = values.as_chunks_mut::<16>();
    for (addresses, values) in many.iter().zip(&mut *values_of_many) {
        let fours = addresses.as_chunks::<4>().0.iter();
        for (addresses, values) in fours.zip(values.as_chunks_mut::<4>().0) {
            // One instruction shifts four addresses.
            let places = addresses.map(place);
            for (place, value) in places.into_iter().zip(values) {
                *value = answer(place);
            }
        }
    }
    let mut any = 0;
    for (&address, value) in rest.iter().zip(values_of_rest) {
        *value = answer(place(address));
        any |= *value;
    }
    // Apart, since several values are seen to at once so.
    let mut any_of_many = [any; 4];
    for values in values_of_many {
        for values in values.as_chunks::<4>().0 {
            any_of_many = core::array::from_fn(|i| any_of_many[i] | values[i]);
        }
    }
    if any_of_many.iter().fold(0, |any, &value| any | value) < UNCODED {
        return 0;
    }
    let each = values.iter().rev();
    each.fold(0, |bits, &value| bits << 1 | u64::from(value == UNCODED))
}

/// Goes down by one node where there is a child.
#[inline(always)]
fn step<'a>(nodes: &'a [NodePage], at: &mut [[&'a SharedNode; 4]], rest: &mut [[Slots; 4]]) {
    for (at, rest) in at.iter_mut().zip(rest) {
        for (at, rest) in at.iter_mut().zip(rest) {
            let (node, slots) = (*at, *rest);
            let (has, child) = node.perhaps_child(slots.first());
            if let Some(child) = node_in(nodes, child) {
                *at = select_unpredictable(has, child, node);
                *rest = select_unpredictable(has, slots.rest(), slots);
            }
        }
    }
}

/// Returns how many have a child to go to. This is where nodes are loaded: a step has so many
/// instructions that the processor, waiting for one node, would not get to the next ones.
#[inline(always)]
fn inner(at: &[[&SharedNode; 4]], rest: &[[Slots; 4]]) -> usize {
    let mut inner = 0;
    for (at, rest) in at.iter().zip(rest) {
        for (node, &rest) in at.iter().zip(rest) {
            inner += usize::from(node.has(rest.first()));
        }
    }
    inner
}
