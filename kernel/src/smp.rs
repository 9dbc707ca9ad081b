//! The domain's virtual CPUs: the first one, and those that [`start`] starts.
//!
//! Event upcalls arrive only while one sleeps, and each runs a single function that doesn't return:
//! none is ever re-entered.

use core::fmt::{self, Write};
use core::sync::atomic::Ordering;

use xen_boot::STACK_SIZE;
use xen_hal::PAGE_SIZE;

use crate::console::Console;
use crate::percpu::{self, PerCpu};
use crate::pv::vcpu_context::{self, Launch};
use crate::pv::{gs_base, upcall};
use crate::{memory, run_state, shared_info, time, vcpu};

pub use crate::percpu::{MAX_CPUS, count, current};

/// More virtual CPUs than any domain has; ends the search for the last one.
const MANY_CPUS: usize = 8192;

/// The reason why a virtual CPU wasn't started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The domain has none with this index, or it is not below [`MAX_CPUS`].
    Missing,
    /// It is running already.
    Started,
    /// No memory for its stack.
    NoMemory,
    /// The hypervisor returned this negative error number (errno.h).
    Hypervisor(i32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing => f.write_str("no such virtual CPU"),
            Error::Started => f.write_str("it is running already"),
            Error::NoMemory => f.write_str("no memory for a stack"),
            Error::Hypervisor(errno) => write!(f, "refused by the hypervisor (error {errno})"),
        }
    }
}

impl core::error::Error for Error {}

/// Gives the first virtual CPU its block. Before that no hypercall can be counted.
pub(crate) fn init() {
    percpu::all()[0].started.store(true, Ordering::Relaxed);
    gs_base::set(percpu::prepare(0));
}

/// Looks for the others, and remembers where the first one's stack ends.
pub(crate) fn find() {
    percpu::all()[0]
        .stack_guard
        .store(xen_boot::stack_guard(), Ordering::Relaxed);
    let found = (1..MANY_CPUS)
        .find(|&index| !vcpu::exists(index))
        .unwrap_or(MANY_CPUS);
    percpu::set_count(found);
    if found > MAX_CPUS {
        // The console counts what it has no room for.
        let _ = writeln!(
            Console,
            "ringway: {found} virtual CPUs, of which {MAX_CPUS} can be used"
        );
    }
}

/// Starts virtual CPU `index` with `entry(index)`, on a stack of [`STACK_SIZE`] bytes that is never
/// freed. Must not be called concurrently for the same CPU.
///
/// # Errors
/// [`Error`] if it wasn't started. The call can be retried unless it is running already.
pub fn start(index: usize, entry: fn(usize) -> !) -> Result<(), Error> {
    if index >= count() {
        return Err(Error::Missing);
    }
    let cpu = &percpu::all()[index];
    if cpu.started.swap(true, Ordering::AcqRel) {
        return Err(Error::Started);
    }
    let started = launch(index, cpu, entry);
    if started.is_err() {
        cpu.started.store(false, Ordering::Release);
    }
    started
}

fn launch(index: usize, cpu: &PerCpu, entry: fn(usize) -> !) -> Result<(), Error> {
    let guard = match cpu.stack_guard.load(Ordering::Relaxed) {
        0 => {
            let guard = memory::take_guarded(STACK_SIZE).ok_or(Error::NoMemory)?;
            cpu.stack_guard.store(guard, Ordering::Relaxed);
            guard
        }
        // Left by an attempt that failed.
        guard => guard,
    };
    if upcall::in_use() {
        upcall::bind_timer(index).map_err(Error::Hypervisor)?;
    }
    shared_info::mask_upcalls(index);
    let launch = Launch {
        entry: run as *const () as usize,
        arguments: [index, entry as *const () as usize],
        stack_end: guard + PAGE_SIZE + STACK_SIZE,
        gs_base: percpu::prepare(index),
    };
    #[expect(unsafe_code, reason = "another virtual CPU begins as it says")]
    // SAFETY: `run` takes these two arguments and never returns; the stack is this virtual CPU's.
    unsafe { vcpu_context::initialise(index, &launch) }.map_err(Error::Hypervisor)?;
    vcpu::up(index).map_err(Error::Hypervisor)
}

/// Where another virtual CPU than the first begins.
#[expect(
    improper_ctypes_definitions,
    reason = "only `launch` makes Xen jump here"
)]
extern "C" fn run(index: usize, entry: fn(usize) -> !) -> ! {
    time::init();
    vcpu::stop_periodic_timer(index);
    run_state::init();
    entry(index)
}
