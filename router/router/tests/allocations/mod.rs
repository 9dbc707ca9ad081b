//! An allocator that counts what each thread takes of it.

#![expect(unsafe_code, reason = "an allocator hands out memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: each call is the system's, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `alloc` made the block with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Does something that must not allocate.
pub(crate) fn none<T>(what: impl FnOnce() -> T) -> T {
    let before = COUNT.get();
    let done = what();
    assert_eq!(COUNT.get(), before, "blocks were allocated");
    done
}
