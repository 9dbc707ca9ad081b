//! The commands.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use router::snapshot;

use super::command_line::{Command, Parsed, completions, help, parse};
use super::{show_machine, show_router};
use crate::data_plane_control::DataPlane;
use crate::platform::{CrashKind, Platform, with_data_plane};

/// What commands are about.
struct Context<'a> {
    platform: &'a dyn Platform,
    data_plane: &'a dyn DataPlane,
}

/// What runs a command: it gets the words behind the command's own.
type Run = for<'a> fn(&Context<'a>, &str, &mut dyn Write) -> fmt::Result;

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
        |cx, _, out| show_router::interfaces(&snapshot::interfaces(cx.data_plane.router()), out),
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
        |cx, _, out| show_router::vrfs(&snapshot::vrfs(cx.data_plane.router()), out),
    ),
    command(
        "show neighbors",
        "neighbors and their MAC addresses",
        |cx, _, out| show_router::neighbors(&snapshot::neighbors(cx.data_plane.router()), out),
    ),
    command(
        "show counters",
        "every counter, for scripts",
        |cx, _, out| show_router::counters(&snapshot::counters(cx.data_plane.router()), out),
    ),
    command("show version", "what this is", |cx, _, out| {
        let hostname = &cx.data_plane.router().config().hostname;
        writeln!(out, "{hostname}: ringway {}", env!("CARGO_PKG_VERSION"))
    }),
    command("show vifs", "rings, pages and backends", show_vifs),
    command("show cpu", "time used, sleeps, events", show_cpu),
    command("show memory", "pages and heap", |cx, _, out| {
        show_machine::memory(&cx.platform.memory(), out)
    }),
    Command {
        words: "crash",
        help: "end as a bug would: panic, fault or stack",
        arguments: true,
        run: crash,
    },
];

/// Runs one line; what it says goes to `out`.
pub fn run(platform: &dyn Platform, line: &str, out: &mut dyn Write) {
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
        // Nothing that is written to here fails.
        let _ = match parse(&COMMANDS, line) {
            Ok(Parsed::Nothing) => Ok(()),
            Ok(Parsed::Help) => help(&COMMANDS, out),
            Ok(Parsed::Run { run, arguments }) => run(&context, arguments, out),
            Err(error) => writeln!(out, "{error}"),
        };
    });
}

/// What the last word of `line` could become.
#[must_use]
pub fn complete(line: &str) -> Vec<String> {
    completions(&COMMANDS, line)
}

fn show_routes(cx: &Context<'_>, which: &str, out: &mut dyn Write) -> fmt::Result {
    let router = cx.data_plane.router();
    let names = &router.config().vrfs;
    let vrf = match which.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [] => 0,
        ["vrf", wanted] => match names.iter().position(|name| name == wanted) {
            Some(vrf) => vrf,
            None => return writeln!(out, "no vrf \"{wanted}\", there are: {}", names.join(", ")),
        },
        _ => return writeln!(out, "\"show routes\" takes \"vrf NAME\" or nothing"),
    };
    match snapshot::routes(router, vrf) {
        Some(table) => show_router::routes(&table, out),
        None => Ok(()),
    }
}

fn show_vifs(cx: &Context<'_>, _: &str, out: &mut dyn Write) -> fmt::Result {
    let config = cx.data_plane.router().config();
    let interfaces = (0..).map(router::InterfaceId).zip(&config.interfaces);
    let vifs: Vec<_> = interfaces
        .take(config.vifs())
        .map(|(id, interface)| (interface.name.as_str(), cx.data_plane.vif(id)))
        .collect();
    let quarantined = cx.platform.memory().quarantined_pages;
    show_machine::vifs(&vifs, &cx.data_plane.workers(), quarantined, out)
}

fn show_cpu(cx: &Context<'_>, _: &str, out: &mut dyn Write) -> fmt::Result {
    let workers = cx.data_plane.workers();
    let cpus: Vec<_> = (0..)
        .zip(&workers)
        .map(|(cpu, worker)| (cx.platform.cpu_times(cpu), worker))
        .collect();
    show_machine::cpus(&cpus, &cx.platform.hypercalls(), out)
}

/// Tests what `on_crash` of the domain's configuration does, on the CPU that is named, or the
/// first.
fn crash(cx: &Context<'_>, words: &str, out: &mut dyn Write) -> fmt::Result {
    let mut how = CrashKind::Panic;
    let mut cpu = 0;
    for word in words.split_ascii_whitespace() {
        match word {
            "panic" => how = CrashKind::Panic,
            "fault" => how = CrashKind::Fault,
            "stack" => how = CrashKind::Stack,
            _ => match word.parse() {
                Ok(number) => cpu = number,
                Err(_) => return writeln!(out, "{word}: panic, fault, stack or a CPU's number"),
            },
        }
    }
    if cx.platform.crash(cpu, how) {
        return Ok(());
    }
    writeln!(out, "no CPU {cpu}, there are {}", cx.platform.workers())
}
