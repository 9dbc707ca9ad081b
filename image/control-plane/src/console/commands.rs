//! The commands.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use router::{Instant, InterfaceId, snapshot};

use super::answer::Answer;
use super::command_line::{Command, Parsed, completions, help, parse};
use crate::data_plane_control::DataPlane;
use crate::platform::{CrashKind, Platform, with_data_plane};

/// The context of commands.
struct Context<'a> {
    platform: &'a dyn Platform,
    data_plane: &'a dyn DataPlane,
}

/// The memory to format a neighbor, in bytes: the longest line, as often as it exists while a text
/// grows.
const NEIGHBOR_TEXT: usize = 3 * 120;
/// Further memory for any reply, and for writing it to xenstore, in bytes.
const REST_OF_ANSWER: usize = 32 * 1024;

/// A function that runs a command with its arguments.
type Run = for<'a> fn(&Context<'a>, &str) -> Answer;

const fn command(words: &'static str, help: &'static str, run: Run) -> Command<Run> {
    Command {
        words,
        help,
        arguments: false,
        run,
    }
}

const COMMANDS: [Command<Run>; 10] = [
    command(
        "show interfaces",
        "interfaces, links and addresses",
        |cx, _| Answer::Interfaces(snapshot::interfaces(cx.data_plane.router())),
    ),
    Command {
        words: "show routes",
        help: "connected networks and routes, of the default table or \"vrf NAME\"",
        arguments: true,
        run: show_routes,
    },
    command(
        "show vrfs",
        "routing tables and their interfaces",
        |cx, _| Answer::Vrfs(snapshot::vrfs(cx.data_plane.router())),
    ),
    command(
        "show neighbors",
        "neighbors and their MAC addresses",
        show_neighbors,
    ),
    command("show counters", "every counter, for scripts", |cx, _| {
        Answer::Counters(snapshot::counters(cx.data_plane.router()))
    }),
    command("show version", "the version", |cx, _| {
        let hostname = &cx.data_plane.router().config().hostname;
        Answer::Line(format!("{hostname}: ringway {}", env!("CARGO_PKG_VERSION")))
    }),
    command("show vifs", "rings, pages and backends", show_vifs),
    command("show cpu", "CPU time, sleeps, events", show_cpu),
    command(
        "show memory",
        "memory in use, tables and their limits",
        |cx, _| {
            let now = Instant(cx.platform.now_ns());
            let tables = cx.data_plane.router().table_uses(now);
            Answer::Memory(cx.platform.memory(), tables)
        },
    ),
    Command {
        words: "crash",
        help: "end the domain as a bug would: panic, fault or stack",
        arguments: true,
        run: crash,
    },
];

/// Runs one line and writes its output to `out`, while workers forward.
pub fn run(platform: &dyn Platform, line: &str, out: &mut dyn Write) {
    let written = match parse(&COMMANDS, line) {
        Ok(Parsed::Nothing) => Ok(()),
        Ok(Parsed::Help) => help(&COMMANDS, out),
        Ok(Parsed::Run { run, arguments }) => answer(platform, run, arguments).write(platform, out),
        Err(error) => writeln!(out, "{error}"),
    };
    // No writer that is used here fails.
    let _ = written;
}

fn answer(platform: &dyn Platform, run: Run, arguments: &str) -> Answer {
    with_data_plane(platform, |data_plane| {
        data_plane.gather_counters();
        data_plane.reap(platform.now_ns());
        if data_plane.has_faults() {
            platform.request_service();
        }
        let context = Context {
            platform,
            data_plane,
        };
        run(&context, arguments)
    })
}

/// Returns what the last word of `line` could become.
#[must_use]
pub fn complete(line: &str) -> Vec<String> {
    completions(&COMMANDS, line)
}

fn show_routes(cx: &Context<'_>, which: &str) -> Answer {
    let router = cx.data_plane.router();
    let names = &router.config().vrfs;
    let vrf = match which.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [] => 0,
        ["vrf", wanted] => match names.iter().position(|name| name == wanted) {
            Some(vrf) => vrf,
            None => {
                let names = names.join(", ");
                return Answer::Line(format!("no vrf \"{wanted}\", there are: {names}"));
            }
        },
        _ => return Answer::Line("\"show routes\" takes \"vrf NAME\" or nothing".into()),
    };
    snapshot::routes(router, vrf).map_or(Answer::Done, Answer::Routes)
}

fn show_neighbors(cx: &Context<'_>, _: &str) -> Answer {
    let router = cx.data_plane.router();
    let known = snapshot::neighbor_count(router);
    let mut most = known;
    while most > 0 && !router::is_memory_free(most * NEIGHBOR_TEXT + REST_OF_ANSWER) {
        most -= most.div_ceil(8);
    }
    Answer::Neighbors { known, most }
}

fn show_vifs(cx: &Context<'_>, _: &str) -> Answer {
    let config = cx.data_plane.router().config();
    let interfaces = (0..).map(InterfaceId).zip(&config.interfaces);
    Answer::Vifs {
        vifs: interfaces
            .take(config.vifs())
            .map(|(id, interface)| (interface.name.clone(), cx.data_plane.vif(id)))
            .collect(),
        workers: cx.data_plane.workers(),
        quarantined_pages: cx.platform.memory().quarantined_pages,
    }
}

fn show_cpu(cx: &Context<'_>, _: &str) -> Answer {
    Answer::Cpus {
        cpus: (0..)
            .zip(cx.data_plane.workers())
            .map(|(cpu, worker)| (cx.platform.cpu_times(cpu), worker))
            .collect(),
        hypercalls: cx.platform.hypercalls(),
    }
}

/// Crashes the given CPU, or the first one, to test `on_crash`.
fn crash(cx: &Context<'_>, words: &str) -> Answer {
    let mut how = CrashKind::Panic;
    let mut cpu = 0;
    for word in words.split_ascii_whitespace() {
        match word {
            "panic" => how = CrashKind::Panic,
            "fault" => how = CrashKind::Fault,
            "stack" => how = CrashKind::Stack,
            _ => match word.parse() {
                Ok(number) => cpu = number,
                Err(_) => {
                    return Answer::Line(format!("{word}: panic, fault, stack or a CPU's number"));
                }
            },
        }
    }
    if cx.platform.crash(cpu, how) {
        return Answer::Done;
    }
    let workers = cx.platform.workers();
    Answer::Line(format!("no CPU {cpu}, there are {workers}"))
}
