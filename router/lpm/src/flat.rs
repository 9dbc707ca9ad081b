//! The codes of a large IPv4 table side by side, one for each /24: what most lookups load, and all
//! that they load.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::node::INDEXED;
use super::node::{NO_CODE, STRIDE};

/// The codes of a node's slots.
pub(crate) type Codes = [u8; 1 << STRIDE];
/// How many blocks of the size that the root decides on there are.
const BLOCKS: usize = 1 << STRIDE;
/// Codes of a block.
const BLOCK: usize = INDEXED << STRIDE;

#[derive(Debug)]
pub(crate) struct Flat {
    /// By the first 24 bits of the address: what the node in the block's index says, or the root
    /// where no prefix is longer; [`NO_CODE`] where neither is known here.
    pub(crate) codes: Box<[u8; BLOCKS * BLOCK]>,
    /// Those of the root.
    pub(crate) root: Codes,
}

impl Flat {
    /// No codes yet. None if there is no room for them.
    pub(crate) fn new() -> Option<Self> {
        let mut codes = Vec::new();
        codes.try_reserve_exact(BLOCKS * BLOCK).ok()?;
        codes.resize(BLOCKS * BLOCK, NO_CODE);
        Some(Self {
            codes: codes.into_boxed_slice().try_into().ok()?,
            root: [NO_CODE; _],
        })
    }

    /// The codes of an indexed node, by its number among all of them.
    pub(crate) fn get(&self, node: u32) -> Codes {
        let nodes = self.codes.as_chunks().0;
        nodes.get(node as usize).copied().unwrap_or([NO_CODE; _])
    }

    pub(crate) fn set(&mut self, node: u32, codes: &Codes) {
        if let Some(held) = self.codes.as_chunks_mut().0.get_mut(node as usize) {
            *held = *codes;
        }
    }

    /// Replaces those of the root, and of the blocks that it answers for.
    pub(crate) fn set_root(&mut self, codes: &Codes) {
        let blocks = self.codes.as_chunks_mut::<BLOCK>().0;
        for ((block, held), &code) in blocks.iter_mut().zip(&mut self.root).zip(codes) {
            if core::mem::replace(held, code) != code {
                block.fill(code);
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.codes.len()
    }
}

/// Takes the codes of slots away.
pub(crate) fn hide_codes(codes: &mut Codes, slots: u64) {
    for (slot, code) in codes.iter_mut().enumerate() {
        if slots >> slot & 1 != 0 {
            *code = NO_CODE;
        }
    }
}
