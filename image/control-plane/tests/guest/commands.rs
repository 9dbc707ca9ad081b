//! Commands that dom0 gives in xenstore.

use control_api::MAX_PART_LEN;

use crate::boot::{TWO, ready};
use crate::guest::Guest;

#[test]
fn a_command_is_taken_and_answered() {
    let mut guest = ready(1);
    let reply = guest.command("show version").concat();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(reply, format!("tenant-a: ringway {version}\n"));
    assert_eq!(guest.key("command").as_deref(), Some(""));
    // The same again is another command.
    assert_eq!(guest.command("show version").concat(), reply);
    assert_eq!(guest.command("  sh ver \n").concat(), reply);
}

#[test]
fn every_command_answers() {
    let mut guest = Guest::start(TWO, 1);
    guest.run();
    for (line, wanted) in [
        ("show interfaces", "\nwan        down  vif 0   -    1500  0"),
        ("sh int", "lan        down  by mac  -    1500  0"),
        ("sh r", "10.0.0.0/24      connected, wan (down)\n"),
        (
            "sh r vrf default",
            "0.0.0.0/0        via 10.0.0.254, wan (down)\n",
        ),
        ("sh r vrf blue", "no vrf \"blue\", there are: default\n"),
        (
            "sh r blue",
            "\"show routes\" takes \"vrf NAME\" or nothing\n",
        ),
        ("sh vrfs", "\ndefault  1              wan lan\n"),
        ("sh n", "\n10.0.0.254  wan        -    idle   0\n"),
        ("sh co", "\ninterface.wan.drop.bad_checksum 0\n"),
        ("show vifs", "wan: not connected\n"),
        ("sh m", "\nheap_used_bytes "),
        ("sh cpu", "\nhypercalls "),
        (
            "help",
            "\nshow memory      memory in use, tables and their limits\n",
        ),
        ("?", "help             this list\n"),
        (
            "sho",
            "incomplete command, one of: counters, cpu, interfaces, memory, neighbors",
        ),
        ("show version 3", "\"show version\" takes no \"3\"\n"),
    ] {
        let reply = guest.command(line).concat();
        assert!(reply.contains(wanted), "{line}: {reply}");
    }
}

#[test]
fn what_isnt_understood_is_answered() {
    let mut guest = ready(1);
    let reply = guest.command("shwo version").concat();
    assert_eq!(reply, "unknown command \"shwo\" (\"help\" lists them)\n");
}

#[test]
fn nothing_is_no_command() {
    let mut guest = ready(1);
    guest.command("show version");
    guest.server.remove("data/ringway/reply");
    for nothing in ["", "  ", "\n"] {
        guest.server.set("data/ringway/command", nothing);
        guest.run();
        assert_eq!(guest.key("reply/done"), None);
    }
}

#[test]
fn long_replies_come_in_parts() {
    let mut guest = ready(1);
    // Two interfaces have some hundred counters.
    let parts = guest.command("show counters");
    assert!(parts.len() > 1);
    let (last, full) = parts.split_last().expect("parts");
    assert!(full.iter().all(|part| part.len() == MAX_PART_LEN));
    assert!(last.len() <= MAX_PART_LEN);
    let reply = parts.concat();
    assert!(reply.starts_with("interface.wan.rx.packets ") && reply.ends_with('\n'));
    assert!(reply.lines().all(|line| line.split(' ').count() == 2));
    // A shorter one leaves nothing of it.
    assert_eq!(guest.command("show version").len(), 1);
    assert_eq!(guest.key("reply/1"), None);
}

#[test]
fn parts_fit_a_store_with_the_usual_quota() {
    let mut guest = ready(1);
    guest.server.set_part_max(2048);
    assert!(guest.command("show counters").len() > 1);
}

#[test]
fn the_machine_is_shown() {
    let mut guest = ready(1);
    let memory = guest.command("show memory").concat();
    let (machine, tables) = memory.split_once("table.").unwrap();
    assert_eq!(
        machine,
        "in_use_bytes 3000000\n\
         total_pages 4096\n\
         kernel_pages 300\n\
         free_pages 3000\n\
         heap_used_bytes 50000\n\
         heap_size_bytes 131072\n\
         console_dropped_bytes 7\n"
    );
    let mut tables = tables.lines();
    let both = (tables.next().unwrap(), tables.next().unwrap());
    let name = both.0.strip_suffix(" 0").unwrap();
    assert!(name.starts_with("neighbors.ipv4."), "{memory}");
    assert_eq!(
        both.1.rsplit_once(' ').unwrap().0,
        format!("table.{name}.limit")
    );
    assert!(memory.contains("\ntable.reassembly_bytes 0\ntable.reassembly_bytes.limit 98304\n"));
    let cpu = guest.command("show cpu").concat();
    assert!(
        cpu.starts_with("running_ns 1000\nrunnable_ns 2000\nblocked_ns 3000\nturns "),
        "{cpu}"
    );
    for line in [
        "coalescing 0",
        "wakes_by_frames.0 0",
        "wakes_by_frames.64 0",
    ] {
        assert!(cpu.lines().any(|it| it == line), "{line}: {cpu}");
    }
    assert!(
        cpu.ends_with("hypercalls 30\nhypercalls.sched_op 10\nhypercalls.event_channel_op 15\n")
    );
    let mut guest = ready(2);
    let cpu = guest.command("show cpu").concat();
    assert!(cpu.starts_with("cpu0.running_ns 1000\n"));
    assert!(cpu.contains("\ncpu1.running_ns 1001\n"));
    assert!(cpu.ends_with("\nhypercalls.event_channel_op 15\n"));
}

#[test]
fn vifs_are_shown_with_their_rings_and_pages() {
    let mut guest = ready(1);
    let text = guest.command("show vifs").concat();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "wan: up, backend domain 0");
    assert!(
        lines[1].starts_with("  received 0 frames, 0 bytes, 0 errors; "),
        "{text}"
    );
    assert!(lines[1].ends_with(" pages posted"), "{text}");
    assert!(
        lines[2].starts_with("  sent ") && lines[2].ends_with(" events"),
        "{text}"
    );
    assert_eq!(lines[3], "lan: up, backend domain 0");
    assert!(lines[6].starts_with("pages for domain 0: "), "{text}");
    assert_eq!(lines[7..], ["quarantined pages: 0"]);
    guest.remove_vif(1);
    guest.run();
    let text = guest.command("show vifs").concat();
    assert!(text.contains("\nlan: not connected\n"), "{text}");
}

#[test]
fn crashes_are_left_to_the_machine() {
    use control_plane::CrashKind::{Fault, Panic, Stack};
    for (line, crashed, reply) in [
        ("crash", Some((0, Panic)), ""),
        ("crash panic", Some((0, Panic)), ""),
        ("crash fault", Some((0, Fault)), ""),
        ("crash 1 stack", Some((1, Stack)), ""),
        ("crash 2", None, "no CPU 2, there are 2\n"),
        (
            "crash loudly",
            None,
            "loudly: panic, fault, stack or a CPU's number\n",
        ),
    ] {
        let mut guest = ready(2);
        assert_eq!(guest.command(line).concat(), reply);
        assert_eq!(guest.machine.crashed.get(), crashed, "{line}");
    }
}

#[test]
fn a_folder_that_isnt_there_is_no_end_of_commands() {
    let mut guest = Guest::start("", 1);
    guest.server.remove("data/ringway");
    guest.run();
    assert!(!guest.command("help").is_empty());
}
