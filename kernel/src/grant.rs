//! Grant table, version 1 (grant_table.h): which pages other domains may access.
//!
//! An entry is two words: flags and domain in the first, the frame in the second. Granting
//! stores the frame, then publishes it with the first word; ending is one compare-and-swap
//! that fails while the peer has the page mapped.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use xen_boot::FrameNumber;
use xen_hal::{Access, DomId, GrantRef, Granted, HalError, PAGE_SIZE, SharedPage, StillInUse};

use crate::hypercall::{DOMID_SELF, GRANT_TABLE_OP, call4, check};
use crate::memory;
use crate::sync::Mutex;
use crate::window::{SpecialCell, SpecialPage};

const GNTTABOP_SETUP_TABLE: u64 = 2;
const GNTTABOP_QUERY_SIZE: u64 = 6;
/// `GNTST_okay`
const GNTST_OKAY: i16 = 0;
const GTF_PERMIT_ACCESS: u32 = 1;
const GTF_READONLY: u32 = 1 << 2;
const GTF_READING: u32 = 1 << 3;
const GTF_WRITING: u32 = 1 << 4;
const ENTRIES_PER_FRAME: usize = PAGE_SIZE / 8;
/// The maximum number of frames that this kernel uses.
const MAX_FRAMES: usize = 256;
/// References reserved for the toolstack's use, for console and xenstore
/// (`GNTTAB_NR_RESERVED_ENTRIES`).
const RESERVED: u32 = 8;

/// The table's frames; the first virtual CPU sets them at the start and after a suspension.
static TABLE: [SpecialCell; MAX_FRAMES] = [const { SpecialCell::empty() }; MAX_FRAMES];
/// The number of frames, decided at the start.
static WANTED_FRAMES: AtomicUsize = AtomicUsize::new(0);
/// Retired pages that their peers still map.
static QUARANTINE: Mutex<Vec<(Granted, SharedPage)>> = Mutex::new(Vec::new());
static FREE: Mutex<FreeRefs> = Mutex::new(FreeRefs::new());

/// References that have never been used, from `next` on, and those that were freed.
struct FreeRefs {
    next: u32,
    recycled: Vec<u32>,
}

impl FreeRefs {
    const fn new() -> Self {
        Self {
            next: RESERVED,
            recycled: Vec::new(),
        }
    }

