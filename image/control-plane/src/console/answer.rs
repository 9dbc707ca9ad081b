//! The results of commands, before they are formatted.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use data_plane::{VifSnapshot, WorkerSnapshot};
use router::TableUse;
use router::snapshot::{CountersSnapshot, InterfaceSnapshot, RouteTableSnapshot, VrfSnapshot};

use super::neighbors::Neighbors;
use super::{show_machine, show_router};
use crate::platform::{CpuTimes, Hypercalls, MemoryUse, Platform};

/// The result of a command.
pub(super) enum Answer {
    Interfaces(Vec<InterfaceSnapshot>),
    Routes(RouteTableSnapshot),
    Vrfs(Vec<VrfSnapshot>),
    /// How many there are, and how many of them there is memory to show.
    Neighbors {
        known: usize,
        most: usize,
    },
    Counters(CountersSnapshot),
    Vifs {
        /// Vifs by the names of their interfaces; `None` for one that isn't connected.
        vifs: Vec<(String, Option<VifSnapshot>)>,
        workers: Vec<WorkerSnapshot>,
        quarantined_pages: usize,
    },
    Cpus {
        cpus: Vec<(CpuTimes, WorkerSnapshot)>,
        hypercalls: Hypercalls,
    },
    Memory(MemoryUse, Vec<TableUse>),
    /// A line of text.
    Line(String),
    /// Nothing to say.
    Done,
}

impl Answer {
    /// Writes it as text. What may be long is asked for in parts meanwhile.
    ///
    /// # Errors
    /// Those of `out`.
    pub(super) fn write(&self, platform: &dyn Platform, out: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Self::Interfaces(interfaces) => show_router::interfaces(interfaces, out),
            Self::Routes(table) => show_router::routes(table, out),
            Self::Vrfs(vrfs) => show_router::vrfs(vrfs, out),
            &Self::Neighbors { known, most } => {
                let neighbors = Neighbors::new(platform).take(most);
                show_router::neighbors(neighbors, out)?;
                if most < known {
                    writeln!(
                        out,
                        "{most} of {known} neighbors: there is no memory to show more"
                    )?;
                }
                Ok(())
            }
            Self::Counters(counters) => show_router::counters(counters, out),
            Self::Vifs {
                vifs,
                workers,
                quarantined_pages,
            } => show_machine::vifs(vifs, workers, *quarantined_pages, out),
            Self::Cpus { cpus, hypercalls } => show_machine::cpus(cpus, hypercalls, out),
            Self::Memory(memory, tables) => show_machine::memory(memory, tables, out),
            Self::Line(text) => writeln!(out, "{text}"),
            Self::Done => Ok(()),
        }
    }
}
