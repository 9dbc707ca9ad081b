//! The domain's memory: the heap grows upwards from the end of what the domain builder placed,
//! pages are allocated from the top down, and both compete for what is left.

use core::ops::Range;
use core::ptr::NonNull;

use xen_boot::{BootInfo, FrameNumber, Protocol, VIRT_BASE};
use xen_hal::{PAGE_SIZE, SharedPage};

use crate::free_pages::FreePages;
use crate::heap_runs;
use crate::pv::{p2m, paging};
use crate::sync::Mutex;

static SPACE: Mutex<Space> = Mutex::new(Space::new(0..0, 0));

/// Unused memory between the addresses `low` and `high`, and pages that were given back.
struct Space {
    low: usize,
    high: usize,
    /// No page is allocated below this address, so that the heap can grow.
    reserved_for_heap: usize,
    total: usize,
    free: FreePages,
}

impl Space {
    /// Creates the memory at `free`, an eighth of which is for the heap alone, of `total` pages.
    const fn new(free: Range<usize>, total: usize) -> Self {
        Self {
            low: free.start,
            high: free.end,
            reserved_for_heap: free.start + free.end.saturating_sub(free.start) / 8,
            total,
            free: FreePages::new(),
        }
    }

    /// Takes `bytes`, whole pages, from the top. Returns where they begin. `None` if memory is
    /// short.
    fn take_from_top(&mut self, bytes: usize) -> Option<usize> {
        let start = self
            .high
            .checked_sub(bytes)
            .filter(|&start| start >= self.low.max(self.reserved_for_heap))?;
        self.high = start;
        Some(start)
    }

    /// Takes at least `bytes`, whole pages, from the bottom. `None` if memory is short.
    fn take_from_bottom(&mut self, bytes: usize) -> Option<Range<usize>> {
        let start = self.low;
        let end = start.checked_add(bytes.checked_next_multiple_of(PAGE_SIZE)?)?;
        if end > self.high {
            return None;
        }
        self.low = end;
        Some(start..end)
    }

    /// Takes `bytes` of pages that were given back and lie side by side. `None` if there are none.
    fn take_run(&mut self, bytes: usize) -> Option<Range<usize>> {
        self.free.take_run(bytes.div_ceil(PAGE_SIZE))
    }

    /// Takes a page of those that were given back, or from the top. `None` if memory is short.
    fn take_page(&mut self) -> Option<NonNull<u8>> {
        let page = self.free.pop();
        page.or_else(|| NonNull::new(self.take_from_top(PAGE_SIZE)? as *mut u8))
    }

    /// Takes a page back.
    ///
    /// # Safety
    /// The page at this address is mapped, and nobody's.
    #[expect(unsafe_code, reason = "the page is given as an address")]
    unsafe fn give_back(&mut self, page: usize) {
        if page == self.high {
            self.high += PAGE_SIZE;
        } else {
            // SAFETY: the caller's contract.
            unsafe { self.free.push(page) };
        }
    }

    fn stats(&self) -> MemoryStats {
        MemoryStats {
            total: self.total,
            kernel: self.low.saturating_sub(VIRT_BASE) / PAGE_SIZE,
            free: self.high.saturating_sub(self.low) / PAGE_SIZE + self.free.len(),
        }
    }
}

/// The use of memory, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryStats {
    /// The domain's memory.
    pub total: usize,
    /// Image, stack, page tables, ramdisk and heap, including what is free in the heap.
    pub kernel: usize,
    /// Free: neither allocated as pages nor part of the heap.
    pub free: usize,
}

/// Maps all of the domain's memory, as far as addresses reach, and takes the guard page below the
/// stack away.
pub(crate) fn init(boot: &BootInfo) {
    let Protocol::Pv(pv) = &boot.protocol;
    p2m::init(pv);
    let free = paging::map_memory(pv, boot.pages);
    paging::unmap(xen_boot::stack_guard());
    *SPACE.lock() = Space::new(free, boot.pages);
}

/// Returns the current frame of a page; a restore changes it.
pub(crate) fn frame_of(page: &SharedPage) -> FrameNumber {
    p2m::frame_of(page.as_ptr().as_ptr() as usize)
}

/// Takes over a page that the domain builder created for a ring. Returns `None` if it isn't mapped.
///
/// # Safety
/// The page is one that the domain builder made, and nobody else has it.
#[expect(unsafe_code, reason = "the page is given as a number")]
pub(crate) unsafe fn builder_page(frame: FrameNumber) -> Option<SharedPage> {
    let start = NonNull::new(p2m::address_of(frame) as *mut u8)?;
    // SAFETY: the builder mapped it, memory that it used is never given out, and the caller says
    // that nobody else has it.
    Some(unsafe { SharedPage::from_raw(start) })
}

