//! Entry of a 64-bit paravirtualised guest.
//!
//! Xen's builder leaves the virtual address of `struct start_info` in `rsi` and a small
//! stack in `rsp`; that stack is the last thing it put into memory (xen.h, "Start-of-day
//! memory layout").

use crate::info::{BootError, BootInfo, Module, PvInfo, RingInfo};

/// Places the ELF notes and the entry point, which ends up in
/// `fn main(Result<BootInfo, BootError>) -> !`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        core::arch::global_asm!(
            // One note: name size, descriptor size, type (elfnote.h), name, descriptor.
            ".macro xen_note_word type, value",
            "    .align 4",
            "    .long 4, 8, \\type",
            "    .asciz \"Xen\"",
            "    .quad \\value",
            ".endm",
            ".macro xen_note_text type, text",
            "    .align 4",
            "    .long 4, 2f - 1f, \\type",
            "    .asciz \"Xen\"",
            "1:  .asciz \"\\text\"",
            "2:  .align 4",
            ".endm",
            ".pushsection .note.Xen, \"a\", @note",
            "xen_note_word 1, xen_pv_start",       // ENTRY
            "xen_note_word 3, {virt_base}",        // VIRT_BASE
            "xen_note_word 4, {virt_base}",        // PADDR_OFFSET
            "xen_note_text 5, xen-3.0",            // XEN_VERSION
            "xen_note_text 6, Ringway",            // GUEST_OS
            "xen_note_text 8, generic",            // LOADER
            "xen_note_text 9, yes",                // PAE_MODE
            ".popsection",
            ".pushsection .text.boot, \"ax\", @progbits",
            ".globl xen_pv_start",
            "xen_pv_start:",
            "    cld",
            "    mov rdi, rsi",
            "    mov rsi, rsp",
            "    lea rdx, [rip + {main}]",
            "    lea rsp, [rip + {stack} + {stack_bytes}]",
            "    xor ebp, ebp",
            "    call {enter}",
            "    ud2",
            ".popsection",
            virt_base = const $crate::VIRT_BASE,
            main = sym $main,
            stack = sym $crate::BOOT_STACK,
            stack_bytes = const $crate::BOOT_STACK_BYTES,
            enter = sym $crate::pv_enter,
        );
    };
}

/// Byte offsets in `struct start_info` of a 64-bit guest (xen.h).
mod offset {
    pub(super) const MAGIC: usize = 0;
    pub(super) const NR_PAGES: usize = 32;
    pub(super) const SHARED_INFO: usize = 40;
    pub(super) const STORE_MFN: usize = 56;
    pub(super) const STORE_EVTCHN: usize = 64;
    pub(super) const CONSOLE_MFN: usize = 72;
    pub(super) const CONSOLE_EVTCHN: usize = 80;
    pub(super) const PT_BASE: usize = 88;
    pub(super) const MFN_LIST: usize = 104;
    pub(super) const MOD_START: usize = 112;
    pub(super) const MOD_LEN: usize = 120;
    pub(super) const CMD_LINE: usize = 128;
    pub(super) const CMD_LINE_LEN: usize = 1024;
    pub(super) const END: usize = CMD_LINE + CMD_LINE_LEN;
}

fn array<const N: usize>(page: &[u8; offset::END], at: usize) -> [u8; N] {
    core::array::from_fn(|i| page.get(at + i).copied().unwrap_or(0))
}

fn word(page: &[u8; offset::END], at: usize) -> u64 {
    u64::from_le_bytes(array(page, at))
}

/// Rust's side of the entry point.
///
/// # Safety
/// `start_info` is the page that Xen passed in `rsi` and `boot_stack` the stack pointer it
/// passed; the page is never written while the guest runs, and nothing else uses the module
/// that it points at.
#[doc(hidden)]
#[expect(unsafe_code, reason = "reads what Xen left in memory")]
#[expect(
    improper_ctypes_definitions,
    reason = "only this crate's assembly calls it"
)]
pub unsafe extern "C" fn pv_enter(
    start_info: *const [u8; offset::END],
    boot_stack: usize,
    main: fn(Result<BootInfo, BootError>) -> !,
) -> ! {
    // SAFETY: the caller passes the page that Xen filled.
    let page: &'static [u8; offset::END] = unsafe { &*start_info };
    // SAFETY: as promised by the caller.
    main(unsafe { parse(page, boot_stack) })
}

