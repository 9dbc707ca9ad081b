//! The page that Xen shares with every domain (`struct shared_info`, xen.h): pending events
//! and time.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;
use xen_boot::BootInfo;
use xen_hal::{Port, SharedPage};

use crate::memory::PAGE_BITS;
use crate::pv::paging;
use crate::smp::{self, MAX_CPUS};

/// Byte offsets in `struct shared_info` of a 64-bit guest.
pub(crate) mod offset {
    /// `evtchn_pending[64]`
    pub(crate) const EVTCHN_PENDING: usize = 2048;
    /// `evtchn_mask[64]`
    pub(crate) const EVTCHN_MASK: usize = 2560;
    /// `wc_version`
    pub(crate) const WC_VERSION: usize = 3072;
}

/// Offsets in `struct vcpu_info`, in 64-bit words.
pub(crate) mod word {
    /// `evtchn_upcall_pending` and, in the second byte, `evtchn_upcall_mask`
    pub(crate) const UPCALL: usize = 0;
    /// `evtchn_pending_sel`
    pub(crate) const PENDING_SEL: usize = 1;
    /// `arch.cr2`
    pub(crate) const CR2: usize = 2;
    /// `time`
    pub(crate) const TIME: usize = 4;
}

static SHARED_INFO: Once<SharedPage> = Once::new();

/// Maps the page, and masks every event channel: masked channels still become pending and
/// still end a `SCHEDOP_poll`, and Xen skips the work of an upcall that nobody wants.
pub(crate) fn init(boot: &BootInfo) {
    SHARED_INFO.call_once(|| paging::map_special(boot.pv.shared_info >> PAGE_BITS));
    for word in &page().words64()[offset::EVTCHN_MASK / 8..][..64] {
        word.store(u64::MAX, Ordering::Relaxed);
    }
}

/// The page.
#[inline]
pub(crate) fn page() -> &'static SharedPage {
    match SHARED_INFO.get() {
        Some(page) => page,
        None => unreachable!("shared info is mapped first of all"),
    }
}

/// `vcpu_info[index]`.
#[inline]
fn info(index: usize) -> &'static [AtomicU64; 8] {
    let (infos, _) = page().words64().as_chunks::<8>();
    &infos[index % MAX_CPUS]
}

/// `struct vcpu_info` of the virtual CPU that this is.
#[inline]
pub(crate) fn own() -> &'static [AtomicU64; 8] {
    info(smp::current())
}

/// Keeps virtual CPU `index` from getting upcalls.
pub(crate) fn mask_upcalls(index: usize) {
    info(index)[word::UPCALL].fetch_or(1 << 8, Ordering::Relaxed);
}

/// Forgets the upcall that waits for the virtual CPU that this is, if one does. What came before
/// is seen as pending after this; what comes later makes another upcall wait.
pub(crate) fn forget_upcalls() {
    let own = own();
    // In this order: Xen makes none wait for a word that is selected already.
    own[word::UPCALL].fetch_and(!0xFF, Ordering::SeqCst);
    own[word::PENDING_SEL].swap(0, Ordering::SeqCst);
}

/// Where upcalls of the virtual CPU that this is are masked: `evtchn_upcall_mask`.
pub(crate) fn upcall_mask() -> *const u8 {
    let word: *const AtomicU64 = &raw const own()[word::UPCALL];
    word.cast::<u8>().wrapping_add(1)
}

/// The word that has the bit of a channel, in one of the two arrays of bits, and that bit.
#[inline]
pub(crate) fn channel(port: Port, array: usize) -> Option<(&'static AtomicU64, u64)> {
    let words = &page().words64()[array / 8..][..64];
    Some((words.get((port.0 / 64) as usize)?, 1 << (port.0 % 64)))
}

/// Has a channel's events make upcalls wait.
pub(crate) fn unmask(port: Port) {
    if let Some((word, bit)) = channel(port, offset::EVTCHN_MASK) {
        word.fetch_and(!bit, Ordering::SeqCst);
    }
}
