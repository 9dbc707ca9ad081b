//! Page tables of a paravirtualised guest (xen.h, `MMU_NORMAL_PT_UPDATE`).
//!
//! A guest writes its tables only while they are ordinary pages; once part of the tree they
//! are read-only and Xen makes each change. Everything this guest maps lies in the first GiB
//! of addresses, so there is one level-2 table, made by the domain builder.

#![expect(unsafe_code, reason = "page tables decide what every address means")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use xen_boot::{BootInfo, VIRT_BASE};
use xen_hal::{PAGE_SIZE, SharedPage};

use crate::hypercall::{DOMID_SELF, MMU_UPDATE, UPDATE_VA_MAPPING, call4, check};
use crate::memory::PAGE_BITS;

/// Bytes that a level-1 table maps.
pub(crate) const TABLE_SPAN: usize = 2 << 20;
/// Where pages that aren't this domain's own memory are mapped, behind all that is.
const SPECIAL: usize = (1 << 30) - TABLE_SPAN;
/// First address that memory can't be mapped at.
pub(crate) const MEMORY_END: usize = SPECIAL;

/// Xen's read-only table from machine frame to guest frame (arch-x86/xen-x86_64.h).
const MACH2PHYS: usize = 0xFFFF_8000_0000_0000;
const ADDRESS_BITS: u64 = 0x000F_FFFF_FFFF_F000;
const PRESENT: u64 = 1;
const READ_ONLY: u64 = 0x65; // present, user, accessed, dirty
const READ_WRITE: u64 = 0x67;
/// `UVMF_INVLPG | UVMF_ALL`: no virtual CPU keeps what was there before.
const UVMF_FORGET: u64 = 2 | 1 << 2;

static NEXT_SPECIAL: AtomicUsize = AtomicUsize::new(SPECIAL);

/// The guest frame that machine frame `mfn` is.
fn guest_frame(mfn: u64) -> usize {
    let entry = (MACH2PHYS as *const u64).wrapping_add(mfn as usize);
    // SAFETY: Xen maps this table for every guest, and `mfn` is a frame of this domain.
    unsafe { entry.read_volatile() as usize }
}

/// Where the domain builder mapped machine frame `mfn` of this domain.
pub(crate) fn address_of_machine_frame(mfn: u64) -> usize {
    VIRT_BASE + (guest_frame(mfn) << PAGE_BITS)
}

/// Takes charge of the page that the domain builder made of machine frame `mfn`.
pub(crate) fn own_page(mfn: u64) -> Option<SharedPage> {
    let start = NonNull::new(address_of_machine_frame(mfn) as *mut u8)?;
    // SAFETY: the builder mapped it, and memory below `first_free` is never allocated.
    Some(unsafe { SharedPage::from_raw(start) })
}

/// The tree of tables, as far as this guest changes it.
pub(crate) struct Tables {
    level2: u64,
}

impl Tables {
    /// Walks from the root to the level-2 table.
    pub(crate) fn of(boot: &BootInfo) -> Self {
        let level3 = entry_at(boot.pv.page_table, 0);
        let level2 = entry_at(address_of_machine_frame(level3 >> PAGE_BITS), 0);
        Self {
            level2: level2 & ADDRESS_BITS,
        }
    }

    /// Whether there is a level-1 table for `address`.
    pub(crate) fn has_table(&self, address: usize) -> bool {
        self.level2_entry(address) & PRESENT != 0
    }

    /// Whether `address` is mapped.
    pub(crate) fn is_mapped(&self, address: usize) -> bool {
        let level2 = self.level2_entry(address);
        if level2 & PRESENT == 0 {
            return false;
        }
        let level1 = address_of_machine_frame((level2 & ADDRESS_BITS) >> PAGE_BITS);
        entry_at(level1, (address >> PAGE_BITS) % 512) & PRESENT != 0
    }

    fn level2_entry(&self, address: usize) -> u64 {
        entry_at(
            address_of_machine_frame(self.level2 >> PAGE_BITS),
            address / TABLE_SPAN % 512,
        )
    }

    /// Makes the page at `table`, frame `table_mfn`, the level-1 table for the addresses from
    /// `start` on, with the frames given (fewer than 512 leave the rest unmapped).
    ///
    /// `table` must be mapped, unused, and stays a table for ever.
    pub(crate) fn add_table(
        &self,
        start: usize,
        table: usize,
        table_mfn: u64,
        frames: impl Iterator<Item = u64>,
    ) {
        let words = table as *mut u64;
        // SAFETY: the caller gives an unused page.
        unsafe { words.write_bytes(0, 512) };
        for (index, mfn) in frames.take(512).enumerate() {
            // SAFETY: `index` is within the page.
            unsafe {
                words
                    .wrapping_add(index)
                    .write(mfn << PAGE_BITS | READ_WRITE)
            };
        }
        map(table, table_mfn << PAGE_BITS | READ_ONLY);
        #[repr(C)]
        struct MmuUpdate {
            pointer: u64,
            value: u64,
        }
        let index = (start / TABLE_SPAN % 512) as u64;
        let update = MmuUpdate {
            pointer: self.level2 + index * 8,
            value: table_mfn << PAGE_BITS | READ_WRITE,
        };
        let argument = core::ptr::from_ref(&update) as u64;
        // SAFETY: `mmu_update` takes an array of `mmu_update_t`, its length, and the domain.
        let result = unsafe { call4(MMU_UPDATE, argument, 1, 0, u64::from(DOMID_SELF)) };
        assert!(check(result).is_ok(), "Xen refused a page table: {result}");
    }
}

fn entry_at(table: usize, index: usize) -> u64 {
    // SAFETY: `table` is a mapped page table, read-only, and `index` is below 512.
    unsafe { (table as *const u64).wrapping_add(index).read_volatile() }
}

/// Sets the level-1 entry for `address`, whose table exists.
fn map(address: usize, entry: u64) {
    // SAFETY: callers pass pages of their own; Xen checks the entry.
    let result = unsafe { call4(UPDATE_VA_MAPPING, address as u64, entry, UVMF_FORGET, 0) };
    assert!(
        check(result).is_ok(),
        "Xen refused to map {address:#x}: {result}"
    );
}

/// Maps machine frame `mfn` of this domain at `address`, whose table exists.
pub(crate) fn map_own(address: usize, mfn: u64) {
    map(address, mfn << PAGE_BITS | READ_WRITE);
}

/// Unmaps a page, so that touching it is a fault.
pub(crate) fn unmap(address: usize) {
    map(address, 0);
}

/// First address of the window for [`map_special`], which needs a table.
pub(crate) const fn special_window() -> usize {
    SPECIAL
}

/// Maps a frame that isn't this domain's memory (shared info, grant table), for ever.
pub(crate) fn map_special(mfn: u64) -> SharedPage {
    let address = NEXT_SPECIAL.fetch_add(PAGE_SIZE, Ordering::Relaxed);
    assert!(
        address < SPECIAL + TABLE_SPAN,
        "the window for special pages is full"
    );
    map(address, mfn << PAGE_BITS | READ_WRITE);
    match NonNull::new(address as *mut u8) {
        // SAFETY: just mapped, at an address that nobody else has.
        Some(start) => unsafe { SharedPage::from_raw(start) },
        None => unreachable!("the window isn't at address zero"),
    }
}
