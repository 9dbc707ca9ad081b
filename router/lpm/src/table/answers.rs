//! What nodes answer.

use super::{HIDDEN, Table};
use crate::address::Address;
use crate::node::{NO_CODE, Node, Place, Routes, span};
use crate::nodes::ones;
use crate::retired::Retired;
use crate::value_interner::code;

impl<A: Address> Table<A> {
    /// Returns the number of a node's answer for each slot.
    pub(super) fn by_slot(&self, routes: &Routes) -> [u32; 64] {
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
    pub(super) fn set_values(&mut self, node: u32, values: &[u32], place: Place) {
        let routes = self.nodes.routes_mut(node);
        let (start, count) = (routes.values[place.half], routes.count(place.half));
        routes.flip(place);
        routes.values[place.half] = self.values.add(values);
        self.values.remove(start, count);
    }

    /// Makes the answers of a node in some slots again, and those of all that inherit from them.
    pub(super) fn refresh(&mut self, at: u32, (first, count): (usize, usize)) {
        let slots = u64::MAX.checked_shr(64 - count as u32).unwrap_or(0) << first;
        self.renew(at, slots);
        while let Some((child, inherited)) = self.pending.pop() {
            self.nodes.routes_mut(child).inherited = inherited;
            self.renew(child, u64::MAX);
        }
    }

    /// Makes the answers of a node in some slots again, and notes what children there are to
    /// inherit.
    pub(super) fn renew(&mut self, at: u32, slots: u64) {
        let answers = self.by_slot(self.nodes.routes(at));
        let node = self.nodes.node(at);
        self.answer(at, &node, node, &answers, slots);
        for slot in ones(node.children & slots) {
            let child = node.child(slot);
            if self.nodes.routes(child).inherited != answers[slot] {
                self.pending.push((child, answers[slot]));
            }
        }
    }

    /// Replaces a node by one with these answers, different from before in some slots, and with the
    /// children of `node`, which are no more than before.
    pub(super) fn answer(
        &mut self,
        at: u32,
        old: &Node,
        mut node: Node,
        answers: &[u32; 64],
        slots: u64,
    ) {
        let lost = old.children & !node.children;
        let flat = self.nodes.is_flat(at);
        let coded = flat && answers.iter().all(|&number| number < NO_CODE.into());
        let flat_before = flat && (old.is_bare() || self.nodes.routes(at).flat_since != 0);
        let changed = if flat_before { slots | lost } else { u64::MAX } & !node.children;
        if !coded || lost != 0 {
            self.lead(&mut node, answers);
            self.put(at, old, &node);
            if (node.leaf_end, node.leaf_count()) != (old.leaf_end, old.leaf_count()) {
                self.retire_leaves(old.leaf_base(), old.leaf_count());
            }
        }
        if flat {
            self.nodes
                .set_codes(at, changed, |slot| code(answers[slot]));
        }
        if coded {
            self.has_codes(at, &node);
        } else if flat {
            self.nodes.routes_mut(at).flat_since = 0;
        }
    }

    /// Notes that the codes of all slots of a node without a child are known.
    fn has_codes(&mut self, at: u32, node: &Node) {
        if node.is_bare() || self.nodes.routes(at).flat_since != 0 {
            return;
        }
        self.since = self.since.wrapping_add(1).max(1);
        let since = self.since;
        self.nodes.routes_mut(at).flat_since = since;
        self.retire(Retired::Flat { at, since });
    }

    /// Lets a node lead to answers: if all have codes and they fit, by these, else by leaves. Those
    /// it had aren't retired.
    pub(super) fn lead(&mut self, node: &mut Node, answers: &[u32; 64]) {
        let ends = ends_of_runs(answers, node.children);
        let coded = answers.iter().all(|&number| number < NO_CODE.into());
        if coded && node.take_codes(ends, ones(ends).map(|slot| code(answers[slot]))) {
            return;
        }
        let (mut leaves, mut filled) = ([0; 64], 0);
        for slot in ones(ends) {
            leaves[filled] = answers[slot];
            filled += 1;
        }
        if self.alone && ends == node.ends && node.leaf_count() != 0 {
            self.leaves.set(node.leaf_base(), &leaves[..filled]);
        } else {
            let base = self.add_leaves(&leaves[..filled]);
            node.take_leaves(ends, base);
        }
    }
}

/// Returns where each run of equal answers ends, slots with children left out.
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
