//! The nodes of a table: what lookups read, and what updates keep beside it.

use crate::cell::{SharedU32, SharedU64};

/// Bits of the address that a node decides on.
pub(crate) const STRIDE: u32 = 6;

/// Bits that an index decides on, and how many nodes that are.
pub(crate) const INDEXED_BITS: u32 = 2 * STRIDE;
pub(crate) const INDEXED: usize = 1 << INDEXED_BITS;

/// Instead of a code: the answer is in a leaf, or below.
pub(crate) const NO_CODE: u8 = u8::MAX;

/// What a lookup reads of a node, which covers 64 equal blocks of addresses, its slots: as a value.
///
/// A slot either leads to a child or to an answer. Neighboring slots with the same answer
/// are a run, so that answers are found by counting bits (as in poptrie, Asai and Ohara,
/// SIGCOMM 2015). The answers of few runs are in the node itself, as codes, so that a lookup
/// loads nothing else: two nodes fit into a line of the cache. Those of others are in leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// The slots with a child. The children are side by side.
    pub(crate) children: u64,
    /// The last slot of each run, slots with a child left out.
    pub(crate) ends: u64,
    /// The code of a run, in byte n modulo 8 for the n-th run from the end; or [`IN_LEAVES`].
    pub(crate) codes: u64,
    /// The node after the last child: what is counted from there takes an instruction or two
    /// less.
    pub(crate) child_end: u32,
    /// The leaf after the last one.
    pub(crate) leaf_end: u32,
}

/// Runs whose codes fit into a node.
const CODES: usize = 8;
/// The codes of a node whose answers are in leaves.
const IN_LEAVES: u64 = u64::MAX;

impl Node {
    /// Returns `true` if a slot has a child.
    pub(crate) fn has(&self, slot: usize) -> bool {
        self.children >> slot & 1 != 0
    }

    /// Returns the child of a slot that has one.
    pub(crate) fn child(&self, slot: usize) -> u32 {
        let left = self.children >> slot;
        self.child_end.wrapping_sub(left.count_ones())
    }

    /// Returns the number of children before a slot.
    pub(crate) fn before(&self, slot: usize) -> u32 {
        (self.children & !(u64::MAX << slot)).count_ones()
    }

    pub(crate) fn child_count(&self) -> u32 {
        self.children.count_ones()
    }

    /// Returns the first child.
    pub(crate) fn child_base(&self) -> u32 {
        self.child_end.wrapping_sub(self.child_count())
    }

    /// Replaces the children by those of a run that begins at `base`.
    pub(crate) fn set_children(&mut self, children: u64, base: u32) {
        (self.children, self.child_end) = (children, base + children.count_ones());
    }

    pub(crate) fn leaf_count(&self) -> u32 {
        if self.codes == IN_LEAVES {
            self.ends.count_ones()
        } else {
            0
        }
    }

    /// Returns the first leaf.
    pub(crate) fn leaf_base(&self) -> u32 {
        self.leaf_end.wrapping_sub(self.leaf_count())
    }

    /// Takes the codes of its runs, first to last, if they fit.
    pub(crate) fn take_codes(&mut self, ends: u64, codes: impl Iterator<Item = u8>) -> bool {
        let count = ends.count_ones() as usize;
        if count > CODES {
            return false;
        }
        let mut bytes = [0; CODES];
        for (before, code) in codes.take(count).enumerate() {
            bytes[(count - before) % CODES] = code;
        }
        (self.ends, self.codes, self.leaf_end) = (ends, u64::from_le_bytes(bytes), 0);
        true
    }

    /// Leads to leaves, one for each run.
    pub(crate) fn take_leaves(&mut self, ends: u64, base: u32) {
        (self.ends, self.codes) = (ends, IN_LEAVES);
        self.leaf_end = base + ends.count_ones();
    }

    /// Returns `true` if it has answers for no slot: there are children in all, or the codes of
    /// all others are in [`Flat`](crate::flat::Flat).
    pub(crate) fn is_bare(&self) -> bool {
        self.ends == 0
    }

    /// Returns where it is, if this isn't it any more.
    pub(crate) fn moved_to(&self) -> Option<u32> {
        moved_to(self.child_end)
    }

