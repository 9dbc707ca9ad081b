//! Page tables of a paravirtualized guest (xen.h, `MMU_NORMAL_PT_UPDATE`).
//!
//! A guest writes its tables only while they are ordinary pages; once part of the tree they
//! are read-only and Xen makes each change. Everything this guest maps lies in the first GiB
//! of addresses, so there is one level-2 table, made by the domain builder.

#![expect(unsafe_code, reason = "page tables decide what every address means")]

use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

use xen_boot::{FrameNumber, PvInfo, VIRT_BASE};
use xen_hal::PAGE_SIZE;

use crate::hypercall::{DOMID_SELF, MMU_UPDATE, UPDATE_VA_MAPPING, call4, check};
use crate::pv::p2m;

/// Entries of a table.
const ENTRIES: usize = 512;
/// Bytes that a level-1 table maps.
const TABLE_SPAN: usize = ENTRIES * PAGE_SIZE;

/// Addresses at which pages are mapped that aren't this domain's own memory, behind all that is:
/// what one level-1 table maps.
pub(crate) const WINDOW: Range<usize> = (1 << 30) - TABLE_SPAN..1 << 30;

const ADDRESS_BITS: u64 = 0x000F_FFFF_FFFF_F000;
const PRESENT: u64 = 1;
const READ_ONLY: u64 = 0x65; // present, user, accessed, dirty
const READ_WRITE: u64 = 0x67;
/// `UVMF_INVLPG | UVMF_ALL` (xen.h): no virtual CPU keeps what was there before.
const UVMF_INVLPG_ALL: u64 = 2 | 1 << 2;

/// Address of the top-level table.
static ROOT: AtomicUsize = AtomicUsize::new(0);

/// `struct mmu_update` (xen.h)
#[repr(C)]
struct MmuUpdate {
    pointer: u64,
    value: u64,
}

/// Maps all of the domain's memory, `pages` pages of it, as far as it fits below [`WINDOW`], and
/// makes the table for that window, without anything in it. Returns the addresses of the memory
/// that is of no use yet.
pub(crate) fn map_memory(pv: &PvInfo, pages: usize) -> Range<usize> {
    ROOT.store(pv.page_table, Ordering::Relaxed);
    let tables = Tables::below(pv.page_table);
    let end = (VIRT_BASE + pages * PAGE_SIZE).min(WINDOW.start);
    let end = (pv.first_free..end)
        .step_by(PAGE_SIZE)
        .find(|&address| !p2m::is_populated(address))
        .unwrap_or(end);
    let mut free = pv.first_free;
    let mut take_table = || {
        let table = free;
        free += PAGE_SIZE;
        table
    };

    tables.add_level1(WINDOW.start, take_table(), core::iter::empty());
    let mut at = pv.first_free;
    while at < end && tables.is_mapped(at) {
        at += PAGE_SIZE;
    }
    while at < end {
        if tables.has_level1(at) {
            map(at, p2m::frame_of(at));
            at += PAGE_SIZE;
        } else {
            let stop = (at + TABLE_SPAN).min(end);
            let frames = (at..stop).step_by(PAGE_SIZE).map(p2m::frame_of);
            tables.add_level1(at, take_table(), frames);
            at = stop;
        }
    }
    free..end
}

/// Returns the machine frame of the top-level table, as it is now.
pub(crate) fn root() -> FrameNumber {
    p2m::frame_of(ROOT.load(Ordering::Relaxed))
}

/// The tree of tables, as far as this guest changes it.
struct Tables {
    /// Address of the level-2 table.
    level2: usize,
}

impl Tables {
    /// Walks from the root to the level-2 table.
    fn below(root: usize) -> Self {
        let level3 = table_behind(entry_at(root, 0));
        Self {
            level2: table_behind(entry_at(level3, 0)),
        }
    }

    /// Returns `true` if there is a level-1 table for `address`.
    fn has_level1(&self, address: usize) -> bool {
        self.level2_entry(address) & PRESENT != 0
    }

    /// Returns `true` if `address` is mapped.
    fn is_mapped(&self, address: usize) -> bool {
        let level2 = self.level2_entry(address);
        level2 & PRESENT != 0
            && entry_at(table_behind(level2), level1_index(address)) & PRESENT != 0
    }

