//! The guest: kernel, drivers and router, wired together.

#![no_std]
#![no_main]

extern crate alloc;

mod machine;

use alloc::rc::Rc;
use alloc::string::String;
use core::fmt::Write;

use control_plane::{ControlPlane, EndReason, configured_router, log_level};
use kernel::console::Console;
use kernel::heap::KernelHeap;
use kernel::{XenHal, console, event, fault, sched, time};
use log::LevelFilter;
use router::Instant;
use workers::{LoopClock, MAX_PORTS, Workers};
use xen_boot::{BootError, BootInfo};
use xen_hal::{PAGE_SIZE, Port};
use xenstore::{RingTransport, Store};

use crate::machine::Machine;

/// The time for the console's reader to read the rest of the output at the end, in ns.
const CONSOLE_DRAIN_NS: u64 = 1_000_000_000;

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

xen_boot::entry!(main);

fn main(boot: Result<BootInfo, BootError>) -> ! {
    let entered = time::ticks();
    let mut boot = match kernel::start(boot) {
        Ok(boot) => boot,
        Err(error) => fault::die(format_args!("{error}")),
    };
    let started = time::now();
    let command_line = String::from_utf8_lossy(boot.command_line);
    start_log(&command_line, boot.pages);
    let seed = time::wall_clock() ^ started.rotate_left(32) ^ time::ticks();
    let ramdisk = boot.ramdisk.as_ref().map(|file| file.bytes());
    let memory = || kernel::memory::stats().free * PAGE_SIZE;
    let (router, error) = configured_router(ramdisk, &command_line, memory, seed, Instant(started));
    if let Some(error) = &error {
        log::error!(target: "config", "{error}");
        let _ = writeln!(
            Console,
            "ringway: no usable configuration, forwarding nothing"
        );
    }
    // Everything of use in it is in the router now.
    if let Some(ramdisk) = boot.ramdisk.take() {
        HEAP.give(ramdisk);
    }
    let Some((page, store_port)) = kernel::store_ring(&boot) else {
        fault::die(format_args!("no xenstore ring"));
    };
    let store = Store::new(RingTransport::new(XenHal::of(0), page, store_port));
    let workers = Workers::start(router, started);
    let machine = Rc::new(Machine { workers, entered });
    let control_plane = ControlPlane::start(machine, store, error);
    run(workers, control_plane, store_port)
}

/// Starts the log at the level that the command line sets, and prints the version.
fn start_log(command_line: &str, pages: usize) {
    let level = log_level(command_line);
    kernel::logger::init(*level.as_ref().unwrap_or(&LevelFilter::Info));
    let _ = writeln!(
        Console,
        "ringway: version {}, {} MiB of memory",
        env!("CARGO_PKG_VERSION"),
        pages / 256
    );
    if let Err(word) = level {
        log::warn!(target: "config", "log={word}: want error, warn, info or debug");
    }
}

/// The main loop: packets, then control, then a sleep until there is more of either.
fn run(workers: &Workers, mut control_plane: ControlPlane, store_port: Port) -> ! {
    let console_port = console::port();
    let mut ports = heapless::Vec::<u32, MAX_PORTS>::new();
    let mut clock = LoopClock::look();
    loop {
        let now = clock.now();
        let (mut busy, wanted) = workers.turn(0, now);
        if wanted || workers.take_attention() {
            busy |= control_plane.serve(now);
        }
        control_plane.poll_rss();
        if event::take_pending(store_port) || control_plane.is_due(now) {
            busy |= control_plane.turn();
        }
        if console_port.is_some_and(event::take_pending) {
            console::pump();
            control_plane.read_console();
        }
        if let Some(reason) = control_plane.end() {
            end(reason);
        }
        if busy {
            clock.turned();
            continue;
        }

        ports.clear();
        // Cannot overflow: these come first.
        let _ = ports.push(store_port.0);
        let _ = console_port.map(|port| ports.push(port.0));
        control_plane.add_rss_ports(&mut ports);
        if let Some(deadline) = workers.arm(0, &mut clock, &mut ports)
            && !workers.has_attention()
        {
            let deadlines = [deadline, control_plane.next_deadline()];
            event::wait(&ports, deadlines.into_iter().flatten().min());
            clock.woke();
        }
    }
}

/// Ends the domain.
fn end(reason: EndReason) -> ! {
    console::drain(CONSOLE_DRAIN_NS);
    sched::shutdown(match reason {
        EndReason::PowerOff => sched::Reason::PowerOff,
        EndReason::Reboot => sched::Reason::Reboot,
        EndReason::Crash => sched::Reason::Crash,
    })
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    fault::panicked(info)
}
