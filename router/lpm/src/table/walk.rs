//! From prefix to prefix, over all of them.

use super::{DEPTHS, Table};
use crate::address::Address;
use crate::node::{Node, STRIDE, prefix_at};
use crate::view::ROOT;

/// A node, and where it is in the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<A> {
    pub(super) at: u32,
    pub(super) prefix: A,
    pub(super) depth: u32,
}

/// A node on the way to the one that a walk is at, and the slots of the children that come after
/// that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    node: Node,
    left: u64,
}

/// The nodes on the way to the one that a walk is at, by depth. It holds as long as none comes or
/// goes.
pub(super) type Path = [Level; DEPTHS];

impl<A: Address> Table<A> {
    /// Calls `each` with all prefixes, their lengths and values, in no particular order.
    pub fn for_each(&self, mut each: impl FnMut(A, u8, u32)) {
        if let Some(value) = self.zero {
            each(A::ZERO, 0, value);
        }
        let (mut path, mut next) = self.start();
        while let Some(step) = next {
            let routes = self.nodes.routes(step.at);
            for half in [0, 1] {
                let values = self.value_run(routes, half);
                for (place, &value) in routes.places(half).zip(values) {
                    let (len, bits) = prefix_at(place);
                    let prefix = step.prefix.with_bits(step.depth, len, bits);
                    each(prefix, (step.depth + len) as u8, self.value(value));
                }
            }
            next = self.next(&mut path, step);
        }
    }

    /// Returns a walk that begins.
    pub(super) fn start(&self) -> (Path, Option<Step<A>>) {
        let root = Step {
            at: ROOT,
            prefix: A::ZERO,
            depth: 0,
        };
        ([Level::default(); DEPTHS], Some(root))
    }

    /// Returns the next node after one that is on the path: the first child, or else the next one
    /// beside it or one of those above it.
    pub(super) fn next(&self, path: &mut Path, step: Step<A>) -> Option<Step<A>> {
        let node = self.nodes.node(step.at);
        let left = node.children;
        path[(step.depth / STRIDE) as usize] = Level { node, left };
        first_left(path, step.prefix, step.depth)
    }

    /// The same for a node that may not be there any more.
    pub(super) fn resume(&self, prefix: A, depth: u32) -> (Path, Option<Step<A>>) {
        let (mut path, mut at, mut reached) = ([Level::default(); DEPTHS], ROOT, 0);
        loop {
            let node = self.nodes.node(at);
            let slot = prefix.bits(reached, STRIDE);
            let beyond = u64::MAX.checked_shl(slot as u32 + 1).unwrap_or(0);
            let left = node.children & if reached < depth { beyond } else { u64::MAX };
            path[(reached / STRIDE) as usize] = Level { node, left };
            if reached == depth || !node.has(slot) {
                break;
            }
            at = node.child(slot);
            reached += STRIDE;
        }
        let next = first_left(&mut path, prefix, reached);
        (path, next)
    }
}

/// Returns the first child that is left of the node of some depth on the path, or of the nearest
/// one above it that has some.
fn first_left<A: Address>(path: &mut Path, prefix: A, mut depth: u32) -> Option<Step<A>> {
    loop {
        let level = &mut path[(depth / STRIDE) as usize];
        if level.left != 0 {
            let slot = level.left.trailing_zeros();
            level.left &= level.left - 1;
            return Some(Step {
                at: level.node.child(slot as usize),
                prefix: prefix.masked(depth as u8).with_bits(depth, STRIDE, slot),
                depth: depth + STRIDE,
            });
        }
        depth = depth.checked_sub(STRIDE)?;
    }
}
