//! Memory for a step of the slow path, ensured before it is taken.
//!
//! Queues are bounded, and what a step allocates temporarily is freed after it. So no packet runs
//! out of memory if a step is only taken while there is a free block as large as everything that it
//! may allocate: at worst, the heap serves it from this block.

use alloc::vec::Vec;
use core::hint::black_box;

/// The maximum number of copies of a packet's bytes while it is handled: as received, reassembled,
/// with an Ethernet header, its reply, and the reply as fragments in the outbox.
const COPIES: usize = 6;

/// Additional bytes: errors about the packet, packets released from a neighbor's queue, and the
/// heap's own overhead.
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
    // Otherwise the compiler removes the unused allocation and assumes success.
    black_box(&block);
    found
}
