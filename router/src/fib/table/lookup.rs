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
    #[inline]
    fn lookup_burst(&self, addresses: &[A], values: &mut [u32]) {
        // A step that loads does little else: the fewer instructions between two loads, the
        // more of them the processor has under way. And no step branches on what it found.
        let mut nodes = [Node::default(); BURST];
        let burst = addresses.iter().zip(values.iter_mut());
        for ((&address, at), node) in burst.zip(&mut nodes) {
            let start = self.starts.get(address.bits(0, A::INDEX));
            let first = start.map_or(ROOT, |start| start.node);
            if first == ROOT {
                *at = self.leaf_among_few(address);
                *node = Node::with_leaf(*at);
            } else {
                *at = first + address.bits(A::INDEX, INDEXED_BITS) as u32;
                *node = *self.nodes.nodes.get(*at);
            }
        }
        let depth = A::INDEX + INDEXED_BITS;
        let mut inner = 0u64;
        let burst = addresses.iter().zip(values.iter_mut());
        for (i, ((address, at), node)) in burst.zip(&nodes).enumerate() {
            let leaf = node.leaf(address.bits(depth, STRIDE));
            inner |= u64::from(node.is_inner) << i;
            *at = select(node.is_inner != 0, *at, leaf);
        }
        if inner != 0 {
            self.descend(addresses, values, inner);
        }
        let zero = self.uncovered();
        for value in values {
            let leaf = self.leaves.get(*value);
            *value = select(leaf == UNCOVERED, zero, leaf);
        }
    }

    /// The leaf for an address in a block without an index. There all is in the cache, and
    /// steps for a whole burst would only be more work.
    #[inline(never)]
    fn leaf_among_few(&self, address: A) -> u32 {
        self.walk(address, ROOT, 0)
    }

    /// Goes down to the leaves for each address in `inner`, those whose indexed node has
    /// children. All go down together, so that all are at one depth.
    #[inline(never)]
    fn descend(&self, addresses: &[A], values: &mut [u32], inner: u64) {
        let mut at = [0u32; BURST];
        let mut slots = [0u8; BURST];
        let mut children = [Children::default(); BURST];
        let mut active = [0u8; BURST];
        let mut count = 0;
        for i in ones(inner) {
            active[count % BURST] = i as u8;
            count += 1;
            at[i % BURST] = values[i];
        }
        let mut depth = A::INDEX + INDEXED_BITS;
        while count != 0 {
            for &i in active.iter().take(count) {
                let i = usize::from(i) % BURST;
                children[i] = *self.nodes.children.get(at[i]);
            }
            let mut went = 0;
            for k in 0..count {
                let i = usize::from(active[k % BURST]) % BURST;
                let slot = addresses[i].bits(depth, STRIDE);
                let has = children[i].has(slot);
                at[i] = select(has, children[i].child(slot), at[i]);
                slots[i] = slot as u8;
                active[went % BURST] = i as u8;
                went += usize::from(has);
            }
            count = went;
            depth += STRIDE;
        }
        for i in ones(inner) {
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

/// One of two values, both of which are known, without a branch to mispredict.
#[inline(always)]
fn select(first: bool, one: u32, other: u32) -> u32 {
    core::hint::select_unpredictable(first, one, other)
}
