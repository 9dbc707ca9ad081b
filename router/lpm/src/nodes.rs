//! Where the nodes of a table are: in runs of up to 64, or side by side in the index of a block.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::flat::{Codes, Flat, hide_codes};
use super::node::{INDEXED, INDEXED_BITS, Node, Routes};
use super::pool::{Pages, Runs};

/// The number of the node that all others hang from.
pub(crate) const ROOT: u32 = 0;
/// Nodes of one page.
const NODES: usize = 512;
/// In the number of a node: it is in the index of the block whose number follows, and then its
/// place there.
const IN_INDEX: u32 = 1 << 31;

/// The number of the first node in a block's index.
pub(crate) fn first_of(block: usize) -> u32 {
    IN_INDEX | (block as u32) << INDEXED_BITS
}

/// One side of all nodes.
#[derive(Debug)]
pub(crate) struct Side<T> {
    /// Those in runs.
    pub(crate) pages: Pages<T, NODES>,
    /// Those in indexes, by block; empty before there is one. Lookups begin here.
    pub(crate) blocks: Vec<Option<Box<[T; INDEXED]>>>,
}

impl<T: Copy + Default> Side<T> {
    const fn new() -> Self {
        Self {
            pages: Pages::new(),
            blocks: Vec::new(),
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, at: u32) -> &T {
        if at & IN_INDEX != 0 {
            let block = (at ^ IN_INDEX) as usize / INDEXED;
            if let Some(Some(block)) = self.blocks.get(block) {
                return &block[at as usize % INDEXED];
            }
        }
        self.pages.get(at)
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, at: u32) -> &mut T {
        if at & IN_INDEX != 0 {
            let block = (at ^ IN_INDEX) as usize / INDEXED;
            if let Some(Some(block)) = self.blocks.get_mut(block) {
                return &mut block[at as usize % INDEXED];
            }
        }
        self.pages.get_mut(at)
    }

    fn add(&mut self, index: Vec<T>, block: usize, of: usize) {
        if self.blocks.is_empty() {
            self.blocks.resize_with(of, || None);
        }
        self.blocks[block] = index.into_boxed_slice().try_into().ok();
    }

    fn bytes(&self) -> usize {
        self.pages.bytes()
            + self.blocks.capacity() * size_of::<usize>()
            + self.blocks.iter().flatten().count() * size_of::<[T; INDEXED]>()
    }
}

/// Nodes with all of their sides.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) runs: Runs,
    pub(crate) nodes: Side<Node>,
    pub(crate) routes: Side<Routes>,
    /// The codes of slots, in a large table of a family that has them.
    pub(crate) flat: Option<Flat>,
}

/// One node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whole {
    pub(crate) node: Node,
    pub(crate) routes: Routes,
}

/// The nodes of an index that is being made.
pub(crate) struct Index {
    nodes: Vec<Node>,
    routes: Vec<Routes>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::with_capacity(INDEXED),
            routes: Vec::with_capacity(INDEXED),
        }
    }

    pub(crate) fn push(&mut self, whole: Whole) {
        self.nodes.push(whole.node);
        self.routes.push(whole.routes);
    }
}

impl Nodes {
    pub(crate) const fn new() -> Self {
        Self {
            runs: Runs::new(),
            nodes: Side::new(),
            routes: Side::new(),
            flat: None,
        }
    }

    pub(crate) fn whole(&self, at: u32) -> Whole {
        Whole {
            node: *self.nodes.get(at),
            routes: *self.routes.get(at),
        }
    }

    pub(crate) fn set(&mut self, at: u32, whole: Whole) {
        *self.nodes.get_mut(at) = whole.node;
        *self.routes.get_mut(at) = whole.routes;
    }

    pub(crate) fn copy(&self, start: u32, to: &mut [Whole]) {
        for (at, to) in (start..).zip(to) {
            *to = self.whole(at);
        }
    }

    /// Makes a run of these nodes; nothing for none.
    pub(crate) fn add(&mut self, nodes: &[Whole]) -> u32 {
        let len = nodes.len() as u32;
        if len == 0 {
            return 0;
        }
        let start = match self.runs.take(len) {
            Some(start) => start,
            None => {
                self.nodes.pages.grow();
                self.routes.pages.grow();
                self.runs.grow(NODES, true);
                // A page of free slots holds any run.
                self.runs.take(len).unwrap_or(0)
            }
        };
        for (at, &node) in (start..).zip(nodes) {
            self.set(at, node);
        }
        start
    }

    /// Adds the index of a block, one of so many, with all of its nodes.
    pub(crate) fn add_index(&mut self, index: Index, block: usize, of: usize) {
        self.routes.add(index.routes, block, of);
        self.nodes.add(index.nodes, block, of);
    }

    /// Whether the codes of a node's slots are kept in `flat`.
    #[inline]
    pub(crate) fn is_flat(&self, at: u32) -> bool {
        self.flat.is_some() && (at == ROOT || at & IN_INDEX != 0)
    }

    /// Replaces the codes of a node for which [`Self::is_flat`].
    pub(crate) fn set_codes(&mut self, at: u32, codes: &Codes) {
        match &mut self.flat {
            Some(flat) if at == ROOT => flat.set_root(codes),
            Some(flat) => flat.set(at ^ IN_INDEX, codes),
            None => {}
        }
    }

    /// Takes the codes of some slots of a node away, if they are kept.
    pub(crate) fn hide_codes(&mut self, at: u32, slots: u64) {
        if !self.is_flat(at) {
            return;
        }
        if let Some(flat) = &mut self.flat {
            let mut codes = if at == ROOT {
                flat.root
            } else {
                flat.get(at ^ IN_INDEX)
            };
            hide_codes(&mut codes, slots);
            self.set_codes(at, &codes);
        }
    }

    /// Whether a block has an index.
    pub(crate) fn has_index(&self, block: usize) -> bool {
        self.nodes.blocks.get(block).is_some_and(Option::is_some)
    }

    pub(crate) fn remove(&mut self, start: u32, len: u32) {
        if len != 0 {
            self.runs.give(start, len);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.runs.bytes()
            + self.nodes.bytes()
            + self.routes.bytes()
            + self.flat.as_ref().map_or(0, Flat::bytes)
    }
}
