//! `struct start_info`, the page with which Xen starts a paravirtualized guest (xen.h).

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::frame::FrameNumber;
use crate::ring::RingInfo;

/// Bytes of the command line with its NUL (`MAX_GUEST_CMDLINE`).
const COMMAND_LINE_BYTES: usize = 1024;

/// `struct start_info` of a 64-bit guest, as far as it is of use.
///
/// Fields that the toolstack writes again when it restores the domain are atomics; all others
/// stay as they are for as long as the guest runs.
#[derive(Debug)]
#[repr(C)]
pub struct StartInfo {
    pub(crate) magic: [u8; 32],
    nr_pages: AtomicU64,
    shared_info: AtomicU64,
    flags: AtomicU32,
    store_mfn: AtomicU64,
    store_evtchn: AtomicU32,
    console_mfn: AtomicU64,
    console_evtchn: AtomicU32,
    pub(crate) pt_base: u64,
    nr_pt_frames: u64,
    pub(crate) mfn_list: u64,
    pub(crate) mod_start: u64,
    pub(crate) mod_len: u64,
    pub(crate) cmd_line: [u8; COMMAND_LINE_BYTES],
}

const _: () = {
    assert!(offset_of!(StartInfo, nr_pages) == 32);
    assert!(offset_of!(StartInfo, store_mfn) == 56);
    assert!(offset_of!(StartInfo, store_evtchn) == 64);
    assert!(offset_of!(StartInfo, console_mfn) == 72);
    assert!(offset_of!(StartInfo, console_evtchn) == 80);
    assert!(offset_of!(StartInfo, pt_base) == 88);
    assert!(offset_of!(StartInfo, mfn_list) == 104);
    assert!(offset_of!(StartInfo, cmd_line) == 128);
    assert!(size_of::<StartInfo>() == 128 + COMMAND_LINE_BYTES);
};

impl StartInfo {
    /// Returns the machine frame of the shared info page.
    #[must_use]
    pub fn shared_info(&self) -> FrameNumber {
        FrameNumber::containing(self.shared_info.load(Ordering::Relaxed))
    }

    /// Returns the console ring.
    #[must_use]
    pub fn console(&self) -> RingInfo {
        RingInfo {
            frame: FrameNumber(self.console_mfn.load(Ordering::Relaxed)),
            port: self.console_evtchn.load(Ordering::Relaxed),
        }
    }

    /// Returns the xenstore ring.
    #[must_use]
    pub fn store(&self) -> RingInfo {
        RingInfo {
            frame: FrameNumber(self.store_mfn.load(Ordering::Relaxed)),
            port: self.store_evtchn.load(Ordering::Relaxed),
        }
    }

    /// Returns `true` if the page is of an interface that this guest knows: `xen-3.x-x86_64`.
    pub(crate) fn is_known(&self) -> bool {
        self.magic.starts_with(b"xen-3.") && self.magic.windows(8).any(|part| part == b"-x86_64\0")
    }

    /// Returns the number of pages of memory that the domain has.
    pub(crate) fn pages(&self) -> usize {
        self.nr_pages.load(Ordering::Relaxed) as usize
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A page as Xen would fill it.

    use super::*;

    impl StartInfo {
        /// Returns the page of a domain of `pages` pages, without a module.
        pub(crate) fn fake(magic: &[u8], pages: u64) -> Self {
            let mut page = Self {
                magic: [0; 32],
                nr_pages: AtomicU64::new(pages),
                shared_info: AtomicU64::new(0x1234_5000),
                flags: AtomicU32::new(0),
                store_mfn: AtomicU64::new(0x55),
                store_evtchn: AtomicU32::new(1),
                console_mfn: AtomicU64::new(0x66),
                console_evtchn: AtomicU32::new(7),
                pt_base: 0x30_0000,
                nr_pt_frames: 5,
                mfn_list: 0x31_0000,
                mod_start: 0,
                mod_len: 0,
                cmd_line: [0; COMMAND_LINE_BYTES],
            };
            page.magic[..magic.len()].copy_from_slice(magic);
            page.cmd_line[..10].copy_from_slice(b"log=debug\0");
            page
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restore_changes_is_read_again() {
        let page = StartInfo::fake(b"xen-3.0-x86_64", 1024);
        assert_eq!(page.console().port, 7);
        assert_eq!(page.shared_info(), FrameNumber(0x1_2345));
        page.console_evtchn.store(9, Ordering::Relaxed);
        page.shared_info.store(0x7000, Ordering::Relaxed);
        assert_eq!(page.console().port, 9);
        assert_eq!(page.shared_info(), FrameNumber(7));
    }

    #[test]
    fn other_interfaces_are_unknown() {
        assert!(StartInfo::fake(b"xen-3.0-x86_64", 1).is_known());
        assert!(StartInfo::fake(b"xen-3.1-x86_64", 1).is_known());
        for magic in [&b"xen-4.0-x86_64"[..], b"xen-3.0-x86_32p", b"", b"linux"] {
            assert!(!StartInfo::fake(magic, 1).is_known(), "{magic:?}");
        }
    }
}
