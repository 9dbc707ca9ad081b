//! Lookups: one by one, or a burst step by step.

use core::hint::select_unpredictable;

use super::{Table, ones};
use crate::address::Address;
use crate::flat::Flat;
use crate::node::INDEXED_BITS;
use crate::node::{NO_CODE, Node, STRIDE};
use crate::nodes::ROOT;
use crate::value_interner::UNCODED;

/// Addresses that are looked up side by side.
const BURST: usize = 64;
/// All go on together while more than one in so many has further to go.
const FEW: usize = 3;
/// Bits of the address that find its code.
const FLAT_BITS: u32 = STRIDE + INDEXED_BITS + STRIDE;
/// Steps after which the 64 bits at hand still have those of a slot.
const MOST: u32 = 64 / STRIDE - 1;

impl<A: Address> Table<A> {
    /// The value of the longest prefix that holds `address`.
    #[inline]
    pub fn lookup(&self, address: A) -> u32 {
        if let Some(flat) = &self.nodes.flat {
            let code = flat.codes[address.bits(0, FLAT_BITS)];
            if code != NO_CODE {
                return self.interner.coded()[usize::from(code)];
            }
        }
        let (node, depth) = self.first(address);
        self.walk(address, node, depth)
    }

    /// The first node on the way to an address, and its depth.
    #[inline(always)]
    fn first(&self, address: A) -> (&Node, u32) {
        match self.nodes.nodes.blocks.get(address.bits(0, A::INDEX)) {
            Some(Some(nodes)) => (&nodes[address.bits(A::INDEX, INDEXED_BITS)], Self::LEVEL),
            _ => (self.nodes.nodes.pages.get(ROOT), 0),
        }
    }

