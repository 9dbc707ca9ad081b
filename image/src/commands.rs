//! The commands of the console: the router's own, and those about the machine.

use core::fmt::{self, Write};

use data_plane::Control;
use kernel::{XenHal, console};
use router::command::{self, Command};
use router::{InterfaceId, Router};
use xen_hal::PAGE_SIZE;

use crate::HEAP;
use crate::guest::Guest;
use crate::lanes::{Crash, Lanes};

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
    guest.lanes.control(|control| {
        control.gather_counters();
        control.reap(kernel::time::now());
        if control.has_faults() {
            guest.lanes.call_attention();
        }
        let control = &*control;
        let vifs: Run<'_> = &|_, _, out| show_vifs(control, out);
        let cpu: Run<'_> = &|_, _, out| show_cpu(control, out);
        let memory: Run<'_> = &|_, _, out| show_memory(out);
        let crash: Run<'_> = &|_, words, out| crash(guest.lanes, words, out);
        let command = |words, help, arguments, run| Command {
            words,
            help,
            arguments,
            run,
        };
        work(
            control.router,
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
    });
}

fn show_vifs(control: &Control<'_, XenHal>, out: &mut dyn Write) -> fmt::Result {
    let config = control.router.config();
    for (id, interface) in (0u8..).zip(&config.interfaces).take(config.vifs()) {
        let queues = || {
            control
                .workers()
                .filter_map(|worker| worker.vif(InterfaceId(id)))
        };
        let several = queues().count() > 1;
        let Some(vif) = queues().next() else {
            writeln!(out, "{}: not connected", interface.name)?;
            continue;
        };
        let state = if vif.up { "up" } else { "down" };
        writeln!(
            out,
            "{}: {state}, backend domain {}",
            interface.name, vif.backend.0
        )?;
        for (number, vif) in queues().enumerate() {
            if several {
                writeln!(out, "  queue {number}")?;
            }
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
    }
    let several = control.workers().len() > 1;
    for (number, worker) in control.workers().enumerate() {
        for (backend, stats) in worker.pools() {
            let sum = stats.sum();
            write!(out, "pages for domain {}", backend.0)?;
            if several {
                write!(out, ", queue {number}")?;
            }
            writeln!(
                out,
                ": {} total = {} free + {} posted + {} sending + {} held",
                stats.total, sum.free, sum.posted, sum.sending, sum.held
            )?;
        }
    }
    writeln!(
        out,
        "pages never given back: {}",
        kernel::grant::quarantined()
    )
}

/// Where there are several CPUs, each name begins with the one that it is about.
fn show_cpu(control: &Control<'_, XenHal>, out: &mut dyn Write) -> fmt::Result {
    let several = control.workers().len() > 1;
    for (at, worker) in control.workers().enumerate() {
        let mut line = |name: fmt::Arguments<'_>, value: u64| {
            if several {
                write!(out, "cpu{at}.")?;
            }
            writeln!(out, "{name} {value}")
        };
        let state = kernel::run_state::of(at);
        let (stats, moderation) = (worker.stats(), worker.moderation());
        for (name, value) in [
            ("running_ns", state.running),
            ("runnable_ns", state.runnable),
            ("blocked_ns", state.blocked),
            ("turns", stats.turns),
            ("sleeps", stats.sleeps),
            ("gatherings", stats.moderated_sleeps),
            ("bursts", stats.bursts),
            ("frames", stats.frames),
            ("notifications", stats.notifications),
            ("wake_price_ns", moderation.wakeup_cost_ns()),
            ("wait_limit_ns", moderation.wait_limit_ns()),
            ("gathers", moderation.is_coalescing().into()),
        ] {
            line(format_args!("{name}"), value)?;
        }
        for (bits, &wakes) in stats.frames_per_wake.iter().enumerate() {
            // The least number of frames that is counted here.
            line(
                format_args!("wakes_by_frames.{}", (1u32 << bits) >> 1),
                wakes,
            )?;
        }
    }
    let calls = kernel::hypercall::counts();
    writeln!(out, "hypercalls {}", calls.total)?;
    writeln!(out, "hypercalls.sched_op {}", calls.sched_op)?;
    writeln!(
        out,
        "hypercalls.event_channel_op {}",
        calls.event_channel_op
    )
}

fn show_memory(out: &mut dyn Write) -> fmt::Result {
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

/// Tests what `on_crash` of the domain's configuration does, on the CPU that is named, or the
/// first.
fn crash(lanes: &Lanes, words: &str, out: &mut dyn Write) -> fmt::Result {
    let mut how = Crash::Panic;
    let mut at = 0;
    for word in words.split_ascii_whitespace() {
        match word {
            "panic" => how = Crash::Panic,
            "fault" => how = Crash::Fault,
            "stack" => how = Crash::Stack,
            _ => match word.parse() {
                Ok(number) => at = number,
                Err(_) => return writeln!(out, "{word}: panic, fault, stack or a CPU's number"),
            },
        }
    }
    if lanes.crash(at, how) {
        return Ok(());
    }
    writeln!(out, "no CPU {at}, there are {}", lanes.count())
}
