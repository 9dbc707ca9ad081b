//! Indexes of blocks with many prefixes, and the codes of all slots in large tables.

use alloc::sync::Arc;
use alloc::vec;

use super::{AT_ONCE, Table};
use crate::address::Address;
use crate::flat::Flat;
use crate::node::{INDEXED, Node};
use crate::nodes::{INDEX_BYTES, Index, Whole, first_of};
use crate::view::ROOT;

impl<A: Address> Table<A> {
    /// Notes that a prefix came or went, and makes an index where there are many now.
    pub(super) fn count(&mut self, prefix: A, len: u8, came: bool) {
        if u32::from(len) <= A::INDEX {
            return;
        }
        let block = prefix.bits(0, A::INDEX);
        if self.counts.is_empty() {
            if self.len < A::MANY as usize {
                return;
            }
            self.count_all();
        } else if came {
            self.counts[block] += 1;
        } else {
            self.counts[block] -= 1;
        }
        let is_due = came && self.counts[block] >= A::MANY && !self.nodes.has_index(block);
        if is_due && self.fits(INDEX_BYTES) {
            self.make_index(prefix, block);
        }
    }

    /// Counts prefixes from now on.
    pub(super) fn count_all(&mut self) {
        let mut counts = vec![0; 1 << A::INDEX];
        self.for_each(|prefix, len, _| {
            if u32::from(len) > A::INDEX {
                counts[prefix.bits(0, A::INDEX)] += 1;
            }
        });
        self.counts = counts;
    }

    /// Returns a node's children, with one for each slot.
    fn all_children(&mut self, at: u32) -> [Whole; 64] {
        let node = self.nodes.node(at);
        let answers = self.by_slot(self.nodes.routes(at));
        core::array::from_fn(|slot| {
            if node.has(slot) {
                self.nodes.whole(node.child(slot))
            } else {
                self.blank(answers[slot])
            }
        })
    }

    /// Puts all nodes of a block's third level side by side. It stays that way.
    pub(super) fn make_index(&mut self, prefix: A, block: usize) {
        let top = self.reach(prefix, A::INDEX);
        let old_top = self.nodes.node(top);
        let mut middles = self.all_children(top);
        let mut index = Index::new();
        for middle in &middles {
            let answers = self.by_slot(&middle.routes);
            for (slot, &inherited) in answers.iter().enumerate() {
                index.push(&if middle.node.has(slot) {
                    self.nodes.whole(middle.node.child(slot))
                } else {
                    self.blank(inherited)
                });
            }
        }
        let is_first = self.nodes.indexes.is_empty();
        self.nodes.add_index(index, block, 1 << A::INDEX);
        if is_first {
            self.publish();
        }
        let old_middles = middles.map(|middle| middle.node);
        for (middle, base) in middles.iter_mut().zip((first_of(block)..).step_by(64)) {
            middle.node = Node::default();
            middle.node.set_children(u64::MAX, base);
        }
        let mut new_top = Node::default();
        new_top.set_children(u64::MAX, self.add_nodes(&middles));
        self.put(top, &old_top, &new_top);
        for old in old_middles.iter().chain([&old_top]) {
            self.retire_nodes(old.child_base(), old.child_count());
            self.retire_leaves(old.leaf_base(), old.leaf_count());
        }
        if A::FLAT != usize::MAX {
            self.uncoded
                .push(first_of(block)..first_of(block) + INDEXED as u32);
        }
    }

    /// Keeps the codes of a table that got large, if there is room for them. Each change gives
    /// some nodes their codes, so that none takes long.
    pub(super) fn add_codes(&mut self) {
        if self.len >= self.codes_from && self.nodes.flat.is_none() {
            match self.fits(Flat::BYTES).then(Flat::new).flatten() {
                Some(flat) => self.use_codes(flat),
                // There may be room once it is larger.
                None => self.codes_from = self.len + self.len / 8,
            }
        }
        self.give_codes(AT_ONCE);
    }

    /// Returns `true` if there may be this many bytes more.
    fn fits(&self, more: usize) -> bool {
        self.bytes().saturating_add(more) <= self.limit
    }

    /// Keeps codes here from now on.
    pub(super) fn use_codes(&mut self, flat: Flat) {
        self.nodes.flat = Some(Arc::new(flat));
        self.publish();
        self.renew(ROOT, 0);
    }

    /// Gives this many more nodes their codes.
    pub(super) fn give_codes(&mut self, nodes: usize) {
        if self.nodes.flat.is_none() {
            return;
        }
        for _ in 0..nodes {
            let Some(nodes) = self.uncoded.last_mut() else {
                return;
            };
            match nodes.next() {
                Some(node) => self.renew(node, 0),
                None => drop(self.uncoded.pop()),
            }
        }
    }

    /// Returns `true` if all nodes have their codes, of those that get any.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.nodes.flat.is_none() || self.uncoded.is_empty()
    }

    /// Gives this many more nodes their codes, and takes what nobody finds any more into use again.
    pub fn settle(&mut self, nodes: usize) {
        self.begin();
        self.give_codes(nodes);
        self.reclaim();
    }
}
