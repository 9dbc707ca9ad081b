//! Vifs, CPUs and memory as text.

use alloc::string::String;
use core::fmt::{self, Write};

use data_plane::{PoolSnapshot, QueueSnapshot, VifSnapshot, WorkerSnapshot};
use router::TableUse;

use crate::platform::{CpuTimes, Hypercalls, MemoryUse};

/// Writes the vifs by the names of their interfaces (`None` for one that isn't connected), the
/// workers' pages, and the number of pages that backends still map after their connections ended.
///
/// # Errors
/// Those of `out`, as for the other functions in this module.
pub(super) fn vifs(
    vifs: &[(String, Option<VifSnapshot>)],
    workers: &[WorkerSnapshot],
    quarantined_pages: usize,
    out: &mut dyn Write,
) -> fmt::Result {
    for (name, vif) in vifs {
        let Some(vif) = vif else {
            writeln!(out, "{name}: not connected")?;
            continue;
        };
        let state = if vif.up { "up" } else { "down" };
        writeln!(out, "{name}: {state}, backend domain {}", vif.backend.0)?;
        let several = vif.queues.len() > 1;
        for (number, vif_queue) in vif.queues.iter().enumerate() {
            if several {
                writeln!(out, "  queue {number}")?;
            }
            queue(vif_queue, out)?;
        }
    }
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
    writeln!(out, "quarantined pages: {quarantined_pages}")
}

fn queue(queue: &QueueSnapshot, out: &mut dyn Write) -> fmt::Result {
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
    )
}

/// Writes what CPUs and their workers did. Where there are several, each name begins with the CPU
/// that it is about.
pub(super) fn cpus(
    cpus: &[(CpuTimes, WorkerSnapshot)],
    hypercalls: &Hypercalls,
    out: &mut dyn Write,
) -> fmt::Result {
    let several = cpus.len() > 1;
    for (cpu, (times, worker)) in cpus.iter().enumerate() {
        let mut line = |name: fmt::Arguments<'_>, value: u64| {
            if several {
                write!(out, "cpu{cpu}.")?;
            }
            writeln!(out, "{name} {value}")
        };
        let stats = &worker.stats;
        for (name, value) in [
            ("running_ns", times.running_ns),
            ("runnable_ns", times.runnable_ns),
            ("blocked_ns", times.blocked_ns),
            ("turns", stats.turns),
            ("sleeps", stats.sleeps),
            ("moderated_sleeps", stats.moderated_sleeps),
            ("bursts", stats.bursts),
            ("frames", stats.frames),
            ("notifications", stats.notifications),
            ("wakeup_cost_ns", worker.wakeup_cost_ns),
            ("wait_limit_ns", worker.wait_limit_ns),
            ("coalescing", worker.is_coalescing.into()),
        ] {
            line(format_args!("{name}"), value)?;
        }
        for (bits, &wakes) in stats.frames_per_wake.iter().enumerate() {
            // The least number of frames that is counted here.
            let least = (1u32 << bits) >> 1;
            line(format_args!("wakes_by_frames.{least}"), wakes)?;
        }
    }
    writeln!(out, "hypercalls {}", hypercalls.total)?;
    writeln!(out, "hypercalls.sched_op {}", hypercalls.sched_op)?;
    writeln!(
        out,
        "hypercalls.event_channel_op {}",
        hypercalls.event_channel_op
    )
}

/// Writes what memory is used for, and the use and limit of each table that others can fill.
pub(super) fn memory(memory: &MemoryUse, tables: &[TableUse], out: &mut dyn Write) -> fmt::Result {
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
    )?;
    for TableUse { name, used, limit } in tables {
        writeln!(out, "table.{name} {used}")?;
        writeln!(out, "table.{name}.limit {limit}")?;
    }
    Ok(())
}