    /// The answer for an address, from a node on the way to it.
    #[inline]
    fn walk<'a>(&'a self, address: A, mut node: &'a Node, mut depth: u32) -> u32 {
        loop {
            let slot = address.bits(depth, STRIDE);
            if !node.has(slot) {
                return self.answer(node, slot);
            }
            node = self.nodes.nodes.pages.get(node.child(slot));
            depth += STRIDE;
        }
    }

    /// The answer of a node in a slot without a child.
    #[inline(always)]
    fn answer(&self, node: &Node, slot: usize) -> u32 {
        match node.code(slot) {
            NO_CODE => self.interner.value(self.leaves.get(node.leaf(slot))),
            code => self.interner.coded()[usize::from(code)],
        }
    }

    /// Looks up many addresses at once, best 64: `values[i]` becomes the answer for
    /// `addresses[i]`, as far as both slices reach.
    ///
    /// Each step is taken for all addresses before the next one, so that cache misses of
    /// different addresses overlap. The fewer instructions between two loads, the more loads the
    /// processor has under way.
    pub fn lookup_batch(&self, addresses: &[A], values: &mut [u32]) {
        for (addresses, values) in addresses.chunks(BURST).zip(values.chunks_mut(BURST)) {
            self.lookup_burst(addresses, values);
        }
    }

    /// At most [`BURST`] addresses, as far as both slices reach.
    #[inline(always)]
    fn lookup_burst(&self, addresses: &[A], values: &mut [u32]) {
        let count = addresses.len().min(values.len()).min(BURST);
        let (addresses, values) = (&addresses[..count], &mut values[..count]);
        let Some(flat) = &self.nodes.flat else {
            return self.descend(addresses, values, 0..count);
        };
        let others = self.coded(flat, addresses, values);
        if others != 0 {
            self.descend(addresses, values, ones(others));
        }
    }

    /// The answers for the addresses that have a code at once. The others are returned, a bit for
    /// each. Apart from all else, so that all of its values are in registers, and eight at a time,
    /// so that little is counted.
    #[inline(never)]
    fn coded(&self, flat: &Flat, addresses: &[A], values: &mut [u32]) -> u64 {
        let answers = self.interner.coded();
        let mut any = 0;
        let mut look = |address: A, value: &mut u32| {
            *value = answers[usize::from(flat.codes[address.bits(0, FLAT_BITS)])];
            any |= *value;
        };
        let (eights, rest) = addresses.as_chunks::<8>();
        let (values_of_eights, values_of_rest) = values.as_chunks_mut::<8>();
        for (addresses, values) in eights.iter().zip(values_of_eights) {
            for (&address, value) in addresses.iter().zip(values) {
                look(address, value);
            }
        }
        for (&address, value) in rest.iter().zip(values_of_rest) {
            look(address, value);
        }
        if any < UNCODED {
            return 0;
        }
        let each = values.iter().rev();
        each.fold(0, |bits, &value| bits << 1 | u64::from(value == UNCODED))
    }

    /// The answers for some of the addresses. They go down together; none branches on where it
    /// ends.
    #[inline(never)]
    fn descend(&self, addresses: &[A], values: &mut [u32], which: impl Iterator<Item = usize>) {
        let mut at = [self.nodes.nodes.pages.get(ROOT); BURST];
        let mut rest = [addresses.first().map_or(0, |one| one.rest(0)); BURST];
        let mut who = [0u8; BURST];
        let mut count = 0usize;
        let each = at.iter_mut().zip(&mut rest).zip(&mut who);
        for (((at, rest), who), i) in each.zip(which) {
            let address = addresses[i];
            (*at, *rest) = match self.first(address) {
                (node, 0) => (node, address.rest(0)),
                (node, _) => (node, address.rest(Self::LEVEL)),
            };
            *who = i as u8;
            count += 1;
        }
        let fours = count.div_ceil(4).min(BURST / 4);
        // The last four may have some that nobody asked for: they go where the first one goes.
        let (first, rest_of_first) = (at[0], rest[0]);
        at[count..fours * 4].fill(first);
        rest[count..fours * 4].fill(rest_of_first);
        let at = &mut at.as_chunks_mut().0[..fours];
        let rest = &mut rest.as_chunks_mut().0[..fours];
        let mut steps = 0;
        loop {
            self.step(at, rest);
            steps += 1;
            if inner(at, rest) * FEW <= count || steps == MOST {
                break;
            }
        }
        let each = at.as_flattened().iter().zip(rest.as_flattened());
        for ((node, &rest), &i) in each.zip(&who).take(count) {
            let slot = first_slot(rest);
            values[usize::from(i)] = if node.has(slot) {
                let address = addresses[usize::from(i)];
                let (_, depth) = self.first(address);
                self.walk(address, node, depth + steps * STRIDE)
            } else {
                self.answer(node, slot)
            };
        }
    }

    /// Goes down by one node where there is a child.
    #[inline(always)]
    fn step<'a>(&'a self, at: &mut [[&'a Node; 4]], rest: &mut [[u64; 4]]) {
        for (at, rest) in at.iter_mut().zip(rest) {
            for (at, rest) in at.iter_mut().zip(rest) {
                let (has, child) = at.perhaps_child(first_slot(*rest));
                if let Some(child) = self.nodes.nodes.pages.find(child) {
                    *at = select_unpredictable(has, child, *at);
                    *rest = select_unpredictable(has, *rest << STRIDE, *rest);
                }
            }
        }
    }

    /// The depth of the nodes that are indexed.
    const LEVEL: u32 = A::INDEX + INDEXED_BITS;
}

/// The slot of an address in a node, of the bits from the node's depth on.
#[inline(always)]
fn first_slot(rest: u64) -> usize {
    (rest >> (64 - STRIDE)) as usize
}

/// How many have a child to go to. This is where nodes are loaded: a step has so many
/// instructions that the processor, waiting for one node, would not get to the next ones.
#[inline(always)]
fn inner(at: &[[&Node; 4]], rest: &[[u64; 4]]) -> usize {
    let mut inner = 0;
    for (at, rest) in at.iter().zip(rest) {
        for (node, &rest) in at.iter().zip(rest) {
            inner += usize::from(node.has(first_slot(rest)));
        }
    }
    inner
}