    /// Leaves its answers to [`Flat`](crate::flat::Flat).
    pub(crate) fn make_bare(&mut self) {
        (self.ends, self.codes, self.leaf_end) = (0, 0, 0);
    }
}

/// In the place of the end of children and leaves: the node has moved. No node and no leaf has
/// such a number.
const MOVED: u32 = 1 << 30;

/// Returns what marks a node as moved to `copy`: children or leaves counted from there have numbers
/// from [`MOVED`] on, too.
fn moved_mark(copy: u32) -> u32 {
    MOVED + 64 + copy
}

/// Returns where the node is whose children or leaves end at `end`, if it has moved.
pub(crate) fn moved_to(end: u32) -> Option<u32> {
    (end >> 30 == 1).then(|| end - moved_mark(0))
}

/// What a lookup reads of a node, while one thread may change it.
///
/// A lookup loads `children` first, then `child_end` if there is a child in its slot, else `ends`,
/// `codes` and, for an answer in a leaf, `leaf_end`. A change that is more than a store of one of
/// them goes by a copy of the node elsewhere, to which lookups are sent ([`SharedNode::divert`])
/// until none of them can hold words of before any more ([`SharedNode::settle`]).
///
/// Of a slot that lookups ask for, the lowest 6 bits count.
#[derive(Debug, Default)]
#[repr(align(32))]
pub(crate) struct SharedNode {
    children: SharedU64,
    ends: SharedU64,
    codes: SharedU64,
    child_end: SharedU32,
    leaf_end: SharedU32,
}

impl SharedNode {
    /// Returns `true` if a slot has a child.
    #[inline(always)]
    pub(crate) fn has(&self, slot: usize) -> bool {
        self.children.load() & 1u64.wrapping_shl(slot as u32) != 0
    }

    /// Returns `true` if a slot has a child, and the child's number. Without a child, the number may be
    /// that of any node or of none.
    #[inline(always)]
    pub(crate) fn perhaps_child(&self, slot: usize) -> (bool, u32) {
        let left = self.children.load().wrapping_shr(slot as u32);
        let child = self.child_end.load().wrapping_sub(left.count_ones());
        (left & 1 != 0, child)
    }

    /// Returns the code of a slot without a child, and how many runs end at it or after it;
    /// [`NO_CODE`] if the answer is in the leaf this many before the end.
    #[inline(always)]
    pub(crate) fn code(&self, slot: usize) -> (u8, u32) {
        let left = self.ends.load().wrapping_shr(slot as u32).count_ones();
        (self.codes.load().wrapping_shr(left * 8) as u8, left)
    }

    /// Returns the end of the leaves of a node that has leaves.
    #[inline(always)]
    pub(crate) fn leaf_end(&self) -> u32 {
        self.leaf_end.load()
    }

    /// Returns the slots with a child.
    pub(crate) fn children(&self) -> u64 {
        self.children.load()
    }

    /// Returns the end of the children.
    pub(crate) fn child_end(&self) -> u32 {
        self.child_end.load()
    }

    /// Returns where the node is, if it has moved.
    pub(crate) fn moved_to(&self) -> Option<u32> {
        moved_to(self.child_end.load())
    }

    /// Its words, for the thread that changes them.
    pub(crate) fn load(&self) -> Node {
        Node {
            children: self.children.load(),
            ends: self.ends.load(),
            codes: self.codes.load(),
            child_end: self.child_end.load(),
            leaf_end: self.leaf_end.load(),
        }
    }

    /// Replaces it while no lookup can reach it.
    pub(crate) fn store(&self, node: &Node) {
        self.children.store(node.children);
        self.ends.store(node.ends);
        self.codes.store(node.codes);
        self.child_end.store(node.child_end);
        self.leaf_end.store(node.leaf_end);
    }

    /// Replaces what it was, `old`, which hasn't moved, if single stores can do that: each lookup
    /// finds what either of the two answers. Returns `false` if they can't.
    pub(crate) fn replace(&self, old: &Node, new: &Node) -> bool {
        let same = |node: &Node| (node.children, node.child_end, node.ends);
        if same(old) != same(new) {
            return false;
        }
        // Who finds codes doesn't look where leaves end.
        if new.codes == IN_LEAVES {
            self.leaf_end.store(new.leaf_end);
        }
        self.codes.store(new.codes);
        true
    }