/// Allocates a zeroed page. Returns `None` if there is no memory.
#[must_use]
pub fn alloc_page() -> Option<SharedPage> {
    let mut space = SPACE.lock();
    let mut start = space.take_page();
    if start.is_none()
        && let Some(unused) = heap_runs::take_unused()
    {
        for page in unused.step_by(PAGE_SIZE) {
            #[expect(unsafe_code, reason = "pages are given as addresses")]
            // SAFETY: they were the heap's, which has let go of them.
            unsafe {
                space.give_back(page);
            }
        }
        start = space.take_page();
    }
    drop(space);
    let start = start?;
    #[expect(unsafe_code, reason = "a new page comes into being")]
    // SAFETY: mapped by `init`, and taken out of `Space` just now.
    let page = unsafe { SharedPage::from_raw(start) };
    page.clear();
    Some(page)
}

/// Frees a page.
pub fn free_page(page: SharedPage) {
    let start = page.as_ptr().as_ptr() as usize;
    #[expect(unsafe_code, reason = "the page is given as an address")]
    // SAFETY: the page was the caller's, who has let go of it.
    unsafe {
        SPACE.lock().give_back(start);
    }
}

/// Takes `bytes` of zeroed memory, whole pages, for ever, with an unmapped page below it. Returns
/// the address of that page. `None` if memory is short.
pub(crate) fn take_guarded(bytes: usize) -> Option<usize> {
    let guard = SPACE.lock().take_from_top(bytes.checked_add(PAGE_SIZE)?)?;
    #[expect(unsafe_code, reason = "memory is given as an address")]
    // SAFETY: mapped by `init`, and taken out of `Space` just now.
    unsafe {
        ((guard + PAGE_SIZE) as *mut u8).write_bytes(0, bytes);
    }
    paging::unmap(guard);
    Some(guard)
}

/// Moves the border between heap and pages up by at least `bytes`. Returns the addresses that
/// the heap gained. `None` if memory is short.
pub(crate) fn extend_heap(bytes: usize) -> Option<Range<usize>> {
    SPACE.lock().take_from_bottom(bytes)
}

/// Takes at least `bytes` of pages that were given back and lie side by side, for the heap. Returns their
/// addresses; `None` if there are none.
///
/// This sorts all of those pages, and is for when the heap can't grow otherwise.
pub(crate) fn take_run(bytes: usize) -> Option<Range<usize>> {
    SPACE.lock().take_run(bytes)
}

/// Gives back what [`take_run`] took.
///
/// # Safety
/// Nobody has any of these pages.
#[expect(unsafe_code, reason = "pages are given as addresses")]
pub(crate) unsafe fn give_back(run: Range<usize>) {
    let mut space = SPACE.lock();
    for page in run.step_by(PAGE_SIZE) {
        // SAFETY: the caller's contract.
        unsafe { space.give_back(page) };
    }
}

/// Returns the current use of memory.
#[must_use]
pub fn stats() -> MemoryStats {
    SPACE.lock().stats()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: usize = VIRT_BASE + 0x10_0000;

    fn space(pages: usize) -> Space {
        Space::new(LOW..LOW + pages * PAGE_SIZE, 0x100 + pages)
    }

    #[test]
    fn pages_come_from_the_top_and_leave_an_eighth_to_the_heap() {
        let mut space = space(16);
        for taken in 1..=14 {
            assert_eq!(
                space.take_from_top(PAGE_SIZE),
                Some(LOW + (16 - taken) * PAGE_SIZE)
            );
        }
        assert_eq!(space.take_from_top(PAGE_SIZE), None);
        assert_eq!(
            space.take_from_bottom(2 * PAGE_SIZE),
            Some(LOW..LOW + 2 * PAGE_SIZE)
        );
        assert_eq!(space.take_from_bottom(1), None);
    }

    #[test]
    fn the_heap_grows_by_whole_pages_up_to_what_is_left() {
        let mut space = space(16);
        assert_eq!(space.take_from_bottom(1), Some(LOW..LOW + PAGE_SIZE));
        assert_eq!(space.take_from_bottom(16 * PAGE_SIZE), None);
        assert_eq!(space.take_from_bottom(usize::MAX), None);
        assert!(space.take_from_bottom(15 * PAGE_SIZE).is_some());
        assert_eq!(space.take_from_top(PAGE_SIZE), None);
    }

    #[test]
    fn every_page_is_counted_once() {
        let mut space = space(16);
        space.take_from_top(3 * PAGE_SIZE);
        space.take_from_bottom(2 * PAGE_SIZE);
        let expected = MemoryStats {
            total: 0x110,
            kernel: 0x102,
            free: 11,
        };
        assert_eq!(space.stats(), expected);
    }
}
