//! Nodes that come and go.

use super::{DEPTHS, Table};
use crate::address::Address;
use crate::node::{INDEXED_BITS, NO_CODE, STRIDE};
use crate::nodes::{Whole, first_of};
use crate::view::ROOT;

/// The ways to nodes.
impl<A: Address> Table<A> {
    /// Returns `true` if the block of a prefix has an index.
    pub(super) fn is_indexed(&self, prefix: A) -> bool {
        self.nodes.has_index(prefix.bits(0, A::INDEX))
    }

    /// Returns where the way to a node of some depth begins, and how deep that is.
    fn way(&self, prefix: A, depth: u32) -> (u32, u32) {
        if A::INDEX + INDEXED_BITS <= depth && self.is_indexed(prefix) {
            let within = prefix.bits(A::INDEX, INDEXED_BITS) as u32;
            let block = prefix.bits(0, A::INDEX);
            (first_of(block) + within, A::INDEX + INDEXED_BITS)
        } else {
            (ROOT, 0)
        }
    }

    /// Returns the node of some depth on the way to a prefix, made if it doesn't exist.
    pub(super) fn reach(&mut self, prefix: A, depth: u32) -> u32 {
        let (mut at, mut from) = self.way(prefix, depth);
        while from < depth {
            let slot = prefix.bits(from, STRIDE);
            at = match self.nodes.child(at, slot) {
                Some(child) => child,
                None => self.add_child(at, slot),
            };
            from += STRIDE;
        }
        at
    }

    /// The same if it exists. `path` gets the nodes on the way by their depths, as far as
    /// they aren't indexed.
    pub(super) fn find(&self, prefix: A, depth: u32, path: &mut [u32; DEPTHS]) -> Option<u32> {
        let (mut at, mut from) = self.way(prefix, depth);
        while from < depth {
            path[(from / STRIDE) as usize] = at;
            let slot = prefix.bits(from, STRIDE);
            at = self.nodes.child(at, slot)?;
            from += STRIDE;
        }
        path[(from / STRIDE) as usize] = at;
        Some(at)
    }
}

/// Nodes that come and go.
impl<A: Address> Table<A> {
    /// Returns a node without prefixes and children.
    pub(super) fn blank(&mut self, inherited: u32) -> Whole {
        let mut blank = Whole::default();
        blank.routes.inherited = inherited;
        self.lead(&mut blank.node, &[inherited; 64]);
        blank
    }

    fn add_child(&mut self, at: u32, slot: usize) -> u32 {
        let inherited = self.by_slot(self.nodes.routes(at))[slot];
        let blank = self.blank(inherited);
        let old = self.nodes.node(at);
        let (rank, count) = (old.before(slot) as usize, old.child_count() as usize);
        let mut run = [Whole::default(); 64];
        self.nodes.copy(old.child_base(), &mut run[..count]);
        run.copy_within(rank..count, rank + 1);
        run[rank] = blank;
        let base = self.add_nodes(&run[..=count]);
        let mut node = old;
        node.set_children(old.children | 1 << slot, base);
        self.put(at, &old, &node);
        if self.nodes.is_flat(at) {
            self.nodes.set_codes(at, 1 << slot, |_| NO_CODE);
        }
        self.retire_nodes(old.child_base(), old.child_count());
        base + rank as u32
    }

    fn remove_child(&mut self, at: u32, slot: usize) {
        let old = self.nodes.node(at);
        let (rank, count) = (old.before(slot) as usize, old.child_count() as usize);
        let child = self.nodes.node(old.child(slot));
        let mut run = [Whole::default(); 64];
        self.nodes.copy(old.child_base(), &mut run[..count]);
        run.copy_within(rank + 1..count, rank);
        let base = self.add_nodes(&run[..count - 1]);
        let mut node = old;
        node.set_children(old.children & !(1 << slot), base);
        let answers = self.by_slot(self.nodes.routes(at));
        self.answer(at, &old, node, &answers, 0);
        self.retire_nodes(old.child_base(), old.child_count());
        self.retire_leaves(child.leaf_base(), child.leaf_count());
    }

    /// Takes nodes that serve no purpose any more away, from a depth upwards.
    pub(super) fn prune(&mut self, prefix: A, mut depth: u32, path: &[u32; DEPTHS]) {
        let fixed = if self.is_indexed(prefix) {
            A::INDEX + INDEXED_BITS
        } else {
            0
        };
        while depth > fixed {
            let at = path[(depth / STRIDE) as usize];
            let used = !self.nodes.routes(at).is_empty();
            if used || self.nodes.node(at).children != 0 {
                return;
            }
            depth -= STRIDE;
            self.remove_child(path[(depth / STRIDE) as usize], prefix.bits(depth, STRIDE));
        }
    }
}
