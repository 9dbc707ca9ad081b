//! The window of addresses for pages that aren't this domain's memory: shared info, the frames of
//! the grant table, pages of other domains.
//!
//! A [`Slot`] is the address of one page, a [`SpecialPage`] a page that Xen lets the domain map at
//! one. Dropping either frees the address and unmaps the page: a domain can be saved only if its
//! page tables refer to nothing but its own memory. A [`SpecialCell`] contains such a page for the
//! whole kernel, and can be emptied and set again.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use xen_boot::FrameNumber;
use xen_hal::PAGE_SIZE;

use crate::pv::paging::{self, WINDOW};
use crate::sync::Mutex;

/// Slots of the window.
const SLOTS: usize = (WINDOW.end - WINDOW.start) / PAGE_SIZE;

/// A page as words of 32 bits that somebody else may write at any time.
pub(crate) type Words32 = [AtomicU32; PAGE_SIZE / 4];
/// A page as words of 64 bits that somebody else may write at any time.
pub(crate) type Words64 = [AtomicU64; PAGE_SIZE / 8];

static TAKEN: Mutex<SlotMap> = Mutex::new(SlotMap::new());

/// Which slots are taken: a bit for each.
struct SlotMap([u64; SLOTS / 64]);

impl SlotMap {
    const fn new() -> Self {
        Self([0; SLOTS / 64])
    }

    /// Takes the first slot that is free. `None` if there is none.
    fn take(&mut self) -> Option<usize> {
        let (at, word) = (0..)
            .zip(&mut self.0)
            .find(|(_, word)| **word != u64::MAX)?;
        let bit = word.trailing_ones() as usize;
        *word |= 1 << bit;
        Some(at * 64 + bit)
    }

    /// Gives a slot back.
    fn give(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word &= !(1 << (slot % 64));
        }
    }
}

/// Addresses of one page at which nothing is mapped but by whoever has the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    address: usize,
}

impl Slot {
    /// Takes a slot. `None` if the window is full.
    pub(crate) fn take() -> Option<Self> {
        let slot = TAKEN.lock().take()?;
        Some(Self {
            address: WINDOW.start + slot * PAGE_SIZE,
        })
    }

    /// Returns where it begins.
    pub(crate) fn address(&self) -> usize {
        self.address
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        TAKEN.lock().give((self.address - WINDOW.start) / PAGE_SIZE);
    }
}

/// A page that Xen shares with this domain, mapped until this is dropped.
#[derive(Debug)]
pub(crate) struct SpecialPage(Slot);

impl SpecialPage {
    /// Maps `frame`. `None` if the window is full.
    ///
    /// # Panics
    /// If Xen doesn't let this domain map `frame`.
    pub(crate) fn map(frame: FrameNumber) -> Option<Self> {
        let slot = Slot::take()?;
        paging::map(slot.address, frame);
        Some(Self(slot))
    }
}

impl Drop for SpecialPage {
    fn drop(&mut self) {
        // The slot is given back after this.
        paging::unmap(self.0.address);
    }
}

/// A place for a [`SpecialPage`] that everybody uses, and that a resume sets again.
///
/// [`set`](Self::set) is for the first virtual CPU, at the start and at a resume;
/// [`take`](Self::take) too, before a suspension.
#[derive(Debug)]
pub(crate) struct SpecialCell {
    /// Of the page; 0 if there is none.
    address: AtomicUsize,
}

impl SpecialCell {
    /// Creates a cell without a page.
    pub(crate) const fn empty() -> Self {
        Self {
            address: AtomicUsize::new(0),
        }
    }

    /// Puts a page there.
    ///
    /// # Panics
    /// If there is one.
    pub(crate) fn set(&self, page: SpecialPage) {
        let before = self.address.swap(page.0.address, Ordering::Release);
        assert!(before == 0, "a special page is mapped twice");
        // The cell has it now.
        core::mem::forget(page);
    }

    /// Takes the page away. `None` if there is none.
    ///
    /// # Safety
    /// No reference that the cell gave is left, and nobody asks for one in this moment.
    #[expect(unsafe_code, reason = "references to the page may be left")]
    pub(crate) unsafe fn take(&self) -> Option<SpecialPage> {
        let address = self.address.swap(0, Ordering::Acquire);
        // Made only if there is one: dropping it unmaps something.
        (address != 0).then(|| SpecialPage(Slot { address }))
    }

    /// Returns the page as words of 32 bits. `None` if there is none.
    #[inline]
    pub(crate) fn words32(&self) -> Option<&'static Words32> {
        let page = self.address.load(Ordering::Acquire) as *const Words32;
        #[expect(unsafe_code, reason = "the page is given as an address")]
        // SAFETY: `set` put a mapped page there, or it is null. Whoever takes it away has promised
        // that no reference is left.
        unsafe {
            page.as_ref()
        }
    }

    /// Returns the page as words of 64 bits. `None` if there is none.
    #[inline]
    pub(crate) fn words64(&self) -> Option<&'static Words64> {
        let page = self.address.load(Ordering::Acquire) as *const Words64;
        #[expect(unsafe_code, reason = "the page is given as an address")]
        // SAFETY: as in `words32`.
        unsafe {
            page.as_ref()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_taken_in_order_and_once() {
        let mut map = SlotMap::new();
        for slot in 0..SLOTS {
            assert_eq!(map.take(), Some(slot));
        }
        assert_eq!(map.take(), None);
    }

    #[test]
    fn a_slot_that_was_given_back_is_taken_again() {
        let mut map = SlotMap::new();
        for _ in 0..200 {
            map.take();
        }
        map.give(130);
        map.give(7);
        assert_eq!(map.take(), Some(7));
        assert_eq!(map.take(), Some(130));
        assert_eq!(map.take(), Some(200));
    }

    #[test]
    fn a_slot_beyond_the_window_is_no_slot() {
        let mut map = SlotMap::new();
        map.give(SLOTS);
        assert_eq!(map.take(), Some(0));
    }

    #[test]
    fn an_empty_cell_has_no_page() {
        let cell = SpecialCell::empty();
        assert!(cell.words64().is_none());
        #[expect(unsafe_code, reason = "takes a page that isn't there")]
        // SAFETY: the cell gave no reference.
        let page = unsafe { cell.take() };
        assert!(page.is_none());
    }
}