    /// Sends lookups to `copy`, where `new` is.
    pub(crate) fn divert(&self, copy: u32, new: &Node) {
        let mark = moved_mark(copy);
        // Each way that a lookup can go on from words that it has, old or new ones, must lead to
        // an old answer or to the copy: so the words that are loaded last are replaced first.
        self.child_end.store(mark);
        self.leaf_end.store(mark);
        self.codes.store(IN_LEAVES);
        self.ends.store(new.ends);
        self.children.store(new.children);
    }

    /// Has lookups end here again, which is where `node` is to be, with the children and ends of
    /// runs that [`SharedNode::divert`] left. No lookup may hold any of before.
    pub(crate) fn settle(&self, node: &Node) {
        self.child_end.store(node.child_end);
        if node.codes == IN_LEAVES {
            self.leaf_end.store(node.leaf_end);
        } else {
            // Who loaded codes before this still goes to the copy.
            self.codes.store(node.codes);
        }
    }
}

/// The prefixes that end in a node: those 1 to 6 bits longer than its depth. They are in two
/// halves, of up to 5 and of 6 bits, so that each has no more than 64.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Routes {
    /// Which there are, shorter ones first.
    pub(crate) set: [u64; 2],
    /// Where the values of each half begin, which are in the order of `set`.
    pub(crate) values: [u32; 2],
    /// The number of the answer for slots that none of them covers.
    pub(crate) inherited: u32,
    /// Since when [`Flat`](crate::flat::Flat) has the codes of all slots without a child, of a
    /// node whose own answers may still be asked for; 0 for others.
    pub(crate) flat_since: u32,
}

impl Routes {
    pub(crate) fn is_empty(&self) -> bool {
        self.set == [0; 2]
    }

    /// Returns how many a half has.
    pub(crate) fn count(&self, half: usize) -> u32 {
        self.set[half].count_ones()
    }

    pub(crate) fn has(&self, place: Place) -> bool {
        self.set[place.half] >> place.bit & 1 != 0
    }

    /// Returns how many prefixes of its half come before a place.
    pub(crate) fn rank(&self, place: Place) -> u32 {
        (self.set[place.half] & !(u64::MAX << place.bit)).count_ones()
    }

    pub(crate) fn flip(&mut self, place: Place) {
        self.set[place.half] ^= 1 << place.bit;
    }

    /// Returns the places of a half that are taken, in order.
    pub(crate) fn places(&self, half: usize) -> impl Iterator<Item = Place> + use<> {
        let mut left = self.set[half];
        core::iter::from_fn(move || {
            let bit = left.trailing_zeros();
            left &= left.checked_sub(1)?;
            Some(Place { half, bit })
        })
    }
}

/// Where a prefix is in its node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// 0 for prefixes shorter than 6 bits, else 1.
    pub(crate) half: usize,
    /// Its bit in that half.
    pub(crate) bit: u32,
}

/// Returns the place of a prefix in its node: `len` is 1 to 6, `slot` has its bits first.
pub(crate) fn place(slot: usize, len: u32) -> Place {
    let bits = slot as u32 >> (STRIDE - len);
    if len == STRIDE {
        Place { half: 1, bit: bits }
    } else {
        let bit = (1 << len) - 2 + bits;
        Place { half: 0, bit }
    }
}

/// Length and bits of the prefix at a place.
pub(crate) fn prefix_at(place: Place) -> (u32, u32) {
    if place.half == 1 {
        return (STRIDE, place.bit);
    }
    let len = (place.bit + 2).ilog2();
    (len, place.bit + 2 - (1 << len))
}

/// Returns the slots that the prefix at a place covers: the first, and how many.
pub(crate) fn span(place: Place) -> (usize, usize) {
    let (len, bits) = prefix_at(place);
    let count = 1usize << (STRIDE - len);
    (bits as usize * count, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_prefixes() {
        let mut taken = std::collections::BTreeSet::new();
        for len in 1..=STRIDE {
            for bits in 0..1u32 << len {
                let slot = (bits << (STRIDE - len)) as usize;
                let place = place(slot, len);
                assert!(place.bit < 64 && taken.insert((place.half, place.bit)));
                assert_eq!(prefix_at(place), (len, bits));
                assert_eq!(span(place), (slot, 1 << (STRIDE - len)));
            }
        }
        assert_eq!(taken.len(), 126);
    }
}
