//! Changes while others look up: what they may still find stays as it is until they can't.

use alloc::sync::Arc;
use core::sync::atomic::{Ordering, fence};

use super::{BATCH, Reader, Table};
use crate::address::Address;
use crate::node::{Node, Routes};
use crate::nodes::Whole;
use crate::retired::Retired;
use crate::view::{Shared, View};

/// What others still find.
impl<A: Address> Table<A> {
    /// Returns the number of items that can't be reused yet, since lookups may still find them. If it
    /// keeps growing, a lane isn't running, and updates should pause.
    #[must_use]
    pub fn retired(&self) -> usize {
        self.retired.len()
    }

    /// Takes what nobody finds any more into use again.
    pub fn reclaim(&mut self) {
        if Arc::strong_count(&self.shared) == 1 {
            return self.free_all();
        }
        let Some(epochs) = &self.epochs else {
            return;
        };
        if self.retired.has_loose() {
            self.retired.batch(epochs.advance());
        }
        let epoch = epochs.seen_by_all();
        while let Some(item) = self.retired.pop(epoch) {
            self.free(item);
        }
    }

    /// Takes everything into use again that was taken out: there are no other lookups.
    fn free_all(&mut self) {
        // What the last other reader did is over.
        fence(Ordering::Acquire);
        // Each thing that is retired leaves one other at most.
        while self.retired.len() != 0 {
            self.retired.batch(0);
            while let Some(item) = self.retired.pop(u64::MAX) {
                self.free(item);
            }
        }
    }

    /// Calls `change` with the table while nobody performs lookups, provided that `reader`, which is
    /// borrowed, is the only reader. Updates are faster then, and freed memory is reused at once. If
    /// there are other readers, this has no effect.
    pub fn alone<T>(&mut self, reader: &mut Reader<A>, change: impl FnOnce(&mut Self) -> T) -> T {
        let is_ours = Arc::ptr_eq(&self.shared, &reader.shared);
        let alone = is_ours && Arc::strong_count(&self.shared) == 2;
        if alone && !self.alone {
            self.free_all();
            self.alone = true;
        }
        let done = change(self);
        self.alone &= !alone;
        done
    }

    /// Begins a change.
    pub(super) fn begin(&mut self) {
        if !self.alone && Arc::strong_count(&self.shared) == 1 {
            self.free_all();
            self.alone = true;
        }
    }

    /// Ends a change.
    pub(super) fn end(&mut self) {
        if self.retired.len() >= BATCH {
            self.reclaim();
        }
    }

    /// Frees something when no lookup can find it any more: at once if there are no others.
    pub(super) fn retire(&mut self, item: Retired) {
        if self.alone {
            self.free(item);
        } else {
            self.retired.push(item);
        }
    }

    pub(super) fn retire_nodes(&mut self, start: u32, len: u32) {
        if len != 0 {
            self.retire(Retired::Nodes { start, len });
        }
    }

    pub(super) fn retire_leaves(&mut self, start: u32, len: u32) {
        if len != 0 {
            self.retire(Retired::Leaves { start, len });
        }
    }

    fn free(&mut self, item: Retired) {
        match item {
            Retired::Nodes { start, len } => self.nodes.remove(start, len),
            Retired::Leaves { start, len } => self.leaves.remove(start, len),
            Retired::Number(number) => self.interner.free(number),
            Retired::Moved { at, copy } => self.move_back(at, copy),
            Retired::Flat { at, since } => self.leave_to_codes(at, since),
        }
    }
}

/// What lookups are led to.
impl<A: Address> Table<A> {
    /// Has lookups find all pages.
    pub(super) fn publish(&mut self) {
        let view = View {
            first: self.nodes.pages.first(),
            nodes: self.nodes.pages.list(),
            leaves: self.leaves.pages.list(),
            values: self.uncoded_values.list(),
            indexes: self.nodes.indexes.clone(),
            flat: self.nodes.flat.clone(),
        };
        self.views += view.bytes();
        Shared::publish(&mut self.shared, view);
    }

    /// Makes a run of nodes that lookups can be led to.
    pub(super) fn add_nodes(&mut self, nodes: &[Whole]) -> u32 {
        let pages = self.nodes.pages.len();
        let base = self.nodes.add(nodes);
        if self.nodes.pages.len() != pages {
            self.publish();
        }
        base
    }

    /// The same for leaves.
    pub(super) fn add_leaves(&mut self, leaves: &[u32]) -> u32 {
        let pages = self.leaves.pages.len();
        let base = self.leaves.add(leaves);
        if self.leaves.pages.len() != pages {
            self.publish();
        }
        base
    }

    /// Replaces a node, without a lookup that finds anything but what the old one or the new one
    /// answers.
    pub(super) fn put(&mut self, at: u32, old: &Node, new: &Node) {
        let held = self.nodes.held(at);
        if self.alone {
            return held.store(new);
        }
        let before = held.moved_to();
        let current = before.map_or(held, |copy| self.nodes.pages.get(copy));
        if current.replace(old, new) {
            return;
        }
        let copy = self.add_nodes(&[Whole {
            node: *new,
            routes: Routes::default(),
        }]);
        self.nodes.held(at).divert(copy, new);
        self.retire(Retired::Moved { at, copy });
        if let Some(before) = before {
            self.retire_nodes(before, 1);
        }
    }

    /// Has a node back that moved to `copy`, unless it has moved on.
    fn move_back(&mut self, at: u32, copy: u32) {
        let held = self.nodes.held(at);
        if held.moved_to() == Some(copy) {
            held.settle(&self.nodes.pages.get(copy).load());
            self.retire_nodes(copy, 1);
        }
    }

    /// Leaves a node's answers to the codes of all slots, if they were known all the time since
    /// then.
    fn leave_to_codes(&mut self, at: u32, since: u32) {
        if self.nodes.routes(at).flat_since != since {
            return;
        }
        let held = self.nodes.held(at);
        if held.moved_to().is_some() {
            // It is about to be back.
            return self.retire(Retired::Flat { at, since });
        }
        let node = held.load();
        let mut bare = node;
        bare.make_bare();
        held.store(&bare);
        self.nodes.routes_mut(at).flat_since = 0;
        self.retire_leaves(node.leaf_base(), node.leaf_count());
    }
}
