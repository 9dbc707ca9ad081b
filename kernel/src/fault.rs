//! Ending the domain after a bug was detected.

use core::fmt::{Arguments, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::relax::RelaxStrategy;
use xen_hal::PAGE_SIZE;

use crate::console::{self, Console};
use crate::sched::{self, Reason};
use crate::sync::Yield;
use crate::{event, heap, memory, percpu, time, vcpu};

/// The time that the report may take to be read, in ns.
const DRAIN_NS: u64 = 1_000_000_000;
/// The file of the library whose panics are failed allocations.
const ALLOC_ERRORS: &str = "alloc/src/alloc.rs";
const MIB: usize = 1 << 20;
/// The number of times that a virtual CPU's state is tested before giving up waiting for it to
/// stop.
const STOP_LOOKS: usize = 10_000;

/// One more than the index of the virtual CPU that found a bug first.
static DYING: AtomicUsize = AtomicUsize::new(0);

/// Handles a panic: prints its message and location on the console, then calls [`die`].
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) if place.file().ends_with(ALLOC_ERRORS) => out_of_memory(),
        Some(place) => die(format_args!("panic at {place}: {}", info.message())),
        None => die(format_args!("panic: {}", info.message())),
    }
}

/// Reports that an allocation failed and ends the domain.
fn out_of_memory() -> ! {
    die(format_args!(
        "out of memory: {} bytes more don't fit into {} MiB (`memory` in xl's file)",
        heap::refused().unwrap_or(0),
        memory::stats().total / (MIB / PAGE_SIZE)
    ))
}

/// Prints `why` on the console, waits for a bounded time until it has been read, and ends the
/// domain with the crash reason, so that `on_crash` of its xl configuration applies.
///
/// If several virtual CPUs call this, the first one stops the others and reports.
pub fn die(why: Arguments<'_>) -> ! {
    let cpu = percpu::current();
    match DYING.compare_exchange(0, cpu + 1, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => {
            take_the_console();
            // An error here could only be reported here.
            let _ = if percpu::count() > 1 {
                writeln!(Console, "ringway: crashed on vCPU {cpu}: {why}")
            } else {
                writeln!(Console, "ringway: crashed: {why}")
            };
            console::drain(DRAIN_NS);
        }
        // This one is about to be stopped.
        Err(first) if first != cpu + 1 => {
            let end = time::now() + 2 * DRAIN_NS;
            while time::now() < end {
                event::poll(&[], Some(end));
            }
        }
        // The report failed.
        Err(_) => {}
    }
    sched::shutdown(Reason::Crash)
}

/// Stops all other virtual CPUs, if possible while none of them is writing, and makes the console
/// usable whoever was writing.
fn take_the_console() {
    let several = percpu::count() > 1;
    let quiet = console::hold(several);
    if several {
        stop_other_cpus();
    }
    if quiet.is_none() {
        #[expect(unsafe_code, reason = "the writer never goes on")]
        // SAFETY: the writer is a virtual CPU that was stopped, or below us on this stack.
        unsafe {
            console::seize();
        }
    }
}

/// Stops all other virtual CPUs, wherever they are. They never run again.
fn stop_other_cpus() {
    let this = percpu::current();
    let others = || {
        let all = percpu::all().iter().enumerate().take(percpu::count());
        all.filter(|&(index, cpu)| index != this && cpu.started.load(Ordering::Acquire))
    };
    for (index, _) in others() {
        // What can't be stopped isn't there.
        let _ = vcpu::down(index);
    }
    // One may still execute for as long as it takes to interrupt a processor.
    for (index, _) in others() {
        for _ in 0..STOP_LOOKS {
            if !vcpu::is_running(index) {
                break;
            }
            Yield::relax();
        }
    }
}

/// Accesses unmapped memory, to test the handling of faults.
pub fn provoke_page_fault() -> ! {
    #[expect(unsafe_code, reason = "the fault is the purpose")]
    // SAFETY: address 8 is never mapped, so this reads nothing: it traps and the domain ends.
    unsafe {
        core::arch::asm!("mov rax, [8]", out("rax") _, options(nostack));
    }
    unreachable!("page zero is mapped")
}

/// Overflows the stack, to test the handling of overflows.
pub fn provoke_stack_overflow() -> ! {
    #[expect(unconditional_recursion, reason = "the overflow is the purpose")]
    fn deeper(depth: u64) -> u64 {
        let frame = core::hint::black_box([depth; 64]);
        let below = deeper(depth + 1);
        core::hint::black_box(frame)[0] + below
    }
    unreachable!("{}", deeper(0))
}
