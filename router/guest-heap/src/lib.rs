#![doc = include_str!("../README.md")]
#![expect(unsafe_code, reason = "an allocator hands out memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use linked_list_allocator::Heap;

/// Least growth, as the guest's.
const STEP: usize = 64 * 1024;

std::thread_local! {
    /// `true` while what is allocated is the guest's.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// An allocator: the guest's heap for what is allocated within [`inside`], the system's for the rest.
pub struct GuestHeap {
    heap: Mutex<Heap>,
    limit: usize,
    refused: AtomicUsize,
    most: AtomicUsize,
}

impl GuestHeap {
    /// An empty heap that grows to `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            heap: Mutex::new(Heap::empty()),
            limit,
            refused: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    /// Begins anew with an empty heap. What is in the old one stays there.
    pub fn renew(&self) {
        *self.lock() = Heap::empty();
        self.most.store(0, Ordering::Relaxed);
    }

    /// Returns how many bytes are in use.
    pub fn used(&self) -> usize {
        self.lock().used()
    }

    /// Returns how many bytes were in use at most.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Returns how many bytes the heap has grown to.
    pub fn size(&self) -> usize {
        self.lock().size()
    }

    /// Returns how many blocks it refused.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Heap> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `f` with the guest's heap.
pub fn inside<T>(f: impl FnOnce() -> T) -> T {
    with(true, f)
}

/// Calls `f`, from within what is called with the guest's heap, with the system's.
pub fn outside<T>(f: impl FnOnce() -> T) -> T {
    with(false, f)
}

fn with<T>(inside: bool, f: impl FnOnce() -> T) -> T {
    let before = INSIDE.replace(inside);
    let result = f();
    INSIDE.set(before);
    result
}

// SAFETY: each block comes from one of two allocators and goes back to it.
unsafe impl GlobalAlloc for GuestHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !INSIDE.get() {
            // SAFETY: the caller's contract.
            return unsafe { System.alloc(layout) };
        }
        let mut heap = self.lock();
        if heap.size() == 0 {
            let Ok(arena) = Layout::from_size_align(self.limit, 4096) else {
                return std::ptr::null_mut();
            };
            // SAFETY: the layout isn't empty.
            let start = unsafe { System.alloc(arena) };
            if start.is_null() {
                return start;
            }
            // SAFETY: the arena is the heap's for ever.
            unsafe { heap.init(start, STEP.min(self.limit)) };
        }
        loop {
            if let Ok(block) = heap.allocate_first_fit(layout) {
                self.most.fetch_max(heap.used(), Ordering::Relaxed);
                return block.as_ptr();
            }
            let more = (layout.size() + layout.align() + 64).max(STEP);
            let more = more.next_multiple_of(4096);
            if heap.size() + more > self.limit {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return std::ptr::null_mut();
            }
            // SAFETY: the arena goes on behind what the heap has.
            unsafe { heap.extend(more) };
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let mut heap = self.lock();
        if let Some(given) = NonNull::new(block)
            && (heap.bottom()..heap.top()).contains(&block)
        {
            // SAFETY: it lies in the heap, so it came from there, with this layout.
            return unsafe { heap.deallocate(given, layout) };
        }
        drop(heap);
        // SAFETY: all else came from the system.
        unsafe { System.dealloc(block, layout) };
    }
}
