//! The times that virtual CPUs have spent in each state (`struct vcpu_runstate_info`, vcpu.h).

use core::sync::atomic::Ordering;

use crate::hypercall::{VM_ASSIST, call4};
use crate::percpu::{self, RunStateArea};
use crate::{time, vcpu};

/// `VMASST_CMD_enable` (xen.h)
const VMASST_CMD_ENABLE: u64 = 0;
/// `VMASST_TYPE_runstate_update_flag` (xen.h)
const VMASST_TYPE_RUNSTATE_UPDATE_FLAG: u64 = 5;
/// In the time of entry while Xen writes the area (`XEN_RUNSTATE_UPDATE`, vcpu.h).
const XEN_RUNSTATE_UPDATE: u64 = 1 << 63;

/// Place of `state_entry_time` in the area, in 64-bit words.
const STATE_ENTRY_TIME: usize = 1;

/// The times that a virtual CPU has spent in each state since the domain started, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunState {
    /// System time when it was read.
    pub at: u64,
    /// Executing.
    pub running: u64,
    /// Ready, while another domain was executing.
    pub runnable: u64,
    /// Asleep.
    pub blocked: u64,
    /// Offline.
    pub offline: u64,
}

/// Has Xen say when it writes state times, for those who read another virtual CPU's. A
/// hypervisor before 4.9 refuses; a reading may then lack one stay in a state.
pub(crate) fn enable_runstate_update_flag() {
    // Costs Xen some more writes each time it runs a virtual CPU.
    if percpu::count() == 1 {
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

/// Has Xen keep this virtual CPU's state times in memory, so that reading them is no hypercall: at
/// its start, and again after a restore.
pub(crate) fn init() {
    let area = percpu::own().run_state.0.as_ptr() as usize;
    #[expect(unsafe_code, reason = "Xen writes to an address for ever")]
    // SAFETY: the area is as large as `vcpu_runstate_info`, lies in one page by its alignment, is
    // there for ever and is atomics.
    let registered = unsafe { vcpu::register_runstate_area(percpu::current(), area) };
    if let Err(error) = registered {
        log::error!(target: "kernel", "the runstate area can't be registered: error {error}");
    }
}

/// Reads the state times of this virtual CPU, the time since it last began to run included.
#[must_use]
pub fn current() -> RunState {
    percpu::own().run_state.read(time::now)
}

/// Reads the state times of virtual CPU `index`, the time since its state last changed
/// included. All but the time of reading are 0 for one that was never started.
///
/// # Panics
/// If `index` is not below [`MAX_CPUS`](crate::smp::MAX_CPUS).
#[must_use]
pub fn of(index: usize) -> RunState {
    percpu::all()[index].run_state.read(time::now)
}

/// System time when this virtual CPU last began to run, as Xen wrote it then: what the time was
/// after a sleep, without a look at the clock. It is before the sleep if there was none.
#[must_use]
#[inline]
pub fn running_since() -> u64 {
    // Xen doesn't write it while this virtual CPU runs.
    percpu::own().run_state.0[STATE_ENTRY_TIME].load(Ordering::Relaxed)
}

impl RunStateArea {
    /// Reads times that belong together, and the time since the last one was written.
    fn read(&self, now: impl Fn() -> u64) -> RunState {
        let load = |index: usize| self.0[index].load(Ordering::Acquire);
        loop {
            let entered = load(STATE_ENTRY_TIME);
            let state = load(0) as u32 as usize;
            let mut times = [2, 3, 4, 5].map(load);
            let at = now();
            // A change of state changes the time of entry.
            if entered & XEN_RUNSTATE_UPDATE != 0 || load(STATE_ENTRY_TIME) != entered {
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

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::sync::atomic::AtomicU64;

    use super::*;

    fn area(words: [u64; 6]) -> RunStateArea {
        RunStateArea(words.map(AtomicU64::new))
    }

    #[test]
    fn the_time_since_the_last_change_counts_for_its_state() {
        let blocked = area([2, 1000, 10, 20, 30, 40]);
        let read = blocked.read(|| 1007);
        assert_eq!((read.at, read.running, read.runnable), (1007, 10, 20));
        assert_eq!((read.blocked, read.offline), (37, 40));
    }

    #[test]
    fn a_virtual_cpu_that_never_ran_has_no_times() {
        let read = area([0; 6]).read(|| 500);
        let none = RunState {
            at: 500,
            ..RunState::default()
        };
        assert_eq!(read, none);
    }

    #[test]
    fn a_change_while_reading_is_read_again() {
        let area = area([0, 1000, 10, 20, 30, 40]);
        let looks = Cell::new(0);
        let read = area.read(|| {
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                area.0[STATE_ENTRY_TIME].store(2000 | XEN_RUNSTATE_UPDATE, Ordering::Relaxed);
            } else if looks.get() == 2 {
                area.0[2].store(110, Ordering::Relaxed);
                area.0[STATE_ENTRY_TIME].store(2000, Ordering::Relaxed);
            }
            2005
        });
        assert_eq!((looks.get(), read.running), (3, 115));
    }
}
