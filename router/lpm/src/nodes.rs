//! Where the nodes of a table are: in runs of up to 64, or side by side in the index of a block.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::cell::SharedOnce;
use crate::flat::Flat;
use crate::node::{INDEXED, INDEXED_BITS, NO_CODE, Node, Routes, STRIDE, SharedNode};
use crate::pool::{Pages, Runs, SharedPages};
use crate::view::{self, IN_INDEX, NODES, ROOT};

/// Returns the number of the first node in a block's index.
pub(crate) fn first_of(block: usize) -> u32 {
    IN_INDEX | (block as u32) << INDEXED_BITS
}

/// What an index takes.
pub(crate) const INDEX_BYTES: usize = size_of::<view::Index>() + size_of::<[Routes; INDEXED]>();

/// Nodes with all of their sides.
#[derive(Debug)]
pub(crate) struct Nodes {
    runs: Runs,
    pub(crate) pages: SharedPages<SharedNode, NODES>,
    pub(crate) indexes: Arc<[SharedOnce<view::Index>]>,
    route_pages: Pages<Routes, NODES>,
    route_indexes: Vec<Option<Box<[Routes; INDEXED]>>>,
    index_count: usize,
    pub(crate) flat: Option<Arc<Flat>>,
    /// What `flat` has of the root.
    root_codes: [u8; 1 << STRIDE],
}

/// One node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whole {
    pub(crate) node: Node,
    pub(crate) routes: Routes,
}

/// The nodes of an index that is being made.
pub(crate) struct Index {
    nodes: Vec<SharedNode>,
    routes: Vec<Routes>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::with_capacity(INDEXED),
            routes: Vec::with_capacity(INDEXED),
        }
    }

    pub(crate) fn push(&mut self, whole: &Whole) {
        let node = SharedNode::default();
        node.store(&whole.node);
        self.nodes.push(node);
        self.routes.push(whole.routes);
    }
}

impl Nodes {
    /// Room for the first ones.
    pub(crate) fn new() -> Self {
        let mut nodes = Self {
            runs: Runs::new(),
            pages: SharedPages::new(),
            indexes: Arc::new([]),
            route_pages: Pages::new(),
            route_indexes: Vec::new(),
            index_count: 0,
            flat: None,
            root_codes: [NO_CODE; _],
        };
        nodes.grow();
        nodes
    }

    fn grow(&mut self) {
        let slots = self.pages.grow();
        for _ in 0..slots / NODES {
            self.route_pages.grow();
        }
        self.runs.grow(slots, true);
    }

    /// Returns a node as lookups that begin now find it first: it may have moved.
    pub(crate) fn held(&self, at: u32) -> &SharedNode {
        if at & IN_INDEX != 0 {
            let block = (at ^ IN_INDEX) as usize / INDEXED;
            if let Some(index) = self.indexes.get(block).and_then(SharedOnce::get) {
                return &index[at as usize % INDEXED];
            }
        }
        self.pages.get(at)
    }

    /// Returns a node, wherever it is.
    pub(crate) fn node(&self, at: u32) -> Node {
        let node = self.held(at).load();
        match node.moved_to() {
            Some(copy) => self.pages.get(copy).load(),
            None => node,
        }
    }

    /// Returns the child of a node in a slot, if there is one.
    #[inline]
    pub(crate) fn child(&self, at: u32, slot: usize) -> Option<u32> {
        let held = self.held(at);
        let node = match held.moved_to() {
            Some(copy) => self.pages.get(copy),
            None => held,
        };
        let (has, child) = node.perhaps_child(slot);
        has.then_some(child)
    }

    pub(crate) fn routes(&self, at: u32) -> &Routes {
        if at & IN_INDEX != 0 {
            let block = (at ^ IN_INDEX) as usize / INDEXED;
            if let Some(Some(index)) = self.route_indexes.get(block) {
                return &index[at as usize % INDEXED];
            }
        }
        self.route_pages.get(at)
    }

    pub(crate) fn routes_mut(&mut self, at: u32) -> &mut Routes {
        if at & IN_INDEX != 0 {
            let block = (at ^ IN_INDEX) as usize / INDEXED;
            if let Some(Some(index)) = self.route_indexes.get_mut(block) {
                return &mut index[at as usize % INDEXED];
            }
        }
        self.route_pages.get_mut(at)
    }

    pub(crate) fn whole(&self, at: u32) -> Whole {
        Whole {
            node: self.node(at),
            routes: *self.routes(at),
        }
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
                self.grow();
                // A page of free slots holds any run.
                self.runs.take(len).unwrap_or(0)
            }
        };
        for (at, whole) in (start..).zip(nodes) {
            self.pages.get(at).store(&whole.node);
            *self.route_pages.get_mut(at) = whole.routes;
        }
        start
    }

    /// Gives a run back, which no lookup can have found.
    pub(crate) fn remove(&mut self, start: u32, len: u32) {
        if len != 0 {
            self.runs.give(start, len);
        }
    }

    /// Adds the index of a block with all of its nodes.
    pub(crate) fn add_index(&mut self, index: Index, block: usize, of: usize) {
        if self.indexes.is_empty() {
            self.indexes = (0..of).map(|_| SharedOnce::new()).collect();
            self.route_indexes.resize_with(of, || None);
        }
        self.route_indexes[block] = index.routes.into_boxed_slice().try_into().ok();
        if let Ok(nodes) = index.nodes.into_boxed_slice().try_into() {
            self.indexes[block].set(nodes);
            self.index_count += 1;
        }
    }

    /// Returns `true` if a block has an index.
    pub(crate) fn has_index(&self, block: usize) -> bool {
        self.route_indexes.get(block).is_some_and(Option::is_some)
    }

    /// Returns `true` if the codes of a node's slots are kept in `flat`.
    #[inline]
    pub(crate) fn is_flat(&self, at: u32) -> bool {
        self.flat.is_some() && (at == ROOT || at & IN_INDEX != 0)
    }

    /// Replaces the codes of some slots of a node for which [`Self::is_flat`].
    pub(crate) fn set_codes(&mut self, at: u32, slots: u64, code: impl Fn(usize) -> u8) {
        let Some(flat) = &self.flat else {
            return;
        };
        for slot in ones(slots) {
            let code = code(slot);
            if at != ROOT {
                flat.set(at ^ IN_INDEX, slot, code);
            } else if core::mem::replace(&mut self.root_codes[slot], code) != code {
                flat.fill(slot, code);
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.runs.bytes()
            + self.pages.bytes()
            + self.route_pages.bytes()
            + size_of_val(&*self.indexes)
            + self.route_indexes.capacity() * size_of::<usize>()
            + self.index_count * INDEX_BYTES
            + self.flat.as_ref().map_or(0, |_| Flat::BYTES)
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.runs.used()
    }
}

/// Returns the bits that are set, from the lowest on.
#[inline(always)]
pub(crate) fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = bits.trailing_zeros();
        bits &= bits.checked_sub(1)?;
        Some(bit as usize)
    })
}
