//! The codes of a large IPv4 table side by side, one for each /24: what most lookups load, and all
//! that they load.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::cell::SharedU8;
use crate::node::{NO_CODE, STRIDE};

/// How many blocks of the size that the root decides on there are.
const BLOCKS: usize = 1 << STRIDE;
/// Codes of a block.
const BLOCK: usize = 1 << (3 * STRIDE);

/// By the first 24 bits of the address: what the node in the block's index says, or the root
/// where no prefix is longer; [`NO_CODE`] where neither is known here.
pub(crate) type Codes = [SharedU8; BLOCKS * BLOCK];

#[derive(Debug)]
pub(crate) struct Flat {
    pub(crate) codes: Box<Codes>,
}

impl Flat {
    /// No codes yet. `None` if there is no room for them.
    pub(crate) fn new() -> Option<Self> {
        let mut codes = Vec::new();
        codes.try_reserve_exact(BLOCKS * BLOCK).ok()?;
        codes.resize_with(BLOCKS * BLOCK, || SharedU8::new(NO_CODE));
        Some(Self {
            codes: codes.into_boxed_slice().try_into().ok()?,
        })
    }

    /// Replaces the code of a slot of an indexed node, by its number among all of them.
    pub(crate) fn set(&self, node: u32, slot: usize, code: u8) {
        let nodes = self.codes.as_chunks::<{ 1 << STRIDE }>().0;
        if let Some(held) = nodes.get(node as usize) {
            held[slot].store(code);
        }
    }

    /// Replaces all codes of a block, for which the root answers.
    pub(crate) fn fill(&self, block: usize, code: u8) {
        let blocks = self.codes.as_chunks::<BLOCK>().0;
        for held in blocks.get(block).into_iter().flatten() {
            held.store(code);
        }
    }

    /// What the codes take.
    pub(crate) const BYTES: usize = BLOCKS * BLOCK;
}
