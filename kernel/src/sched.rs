//! The scheduler's hypercalls (sched.h) and what they say of this virtual CPU (vcpu.h).

use crate::hypercall::{SCHED_OP, VCPU_OP, call_op, call4};

/// Why the domain ends (`SHUTDOWN_*`, sched.h); `on_poweroff`, `on_reboot` and `on_crash` of
/// the xl configuration say what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `SHUTDOWN_poweroff`.
    PowerOff = 0,
    /// `SHUTDOWN_reboot`.
    Reboot = 1,
    /// `SHUTDOWN_crash`.
    Crash = 3,
}

const SCHEDOP_YIELD: u64 = 0;
const SCHEDOP_SHUTDOWN: u64 = 2;
const SCHEDOP_POLL: u64 = 3;
const VCPUOP_GET_RUNSTATE_INFO: u64 = 4;

/// Ends the domain.
pub fn shutdown(reason: Reason) -> ! {
    let mut argument = reason as u32;
    loop {
        #[expect(unsafe_code, reason = "hypercall")]
        // SAFETY: `sched_shutdown` is one u32.
        unsafe {
            call_op(SCHED_OP, SCHEDOP_SHUTDOWN, &mut argument)
        };
    }
}

/// Lets other domains run.
pub fn yield_now() {
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: SCHEDOP_yield takes no argument.
    unsafe {
        call4(SCHED_OP, SCHEDOP_YIELD, 0, 0, 0)
    };
}

#[repr(C)]
struct SchedPoll {
    ports: *const u32,
    nr_ports: u32,
    timeout: u64,
}

/// Sleeps until one of `ports` (at most 128) is pending, or until system time `deadline`
/// in nanoseconds; zero is no deadline.
pub(crate) fn poll(ports: &[u32], deadline: u64) {
    let mut argument = SchedPoll {
        ports: ports.as_ptr(),
        nr_ports: u32::try_from(ports.len().min(128)).unwrap_or(0),
        timeout: deadline,
    };
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: `sched_poll` as declared in sched.h; the ports live across the call.
    unsafe {
        call_op(SCHED_OP, SCHEDOP_POLL, &mut argument)
    };
}

/// How long this virtual CPU has been in each state since the domain started, in ns
/// (`vcpu_runstate_info`, vcpu.h).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RunState {
    state: u32,
    entered: u64,
    /// Executing.
    pub running: u64,
    /// Ready, but another domain was executing.
    pub runnable: u64,
    /// Asleep.
    pub blocked: u64,
    /// Neither.
    pub offline: u64,
}

/// Reads the state times of this virtual CPU.
#[must_use]
pub fn run_state() -> RunState {
    let mut info = RunState::default();
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: VCPUOP_get_runstate_info writes one `vcpu_runstate_info`.
    unsafe {
        call4(
            VCPU_OP,
            VCPUOP_GET_RUNSTATE_INFO,
            0,
            core::ptr::from_mut(&mut info) as u64,
            0,
        )
    };
    info
}
