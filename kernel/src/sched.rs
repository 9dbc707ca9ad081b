//! The scheduler's hypercalls (sched.h) and what they say of this virtual CPU (vcpu.h).

use core::sync::atomic::{AtomicU64, Ordering};

use crate::hypercall::{self, EVENT_CHANNEL_OP, SCHED_OP, VCPU_OP, call_op, call4, check};
use crate::time;

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
const VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA: u64 = 5;

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
#[derive(Clone, Copy, Debug, Default)]
pub struct RunState {
    /// System time when it was read.
    pub at: u64,
    /// Executing.
    pub running: u64,
    /// Ready, but another domain was executing.
    pub runnable: u64,
    /// Asleep.
    pub blocked: u64,
    /// Neither.
    pub offline: u64,
}

/// `vcpu_runstate_info`: state, time when it was entered, time in each state. Xen writes it
/// whenever it runs this virtual CPU again; aligned so that it lies in one page.
#[repr(C, align(64))]
struct Area([AtomicU64; 6]);

static AREA: Area = Area([const { AtomicU64::new(0) }; 6]);

/// Has Xen keep the state times in memory, so that reading them is no hypercall.
pub(crate) fn init() {
    let mut area = AREA.0.as_ptr() as u64;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: `vcpu_register_runstate_memory_area` is the address of a `vcpu_runstate_info`,
    // which Xen writes from now on; it lives for ever and is only read as atomics.
    let result = unsafe {
        call4(
            VCPU_OP,
            VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA,
            0,
            core::ptr::from_mut(&mut area) as u64,
            0,
        )
    };
    if let Err(error) = check(result) {
        log::error!(target: "kernel", "no state times of the virtual CPU: error {error}");
    }
}

/// Reads the state times of this virtual CPU, the time since it last began to run included.
#[must_use]
pub fn run_state() -> RunState {
    let load = |index: usize| AREA.0[index].load(Ordering::Acquire);
    loop {
        let entered = load(1);
        let [running, runnable, blocked, offline] = [2, 3, 4, 5].map(load);
        let now = time::now();
        // Xen writes the area only while this virtual CPU doesn't run: if it did, it entered
        // the running state anew.
        if load(1) == entered {
            return RunState {
                at: now,
                running: running + now.saturating_sub(entered),
                runnable,
                blocked,
                offline,
            };
        }
    }
}

/// How often hypercalls were made since the start.
#[derive(Clone, Copy, Debug)]
pub struct Hypercalls {
    /// `SCHEDOP_*`, nearly all of them to sleep.
    pub sched_op: u64,
    /// `EVTCHNOP_*`, nearly all of them to send an event.
    pub event_channel_op: u64,
    /// All of them.
    pub total: u64,
}

/// Counts hypercalls.
#[must_use]
pub fn hypercalls() -> Hypercalls {
    Hypercalls {
        sched_op: hypercall::made(SCHED_OP),
        event_channel_op: hypercall::made(EVENT_CHANNEL_OP),
        total: hypercall::made_in_all(),
    }
}
