//! Freed pages that the heap has for now: runs of them, each a heap of its own.
//!
//! The heap grows at its end, and packet pages come from the other end of memory. Where those that were
//! given back lie between others, the heap gets runs of them once it can't grow, and they go back
//! once pages are short and nothing is in them any more.

#![expect(unsafe_code, reason = "an allocator hands out memory")]

use core::alloc::Layout;
use core::ops::Range;
use core::ptr::NonNull;

use linked_list_allocator::Heap;

use crate::sync::Mutex;

/// Most runs at a time.
const MOST: usize = 8;

static RUNS: Mutex<HeapRuns> = Mutex::new(HeapRuns::new());

/// The runs; a heap without memory is a place for one.
struct HeapRuns([Heap; MOST]);

impl HeapRuns {
    const fn new() -> Self {
        Self([const { Heap::empty() }; MOST])
    }

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let mut runs = self.0.iter_mut().filter(|run| run.size() > 0);
        runs.find_map(|run| run.allocate_first_fit(layout).ok())
    }

    fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let holds = |run: &&mut Heap| (run.bottom()..run.top()).contains(&block.as_ptr());
        let Some(run) = self.0.iter_mut().filter(|run| run.size() > 0).find(holds) else {
            return false;
        };
        // SAFETY: the block lies in this heap, so it was allocated there, and the caller has its layout.
        unsafe { run.deallocate(block, layout) };
        true
    }

    fn add(&mut self, memory: &Range<usize>) -> bool {
        let Some(place) = self.0.iter_mut().find(|run| run.size() == 0) else {
            return false;
        };
        // SAFETY: the memory is this heap's alone, until nothing is in it and it is taken back.
        unsafe { place.init(memory.start as *mut u8, memory.len()) };
        true
    }

    fn take_unused(&mut self) -> Option<Range<usize>> {
        let mut runs = self.0.iter_mut();
        let run = runs.find(|run| run.size() > 0 && run.used() == 0)?;
        let run = core::mem::replace(run, Heap::empty());
        let start = run.bottom() as usize;
        Some(start..start + run.size())
    }

    fn usage(&self) -> (usize, usize) {
        let sum = |(used, size), run: &Heap| (used + run.used(), size + run.size());
        self.0.iter().fold((0, 0), sum)
    }
}

/// Allocates a block. `None` if no run has room for it.
pub(crate) fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    RUNS.lock().allocate(layout)
}

/// Frees a block if it is in one of the runs. Returns `true` if it was.
///
/// # Safety
/// The block was allocated with this layout.
pub(crate) unsafe fn deallocate(block: NonNull<u8>, layout: Layout) -> bool {
    RUNS.lock().deallocate(block, layout)
}

/// Adds memory. Returns `false` if there are as many runs as there may be.
///
/// # Safety
/// The memory is whole pages, mapped, and nobody's until it is taken back.
pub(crate) unsafe fn add(memory: &Range<usize>) -> bool {
    RUNS.lock().add(memory)
}

/// Takes a run back in which nothing is. `None` if there is none.
pub(crate) fn take_unused() -> Option<Range<usize>> {
    RUNS.lock().take_unused()
}

/// Returns the bytes in use and the size of all runs.
pub(crate) fn usage() -> (usize, usize) {
    RUNS.lock().usage()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::alloc::alloc_zeroed;
    use xen_hal::PAGE_SIZE;

    fn memory(pages: usize) -> Range<usize> {
        let layout = Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).expect("a layout");
        // SAFETY: the layout isn't empty.
        let start = unsafe { alloc_zeroed(layout) } as usize;
        assert_ne!(start, 0);
        start..start + pages * PAGE_SIZE
    }

    #[test]
    fn what_is_in_use_stays_and_what_is_not_goes_back() {
        let mut runs = HeapRuns::new();
        let layout = Layout::from_size_align(3 * PAGE_SIZE, 8).expect("a layout");
        assert_eq!(runs.allocate(layout), None);
        let (small, large) = (memory(2), memory(4));
        assert!(runs.add(&small) && runs.add(&large));
        let block = runs.allocate(layout).expect("it fits the larger one");
        assert!(large.contains(&(block.as_ptr() as usize)));
        assert_eq!(runs.allocate(layout), None);
        assert_eq!(runs.usage(), (3 * PAGE_SIZE, 6 * PAGE_SIZE));
        assert_eq!(runs.take_unused(), Some(small.clone()));
        assert_eq!(runs.take_unused(), None, "something is in the other");
        let elsewhere = NonNull::new(small.start as *mut u8).expect("an address");
        assert!(!runs.deallocate(elsewhere, layout));
        assert!(runs.deallocate(block, layout));
        assert_eq!(runs.take_unused(), Some(large));
        assert_eq!(runs.usage(), (0, 0));
    }

    #[test]
    fn there_are_only_so_many() {
        let mut runs = HeapRuns::new();
        for _ in 0..MOST {
            assert!(runs.add(&memory(1)));
        }
        assert!(!runs.add(&memory(1)));
        assert!(runs.take_unused().is_some());
        assert!(runs.add(&memory(1)));
    }
}
