//! The guest: kernel, drivers and router, wired together.

#![no_std]
#![no_main]

extern crate alloc;

mod clock;
mod commands;
mod guest;
mod lanes;
mod prompt;
mod steering;
mod vif;

use alloc::string::ToString;
use core::fmt::Write;

use kernel::console::Console;
use kernel::heap::KernelHeap;
use kernel::{XenHal, console as kernel_console, event, sched, time};
use log::LevelFilter;
use router::Instant;
use xen_boot::{BootError, BootInfo};
use xen_hal::Port;
use xenstore::{RingTransport, Store};

use crate::clock::LoopClock;
use crate::guest::Guest;
use crate::lanes::{Lanes, MAX_PORTS};
use crate::prompt::Prompt;

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

xen_boot::entry!(main);

fn main(boot: Result<BootInfo, BootError>) -> ! {
    let first = time::ticks();
    let mut boot = match kernel::start(boot) {
        Ok(boot) => boot,
        Err(error) => kernel::fault::die(format_args!("{error}")),
    };
    let started = time::now();
    let line = guest::command_line(&boot);
    let level = log_level(&line);
    kernel::logger::init(*level.as_ref().unwrap_or(&LevelFilter::Info));
    let _ = writeln!(
        Console,
        "ringway: version {}, {} MiB of memory",
        env!("CARGO_PKG_VERSION"),
        boot.pages / 256
    );
    if let Err(word) = level {
        log::warn!(target: "config", "log={word}: want error, warn, info or debug");
    }
    let seed = time::wall_clock() ^ started.rotate_left(32) ^ time::ticks();
    let (router, error) = guest::configured_router(&boot, seed, Instant(started));
    if let Some(error) = &error {
        log::error!(target: "config", "{error}");
        let _ = writeln!(
            Console,
            "ringway: no usable configuration, forwarding nothing"
        );
    }
    // All that was of use in it is in the router now.
    if let Some(ramdisk) = boot.ramdisk.take() {
        HEAP.give(ramdisk);
    }
    let Some((page, store_port)) = kernel::store_ring(&boot) else {
        kernel::fault::die(format_args!("no xenstore ring"));
    };
    let store = Store::new(RingTransport::new(XenHal::of(0), page, store_port));
    let mut prompt = Prompt::new(&router.config().hostname);
    let lanes = Lanes::start(router, started);
    let guest = Guest::new(lanes, store, first, error);
    guest.start();
    run(&guest, store_port, &mut prompt)
}

/// `log=LEVEL` of the command line, or what stands there instead.
fn log_level(line: &str) -> Result<LevelFilter, alloc::string::String> {
    match line
        .split_ascii_whitespace()
        .rev()
        .find_map(|word| word.strip_prefix("log="))
    {
        None | Some("info") => Ok(LevelFilter::Info),
        Some("error") => Ok(LevelFilter::Error),
        Some("warn") => Ok(LevelFilter::Warn),
        Some("debug") => Ok(LevelFilter::Debug),
        Some(other) => Err(other.to_string()),
    }
}

/// The loop: packets, then control, then sleep until there is more of either.
fn run(guest: &alloc::rc::Rc<Guest>, store_port: Port, prompt: &mut Prompt) -> ! {
    let console_port = kernel_console::port();
    let mut ports = heapless::Vec::<u32, MAX_PORTS>::new();
    let mut clock = LoopClock::new();
    loop {
        let now = clock.now();
        let (mut busy, wanted) = guest.lanes.turn(0, now);
        if wanted || guest.lanes.take_attention() {
            busy |= guest.serve(now);
        }
        guest.talks.turn(|vif, fault| guest.fail(vif, fault));

        let due = guest.timers.next_deadline().is_some_and(|at| at <= now);
        if event::take_pending(store_port) || due || guest.tasks.is_woken() {
            busy |= xenstore::turn(&guest.store, &guest.timers, &guest.tasks);
        }
        if console_port.is_some_and(event::take_pending) {
            kernel_console::pump();
            prompt.turn(guest);
        }
        if let Some(reason) = guest.end() {
            kernel_console::drain(1_000_000_000);
            sched::shutdown(reason);
        }
        if busy {
            clock.turned();
            continue;
        }

        ports.clear();
        // Cannot overflow: these come first.
        let _ = ports.push(store_port.0);
        let _ = console_port.map(|port| ports.push(port.0));
        guest.talks.add_ports(&mut ports);
        if let Some(deadline) = guest.lanes.arm(0, &mut clock, &mut ports)
            && !guest.lanes.has_attention()
        {
            let deadlines = [deadline, guest.timers.next_deadline()];
            event::wait(&ports, deadlines.into_iter().flatten().min());
            clock.woke();
        }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    kernel::fault::panicked(info)
}
