//! Lookups: one by one, or a burst step by step.

use super::*;

/// Addresses that are looked up side by side.
const BURST: usize = 64;

impl<A: Address> Table<A> {
    /// The value of the longest prefix that holds `address`.
    #[inline]
    pub fn lookup(&self, address: A) -> u32 {
        let (first, depth) = self.start(address);
        match self.leaves.get(self.walk(address, first, depth)) {
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

    /// The leaf for an address, from a node on the way to it.
    #[inline]
    fn walk(&self, address: A, mut at: u32, mut depth: u32) -> u32 {
        loop {
            let slot = address.bits(depth, STRIDE);
            let node = self.nodes.nodes.get(at);
            if node.is_inner != 0 {
                let children = self.nodes.children.get(at);
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
        let Some(starts) = self.starts.get(..1 << A::INDEX) else {
            let beyond = (BURST - addresses.len()) as u32;
            return u64::MAX.checked_shr(beyond).unwrap_or(0);
        };
        let nodes = &self.nodes.nodes;
        let mut others = 0u64;
        let mut look = |i: usize, address: A, value: &mut u32| {
            let first = starts[address.bits(0, A::INDEX)].node;
            if first == ROOT {
                others |= 1 << i;
                return;
            }
            let node = nodes.get(first + address.bits(A::INDEX, INDEXED_BITS) as u32);
            if node.is_inner != 0 {
                others |= 1 << i;
                return;
            }
            *value = node.leaf(address.bits(A::INDEX + INDEXED_BITS, STRIDE));
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

    /// The leaf for an address in a block without an index. There all is in the cache, and
    /// steps for a whole burst would only be more work.
    #[inline(never)]
    fn leaf_among_few(&self, address: A) -> u32 {
        self.walk(address, ROOT, 0)
    }

    /// The leaves for the addresses in `which`, a bit for each. Those whose indexed node has
    /// children go down together, so that all are at one depth; none branches on where it ends.
    #[inline(never)]
    fn descend(&self, addresses: &[A], values: &mut [u32], which: u64) {
        let mut at = [0u32; BURST];
        let mut slots = [0u8; BURST];
        let mut active = [0u8; BURST];
        let mut count = 0;
        let mut deep = 0u64;
        for i in ones(which) {
            let (first, depth) = self.start(addresses[i]);
            if depth == 0 {
                values[i] = self.leaf_among_few(addresses[i]);
                continue;
            }
            active[count % BURST] = i as u8;
            count += 1;
            at[i % BURST] = first;
            deep |= 1 << i;
        }
        let mut depth = A::INDEX + INDEXED_BITS;
        while count != 0 {
            let mut went = 0;
            for k in 0..count {
                let i = usize::from(active[k % BURST]) % BURST;
                let slot = addresses[i].bits(depth, STRIDE);
                let children = self.nodes.children.get(at[i]);
                let has = children.has(slot);
                at[i] = select(has, children.child(slot), at[i]);
                slots[i] = slot as u8;
                active[went % BURST] = i as u8;
                went += usize::from(has);
            }
            count = went;
            depth += STRIDE;
        }
        for i in ones(deep) {
            let (node, slot) = (self.nodes.nodes.get(at[i % BURST]), slots[i % BURST]);
            values[i] = node.leaf(usize::from(slot));
        }
    }

    /// The first node of a lookup and its depth.
    #[inline(always)]
    pub(super) fn start(&self, address: A) -> (u32, u32) {
        let node = self
            .starts
            .get(address.bits(0, A::INDEX))
            .map_or(ROOT, |start| start.node);
        let indexed = u32::from(node != ROOT);
        let within = address.bits(A::INDEX, INDEXED_BITS) as u32;
        (
            node + (within & indexed.wrapping_neg()),
            (A::INDEX + INDEXED_BITS) & indexed.wrapping_neg(),
        )
    }
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