    fn level2_entry(&self, address: usize) -> u64 {
        entry_at(self.level2, level2_index(address))
    }

    /// Makes the page at `table` the level-1 table for the addresses from `start` on, which have
    /// none yet, with the frames given (fewer than 512 leave the rest unmapped).
    ///
    /// `table` must be mapped, unused, and stays a table for ever.
    fn add_level1(&self, start: usize, table: usize, frames: impl Iterator<Item = FrameNumber>) {
        let words = table as *mut u64;
        // SAFETY: the caller gives an unused page.
        unsafe { words.write_bytes(0, ENTRIES) };
        for (index, frame) in frames.take(ENTRIES).enumerate() {
            // SAFETY: `index` is within the page.
            unsafe { words.wrapping_add(index).write(entry(frame, READ_WRITE)) };
        }
        // Xen takes a page as a table only if nobody can write to it.
        let frame = p2m::frame_of(table);
        set_level1_entry(table, entry(frame, READ_ONLY));
        let place = p2m::frame_of(self.level2).physical_address() + level2_index(start) as u64 * 8;
        let update = MmuUpdate {
            pointer: place,
            value: entry(frame, READ_WRITE),
        };
        let argument = core::ptr::from_ref(&update) as u64;
        // SAFETY: `mmu_update` takes an array of `mmu_update_t`, its length, and the domain.
        let result = unsafe { call4(MMU_UPDATE, argument, 1, 0, u64::from(DOMID_SELF)) };
        assert!(check(result).is_ok(), "Xen refused a page table: {result}");
    }
}

/// Returns an entry that maps `frame`.
const fn entry(frame: FrameNumber, flags: u64) -> u64 {
    frame.physical_address() | flags
}

/// Place in its level-2 table of the entry for `address`.
const fn level2_index(address: usize) -> usize {
    address / TABLE_SPAN % ENTRIES
}

/// Place in its level-1 table of the entry for `address`.
const fn level1_index(address: usize) -> usize {
    address / PAGE_SIZE % ENTRIES
}

/// Address of the table that an entry of the level above points at.
fn table_behind(entry: u64) -> usize {
    p2m::address_of(FrameNumber::containing(entry & ADDRESS_BITS))
}

fn entry_at(table: usize, index: usize) -> u64 {
    // SAFETY: `table` is a mapped page table, read-only, and `index` is below 512.
    unsafe { (table as *const u64).wrapping_add(index).read_volatile() }
}

/// Sets the level-1 entry for `address`, whose table exists.
///
/// # Panics
/// If Xen refuses, as it does for a frame that isn't this domain's to map.
fn set_level1_entry(address: usize, entry: u64) {
    // SAFETY: callers pass pages of their own; Xen checks the entry.
    let result = unsafe { call4(UPDATE_VA_MAPPING, address as u64, entry, UVMF_INVLPG_ALL, 0) };
    assert!(
        check(result).is_ok(),
        "Xen refused to map {address:#x}: {result}"
    );
}

/// Maps `frame` at `address`, whose table exists, in place of what was there.
///
/// # Panics
/// If Xen refuses, as it does for a frame that isn't this domain's to map.
pub(crate) fn map(address: usize, frame: FrameNumber) {
    set_level1_entry(address, entry(frame, READ_WRITE));
}

/// Unmaps the page at `address`, so that touching it is a fault on every virtual CPU: its entry is
/// zero.
pub(crate) fn unmap(address: usize) {
    set_level1_entry(address, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_place_in_each_table() {
        assert_eq!(level2_index(VIRT_BASE), 1);
        assert_eq!(level1_index(VIRT_BASE), 0);
        assert_eq!(level1_index(VIRT_BASE + 0x5123), 5);
        assert_eq!(level2_index(WINDOW.start), 511);
        assert_eq!(level2_index(WINDOW.end - 1), 511);
    }

    #[test]
    fn an_entry_holds_a_frame_and_flags() {
        assert_eq!(entry(FrameNumber(0x1_2345), READ_WRITE), 0x1234_5067);
        assert_eq!(entry(FrameNumber(0x1_2345), READ_ONLY) & 2, 0);
    }
}
