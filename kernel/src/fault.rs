//! The end of a domain that found a bug in itself.

use core::fmt::{Arguments, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::console::{self, Console};
use crate::sched::{self, Reason};
use crate::{event, smp, time};

/// How long the last words may take to be read, in ns.
const DRAIN_NS: u64 = 1_000_000_000;

/// One more than the index of the virtual CPU that found a bug first.
static DYING: AtomicUsize = AtomicUsize::new(0);

/// What `#[panic_handler]` does: says what and where on the console, then [`die`].
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => die(format_args!("panic at {place}: {}", info.message())),
        None => die(format_args!("panic: {}", info.message())),
    }
}

/// Says `why` on the console, waits a bounded time until it was read, and ends the domain
/// with the crash reason, so that `on_crash` of its configuration decides what follows.
///
/// Of several virtual CPUs that come here the first one stops the others and reports.
pub fn die(why: Arguments<'_>) -> ! {
    let cpu = smp::current();
    match DYING.compare_exchange(0, cpu + 1, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => {
            console::take_over();
            // An error here could only be reported here.
            let _ = if smp::count() > 1 {
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

/// Touches memory that isn't there, to show what comes of it.
pub fn provoke_page_fault() -> ! {
    #[expect(unsafe_code, reason = "the fault is the purpose")]
    // SAFETY: address 8 is never mapped, so this reads nothing: it traps and the domain ends.
    unsafe {
        core::arch::asm!("mov rax, [8]", out("rax") _, options(nostack));
    }
    unreachable!("page zero is mapped")
}

/// Uses up the stack, to show what comes of it.
pub fn provoke_stack_overflow() -> ! {
    #[expect(unconditional_recursion, reason = "the overflow is the purpose")]
    fn deeper(depth: u64) -> u64 {
        let frame = core::hint::black_box([depth; 64]);
        let below = deeper(depth + 1);
        core::hint::black_box(frame)[0] + below
    }
    unreachable!("{}", deeper(0))
}
