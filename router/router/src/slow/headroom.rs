//! Memory for a step, made sure of before it is taken.
//!
//! What waits is bounded, and what a step allocates meanwhile is gone after it. So nothing on a
//! packet's path runs out of memory if a step is only taken while there is a free block as large as
//! all that it may allocate: a heap serves that from anywhere, at worst from this block.

use alloc::vec::Vec;
use core::hint::black_box;

/// How often the bytes of a packet exist at most while it is handled: as received, put together of
/// fragments and behind an Ethernet header, as the answer to it, and that one as fragments in the
/// outbox.
const COPIES: usize = 6;

/// Bytes for what is not the packet's own: errors about it, what a neighbor's queue leaves to be
/// sent, and the nodes of the heap.
const BESIDE: usize = 24 * 1024;

/// Returns `true` if there is memory to handle a packet of `len` bytes.
pub(crate) fn for_packet(len: usize) -> bool {
    is_memory_free(COPIES * len + BESIDE)
}

/// Returns `true` if there is memory for what timers do, of neighbors and of interfaces.
pub(crate) fn for_timers() -> bool {
    is_memory_free(2 * BESIDE)
}

/// Returns `true` if a block of `bytes` bytes could be allocated.
#[must_use]
pub fn is_memory_free(bytes: usize) -> bool {
    let mut block = Vec::<u8>::new();
    let found = block.try_reserve_exact(bytes).is_ok();
    // Or the compiler sees that the block isn't used, and takes it for found.
    black_box(&block);
    found
}
