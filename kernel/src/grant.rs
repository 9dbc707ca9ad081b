//! Grant table, version 1 (grant_table.h): which pages other domains may access.
//!
//! An entry is two words: flags and domain in the first, the frame in the second. Granting
//! stores the frame, then publishes it with the first word; ending is one compare-and-swap
//! that fails while the peer has the page mapped.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use spin::Once;
use xen_hal::{Access, DomId, GrantRef, Granted, HalError, PAGE_SIZE, SharedPage, StillInUse};

use crate::hypercall::{DOMID_SELF, GRANT_TABLE_OP, call4, check};
use crate::memory;
use crate::pv::paging;
use crate::smp::Mutex;

const GNTTABOP_SETUP_TABLE: u64 = 2;
const GNTTABOP_QUERY_SIZE: u64 = 6;
const GTF_PERMIT_ACCESS: u32 = 1;
const GTF_READONLY: u32 = 1 << 2;
const GTF_READING: u32 = 1 << 3;
const GTF_WRITING: u32 = 1 << 4;
const ENTRIES_PER_FRAME: usize = PAGE_SIZE / 8;
/// References that the toolstack keeps for console and xenstore (`GNTTAB_NR_RESERVED_ENTRIES`).
const RESERVED: u32 = 8;

static TABLE: Once<Vec<SharedPage>> = Once::new();
/// Pages that their peers still map although nobody here wants them any more.
static QUARANTINE: Mutex<Vec<(Granted, SharedPage)>> = Mutex::new(Vec::new());
static FREE: Mutex<FreeRefs> = Mutex::new(FreeRefs {
    next: RESERVED,
    recycled: Vec::new(),
});

/// References never used yet, and those given back.
struct FreeRefs {
    next: u32,
    recycled: Vec<u32>,
}

#[repr(C)]
struct SetupTable {
    dom: u16,
    nr_frames: u32,
    status: i16,
    frame_list: *mut u64,
}

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
    let mut query = QuerySize {
        dom: DOMID_SELF,
        ..QuerySize::default()
    };
    let argument = core::ptr::from_mut(&mut query) as u64;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: GNTTABOP_query_size takes one `gnttab_query_size`.
    let result = unsafe { call4(GRANT_TABLE_OP, GNTTABOP_QUERY_SIZE, argument, 1, 0) };
    let allowed = if check(result).is_ok() && query.status == 0 {
        query.max_nr_frames
    } else {
        1
    };
    let wanted = (pages + RESERVED as usize).div_ceil(ENTRIES_PER_FRAME);
    let count = wanted.min(allowed as usize).clamp(1, 64);

    let mut frames = [0u64; 64];
    let mut setup = SetupTable {
        dom: DOMID_SELF,
        nr_frames: u32::try_from(count).unwrap_or(1),
        status: 0,
        frame_list: frames.as_mut_ptr(),
    };
    let argument = core::ptr::from_mut(&mut setup) as u64;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: GNTTABOP_setup_table writes `nr_frames` frame numbers, which `frames` holds.
    let result = unsafe { call4(GRANT_TABLE_OP, GNTTABOP_SETUP_TABLE, argument, 1, 0) };
    let count = if check(result).is_ok() && setup.status == 0 {
        count
    } else {
        0
    };
    TABLE.call_once(|| {
        frames[..count]
            .iter()
            .map(|&mfn| paging::map_special(mfn))
            .collect()
    });
}

/// The two words of an entry.
fn entry(gref: u32) -> Option<(&'static AtomicU32, &'static AtomicU32)> {
    let index = gref as usize;
    let words = TABLE.get()?.get(index / ENTRIES_PER_FRAME)?.words32();
    let at = index % ENTRIES_PER_FRAME * 2;
    Some((words.get(at)?, words.get(at + 1)?))
}

/// Lets `peer` access `page`.
///
/// # Errors
/// [`HalError::NoGrants`] if the table is full.
pub fn grant(peer: DomId, page: &SharedPage, access: Access) -> Result<Granted, HalError> {
    let frame = u32::try_from(memory::machine_frame(page)).map_err(|_| HalError::NoGrants)?;
    let mut free = FREE.lock();
    let gref = match free.recycled.pop() {
        Some(gref) => gref,
        None => free.next,
    };
    let (control, frame_word) = entry(gref).ok_or(HalError::NoGrants)?;
    if gref == free.next {
        free.next += 1;
    }
    let flags = match access {
        Access::ReadOnly => GTF_PERMIT_ACCESS | GTF_READONLY,
        Access::ReadWrite => GTF_PERMIT_ACCESS,
    };
    frame_word.store(frame, Ordering::Relaxed);
    control.store(flags | u32::from(peer.0) << 16, Ordering::Release);
    Ok(Granted::new(GrantRef(gref), peer, access))
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
    FREE.lock().recycled.push(gref);
    Ok(())
}

/// Ends a grant and frees its page, now or once the peer has let go.
///
/// # Errors
/// [`StillInUse`] if it isn't now.
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

/// Takes back what peers have let go of meanwhile. Returns how many pages they still map, less
/// those that another virtual CPU is looking at in this moment.
pub fn quarantined() -> usize {
    let waiting = core::mem::take(&mut *QUARANTINE.lock());
    for (granted, page) in waiting {
        // What is still in use goes back to the list.
        let _ = retire(granted, page);
    }
    QUARANTINE.lock().len()
}
