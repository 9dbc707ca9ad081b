//! Hypercalls about virtual CPUs (vcpu.h).

use crate::hypercall::{VCPU_OP, call4, check};

const VCPUOP_INITIALISE: u64 = 0;
const VCPUOP_UP: u64 = 1;
const VCPUOP_DOWN: u64 = 2;
const VCPUOP_IS_UP: u64 = 3;
const VCPUOP_GET_RUNSTATE_INFO: u64 = 4;
const VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA: u64 = 5;
const VCPUOP_STOP_PERIODIC_TIMER: u64 = 7;
const VCPUOP_SET_SINGLESHOT_TIMER: u64 = 8;
const VCPUOP_STOP_SINGLESHOT_TIMER: u64 = 9;
const VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA: u64 = 13;

/// State of a virtual CPU that executes (`RUNSTATE_running`).
const RUNSTATE_RUNNING: u64 = 0;

/// `struct vcpu_set_singleshot_timer`
#[repr(C)]
struct SetSingleshotTimer {
    timeout_abs_ns: u64,
    flags: u32,
}

/// Any `VCPUOP_*`.
///
/// # Safety
/// `argument` is what operation `op` takes: nothing, or the address of its structure, which is
/// valid and may be overwritten where that operation writes.
#[expect(unsafe_code, reason = "hypercall")]
unsafe fn vcpu_op(op: u64, index: usize, argument: u64) -> Result<i64, i32> {
    // SAFETY: the caller's contract.
    check(unsafe { call4(VCPU_OP, op, index as u64, argument, 0) })
}

/// Returns an operation that takes no argument.
fn plain_op(op: u64, index: usize) -> Result<i64, i32> {
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: such an operation reads no memory; any other one fails at address zero, where nothing
    // is ever mapped.
    unsafe {
        vcpu_op(op, index, 0)
    }
}

/// Returns `true` if the domain has a virtual CPU `index`, whether it runs or not.
pub(crate) fn exists(index: usize) -> bool {
    plain_op(VCPUOP_IS_UP, index).is_ok()
}

/// Gives virtual CPU `index` the state in which it begins.
///
/// # Errors
/// The hypervisor's error.
///
/// # Safety
/// `C` is the structure that `VCPUOP_initialise` takes for a guest of this kind, and the state is
/// one that code can begin in.
#[expect(unsafe_code, reason = "another virtual CPU begins as it says")]
pub(crate) unsafe fn initialise<C>(index: usize, context: &C) -> Result<(), i32> {
    let argument = core::ptr::from_ref(context) as u64;
    // SAFETY: the caller's contract; Xen copies the structure.
    unsafe { vcpu_op(VCPUOP_INITIALISE, index, argument) }.map(drop)
}

/// Lets virtual CPU `index` run.
///
/// # Errors
/// The hypervisor's error.
pub(crate) fn up(index: usize) -> Result<(), i32> {
    plain_op(VCPUOP_UP, index).map(drop)
}

/// Stops virtual CPU `index`, which may go on for as long as it takes to interrupt a processor.
///
/// # Errors
/// The hypervisor's error.
pub(crate) fn down(index: usize) -> Result<(), i32> {
    plain_op(VCPUOP_DOWN, index).map(drop)
}

/// Returns `true` if virtual CPU `index` executes in this moment.
pub(crate) fn is_running(index: usize) -> bool {
    let mut state = [0u64; 6];
    let argument = state.as_mut_ptr() as u64;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: VCPUOP_get_runstate_info writes one `vcpu_runstate_info`, of 48 bytes.
    let asked = unsafe { vcpu_op(VCPUOP_GET_RUNSTATE_INFO, index, argument) };
    asked.is_ok() && state[0] & 0xFFFF_FFFF == RUNSTATE_RUNNING
}

/// Has Xen keep the times that virtual CPU `index` spends in each state at `area`, from now on
/// (`vcpu_runstate_info`).
///
/// # Errors
/// The hypervisor's error.
///
/// # Safety
/// The 48 bytes at `area` are mapped for ever, lie in one page and are read as atomics only.
#[expect(unsafe_code, reason = "Xen writes to an address for ever")]
pub(crate) unsafe fn register_runstate_area(index: usize, area: usize) -> Result<(), i32> {
    let mut argument = area as u64;
    let argument = &raw mut argument as u64;
    // SAFETY: `vcpu_register_runstate_memory_area` is one address, of which the caller says that
    // Xen may write there.
    unsafe { vcpu_op(VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA, index, argument) }.map(drop)
}

/// Has Xen keep a copy of the time of virtual CPU `index` at `area`, from now on
/// (`vcpu_time_info`, xen.h).
///
/// # Errors
/// The hypervisor's error.
///
/// # Safety
/// The 32 bytes at `area` are mapped for ever, lie in one page and are read as atomics only.
#[expect(unsafe_code, reason = "Xen writes to an address for ever")]
pub(crate) unsafe fn register_time_area(index: usize, area: usize) -> Result<(), i32> {
    let argument = area as u64;
    let argument = &raw const argument as u64;
    // SAFETY: `vcpu_register_time_memory_area` is one address, of which the caller says that Xen
    // may write there.
    unsafe { vcpu_op(VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA, index, argument) }.map(drop)
}

/// Ends the tick that virtual CPU `index` begins with: Xen starts and stops a timer for it each
/// time that it runs and sleeps.
pub(crate) fn stop_periodic_timer(index: usize) {
    // A hypervisor that refuses has no tick.
    let _ = plain_op(VCPUOP_STOP_PERIODIC_TIMER, index);
}

/// Has the timer of virtual CPU `index`, which is the one that this is, go off when system time
/// is `deadline` in nanoseconds.
pub(crate) fn set_singleshot_timer(index: usize, deadline: u64) {
    let argument = SetSingleshotTimer {
        timeout_abs_ns: deadline,
        flags: 0,
    };
    let argument = &raw const argument as u64;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: `vcpu_set_singleshot_timer` as declared in vcpu.h, which Xen reads. It refuses none
    // for the virtual CPU that asks.
    let _ = unsafe { vcpu_op(VCPUOP_SET_SINGLESHOT_TIMER, index, argument) };
}

/// Has the timer of virtual CPU `index`, which is the one that this is, not go off.
pub(crate) fn stop_singleshot_timer(index: usize) {
    // Xen refuses none for the virtual CPU that asks.
    let _ = plain_op(VCPUOP_STOP_SINGLESHOT_TIMER, index);
}