    /// Allocates a reference, which may be beyond the end of the table.
    fn take(&mut self) -> u32 {
        self.recycled.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// Frees a reference.
    fn give(&mut self, gref: u32) {
        if gref + 1 == self.next {
            self.next = gref;
        } else {
            self.recycled.push(gref);
        }
    }
}

/// `struct gnttab_setup_table`
#[repr(C)]
struct SetupTable {
    dom: u16,
    nr_frames: u32,
    status: i16,
    frame_list: *mut FrameNumber,
}

/// `struct gnttab_query_size`
#[repr(C)]
#[derive(Default)]
struct QuerySize {
    dom: u16,
    nr_frames: u32,
    max_nr_frames: u32,
    status: i16,
}

/// Sets the table up, with room for `pages` grants or as many as the hypervisor allows.
pub(crate) fn init(pages: usize) {
    let count = frames_for(pages, allowed_frames());
    WANTED_FRAMES.store(count, Ordering::Relaxed);
    attach();
}

/// Returns how many frames a table has with room for `pages` grants, of which the hypervisor allows
/// `allowed`.
fn frames_for(pages: usize, allowed: usize) -> usize {
    let wanted = (pages + RESERVED as usize).div_ceil(ENTRIES_PER_FRAME);
    wanted.min(allowed).clamp(1, MAX_FRAMES)
}

/// Returns how many frames the hypervisor lets the table have.
fn allowed_frames() -> usize {
    let mut query = QuerySize {
        dom: DOMID_SELF,
        ..QuerySize::default()
    };
    let argument = core::ptr::from_mut(&mut query) as u64;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: GNTTABOP_query_size takes one `gnttab_query_size`.
    let result = unsafe { call4(GRANT_TABLE_OP, GNTTABOP_QUERY_SIZE, argument, 1, 0) };
    if check(result).is_ok() && query.status == GNTST_OKAY {
        query.max_nr_frames as usize
    } else {
        1
    }
}

/// Maps the table, by the first virtual CPU: at the start, and again after a suspension. After a
/// restore it is another one, in which nothing is granted. Of what cannot be mapped nothing can be
/// granted.
pub(crate) fn attach() {
    let mut frames = [FrameNumber(0); MAX_FRAMES];
    let count = WANTED_FRAMES.load(Ordering::Relaxed).min(MAX_FRAMES);
    let frames = &mut frames[..count];
    if !set_up_table(frames) {
        return;
    }
    for (cell, &frame) in TABLE.iter().zip(&*frames) {
        if let Some(page) = SpecialPage::map(frame) {
            cell.set(page);
        }
    }
}

/// Has the hypervisor make a table of as many frames as there is room for in `frames`, and fills
/// these in. Returns `true` if it did.
fn set_up_table(frames: &mut [FrameNumber]) -> bool {
    let mut setup = SetupTable {
        dom: DOMID_SELF,
        nr_frames: u32::try_from(frames.len()).unwrap_or(0),
        status: GNTST_OKAY,
        frame_list: frames.as_mut_ptr(),
    };
    let argument = core::ptr::from_mut(&mut setup) as u64;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: GNTTABOP_setup_table writes `nr_frames` frame numbers, which `frames` holds.
    let result = unsafe { call4(GRANT_TABLE_OP, GNTTABOP_SETUP_TABLE, argument, 1, 0) };
    check(result).is_ok() && setup.status == GNTST_OKAY
}

/// Unmaps the table, before a suspension. Until [`attach`] there is no reference to be had, and
/// no grant can be ended.
///
/// # Safety
/// No other virtual CPU grants pages or ends grants in this moment.
#[expect(unsafe_code, reason = "references to the table may be left")]
pub(crate) unsafe fn detach() {
    for cell in &TABLE {
        // SAFETY: the caller says that nobody else uses it, and this function has no reference.
        drop(unsafe { cell.take() });
    }
}

/// Returns the two words of an entry: flags and domain, and the frame. `None` if the table has no
/// such entry.
fn entry(gref: u32) -> Option<(&'static AtomicU32, &'static AtomicU32)> {
    let index = gref as usize;
    let words = TABLE.get(index / ENTRIES_PER_FRAME)?.words32()?;
    let at = index % ENTRIES_PER_FRAME * 2;
    Some((words.get(at)?, words.get(at + 1)?))
}

/// Grants `peer` access to `page`.
///
/// # Errors
/// [`HalError::NoGrants`] if the table is full.
pub fn grant(peer: DomId, page: &SharedPage, access: Access) -> Result<Granted, HalError> {
    let frame = u32::try_from(memory::frame_of(page).0).map_err(|_| HalError::NoGrants)?;
    let mut free = FREE.lock();
    let gref = free.take();
    let Some((control, frame_word)) = entry(gref) else {
        free.give(gref);
        return Err(HalError::NoGrants);
    };
    let flags = match access {
        Access::ReadOnly => GTF_PERMIT_ACCESS | GTF_READONLY,
        Access::ReadWrite => GTF_PERMIT_ACCESS,
    };
    frame_word.store(frame, Ordering::Relaxed);
    control.store(flags | u32::from(peer.0) << 16, Ordering::Release);
    Ok(Granted::new(GrantRef(gref), peer, access))
}

/// Returns the number of pages that can still be granted.
#[must_use]
pub fn free() -> usize {
    let all = WANTED_FRAMES.load(Ordering::Relaxed) * ENTRIES_PER_FRAME;
    let refs = FREE.lock();
    all.saturating_sub(refs.next as usize) + refs.recycled.len()
}

/// Ends a grant.
///
/// # Errors
/// The grant, while the peer has the page mapped.
pub fn end(granted: Granted) -> Result<(), Granted> {
    let gref = granted.reference().0;
    let Some((control, _)) = entry(gref) else {
        return Err(granted);
    };
    let mut seen = control.load(Ordering::Relaxed);
    loop {
        if seen & (GTF_READING | GTF_WRITING) != 0 {
            return Err(granted);
        }
        match control.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => seen = now,
        }
    }
    FREE.lock().give(gref);
    Ok(())
}

/// Ends a grant and frees its page, now or once the peer has unmapped it.
///
/// # Errors
/// [`StillInUse`] if the peer still maps it.
pub fn retire(granted: Granted, page: SharedPage) -> Result<(), StillInUse> {
    match end(granted) {
        Ok(()) => {
            memory::free_page(page);
            Ok(())
        }
        Err(granted) => {
            QUARANTINE.lock().push((granted, page));
            Err(StillInUse)
        }
    }
}

/// Frees retired pages that peers have unmapped meanwhile. Returns the number of pages that they
/// still map, not counting those that another virtual CPU is just checking.
pub fn quarantined() -> usize {
    let waiting = core::mem::take(&mut *QUARANTINE.lock());
    for (granted, page) in waiting {
        // What is still in use goes back to the list.
        let _ = retire(granted, page);
    }
    QUARANTINE.lock().len()
}

/// Like [`quarantined`], for the pages that one peer maps.
pub fn quarantined_by(peer: DomId) -> usize {
    quarantined();
    let waiting = QUARANTINE.lock();
    let theirs = waiting.iter().filter(|(granted, _)| granted.peer() == peer);
    theirs.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_room_for_every_page_within_limits() {
        assert_eq!(frames_for(0, 64), 1);
        assert_eq!(frames_for(504, 64), 1);
        assert_eq!(frames_for(505, 64), 2);
        assert_eq!(frames_for(8192, 64), 17);
        assert_eq!(frames_for(8192, 4), 4);
        assert_eq!(frames_for(1 << 20, 1 << 20), MAX_FRAMES);
        assert_eq!(frames_for(8192, 0), 1);
    }

    #[test]
    fn references_are_used_again() {
        let mut free = FreeRefs::new();
        let taken: Vec<u32> = (0..4).map(|_| free.take()).collect();
        assert_eq!(taken, [8, 9, 10, 11]);
        free.give(9);
        assert_eq!(free.take(), 9);
        free.give(11);
        free.give(8);
        assert_eq!((free.take(), free.take(), free.take()), (8, 11, 12));
    }

    /// Tests run on a host, where there is no table.
    #[test]
    fn without_a_table_there_is_no_entry() {
        for gref in [0, RESERVED, 511, 512, u32::MAX] {
            assert!(entry(gref).is_none());
        }
    }
}
