//! The scheduler's hypercalls (sched.h).

use crate::hypercall::{SCHED_OP, call_op, call4};

/// The reason for which the domain ends (`SHUTDOWN_*`, sched.h); `on_poweroff`, `on_reboot` and
/// `on_crash` of the xl configuration define the reaction.
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
/// Sleeps until an upcall, with upcalls unmasked.
pub(crate) const SCHEDOP_BLOCK: u64 = 1;
const SCHEDOP_SHUTDOWN: u64 = 2;
const SCHEDOP_POLL: u64 = 3;
/// Most ports that this kernel polls (`SCHEDOP_poll` itself takes 128).
const MAX_POLLED: usize = 128;

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

/// Yields to other virtual CPUs and domains (`SCHEDOP_yield`).
pub fn yield_now() {
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: SCHEDOP_yield takes no argument.
    unsafe {
        call4(SCHED_OP, SCHEDOP_YIELD, 0, 0, 0)
    };
}

/// `struct sched_poll`
#[repr(C)]
struct SchedPoll {
    ports: *const u32,
    nr_ports: u32,
    timeout: u64,
}

/// Sleeps until one of `ports` (the first 128 of them) is pending, or until system time
/// `deadline` in nanoseconds; zero is no deadline (`SCHEDOP_poll`).
pub(crate) fn poll(ports: &[u32], deadline: u64) {
    let mut argument = SchedPoll {
        ports: ports.as_ptr(),
        nr_ports: ports.len().min(MAX_POLLED) as u32,
        timeout: deadline,
    };
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: `sched_poll` as declared in sched.h; the ports live across the call.
    unsafe {
        call_op(SCHED_OP, SCHEDOP_POLL, &mut argument)
    };
}
