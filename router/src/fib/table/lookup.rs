//! Lookups: one by one, or a burst step by step.

use super::*;

/// Addresses that are looked up side by side.
const BURST: usize = 64;
/// All go on together while more than one in so many has further to go.
const FEW: usize = 2;
/// Steps after which the 64 bits at hand still have those of a slot.
const MOST: u32 = 64 / STRIDE - 1;

impl<A: Address> Table<A> {
    /// The value of the longest prefix that holds `address`.
    #[inline]
    pub fn lookup(&self, address: A) -> u32 {
        match self.leaves.get(self.leaf(address)) {
            UNCOVERED => self.uncovered(),
            value => value,
        }
    }

    /// The answer where no prefix but perhaps that of length 0 matches.
    #[inline(always)]
    fn uncovered(&self) -> u32 {
        let zero = self.zero.filter(|value| value & HIDDEN == 0);
        zero.unwrap_or(self.default)
    }

    /// The leaf for an address.
    #[inline]
    fn leaf(&self, address: A) -> u32 {
        let Some(Some(nodes)) = self.nodes.nodes.blocks.get(address.bits(0, A::INDEX)) else {
            return self.walk(address, ROOT, 0);
        };
        let node = &nodes[address.bits(A::INDEX, INDEXED_BITS)];
        if node.is_inner == 0 {
            return node.leaf(address.bits(Self::LEVEL, STRIDE));
        }
        let (at, depth) = self.start(address);
        let children = self.nodes.children.get(at);
        let slot = address.bits(depth, STRIDE);
        if children.has(slot) {
            return self.walk(address, children.child(slot), depth + STRIDE);
        }
        node.leaf(slot)
    }

    /// The leaf for an address, from a node on the way to it that isn't indexed.
    #[inline]
    fn walk(&self, address: A, mut at: u32, mut depth: u32) -> u32 {
        loop {
            let slot = address.bits(depth, STRIDE);
            let node = self.nodes.nodes.pages.get(at);
            if node.is_inner != 0 {
                let children = self.nodes.children.pages.get(at);
                if children.has(slot) {
                    at = children.child(slot);
                    depth += STRIDE;
                    continue;
                }
            }
            return node.leaf(slot);
        }
    }

    /// Looks up many addresses at once, best 64: `values[i]` becomes the answer for
    /// `addresses[i]`, as far as both slices reach.
    ///
    /// Each step is taken for all addresses before the next one, so that cache misses of
    /// different addresses overlap.
    pub fn lookup_batch(&self, addresses: &[A], values: &mut [u32]) {
        for (addresses, values) in addresses.chunks(BURST).zip(values.chunks_mut(BURST)) {
            self.lookup_burst(addresses, values);
        }
    }

    /// At most [`BURST`] addresses, as far as both slices reach.
    #[inline(always)]
    fn lookup_burst(&self, addresses: &[A], values: &mut [u32]) {
        // A step does little more than load: the fewer instructions between two loads, the more
        // of them the processor has under way.
        let count = addresses.len().min(values.len()).min(BURST);
        let (addresses, values) = (&addresses[..count], &mut values[..count]);
        let others = self.indexed(addresses, values);
        if others != 0 {
            self.descend(addresses, values, others);
        }
        answer(&self.leaves, self.uncovered(), values);
    }

    /// The leaves for the addresses whose block has an index and whose node there has no
    /// children. The others are returned, a bit for each. Apart from all else, so that all of its
    /// values are in registers, and four at a time, so that little is counted.
    #[inline(never)]
    fn indexed(&self, addresses: &[A], values: &mut [u32]) -> u64 {
        let all = u64::MAX.checked_shr((BURST - addresses.len()) as u32);
        let all = all.unwrap_or(0);
        let Some(blocks) = self.nodes.nodes.blocks.get(..1 << A::INDEX) else {
            return all;
        };
        if A::MOSTLY_DEEP {
            return all;
        }
        let mut others = 0u64;
        let mut look = |i: usize, address: A, value: &mut u32| {
            if let Some(nodes) = &blocks[address.bits(0, A::INDEX)] {
                let node = &nodes[address.bits(A::INDEX, INDEXED_BITS)];
                if node.is_inner == 0 {
                    *value = node.leaf(address.bits(Self::LEVEL, STRIDE));
                    return;
                }
            }
            others |= 1 << i;
        };
        let (fours, rest) = addresses.as_chunks::<4>();
        let (values, values_rest) = values.as_chunks_mut::<4>();
        let mut i = 0;
        for (addresses, values) in fours.iter().zip(values) {
            for (k, (&address, value)) in addresses.iter().zip(values).enumerate() {
                look(i + k, address, value);
            }
            i += 4;
        }
        for (k, (&address, value)) in rest.iter().zip(values_rest).enumerate() {
            look(i + k, address, value);
        }
        others
    }

