//! Hypercalls by the `syscall` instruction (xen.h, arch-x86/xen-x86_64.h).
//!
//! The number goes in `rax`, arguments in `rdi`, `rsi`, `rdx`, `r10`, `r8`; `syscall` itself
//! overwrites `rcx` and `r11`. No hypercall page is needed, and none of its indirect calls.

#![expect(
    unsafe_code,
    reason = "the hypervisor reads and writes memory behind the arguments"
)]

use core::arch::asm;
use core::sync::atomic::Ordering;

use crate::smp;

pub(crate) const SET_TRAP_TABLE: u64 = 0;
pub(crate) const MMU_UPDATE: u64 = 1;
pub(crate) const UPDATE_VA_MAPPING: u64 = 14;
pub(crate) const CONSOLE_IO: u64 = 18;
pub(crate) const GRANT_TABLE_OP: u64 = 20;
pub(crate) const VM_ASSIST: u64 = 21;
pub(crate) const VCPU_OP: u64 = 24;
pub(crate) const SET_SEGMENT_BASE: u64 = 25;
pub(crate) const SCHED_OP: u64 = 29;
pub(crate) const CALLBACK_OP: u64 = 30;
pub(crate) const EVENT_CHANNEL_OP: u64 = 32;

/// This domain (`DOMID_SELF`, xen.h).
pub(crate) const DOMID_SELF: u16 = 0x7FF0;

/// Hypercalls that are counted one by one, and one cell for those with higher numbers.
pub(crate) const COUNTED: usize = 40;

/// Where hypercall `number` is counted.
const fn cell(number: u64) -> usize {
    let last = COUNTED as u64 - 1;
    (if number < last { number } else { last }) as usize
}

/// How often hypercall `number` was made since the start, by all virtual CPUs.
#[must_use]
pub(crate) fn made(number: u64) -> u64 {
    let made = |block: &smp::Block| block.made[cell(number)].load(Ordering::Relaxed);
    smp::blocks().iter().map(made).sum()
}

/// How many hypercalls were made since the start, by all virtual CPUs.
#[must_use]
pub(crate) fn made_in_all() -> u64 {
    let cells = smp::blocks().iter().flat_map(|block| &block.made);
    cells.map(|made| made.load(Ordering::Relaxed)).sum()
}

/// Counts hypercall `number`.
#[inline]
pub(crate) fn count(number: u64) {
    let made = &smp::block().made[cell(number)];
    // Nobody else writes it, and nothing interrupts: a plain addition.
    made.store(made.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Any hypercall of up to four arguments. Returns what the hypervisor returned, negative
/// numbers being errors of errno.h.
///
/// # Safety
/// The arguments are what hypercall `number` takes; memory they point at is valid, and may be
/// overwritten where that hypercall writes.
#[inline]
pub(crate) unsafe fn call4(number: u64, a: u64, b: u64, c: u64, d: u64) -> i64 {
    count(number);
    // SAFETY: the caller's contract.
    unsafe { uncounted(number, a, b, c, d) }
}

/// The same before this virtual CPU has a block to count in.
///
/// # Safety
/// As [`call4`].
#[inline]
pub(crate) unsafe fn uncounted(number: u64, a: u64, b: u64, c: u64, d: u64) -> i64 {
    let result: i64;
    // SAFETY: the caller's contract; all registers that Xen may change are declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            inlateout("rdi") a => _,
            inlateout("rsi") b => _,
            inlateout("rdx") c => _,
            inlateout("r10") d => _,
            lateout("r8") _,
            lateout("r9") _,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A hypercall of a sub-operation and one argument structure, the most common kind.
///
/// # Safety
/// `T` is the structure that sub-operation `op` of `number` takes, and what it points at is
/// valid.
#[inline]
pub(crate) unsafe fn call_op<T>(number: u64, op: u64, argument: &mut T) -> i64 {
    // SAFETY: the caller's contract.
    unsafe { call4(number, op, core::ptr::from_mut(argument) as u64, 0, 0) }
}

/// The error number of a failed hypercall.
pub(crate) fn check(result: i64) -> Result<i64, i32> {
    if result < 0 {
        Err(i32::try_from(result).unwrap_or(i32::MIN))
    } else {
        Ok(result)
    }
}
