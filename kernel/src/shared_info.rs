//! The page that Xen shares with every domain (`struct shared_info`, xen.h): pending events
//! and time.

use core::sync::atomic::{AtomicU64, Ordering};

use xen_boot::FrameNumber;
use xen_hal::{PAGE_SIZE, Port};

use crate::percpu::{self, MAX_CPUS};
use crate::window::{SpecialCell, SpecialPage, Words64};

/// Places in `struct shared_info` of a 64-bit guest, in 64-bit words.
mod place {
    /// `evtchn_pending[64]`
    pub(super) const EVTCHN_PENDING: usize = 256;
    /// `evtchn_mask[64]`
    pub(super) const EVTCHN_MASK: usize = 320;
    /// `wc_version` and, in the upper half, `wc_sec`
    pub(super) const WC_VERSION: usize = 384;
    /// `wc_nsec` and, in the upper half, `wc_sec_hi`
    pub(super) const WC_NSEC: usize = 385;
}

/// Places in `struct vcpu_info`, in 64-bit words.
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

/// Words in each of the two arrays of bits.
const CHANNEL_WORDS: usize = 64;

#[repr(C, align(4096))]
struct Absent(Words64);

static PAGE: SpecialCell = SpecialCell::empty();
/// What is read while the page isn't mapped: no event is pending, and time stands at 0.
static ABSENT: Absent = Absent([const { AtomicU64::new(0) }; PAGE_SIZE / 8]);

/// Maps the page, by the first virtual CPU: at the start, and again after a suspension.
///
/// # Panics
/// If it is mapped already.
pub(crate) fn attach(frame: FrameNumber) {
    match SpecialPage::map(frame) {
        Some(page) => PAGE.set(page),
        None => unreachable!("shared info is mapped first of all"),
    }
}

/// Unmaps the page, before a suspension. Until [`attach`] no event is pending, and time stands
/// at 0.
///
/// # Safety
/// No other virtual CPU uses events or time in this moment.
#[expect(unsafe_code, reason = "references to the page may be left")]
pub(crate) unsafe fn detach() {
    // SAFETY: the caller says that nobody else uses it, and this function has no reference.
    drop(unsafe { PAGE.take() });
}

/// Masks every event channel: masked channels still become pending and still end a
/// `SCHEDOP_poll`, and Xen skips the work of an upcall that nobody wants.
pub(crate) fn mask_all_channels() {
    for word in &page()[place::EVTCHN_MASK..][..CHANNEL_WORDS] {
        word.store(u64::MAX, Ordering::Relaxed);
    }
}

/// Returns the page.
#[inline]
fn page() -> &'static Words64 {
    PAGE.words64().unwrap_or(&ABSENT.0)
}

/// `vcpu_info[index]`.
#[inline]
fn info(index: usize) -> &'static [AtomicU64; 8] {
    let (infos, _) = page().as_chunks::<8>();
    &infos[index % MAX_CPUS]
}

/// `struct vcpu_info` of the virtual CPU that this is.
#[inline]
pub(crate) fn own() -> &'static [AtomicU64; 8] {
    info(percpu::current())
}

/// `wc_version`, and the wall clock at system time 0 in seconds since 1970 (`wc_sec`,
/// `wc_sec_hi`).
pub(crate) fn wall_clock() -> (u32, u64) {
    let low = page()[place::WC_VERSION].load(Ordering::Acquire);
    let high = page()[place::WC_NSEC].load(Ordering::Relaxed);
    (low as u32, (high >> 32) << 32 | low >> 32)
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

/// Returns where upcalls of the virtual CPU that this is are masked: `evtchn_upcall_mask`.
pub(crate) fn upcall_mask() -> *const u8 {
    let word: *const AtomicU64 = &raw const own()[word::UPCALL];
    word.cast::<u8>().wrapping_add(1)
}

/// Returns the word that has the bit of a channel, in the array of bits that begins at `array`, and
/// that bit. `None` if there is no such channel.
#[inline]
fn channel(port: Port, array: usize) -> Option<(&'static AtomicU64, u64)> {
    let words = &page()[array..][..CHANNEL_WORDS];
    Some((words.get((port.0 / 64) as usize)?, 1 << (port.0 % 64)))
}

/// Clears the pending state of a channel. Returns `true` if it was pending.
#[inline]
pub(crate) fn take_pending(port: Port) -> bool {
    let Some((cell, bit)) = channel(port, place::EVTCHN_PENDING) else {
        return false;
    };
    cell.load(Ordering::Relaxed) & bit != 0 && cell.fetch_and(!bit, Ordering::AcqRel) & bit != 0
}

/// Returns `true` if a channel is pending.
pub(crate) fn is_pending(port: Port) -> bool {
    channel(port, place::EVTCHN_PENDING)
        .is_some_and(|(cell, bit)| cell.load(Ordering::SeqCst) & bit != 0)
}

/// Has a channel's events make upcalls wait.
pub(crate) fn unmask(port: Port) {
    if let Some((word, bit)) = channel(port, place::EVTCHN_MASK) {
        word.fetch_and(!bit, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run on a host, where there is no such page.
    #[test]
    fn nothing_is_pending_while_the_page_is_absent() {
        for port in [0, 1, 63, 64, 4095, 4096, u32::MAX] {
            assert!(!take_pending(Port(port)));
            assert!(!is_pending(Port(port)));
        }
        assert_eq!(wall_clock(), (0, 0));
    }

    #[test]
    fn a_channel_has_a_bit_of_its_own() {
        let (word, bit) = channel(Port(70), place::EVTCHN_PENDING).unwrap();
        assert!(core::ptr::eq(word, &raw const page()[257]));
        assert_eq!(bit, 1 << 6);
        assert!(channel(Port(4096), place::EVTCHN_MASK).is_none());
    }
}
