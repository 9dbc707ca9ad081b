//! The control plane's heap. Forwarding never comes here.

#![expect(unsafe_code, reason = "an allocator hands out memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use spin::Mutex;

use crate::memory;

/// Least growth of the heap, in bytes: growing is rare then, and little is wasted.
const STEP: usize = 64 * 1024;

/// A first-fit heap on the memory that [`memory`] lends it; for `#[global_allocator]`.
pub struct KernelHeap(Mutex<linked_list_allocator::Heap>);

impl KernelHeap {
    /// A heap without memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(linked_list_allocator::Heap::empty()))
    }

    /// Bytes in use, and bytes that the heap has.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        let heap = self.0.lock();
        (heap.used(), heap.size())
    }
}

impl Default for KernelHeap {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds memory for a block of `layout`. Whether there was some.
fn grow(heap: &mut linked_list_allocator::Heap, layout: Layout) -> bool {
    // Room for the block at its alignment, and for the heap's own node.
    let need = layout.size() + layout.align() + 64;
    let Some(gained) = memory::extend_heap(need.max(STEP)).or_else(|| memory::extend_heap(need))
    else {
        return false;
    };
    if heap.size() == 0 {
        // SAFETY: the range is the heap's alone, for ever.
        unsafe { heap.init(gained.start as *mut u8, gained.len()) };
    } else {
        // SAFETY: the range is the heap's alone and follows what it has: nothing else takes
        // memory from below.
        unsafe { heap.extend(gained.len()) };
    }
    true
}

// SAFETY: linked_list_allocator gives each block once; the lock makes it one at a time.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut heap = self.0.lock();
        loop {
            if let Ok(block) = heap.allocate_first_fit(layout) {
                return block.as_ptr();
            }
            if !grow(&mut heap, layout) {
                return core::ptr::null_mut();
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller got the block from `alloc` with this layout.
            unsafe { self.0.lock().deallocate(block, layout) };
        }
    }
}
