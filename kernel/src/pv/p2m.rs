//! The mapping between the domain's pages and machine frames.
//!
//! The domain builder made the list from pages to machine frames (the p2m map,
//! `start_info.mfn_list` of xen.h); a restore rewrites it in place. Xen has the table back
//! (`MACH2PHYS_VIRT_START`, arch-x86/xen-x86_64.h) and maps it in every paravirtualized guest.

#![expect(unsafe_code, reason = "both tables are given as addresses")]

use core::sync::atomic::{AtomicUsize, Ordering};

use xen_boot::{FrameNumber, PvInfo, VIRT_BASE};

/// `MACH2PHYS_VIRT_START`
const MACH2PHYS: usize = 0xFFFF_8000_0000_0000;
/// From here on an entry of the p2m map is a mark (`INVALID_P2M_ENTRY`, xen.h) and no frame.
const INVALID_FRAME: u64 = 1 << 40;

/// Address of the list of machine frames, one `u64` for each page of the domain.
static MFN_LIST: AtomicUsize = AtomicUsize::new(0);

/// Remembers where the list is.
pub(crate) fn init(pv: &PvInfo) {
    MFN_LIST.store(pv.mfn_list, Ordering::Relaxed);
}

/// Place in the list of the page with this address.
const fn page_number(address: usize) -> usize {
    (address - VIRT_BASE) >> FrameNumber::PAGE_SHIFT
}

/// Returns the machine frame behind an address of the domain's own memory.
pub(crate) fn frame_of(address: usize) -> FrameNumber {
    let list = MFN_LIST.load(Ordering::Relaxed) as *const u64;
    // SAFETY: the builder made one entry for each page, and `address` is in one of them.
    // Volatile, as a restore changes entries.
    FrameNumber(unsafe { list.wrapping_add(page_number(address)).read_volatile() })
}

/// Returns `true` if there is memory behind an address that the list has an entry for.
pub(crate) fn is_populated(address: usize) -> bool {
    frame_of(address).0 < INVALID_FRAME
}

/// Returns where the domain builder mapped machine frame `frame` of this domain.
pub(crate) fn address_of(frame: FrameNumber) -> usize {
    let entry = (MACH2PHYS as *const u64).wrapping_add(frame.0 as usize);
    // SAFETY: Xen maps this table for every guest, and `frame` is one of this domain.
    let page = unsafe { entry.read_volatile() } as usize;
    VIRT_BASE + (page << FrameNumber::PAGE_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_from_the_first_one() {
        assert_eq!(page_number(VIRT_BASE), 0);
        assert_eq!(page_number(VIRT_BASE + 0xFFF), 0);
        assert_eq!(page_number(VIRT_BASE + 0x5000), 5);
    }
}
