//! The commands of the console: the router's own, and those about the machine.

use core::fmt::{self, Write};

use kernel::console;
use router::command::{self, Command};
use router::{InterfaceId, Router};
use xen_hal::PAGE_SIZE;

use crate::HEAP;
use crate::guest::Guest;

type Run<'a> = &'a dyn Fn(&Router, &str, &mut dyn Write) -> fmt::Result;

/// Runs one line; what it says goes to `out`.
pub(crate) fn run(guest: &Guest, line: &str, out: &mut dyn Write) {
    with_commands(guest, |router, extras| {
        // Nothing that is written to here fails.
        let _ = command::execute(router, extras, line, out);
    });
}

/// What the last word of `line` could become.
pub(crate) fn complete(guest: &Guest, line: &str) -> alloc::vec::Vec<alloc::string::String> {
    let mut words = alloc::vec::Vec::new();
    with_commands(guest, |_, extras| {
        words = command::completions(extras, line)
    });
    words
}

fn with_commands(guest: &Guest, work: impl FnOnce(&Router, &[Command<'_>])) {
    let plane = guest.plane.borrow();
    let vifs: Run<'_> = &|_, _, out| show_vifs(guest, out);
    let cpu: Run<'_> = &|_, _, out| show_cpu(guest, out);
    let memory: Run<'_> = &|_, _, out| show_memory(guest, out);
    let crash: Run<'_> = &|_, how, _| crash(how);
    let command = |words, help, arguments, run| Command {
        words,
        help,
        arguments,
        run,
    };
    work(
        &plane.router,
        &[
            command("show vifs", "rings, pages and backends", false, vifs),
            command("show cpu", "time used, sleeps, events", false, cpu),
            command("show memory", "pages and heap", false, memory),
            command(
                "crash",
                "end as a bug would: panic, fault or stack",
                true,
                crash,
            ),
        ],
    );
}

fn show_vifs(guest: &Guest, out: &mut dyn Write) -> fmt::Result {
    let plane = guest.plane.borrow();
    for index in 0..plane.router.config().vifs() {
        let Some(interface) = plane.router.config().interfaces.get(index) else {
            break;
        };
        let Some(vif) = u8::try_from(index)
            .ok()
            .and_then(|id| plane.vif(InterfaceId(id)))
        else {
            writeln!(out, "{}: not connected", interface.name)?;
            continue;
        };
        let state = if vif.up { "up" } else { "down" };
        writeln!(
            out,
            "{}: {state}, backend domain {}",
            interface.name, vif.backend.0
        )?;
        let counters = vif.counters;
        writeln!(
            out,
            "  received {} frames, {} bytes, {} errors; {} pages posted",
            counters.rx_frames,
            counters.rx_bytes,
            counters.rx_errors,
            vif.queue.rx_posted()
        )?;
        writeln!(
            out,
            "  sent {} frames, {} bytes, {} errors; {} slots free; {} events",
            counters.tx_frames,
            counters.tx_bytes,
            counters.tx_errors,
            vif.queue.tx_free(),
            counters.notifications
        )?;
    }
    for (backend, stats) in plane.pools() {
        let sum = stats.sum();
        writeln!(
            out,
            "pages for domain {}: {} total = {} free + {} posted + {} sending + {} held",
            backend.0, stats.total, sum.free, sum.posted, sum.sending, sum.held
        )?;
    }
    writeln!(
        out,
        "pages never given back: {}",
        kernel::grant::quarantined()
    )
}

fn show_cpu(guest: &Guest, out: &mut dyn Write) -> fmt::Result {
    let state = kernel::sched::run_state();
    let calls = kernel::sched::hypercalls();
    let plane = guest.plane.borrow();
    let (work, pace) = (plane.work(), plane.pace());
    for (name, value) in [
        ("running_ns", state.running),
        ("runnable_ns", state.runnable),
        ("blocked_ns", state.blocked),
        ("turns", work.turns),
        ("sleeps", work.sleeps),
        ("gatherings", work.gatherings),
        ("bursts", work.bursts),
        ("frames", work.frames),
        ("notifications", work.notifications),
        ("hypercalls", calls.total),
        ("hypercalls.sched_op", calls.sched_op),
        ("hypercalls.event_channel_op", calls.event_channel_op),
        ("wake_price_ns", pace.price()),
        ("wait_limit_ns", pace.wait()),
        ("gathers", pace.gathers().into()),
    ] {
        writeln!(out, "{name} {value}")?;
    }
    for (bits, wakes) in work.frames_per_wake.iter().enumerate() {
        // The least number of frames that is counted here.
        writeln!(out, "wakes_by_frames.{} {wakes}", (1u32 << bits) >> 1)?;
    }
    Ok(())
}

fn show_memory(_guest: &Guest, out: &mut dyn Write) -> fmt::Result {
    let memory = kernel::memory::stats();
    let (used, size) = HEAP.usage();
    let in_use = (memory.total - memory.free) * PAGE_SIZE - (size - used);
    for (name, value) in [
        ("in_use_bytes", in_use),
        ("total_pages", memory.total),
        ("kernel_pages", memory.kernel),
        ("free_pages", memory.free),
        ("heap_used_bytes", used),
        ("heap_size_bytes", size),
    ] {
        writeln!(out, "{name} {value}")?;
    }
    writeln!(out, "console_dropped_bytes {}", console::dropped())
}

/// Tests what `on_crash` of the domain's configuration does.
fn crash(how: &str) -> fmt::Result {
    match how.trim() {
        "fault" => kernel::fault::provoke_page_fault(),
        "stack" => kernel::fault::provoke_stack_overflow(),
        _ => panic!("asked to by the command \"crash\""),
    }
}
