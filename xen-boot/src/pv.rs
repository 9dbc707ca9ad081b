//! Entry of a 64-bit paravirtualized guest: ELF notes (elfnote.h) and the first instructions.
//!
//! Xen's builder leaves the virtual address of `struct start_info` in `rsi` and a small
//! stack in `rsp`; that stack is the last thing it put into memory (xen.h, "Start-of-day
//! memory layout").

use crate::frame::FrameNumber;
use crate::info::{BootError, BootInfo, Module, Protocol, PvInfo};
use crate::start_info::StartInfo;

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

/// Rust's side of the entry point: reads `start_info` and calls `main`.
///
/// # Safety
/// `start_info` is the page that Xen passed in `rsi` and `boot_stack` the stack pointer it
/// passed. Nothing in the guest writes the page, and nothing else uses the module that it names.
#[doc(hidden)]
#[expect(unsafe_code, reason = "reads what Xen left in memory")]
#[expect(
    improper_ctypes_definitions,
    reason = "only this crate's assembly calls it"
)]
pub unsafe extern "C" fn pv_enter(
    start_info: *const StartInfo,
    boot_stack: usize,
    main: fn(Result<BootInfo, BootError>) -> !,
) -> ! {
    // SAFETY: the caller passes the page that Xen filled; what the toolstack may write again is
    // atomics.
    let start_info: &'static StartInfo = unsafe { &*start_info };
    // SAFETY: as promised by the caller.
    main(unsafe { boot_info(start_info, boot_stack) })
}

/// Reads the page. The small stack that Xen made ends the memory that the domain builder used;
/// `boot_stack` is an address in it.
///
/// # Errors
/// [`BootError`] if the page isn't one that this guest understands.
///
/// # Safety
/// The module that the page names is memory that nothing else uses.
#[expect(unsafe_code, reason = "the ramdisk is given as an address")]
unsafe fn boot_info(page: &'static StartInfo, boot_stack: usize) -> Result<BootInfo, BootError> {
    if !page.is_known() {
        return Err(BootError::UnknownInterface(page.magic));
    }
    if page.pages() == 0 {
        return Err(BootError::Malformed("no memory"));
    }
    let address = |value: u64| usize::try_from(value).unwrap_or(0);
    let (start, len) = (address(page.mod_start), address(page.mod_len));
    let ramdisk = (start != 0 && len != 0).then(|| {
        // SAFETY: the builder placed `len` bytes there, and the caller promises the rest.
        unsafe { Module::new(start, len) }
    });
    let command_line = page.cmd_line.split(|&byte| byte == 0).next();
    Ok(BootInfo {
        pages: page.pages(),
        command_line: command_line.unwrap_or(&[]),
        ramdisk,
        console: page.console(),
        store: page.store(),
        protocol: Protocol::Pv(PvInfo {
            start_info: page,
            page_table: address(page.pt_base),
            mfn_list: address(page.mfn_list),
            first_free: boot_stack.next_multiple_of(1 << FrameNumber::PAGE_SHIFT),
        }),
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::boxed::Box;

    #[expect(
        unsafe_code,
        reason = "calls the parser with a page that names no module"
    )]
    fn read(page: StartInfo) -> Result<BootInfo, BootError> {
        assert_eq!(page.mod_start, 0);
        // SAFETY: the page names no module.
        unsafe { boot_info(Box::leak(Box::new(page)), 0x40_1f80) }
    }

    #[test]
    fn a_good_page_is_read() {
        let info = read(StartInfo::fake(b"xen-3.0-x86_64", 1024)).unwrap();
        assert_eq!(info.pages, 1024);
        assert_eq!(info.command_line, b"log=debug");
        assert_eq!(info.console.frame, FrameNumber(0x66));
        assert_eq!(info.console.port, 7);
        assert_eq!(info.store.frame, FrameNumber(0x55));
        assert!(info.ramdisk.is_none());
        let Protocol::Pv(pv) = info.protocol;
        assert_eq!((pv.page_table, pv.mfn_list), (0x30_0000, 0x31_0000));
        assert_eq!(pv.first_free, 0x40_2000);
        assert_eq!(pv.start_info.shared_info(), FrameNumber(0x1_2345));
    }

    #[test]
    fn a_command_line_without_a_nul_ends_with_the_field() {
        let mut page = StartInfo::fake(b"xen-3.0-x86_64", 1024);
        page.cmd_line.fill(b'x');
        let info = read(page).unwrap();
        assert_eq!(info.command_line.len(), 1024);
    }

    #[test]
    fn other_interfaces_are_refused() {
        for magic in [&b"xen-4.0-x86_64"[..], b"xen-3.0-x86_32p", b"", b"linux"] {
            let error = read(StartInfo::fake(magic, 1024)).unwrap_err();
            assert!(matches!(error, BootError::UnknownInterface(_)), "{magic:?}");
        }
    }

    #[test]
    fn a_domain_without_memory_is_refused() {
        let error = read(StartInfo::fake(b"xen-3.0-x86_64", 0)).unwrap_err();
        assert_eq!(error, BootError::Malformed("no memory"));
    }
}
