//! The domain's memory: the heap grows up from the end of what the domain builder placed,
//! pages are handed out from the top down, and whichever comes first takes what is left.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use xen_boot::{BootInfo, VIRT_BASE};
use xen_hal::{PAGE_SIZE, SharedPage};

use crate::pv::paging::{self, MEMORY_END, TABLE_SPAN, Tables};
use crate::smp::Mutex;

pub(crate) const PAGE_BITS: usize = 12;
/// From here on a machine frame in the p2m map is a mark (`INVALID_P2M_ENTRY`, xen.h) and no frame.
const INVALID_FRAME: u64 = 1 << 40;

/// Address of the list of machine frames, one `u64` for each page of the domain.
static MFN_LIST: AtomicUsize = AtomicUsize::new(0);
/// Machine frame of the top-level page table.
static ROOT: AtomicU64 = AtomicU64::new(0);
static SPACE: Mutex<Space> = Mutex::new(Space {
    low: 0,
    high: 0,
    heap: 0,
    total: 0,
    free: None,
    freed: 0,
});

/// Memory not yet given out, as the addresses between `low` and `high`, and pages given back,
/// each of which begins with the address of the next.
struct Space {
    low: usize,
    high: usize,
    /// Below this address no page is handed out: the heap must be able to grow.
    heap: usize,
    total: usize,
    free: Option<NonNull<u8>>,
    freed: usize,
}

#[expect(unsafe_code, reason = "holds the address of a free page")]
// SAFETY: free pages belong to this list alone, whichever thread holds its lock.
unsafe impl Send for Space {}

/// Where the memory is, in pages.
#[derive(Clone, Copy, Debug)]
pub struct MemoryStats {
    /// The domain's.
    pub total: usize,
    /// Image, stack, page tables, ramdisk and heap, with what the heap has free.
    pub kernel: usize,
    /// Neither handed out as pages nor part of the heap.
    pub free: usize,
}

/// Maps all of the domain's memory (as far as the first GiB of addresses reaches), the window
/// for special pages, and takes the guard page below the stack away.
pub(crate) fn init(boot: &BootInfo) {
    MFN_LIST.store(boot.pv.mfn_list, Ordering::Relaxed);
    ROOT.store(frame_at(boot.pv.page_table), Ordering::Relaxed);
    let tables = Tables::of(boot);
    let end = (VIRT_BASE + boot.pages * PAGE_SIZE).min(MEMORY_END);
    // Memory ends where the map has no frame any more.
    let end = (boot.pv.first_free..end)
        .step_by(PAGE_SIZE)
        .find(|&address| frame_at(address) >= INVALID_FRAME)
        .unwrap_or(end);
    let mut low = boot.pv.first_free;
    let mut take_table = || {
        let table = low;
        low += PAGE_SIZE;
        (table, frame_at(table))
    };

    let (table, mfn) = take_table();
    tables.add_table(paging::special_window(), table, mfn, core::iter::empty());
    let mut at = boot.pv.first_free;
    while at < end && tables.is_mapped(at) {
        at += PAGE_SIZE;
    }
    while at < end {
        if tables.has_table(at) {
            paging::map_own(at, frame_at(at));
            at += PAGE_SIZE;
        } else {
            let stop = (at + TABLE_SPAN).min(end);
            let (table, mfn) = take_table();
            tables.add_table(at, table, mfn, (at..stop).step_by(PAGE_SIZE).map(frame_at));
            at = stop;
        }
    }
    paging::unmap(xen_boot::stack_guard());
    *SPACE.lock() = Space {
        low,
        high: end,
        heap: low + end.saturating_sub(low) / 8,
        total: boot.pages,
        free: None,
        freed: 0,
    };
}

/// The machine frame behind an address of the domain's own memory (the p2m map).
fn frame_at(address: usize) -> u64 {
    let index = (address - VIRT_BASE) >> PAGE_BITS;
    let list = MFN_LIST.load(Ordering::Relaxed) as *const u64;
    #[expect(unsafe_code, reason = "the list is given as an address")]
    // SAFETY: the builder made one entry for each page, and `address` is one of them.
    unsafe {
        list.wrapping_add(index).read()
    }
}

/// The machine frame of the top-level page table.
pub(crate) fn page_table_root() -> u64 {
    ROOT.load(Ordering::Relaxed)
}

/// The machine frame of a page that this module handed out.
pub(crate) fn machine_frame(page: &SharedPage) -> u64 {
    frame_at(page.as_ptr().as_ptr() as usize)
}

/// Takes a zeroed page, if there is one.
#[must_use]
pub fn alloc_page() -> Option<SharedPage> {
    let mut space = SPACE.lock();
    let start = if let Some(page) = space.free {
        #[expect(unsafe_code, reason = "free pages link to each other")]
        // SAFETY: a free page is nobody else's, and begins with the link written by free_page.
        let next = unsafe { page.cast::<usize>().read() };
        space.free = NonNull::new(next as *mut u8);
        space.freed -= 1;
        page
    } else {
        let start = space
            .high
            .checked_sub(PAGE_SIZE)
            .filter(|&start| start >= space.low.max(space.heap))?;
        space.high = start;
        NonNull::new(start as *mut u8)?
    };
    drop(space);
    #[expect(unsafe_code, reason = "a new page comes into being")]
    // SAFETY: mapped by `init`, and taken out of `Space` just now.
    let page = unsafe { SharedPage::from_raw(start) };
    page.clear();
    Some(page)
}

/// Takes a page back.
pub fn free_page(page: SharedPage) {
    let start = page.as_ptr();
    let mut space = SPACE.lock();
    if start.as_ptr() as usize == space.high {
        space.high += PAGE_SIZE;
        return;
    }
    let next = space.free.map_or(0, |page| page.as_ptr() as usize);
    #[expect(unsafe_code, reason = "free pages link to each other")]
    // SAFETY: the page was the caller's, and is now this list's.
    unsafe {
        start.cast::<usize>().write(next);
    }
    space.free = Some(start);
    space.freed += 1;
}

/// Takes zeroed memory of `pages` pages in a row for ever. Returns where it begins.
pub(crate) fn take_span(pages: usize) -> Option<usize> {
    let mut space = SPACE.lock();
    let bytes = pages.checked_mul(PAGE_SIZE)?;
    let start = space
        .high
        .checked_sub(bytes)
        .filter(|&start| start >= space.low.max(space.heap))?;
    space.high = start;
    drop(space);
    #[expect(unsafe_code, reason = "memory is given as an address")]
    // SAFETY: mapped by `init`, and taken out of `Space` just now.
    unsafe {
        (start as *mut u8).write_bytes(0, bytes);
    }
    Some(start)
}

/// Moves the border between heap and pages up by at least `bytes`. Returns the addresses that
/// the heap gained, or none if memory is short.
pub(crate) fn extend_heap(bytes: usize) -> Option<core::ops::Range<usize>> {
    let mut space = SPACE.lock();
    let start = space.low;
    let end = start.checked_add(bytes.next_multiple_of(PAGE_SIZE))?;
    if end > space.high {
        return None;
    }
    space.low = end;
    Some(start..end)
}

/// How the memory is divided now.
#[must_use]
pub fn stats() -> MemoryStats {
    let space = SPACE.lock();
    MemoryStats {
        total: space.total,
        kernel: space.low.saturating_sub(VIRT_BASE) / PAGE_SIZE,
        free: space.high.saturating_sub(space.low) / PAGE_SIZE + space.freed,
    }
}