    /// The leaves for the addresses in `which`, a bit for each. They go down together; none
    /// branches on where it ends.
    #[inline(never)]
    fn descend(&self, addresses: &[A], values: &mut [u32], which: u64) {
        let mut at = [0u32; BURST];
        let mut rest = [0u64; BURST];
        let mut who = [0u8; BURST];
        let mut count = 0;
        // Those whose indexed node has no child for them.
        let mut shallow = 0u64;
        let blocks = &self.nodes.children.blocks[..];
        for i in ones(which) {
            let address = addresses[i];
            let k = count % BURST;
            who[k] = i as u8;
            if let Some(Some(nodes)) = blocks.get(address.bits(0, A::INDEX)) {
                let children = &nodes[address.bits(A::INDEX, INDEXED_BITS)];
                let slot = address.bits(Self::LEVEL, STRIDE);
                let has = children.has(slot);
                at[k] = children.child(slot);
                rest[k] = address.rest(Self::LEVEL + STRIDE);
                count += usize::from(has);
                shallow |= u64::from(!has) << i;
            } else {
                at[k] = ROOT;
                rest[k] = address.rest(0);
                count += 1;
            }
        }
        for i in ones(shallow) {
            let address = addresses[i];
            if let Some(Some(nodes)) = self.nodes.nodes.blocks.get(address.bits(0, A::INDEX)) {
                let node = &nodes[address.bits(A::INDEX, INDEXED_BITS)];
                values[i] = node.leaf(address.bits(Self::LEVEL, STRIDE));
            }
        }
        let count = count.min(BURST);
        let (at, rest) = (&mut at[..count], &mut rest[..count]);
        let mut went = count;
        let mut steps = 0;
        while went * FEW > count && steps < MOST {
            went = self.step(at, rest);
            steps += 1;
        }
        for ((&at, &rest), &i) in at.iter().zip(&*rest).zip(&who) {
            let slot = (rest >> (64 - STRIDE)) as usize;
            let i = usize::from(i);
            values[i] = self.nodes.nodes.pages.get(at).leaf(slot);
        }
        if went != 0 {
            self.go_on(addresses, values, (at, rest, &who), steps);
        }
    }

    /// Goes down by one node where there is a child. Returns how many did.
    #[inline(always)]
    fn step(&self, at: &mut [u32], rest: &mut [u64]) -> usize {
        let mut went = 0;
        for (at, rest) in at.iter_mut().zip(rest) {
            let children = self.nodes.children.pages.get(*at);
            let slot = (*rest >> (64 - STRIDE)) as usize;
            let has = children.has(slot);
            *at = select(has, children.child(slot), *at);
            *rest = core::hint::select_unpredictable(has, *rest << STRIDE, *rest);
            went += usize::from(has);
        }
        went
    }

    /// The leaves for the few that have further to go after so many steps.
    #[inline(never)]
    fn go_on(
        &self,
        addresses: &[A],
        values: &mut [u32],
        (at, rest, who): (&[u32], &[u64], &[u8]),
        steps: u32,
    ) {
        for ((&at, &rest), &i) in at.iter().zip(rest).zip(who) {
            let slot = (rest >> (64 - STRIDE)) as usize;
            let children = self.nodes.children.pages.get(at);
            if children.has(slot) {
                let address = addresses[usize::from(i)];
                let from = if self.is_indexed(address) {
                    Self::LEVEL + STRIDE
                } else {
                    0
                };
                values[usize::from(i)] = self.walk(address, at, from + steps * STRIDE);
            }
        }
    }

    /// The depth of the nodes that are indexed.
    const LEVEL: u32 = A::INDEX + INDEXED_BITS;
}

/// Replaces leaves by the values in them.
#[inline(never)]
fn answer(leaves: &Pool<u32, WORDS>, uncovered: u32, values: &mut [u32]) {
    let replace = |value: &mut u32| {
        let leaf = leaves.get(*value);
        *value = select(leaf == UNCOVERED, uncovered, leaf);
    };
    let (fours, rest) = values.as_chunks_mut::<4>();
    for four in fours {
        four.iter_mut().for_each(replace);
    }
    rest.iter_mut().for_each(replace);
}

/// One of two values, both of which are known, without a branch to mispredict.
#[inline(always)]
fn select(first: bool, one: u32, other: u32) -> u32 {
    core::hint::select_unpredictable(first, one, other)
}
