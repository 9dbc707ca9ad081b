//! Exceptions. All of them are bugs here, and end the domain after reporting where they occurred.

#![expect(unsafe_code, reason = "entered by the hypervisor, not by Rust")]

use core::arch::global_asm;
use core::fmt;
use core::sync::atomic::Ordering;

use xen_hal::PAGE_SIZE;

use crate::hypercall::{SET_TRAP_TABLE, call4};
use crate::shared_info::{self, word};
use crate::{fault, percpu};

/// `FLAT_KERNEL_CS` (arch-x86/xen-x86_64.h).
pub(crate) const KERNEL_CS: u16 = 0xe033;
pub(crate) const VECTORS: usize = 20;
const PAGE_FAULT: u64 = 14;
/// In the error code of a page fault caused by a write.
const PAGE_FAULT_WRITE: u64 = 1 << 1;

#[rustfmt::skip]
const NAMES: [&str; VECTORS] = [
    "divide error", "debug", "non-maskable interrupt", "breakpoint", "overflow",
    "bound range exceeded", "invalid opcode", "device not available", "double fault",
    "coprocessor overrun", "invalid TSS", "segment not present", "stack fault",
    "general protection fault", "page fault", "reserved", "x87 floating point",
    "alignment check", "machine check", "SIMD floating point",
];

/// What a trap leaves on the stack, lowest address first: what the stub pushed, then Xen's
/// frame (`create_bounce_frame` pushes rcx and r11 too, as a hypercall would clobber them).
#[repr(C)]
#[cfg_attr(test, derive(Default))]
struct Frame {
    rax: u64,
    rbx: u64,
    rdx: u64,
    rsi: u64,
    rdi: u64,
    rbp: u64,
    r8: u64,
    r9: u64,
    r10: u64,
    r12: u64,
    r13: u64,
    r14: u64,
    r15: u64,
    vector: u64,
    rcx: u64,
    r11: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

// A stub of 32 bytes for each vector pushes its number, and a zero in the error code's place
// where the processor gives none (that place is behind rcx and r11).
global_asm!(
    ".macro ringway_trap vector, has_error=0",
    "    .balign 32",
    "    .if \\has_error == 0",
    "    pop rcx",
    "    pop r11",
    "    push 0",
    "    push r11",
    "    push rcx",
    "    .endif",
    "    push \\vector",
    "    jmp {common}",
    ".endm",
    ".pushsection .text.traps, \"ax\", @progbits",
    ".balign 32",
    ".globl ringway_trap_stubs",
    "ringway_trap_stubs:",
    ".irp vector, 0, 1, 2, 3, 4, 5, 6, 7",
    "    ringway_trap \\vector",
    ".endr",
    "ringway_trap 8, 1",
    "ringway_trap 9",
    ".irp vector, 10, 11, 12, 13, 14",
    "    ringway_trap \\vector, 1",
    ".endr",
    "ringway_trap 15",
    "ringway_trap 16",
    "ringway_trap 17, 1",
    "ringway_trap 18",
    "ringway_trap 19",
    ".popsection",
    common = sym common,
);

unsafe extern "C" {
    static ringway_trap_stubs: [[u8; 32]; VECTORS];
}

/// Saves the registers and goes on in Rust.
#[unsafe(naked)]
extern "C" fn common() {
    core::arch::naked_asm!(
        "push r15",
        "push r14",
        "push r13",
        "push r12",
        "push r10",
        "push r9",
        "push r8",
        "push rbp",
        "push rdi",
        "push rsi",
        "push rdx",
        "push rbx",
        "push rax",
        "mov rdi, rsp",
        "and rsp, -16",
        "cld",
        "call {report}",
        "ud2",
        report = sym report,
    );
}

/// One entry of the table that `HYPERVISOR_set_trap_table` takes (`struct trap_info`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct TrapInfo {
    pub(crate) vector: u8,
    flags: u8,
    cs: u16,
    pub(crate) address: u64,
}

