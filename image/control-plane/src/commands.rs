//! The commands of the console: the router's own, and those about the machine.

use core::fmt::{self, Write};

use data_plane::PoolSnapshot;
use router::command::{self, Command};
use router::{InterfaceId, Router};

use crate::data_plane_control::DataPlane;
use crate::platform::{CrashKind, Platform, with_data_plane};

type Run<'a> = &'a dyn Fn(&Router, &str, &mut dyn Write) -> fmt::Result;

/// Runs one line; what it says goes to `out`.
pub(crate) fn run(platform: &dyn Platform, line: &str, out: &mut dyn Write) {
    with_commands(platform, |router, extras| {
        // Nothing that is written to here fails.
        let _ = command::execute(router, extras, line, out);
    });
}

/// What the last word of `line` could become.
pub(crate) fn complete(
    platform: &dyn Platform,
    line: &str,
) -> alloc::vec::Vec<alloc::string::String> {
    let mut words = alloc::vec::Vec::new();
    with_commands(platform, |_, extras| {
        words = command::completions(extras, line)
    });
    words
}

fn with_commands(platform: &dyn Platform, work: impl FnOnce(&Router, &[Command<'_>])) {
    with_data_plane(platform, |control| {
        control.gather_counters();
        control.reap(platform.now_ns());
        if control.has_faults() {
            platform.request_service();
        }
        let control = &*control;
        let vifs: Run<'_> = &|_, _, out| show_vifs(platform, control, out);
        let cpu: Run<'_> = &|_, _, out| show_cpu(platform, control, out);
        let memory: Run<'_> = &|_, _, out| show_memory(platform, out);
        let crash: Run<'_> = &|_, words, out| crash(platform, words, out);
        let command = |words, help, arguments, run| Command {
            words,
            help,
            arguments,
            run,
        };
        work(
            control.router(),
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

fn show_vifs(platform: &dyn Platform, control: &dyn DataPlane, out: &mut dyn Write) -> fmt::Result {
    let config = control.router().config();
    for (id, interface) in (0u8..).zip(&config.interfaces).take(config.vifs()) {
        let Some(vif) = control.vif(InterfaceId(id)) else {
            writeln!(out, "{}: not connected", interface.name)?;
            continue;
        };
        let state = if vif.up { "up" } else { "down" };
        writeln!(
            out,
            "{}: {state}, backend domain {}",
            interface.name, vif.backend.0
        )?;
        let several = vif.queues.len() > 1;
        for (number, queue) in vif.queues.iter().enumerate() {
            if several {
                writeln!(out, "  queue {number}")?;
            }
            let counters = queue.counters;
            writeln!(
                out,
                "  received {} frames, {} bytes, {} errors; {} pages posted",
                counters.rx_frames, counters.rx_bytes, counters.rx_errors, queue.rx_posted
            )?;
            writeln!(
                out,
                "  sent {} frames, {} bytes, {} errors; {} slots free; {} events",
                counters.tx_frames,
                counters.tx_bytes,
                counters.tx_errors,
                queue.tx_free,
                counters.notifications
            )?;
        }
    }
    let workers = control.workers();
    let several = workers.len() > 1;
    for (number, worker) in workers.iter().enumerate() {
        for PoolSnapshot { backend, stats } in &worker.pools {
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
        platform.memory().quarantined_pages
    )
}

/// Where there are several CPUs, each name begins with the one that it is about.
fn show_cpu(platform: &dyn Platform, control: &dyn DataPlane, out: &mut dyn Write) -> fmt::Result {
    let workers = control.workers();
    let several = workers.len() > 1;
    for (at, worker) in workers.iter().enumerate() {
        let mut line = |name: fmt::Arguments<'_>, value: u64| {
            if several {
                write!(out, "cpu{at}.")?;
            }
            writeln!(out, "{name} {value}")
        };
        let times = platform.cpu_times(at);
        let stats = &worker.stats;
        for (name, value) in [
            ("running_ns", times.running_ns),
            ("runnable_ns", times.runnable_ns),
            ("blocked_ns", times.blocked_ns),
            ("turns", stats.turns),
            ("sleeps", stats.sleeps),
            ("gatherings", stats.moderated_sleeps),
            ("bursts", stats.bursts),
            ("frames", stats.frames),
            ("notifications", stats.notifications),
            ("wake_price_ns", worker.wakeup_cost_ns),
            ("wait_limit_ns", worker.wait_limit_ns),
            ("gathers", worker.is_coalescing.into()),
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
    let calls = platform.hypercalls();
    writeln!(out, "hypercalls {}", calls.total)?;
    writeln!(out, "hypercalls.sched_op {}", calls.sched_op)?;
    writeln!(
        out,
        "hypercalls.event_channel_op {}",
        calls.event_channel_op
    )
}

fn show_memory(platform: &dyn Platform, out: &mut dyn Write) -> fmt::Result {
    let memory = platform.memory();
    for (name, value) in [
        ("in_use_bytes", memory.in_use_bytes),
        ("total_pages", memory.total_pages),
        ("kernel_pages", memory.kernel_pages),
        ("free_pages", memory.free_pages),
        ("heap_used_bytes", memory.heap_used_bytes),
        ("heap_size_bytes", memory.heap_size_bytes),
    ] {
        writeln!(out, "{name} {value}")?;
    }
    writeln!(
        out,
        "console_dropped_bytes {}",
        memory.console_dropped_bytes
    )
}

/// Tests what `on_crash` of the domain's configuration does, on the CPU that is named, or the
/// first.
fn crash(platform: &dyn Platform, words: &str, out: &mut dyn Write) -> fmt::Result {
    let mut how = CrashKind::Panic;
    let mut at = 0;
    for word in words.split_ascii_whitespace() {
        match word {
            "panic" => how = CrashKind::Panic,
            "fault" => how = CrashKind::Fault,
            "stack" => how = CrashKind::Stack,
            _ => match word.parse() {
                Ok(number) => at = number,
                Err(_) => return writeln!(out, "{word}: panic, fault, stack or a CPU's number"),
            },
        }
    }
    if platform.crash(at, how) {
        return Ok(());
    }
    writeln!(out, "no CPU {at}, there are {}", platform.workers())
}
