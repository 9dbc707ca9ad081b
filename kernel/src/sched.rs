//! The scheduler's hypercalls (sched.h) and what they say of virtual CPUs (vcpu.h).

use core::sync::atomic::{AtomicU64, Ordering};

use crate::hypercall::{
    self, EVENT_CHANNEL_OP, SCHED_OP, VCPU_OP, VM_ASSIST, call_op, call4, check,
};
use crate::smp;
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
const VCPUOP_STOP_PERIODIC_TIMER: u64 = 7;
const VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA: u64 = 5;
const VMASST_CMD_ENABLE: u64 = 0;
const VMASST_TYPE_RUNSTATE_UPDATE_FLAG: u64 = 5;
/// In the time of entry while Xen writes the area (`XEN_RUNSTATE_UPDATE`, vcpu.h).
const UPDATING: u64 = 1 << 63;

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

/// Lets others run, of this domain and of others.
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

/// How long a virtual CPU has been in each state since the domain started, in ns
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

/// `vcpu_runstate_info`: state (32 bits), time when it was entered, time in each state. Xen
/// writes it whenever the state changes; aligned so that it lies in one page.
#[repr(C, align(64))]
pub(crate) struct Area([AtomicU64; 6]);

impl Area {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 6])
    }
}

/// Has Xen say when it writes state times, for those who read another virtual CPU's. A
/// hypervisor before 4.9 refuses; a reading may then lack one stay in a state.
pub(crate) fn steady() {
    // Costs Xen some more writes each time it runs a virtual CPU.
    if smp::count() == 1 {
        return;
    }
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: HYPERVISOR_vm_assist takes two numbers.
    unsafe {
        call4(
            VM_ASSIST,
            VMASST_CMD_ENABLE,
            VMASST_TYPE_RUNSTATE_UPDATE_FLAG,
            0,
            0,
        )
    };
}

/// Has Xen keep this virtual CPU's state times in memory, so that reading them is no hypercall.
pub(crate) fn init() {
    let mut area = smp::block().run_state.0.as_ptr() as u64;
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: `vcpu_register_runstate_memory_area` is the address of a `vcpu_runstate_info`,
    // which Xen writes from now on; it lives for ever and is only read as atomics.
    let result = unsafe {
        call4(
            VCPU_OP,
            VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA,
            smp::current() as u64,
            core::ptr::from_mut(&mut area) as u64,
            0,
        )
    };
    if let Err(error) = check(result) {
        log::error!(target: "kernel", "no state times of the virtual CPU: error {error}");
    }
}

/// Ends the tick that a virtual CPU begins with: Xen starts and stops a timer for it each time that
/// it runs and sleeps.
pub(crate) fn stop_tick() {
    #[expect(unsafe_code, reason = "hypercall")]
    // SAFETY: VCPUOP_stop_periodic_timer takes no argument.
    unsafe {
        call4(
            VCPU_OP,
            VCPUOP_STOP_PERIODIC_TIMER,
            smp::current() as u64,
            0,
            0,
        )
    };
}

/// Reads the state times of this virtual CPU, the time since it last began to run included.
#[must_use]
pub fn run_state() -> RunState {
    smp::block().run_state.read()
}

/// System time when this virtual CPU last began to run, as Xen wrote it then: what the time was
/// after a sleep, without a look at the clock. It is before the sleep if there was none.
#[must_use]
#[inline]
pub fn running_since() -> u64 {
    // Xen doesn't write it while this virtual CPU runs.
    smp::block().run_state.0[1].load(Ordering::Relaxed)
}

/// Reads the state times of virtual CPU `index`, the time since its state last changed
/// included. All but the time of reading are 0 for one that was never started.
///
/// # Panics
/// If `index` is not below [`smp::MAX_CPUS`].
#[must_use]
pub fn run_state_of(index: usize) -> RunState {
    smp::blocks()[index].run_state.read()
}

impl Area {
    fn read(&self) -> RunState {
        let load = |index: usize| self.0[index].load(Ordering::Acquire);
        loop {
            let entered = load(1);
            let state = load(0) as u32 as usize;
            let mut times = [2, 3, 4, 5].map(load);
            let at = time::now();
            // A change of state changes the time of entry.
            if entered & UPDATING != 0 || load(1) != entered {
                core::hint::spin_loop();
                continue;
            }
            // Nothing was written yet if it never ran.
            if let Some(time) = times.get_mut(state).filter(|_| entered != 0) {
                *time += at.saturating_sub(entered);
            }
            let [running, runnable, blocked, offline] = times;
            return RunState {
                at,
                running,
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
