//! Pages of other domains, mapped by grants of theirs (`GNTTABOP_map_grant_ref`, grant_table.h).

use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use xen_hal::{DomId, GrantRef, SharedPage};

use crate::hypercall::{GRANT_TABLE_OP, call4, check};
use crate::window::Slot;

const GNTTABOP_MAP_GRANT_REF: u64 = 0;
const GNTTABOP_UNMAP_GRANT_REF: u64 = 1;
/// `GNTMAP_host_map`
const GNTMAP_HOST_MAP: u32 = 1 << 1;
/// `GNTST_okay`
const GNTST_OKAY: i16 = 0;

/// `struct gnttab_map_grant_ref`
#[repr(C)]
struct MapGrantRef {
    host_addr: u64,
    flags: u32,
    reference: u32,
    dom: u16,
    status: i16,
    handle: u32,
    dev_bus_addr: u64,
}

/// `struct gnttab_unmap_grant_ref`
#[repr(C)]
struct UnmapGrantRef {
    host_addr: u64,
    dev_bus_addr: u64,
    handle: u32,
    status: i16,
}

const _: () = {
    assert!(size_of::<MapGrantRef>() == 32);
    assert!(size_of::<UnmapGrantRef>() == 24);
};

/// The reason why a page of another domain couldn't be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapError {
    /// The window has no free addresses.
    WindowFull,
    /// The grant doesn't permit it; has the (negative) `GNTST_*` status of grant_table.h.
    Refused(i16),
    /// The hypervisor returned this negative error number (errno.h).
    Hypervisor(i32),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapError::WindowFull => f.write_str("no addresses left for pages of other domains"),
            MapError::Refused(status) => write!(f, "the grant doesn't permit it (status {status})"),
            MapError::Hypervisor(errno) => write!(f, "refused by the hypervisor (error {errno})"),
        }
    }
}

impl core::error::Error for MapError {}

/// A page of another domain, mapped for reading and writing until this is dropped. Its owner
/// reads and writes it at any time.
///
/// A domain that has one can't be saved.
#[derive(Debug)]
pub struct ForeignPage {
    page: SharedPage,
    handle: u32,
    /// Freed when this is dropped, unless the page can't be unmapped.
    slot: ManuallyDrop<Slot>,
}

impl ForeignPage {
    /// Maps the page that `owner` granted as `reference`.
    ///
    /// # Errors
    /// [`MapError`] if there is no such grant, or it is for reading only, or the hypervisor has no
    /// room for one more.
    pub fn map(owner: DomId, reference: GrantRef) -> Result<Self, MapError> {
        let slot = Slot::take().ok_or(MapError::WindowFull)?;
        let start = NonNull::new(slot.address() as *mut u8).ok_or(MapError::WindowFull)?;
        let mut argument = MapGrantRef {
            host_addr: slot.address() as u64,
            flags: GNTMAP_HOST_MAP,
            reference: reference.0,
            dom: owner.0,
            status: GNTST_OKAY,
            handle: 0,
            dev_bus_addr: 0,
        };
        let address = core::ptr::from_mut(&mut argument) as u64;
        #[expect(unsafe_code, reason = "hypercall")]
        // SAFETY: GNTTABOP_map_grant_ref takes one `gnttab_map_grant_ref`; nothing is mapped at
        // `host_addr`, and there is a page table for it.
        let result = unsafe { call4(GRANT_TABLE_OP, GNTTABOP_MAP_GRANT_REF, address, 1, 0) };
        check(result).map_err(MapError::Hypervisor)?;
        if argument.status != GNTST_OKAY {
            return Err(MapError::Refused(argument.status));
        }
        #[expect(unsafe_code, reason = "a page comes into view")]
        // SAFETY: just mapped, at addresses that nobody else has, until this value is dropped.
        let page = unsafe { SharedPage::from_raw(start) };
        Ok(Self {
            page,
            handle: argument.handle,
            slot: ManuallyDrop::new(slot),
        })
    }

    /// Returns the page.
    #[must_use]
    pub fn page(&self) -> &SharedPage {
        &self.page
    }
}

impl Drop for ForeignPage {
    fn drop(&mut self) {
        let mut argument = UnmapGrantRef {
            host_addr: self.slot.address() as u64,
            dev_bus_addr: 0,
            handle: self.handle,
            status: GNTST_OKAY,
        };
        let address = core::ptr::from_mut(&mut argument) as u64;
        #[expect(unsafe_code, reason = "hypercall")]
        // SAFETY: GNTTABOP_unmap_grant_ref takes one `gnttab_unmap_grant_ref`; no reference to
        // the page outlives this value.
        let result = unsafe { call4(GRANT_TABLE_OP, GNTTABOP_UNMAP_GRANT_REF, address, 1, 0) };
        if check(result).is_err() || argument.status != GNTST_OKAY {
            // Its addresses are leaked, rather than used twice.
            log::error!(
                target: "kernel",
                "a page of another domain stays mapped: {result}, status {}",
                argument.status
            );
            return;
        }
        #[expect(unsafe_code, reason = "what is dropped by hand could be dropped twice")]
        // SAFETY: dropped here and nowhere else.
        unsafe {
            ManuallyDrop::drop(&mut self.slot);
        }
    }
}
