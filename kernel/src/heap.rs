//! The control plane's heap. Forwarding doesn't use it.

#![expect(unsafe_code, reason = "an allocator hands out memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use xen_boot::Module;
use xen_hal::PAGE_SIZE;

use crate::sync::Mutex;
use crate::{heap_runs, memory, percpu};

/// The minimum growth of the heap, in bytes.
const MIN_GROWTH: usize = 64 * 1024;
/// The heap's overhead per block, in bytes, rounded up.
const HEAP_NODE: usize = 64;

/// The size of the last block whose allocation failed, in bytes; 0 if there was none.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// A first-fit heap in memory from [`memory`], for `#[global_allocator]`. The memory of a file that
/// is no longer needed can be added as a second heap, which is filled first.
pub struct KernelHeap {
    main: Mutex<linked_list_allocator::Heap>,
    given: Mutex<linked_list_allocator::Heap>,
}

impl KernelHeap {
    /// Creates a heap without memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            main: Mutex::new(linked_list_allocator::Heap::empty()),
            given: Mutex::new(linked_list_allocator::Heap::empty()),
        }
    }

    /// Adds the memory of a file that is no longer needed. Does nothing if there is one already, or
    /// if the file is smaller than a page.
    pub fn give(&self, file: Module) {
        let mut given = self.given.lock();
        let memory = file.into_memory();
        if given.size() == 0 && memory.len() >= PAGE_SIZE {
            // SAFETY: the range is the heap's alone, for ever.
            unsafe { given.init(memory.start as *mut u8, memory.len()) };
        }
    }

    /// Returns the bytes in use and the size of the heap.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        let (given, main) = (self.given.lock(), self.main.lock());
        let (used, size) = heap_runs::usage();
        (
            main.used() + given.used() + used,
            main.size() + given.size() + size,
        )
    }
}

/// Returns the size in bytes of the last block whose allocation failed; `None` if there was none.
pub(crate) fn refused() -> Option<usize> {
    Some(REFUSED.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
}

impl Default for KernelHeap {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the layout that a block of `layout` gets. It is the same for its whole life: the number
/// of virtual CPUs is found before there is a heap.
fn spread(layout: Layout) -> Layout {
    if percpu::count() == 1 {
        layout
    } else {
        lane_lock::apart(layout)
    }
}

/// Adds memory for a block of `layout`. Returns `false` if there is none.
fn grow(heap: &mut linked_list_allocator::Heap, layout: Layout) -> bool {
    // The block at its alignment, and the heap's own node.
    let need = layout.size() + layout.align() + HEAP_NODE;
    let Some(gained) =
        memory::extend_heap(need.max(MIN_GROWTH)).or_else(|| memory::extend_heap(need))
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

/// Allocates a block in pages that were given back and lie side by side. `None` if there aren't enough.
#[cold]
fn allocate_in_freed_pages(layout: Layout) -> Option<NonNull<u8>> {
    let need = layout.size() + layout.align() + HEAP_NODE;
    let run = memory::take_run(need.max(MIN_GROWTH)).or_else(|| memory::take_run(need))?;
    // SAFETY: the pages are nobody's until the run is taken back.
    if unsafe { heap_runs::add(&run) } {
        return heap_runs::allocate(layout);
    }
    // SAFETY: nobody has got any of them.
    unsafe { memory::give_back(run) };
    None
}

// SAFETY: linked_list_allocator gives each block once; the locks make it one at a time.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let layout = spread(layout);
        if let Ok(block) = self.given.lock().allocate_first_fit(layout) {
            return block.as_ptr();
        }
        let mut heap = self.main.lock();
        loop {
            if let Ok(block) = heap.allocate_first_fit(layout) {
                return block.as_ptr();
            }
            if grow(&mut heap, layout) {
                continue;
            }
            drop(heap);
            let block = heap_runs::allocate(layout);
            if let Some(block) = block.or_else(|| allocate_in_freed_pages(layout)) {
                return block.as_ptr();
            }
            // Fallible allocations handle this; for others it is a panic.
            REFUSED.store(layout.size(), Ordering::Relaxed);
            return core::ptr::null_mut();
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(start) = NonNull::new(block) else {
            return;
        };
        let layout = spread(layout);
        let mut given = self.given.lock();
        if (given.bottom()..given.top()).contains(&block) {
            // SAFETY: `alloc` took the block, which lies in this heap, with this layout.
            unsafe { given.deallocate(start, layout) };
            return;
        }
        drop(given);
        let mut main = self.main.lock();
        if (main.bottom()..main.top()).contains(&block) {
            // SAFETY: `alloc` took the block, which lies in this heap, with this layout.
            unsafe { main.deallocate(start, layout) };
            return;
        }
        drop(main);
        // SAFETY: `alloc` took the block with this layout.
        let freed = unsafe { heap_runs::deallocate(start, layout) };
        debug_assert!(freed, "a block of no heap");
    }
}
