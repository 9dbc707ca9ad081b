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

use crate::percpu::{self, COUNTED_HYPERCALLS, PerCpu};

// `__HYPERVISOR_*` (xen.h).
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

/// The number of hypercalls since the start, of all virtual CPUs.
#[derive(Clone, Copy, Debug)]
pub struct HypercallCounts {
    /// `SCHEDOP_*` (sched.h), nearly all of them to sleep.
    pub sched_op: u64,
    /// `EVTCHNOP_*` (event_channel.h), nearly all of them to send an event.
    pub event_channel_op: u64,
    /// All hypercalls.
    pub total: u64,
}

/// Returns the number of hypercalls so far.
#[must_use]
pub fn counts() -> HypercallCounts {
    let load = |block: &PerCpu, cell: usize| block.hypercalls[cell].load(Ordering::Relaxed);
    let of = |number: u64| -> u64 {
        let blocks = percpu::all().iter();
        blocks.map(|block| load(block, cell(number))).sum()
    };
    HypercallCounts {
        sched_op: of(SCHED_OP),
        event_channel_op: of(EVENT_CHANNEL_OP),
        total: percpu::all()
            .iter()
            .flat_map(|block| (0..COUNTED_HYPERCALLS).map(move |cell| load(block, cell)))
            .sum(),
    }
}

/// Returns where hypercall `number` is counted: numbers that have no cell of their own share the
/// last.
const fn cell(number: u64) -> usize {
    let last = COUNTED_HYPERCALLS as u64 - 1;
    (if number < last { number } else { last }) as usize
}

/// Counts hypercall `number`, for one that is made without [`call4`].
#[inline]
pub(crate) fn count(number: u64) {
    let counter = &percpu::own().hypercalls[cell(number)];
    // Nobody else writes it, and nothing interrupts: a plain addition.
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Makes any hypercall of up to four arguments. Returns the hypervisor's result; negative numbers
/// are errors of errno.h.
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

/// Makes a hypercall of a sub-operation and one argument structure, the most common kind.
///
/// # Safety
/// `T` is the structure that sub-operation `op` of `number` takes, and what it points at is
/// valid.
#[inline]
pub(crate) unsafe fn call_op<T>(number: u64, op: u64, argument: &mut T) -> i64 {
    // SAFETY: the caller's contract.
    unsafe { call4(number, op, core::ptr::from_mut(argument) as u64, 0, 0) }
}

/// Converts the return value of a hypercall to a `Result`.
///
/// # Errors
/// The (negative) error number of errno.h.
pub(crate) fn check(result: i64) -> Result<i64, i32> {
    if result < 0 {
        Err(i32::try_from(result).unwrap_or(i32::MIN))
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_a_cell_of_their_own_share_the_last() {
        assert_eq!(cell(0), 0);
        assert_eq!(cell(EVENT_CHANNEL_OP), 32);
        assert_eq!(cell(38), 38);
        assert_eq!(cell(39), 39);
        assert_eq!(cell(u64::MAX), 39);
    }

    #[test]
    fn negative_results_are_errors() {
        assert_eq!(check(3), Ok(3));
        assert_eq!(check(-22), Err(-22));
        assert_eq!(check(i64::MIN), Err(i32::MIN));
    }
}