/// Returns the handlers of all virtual CPUs, in the order of their vectors.
pub(crate) fn table() -> [TrapInfo; VECTORS + 1] {
    let mut table = [TrapInfo::default(); VECTORS + 1]; // the last one ends it
    for (vector, info) in table.iter_mut().take(VECTORS).enumerate() {
        let stubs = &raw const ringway_trap_stubs;
        let address = stubs.cast::<[u8; 32]>().wrapping_add(vector) as u64;
        *info = TrapInfo {
            vector: vector as u8,
            flags: 0,
            cs: KERNEL_CS,
            address,
        };
    }
    table
}

/// Registers the handlers for the first virtual CPU; others begin with them.
pub(crate) fn init() {
    let table = table();
    // SAFETY: the table is complete and ends with an empty entry; Xen copies it.
    unsafe { call4(SET_TRAP_TABLE, table.as_ptr() as u64, 0, 0, 0) };
}

extern "C" fn report(frame: &Frame) -> ! {
    let report = Report {
        frame,
        cr2: shared_info::own()[word::CR2].load(Ordering::Relaxed),
        guard: percpu::own().stack_guard.load(Ordering::Relaxed),
    };
    fault::die(format_args!("{report}"))
}

/// What is said of an exception.
struct Report<'a> {
    frame: &'a Frame,
    /// The address that a page fault is about.
    cr2: u64,
    /// Address of the page below the stack.
    guard: usize,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.frame;
        let name = NAMES
            .get(frame.vector as usize)
            .unwrap_or(&"unknown exception");
        write!(
            f,
            "{name} (vector {}, error code {:#x})",
            frame.vector, frame.error
        )?;
        if frame.vector == PAGE_FAULT {
            let access = if frame.error & PAGE_FAULT_WRITE == 0 {
                "reading"
            } else {
                "writing"
            };
            let guard = self.guard as u64..(self.guard + PAGE_SIZE) as u64;
            write!(f, " {access} {:#x}", self.cr2)?;
            if guard.contains(&self.cr2) {
                f.write_str(", the guard page below the stack")?;
            }
        }
        // Beside the selector Xen keeps the mask of upcalls there.
        let cs = frame.cs & 0xFFFF;
        writeln!(f, " at rip {:#018x}, cs {cs:#x}", frame.rip)?;
        let registers = [
            ("rax", frame.rax),
            ("rbx", frame.rbx),
            ("rcx", frame.rcx),
            ("rdx", frame.rdx),
            ("rsi", frame.rsi),
            ("rdi", frame.rdi),
            ("rbp", frame.rbp),
            ("rsp", frame.rsp),
            ("r8", frame.r8),
            ("r9", frame.r9),
            ("r10", frame.r10),
            ("r11", frame.r11),
            ("r12", frame.r12),
            ("r13", frame.r13),
            ("r14", frame.r14),
            ("r15", frame.r15),
            ("rfl", frame.rflags),
            ("ss", frame.ss),
        ];
        for line in registers.chunks(4) {
            for (name, value) in line {
                write!(f, "  {name:>3} {value:016x}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    fn report(frame: &Frame, cr2: u64) -> std::string::String {
        Report {
            frame,
            cr2,
            guard: 0x50_0000,
        }
        .to_string()
    }

    #[test]
    fn a_page_fault_says_what_was_touched() {
        let frame = Frame {
            vector: 14,
            error: 2,
            rip: 0x20_1234,
            cs: 0x1_0000_e033,
            rax: 0xABCD,
            ..Frame::default()
        };
        let text = report(&frame, 8);
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            "page fault (vector 14, error code 0x2) writing 0x8 at rip 0x0000000000201234, cs 0xe033"
        );
        assert!(text.contains("rax 000000000000abcd"), "{text}");
        assert_eq!(text.lines().count(), 6);
        assert!(report(&frame, 0x50_0FFF).contains("the guard page below the stack"));
        assert!(!report(&frame, 0x50_1000).contains("guard page"));
    }

    #[test]
    fn other_exceptions_have_no_address() {
        let frame = Frame {
            vector: 6,
            ..Frame::default()
        };
        assert!(report(&frame, 8).starts_with("invalid opcode (vector 6, error code 0x0) at rip"));
        let frame = Frame {
            vector: 99,
            ..Frame::default()
        };
        assert!(report(&frame, 8).starts_with("unknown exception (vector 99"));
    }
}