/// Reads `struct start_info`.
///
/// # Safety
/// The module that the page names is memory that nothing else uses.
#[expect(unsafe_code, reason = "the ramdisk is given as an address")]
unsafe fn parse(
    page: &'static [u8; offset::END],
    boot_stack: usize,
) -> Result<BootInfo, BootError> {
    let magic: [u8; 32] = array(page, offset::MAGIC);
    if !magic.starts_with(b"xen-3.") || !magic.windows(8).any(|part| part == b"-x86_64\0") {
        return Err(BootError::UnknownInterface(magic));
    }
    let pages = usize::try_from(word(page, offset::NR_PAGES)).unwrap_or(0);
    if pages == 0 {
        return Err(BootError::Malformed("no memory"));
    }
    let address = |at| usize::try_from(word(page, at)).unwrap_or(0);
    let line = page.get(offset::CMD_LINE..).unwrap_or(&[]);
    let (start, len) = (address(offset::MOD_START), address(offset::MOD_LEN));
    let ramdisk = (start != 0 && len != 0).then(|| {
        // SAFETY: the builder placed `len` bytes there, and the caller promises the rest.
        unsafe { Module::new(start, len) }
    });
    let ring = |mfn, port| RingInfo {
        mfn: word(page, mfn),
        port: u32::from_le_bytes(array(page, port)),
    };
    Ok(BootInfo {
        pages,
        command_line: line.split(|&byte| byte == 0).next().unwrap_or(&[]),
        ramdisk,
        console: ring(offset::CONSOLE_MFN, offset::CONSOLE_EVTCHN),
        store: ring(offset::STORE_MFN, offset::STORE_EVTCHN),
        pv: PvInfo {
            shared_info: word(page, offset::SHARED_INFO),
            page_table: address(offset::PT_BASE),
            mfn_list: address(offset::MFN_LIST),
            first_free: boot_stack.next_multiple_of(4096),
        },
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::boxed::Box;

    fn start_info(magic: &[u8], pages: u64) -> &'static [u8; offset::END] {
        let mut page = Box::new([0; offset::END]);
        page[..magic.len()].copy_from_slice(magic);
        page[offset::NR_PAGES..][..8].copy_from_slice(&pages.to_le_bytes());
        page[offset::CMD_LINE..][..10].copy_from_slice(b"log=debug\0");
        page[offset::CONSOLE_EVTCHN..][..4].copy_from_slice(&7u32.to_le_bytes());
        Box::leak(page)
    }

    #[expect(
        unsafe_code,
        reason = "calls the parser with a page that names no module"
    )]
    fn parsed(page: &'static [u8; offset::END]) -> Result<BootInfo, BootError> {
        // SAFETY: the page names no module.
        unsafe { parse(page, 0x40_1f80) }
    }

    #[test]
    fn a_good_page_is_read() {
        let info = parsed(start_info(b"xen-3.0-x86_64", 1024)).unwrap();
        assert_eq!(info.pages, 1024);
        assert_eq!(info.command_line, b"log=debug");
        assert_eq!(info.console.port, 7);
        assert_eq!(info.pv.first_free, 0x40_2000);
        assert!(info.ramdisk.is_none());
    }

    #[test]
    fn other_interfaces_are_refused() {
        for magic in [&b"xen-4.0-x86_64"[..], b"xen-3.0-x86_32p", b"", b"linux"] {
            let error = parsed(start_info(magic, 1024)).unwrap_err();
            assert!(matches!(error, BootError::UnknownInterface(_)), "{magic:?}");
        }
    }

    #[test]
    fn a_domain_without_memory_is_refused() {
        let error = parsed(start_info(b"xen-3.0-x86_64", 0)).unwrap_err();
        assert_eq!(error, BootError::Malformed("no memory"));
    }
}
