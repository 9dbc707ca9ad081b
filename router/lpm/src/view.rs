//! What lookups read of a table, while one thread changes it.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::cell::{SharedOnce, SharedU32};
use crate::flat::Flat;
use crate::node::{INDEXED, NO_CODE, SharedNode};
use crate::pool::SharedPage;

/// The number of the node that all others hang from.
pub(crate) const ROOT: u32 = 0;
/// Nodes of one page.
pub(crate) const NODES: usize = 512;
/// Leaves or values of one page.
pub(crate) const WORDS: usize = 2048;
/// In the number of a node: it is in the index of the block whose number follows, and then its
/// place there.
pub(crate) const IN_INDEX: u32 = 1 << 31;
/// How many codes there are, with [`NO_CODE`], and the first number that has none.
pub(crate) const CODES: u32 = 1 + NO_CODE as u32;
/// What [`NO_CODE`] stands for: larger than any value.
pub(crate) const UNCODED: u32 = u32::MAX;
/// How often a table that others read can get more pages. Its lists of pages grow by an eighth, and
/// a table fills all addresses of nodes and leaves before this.
const VIEWS: usize = 512;

/// A page of nodes in runs, and one of leaves or of values.
pub(crate) type NodePage = SharedPage<SharedNode, NODES>;
pub(crate) type WordPage = SharedPage<SharedU32, WORDS>;

/// The nodes of a block's third level, side by side.
pub(crate) type Index = [SharedNode; INDEXED];

/// Where everything is. It doesn't change: when there are more pages, there is another.
#[derive(Debug)]
pub(crate) struct View {
    /// The page with the root.
    pub(crate) first: NodePage,
    /// The nodes in runs.
    pub(crate) nodes: Box<[NodePage]>,
    /// The numbers of answers that the nodes have no codes of.
    pub(crate) leaves: Box<[WordPage]>,
    /// The values of the numbers from [`CODES`] on.
    pub(crate) values: Box<[WordPage]>,
    /// The nodes in indexes, by block; empty before there is one. Lookups begin here.
    pub(crate) indexes: Arc<[SharedOnce<Index>]>,
    /// The codes of slots, in a large table of a family that has them.
    pub(crate) flat: Option<Arc<Flat>>,
}

impl View {
    /// Returns the node that all others hang from.
    #[inline(always)]
    pub(crate) fn root(&self) -> &SharedNode {
        &self.first[ROOT as usize]
    }

    /// Any node.
    pub(crate) fn any_node(&self, at: u32) -> Option<&SharedNode> {
        if at & IN_INDEX == 0 {
            return node_in(&self.nodes, at);
        }
        let block = (at ^ IN_INDEX) as usize / INDEXED;
        Some(&self.indexes.get(block)?.get()?[at as usize % INDEXED])
    }

    /// Returns a leaf. `None` if there are fewer.
    #[inline(always)]
    pub(crate) fn leaf(&self, at: u32) -> Option<u32> {
        let page = self.leaves.get(at as usize / WORDS)?;
        Some(page[at as usize % WORDS].load())
    }

    /// Returns the bytes of its lists.
    pub(crate) fn bytes(&self) -> usize {
        let pages = self.nodes.len() + self.leaves.len() + self.values.len();
        size_of::<Self>() + pages * size_of::<usize>()
    }
}

/// Returns a node of a run. `None` if there are fewer.
#[inline(always)]
pub(crate) fn node_in(nodes: &[NodePage], at: u32) -> Option<&SharedNode> {
    let page = nodes.get(at as usize / NODES)?;
    Some(&page[at as usize % NODES])
}

/// All that lookups read of a table.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The values by code, and [`UNCODED`].
    coded: [SharedU32; CODES as usize],
    /// Which view is the newest: the first one if 0, or else one of the others.
    newest: SharedU32,
    first: View,
    others: [SharedOnce<View>; VIEWS],
}

impl Shared {
    pub(crate) fn new(view: View) -> Self {
        let coded = [const { SharedU32::new(0) }; CODES as usize];
        coded[usize::from(NO_CODE)].store(UNCODED);
        Self {
            coded,
            newest: SharedU32::new(0),
            first: view,
            others: [const { SharedOnce::new() }; VIEWS],
        }
    }

    /// Returns the newest view.
    #[inline(always)]
    pub(crate) fn view(&self) -> &View {
        let other = &self.others[self.newest.load() as usize % VIEWS];
        other.get().unwrap_or(&self.first)
    }

    /// Has lookups use another view from now on. Those that are under way may use old ones.
    pub(crate) fn publish(this: &mut Arc<Self>, view: View) {
        if let Some(alone) = Arc::get_mut(this) {
            (alone.newest, alone.first) = (SharedU32::new(0), view);
            alone.others = [const { SharedOnce::new() }; VIEWS];
            return;
        }
        let newest = this.newest.load() + 1;
        if let Some(next) = this.others.get(newest as usize)
            && next.set(Box::new(view))
        {
            this.newest.store(newest);
        }
    }

    /// Returns the values by code, and [`UNCODED`].
    #[inline(always)]
    pub(crate) fn coded(&self) -> &[SharedU32; CODES as usize] {
        &self.coded
    }
}
