"""Where the instructions go: an exact profile of a load, by processor and function.

QEMU counts every block of code that it executes (`count.c`, a plugin of its own interface), and
`dom0/curve.py` says when a measurement begins and ends, and how many frames it forwarded.
"""

import bisect
import csv
import mmap
import re
import shlex
import struct
import subprocess
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from machine import Machine
from paths import CACHE, REPO, TESTBED

CPUS = 4
WORDS = 2 + CPUS  # of a record of count.c
XEN_START, XEN_END = 0xFFFF82D0_00000000, 0xFFFF8300_00000000
KERNEL_START = 0xFFFFFFFF_80000000
GUEST_END = 0x1000_0000
COUNTS = CACHE / "counts"

# What a function is a part of, by the first pattern that matches its name.
GROUPS = {
    "xen": (
        ("privileged instructions", r"emulate|x86_decode|emul-priv|rdmsr|general_protection|get_cpl"
                                    r"|put_fpu"),
        ("grant copies", r"map_domain_page|gnttab|grant|copy_from_guest|__copy|get_page|put_page|memcpy|_get_paged"
                         r"|p2m|get_gfn|page_get_owner|mfn|rcu_lock|domain_by_id|get_domain"),
        ("events", r"evtchn|guest_mark_pending|send_guest|vcpu_mark_events"),
        ("timers", r"timer|hpet|apic_timer|calibrat|time|scale_delta|tsc|ns_to"),
        ("scheduling", r"sched|vcpu|context_switch|idle|null_|csched|unit|runstate|wake|softirq"
                       r"|poll|acpi|mwait|cpufreq|menu_|cpuidle"),
        ("interrupts", r"irq|apic|ipi|smp_|intr|vector|eoi"),
        ("entry and exit", r"entry|lstar|stack_switch|segment_base|hypercall|syscall|iret|restore|test_all_events|bounce|pv_|_ret"
                           r"|do_multicall|trap|exception|fault"),
        ("locks", r"spin|lock"),
    ),
    "linux": (
        ("generator's clock", r"ktime_get|pvclock|xen_clocksource|read_tsc|pktgen_thread_worker"),
        ("generator", r"pktgen|fill_packet|mod_cur|prandom|kmalloc_reserve|__alloc_skb"),
        ("netback to guest", r"xenvif_rx|xenvif_kthread|xenvif_start_xmit|xenvif_kick|xenvif_wait"
                             r"|xenvif_get_sset|xenvif_select|xenvif_have_rx|xenvif_queue"),
        ("netback from guest", r"xenvif|make_tx_response|push_tx"),
        ("grants", r"gnttab|page_foreign"),
        ("bridge", r"^br_|nf_hook|fdb|should_deliver|deliver_clone"),
        ("veth and sink", r"veth|ip_rcv|ip_|udp|icmp|fib|route|sock"),
        ("events", r"evtchn|xen_|irq|upcall|hypervisor_callback|handle_edge|handle_fasteoi|eoi"),
        ("scheduling", r"sched|wake|switch|enqueue_task|dequeue|update_|pick_next|entity|ttwu"
                       r"|load_|cfs|runtime|cpuacct|timeout|wait|rq|prepare_to|finish_"),
        ("timers", r"timer|tick|clock|jiff|rb_"),
        ("softirqs", r"softirq|net_rx|process_backlog|napi|enqueue_to|netif|__netif|dev_|local_bh"
                     r"|queue_xmit|backlog|validate_xmit|eth_type|gro"),
        ("frames' memory", r"skb|kmem|slab|slub|kfree|kmalloc|alloc|page|memcpy|memset|free"),
    ),
    "ringway": (
        ("ring: receive", r"receive"),
        ("router", r"router|process|fib|lookup|parse|rewrite|wire"),
        ("ring: send, completions", r"reap|send|publish|refill|arm|pool|queue|Queue"),
        ("loop", r""),
    ),
    "user": (("programs", r""),),
}  # fmt: skip


@dataclass
class Symbols:
    """Names of addresses, from lines of an address, a type and a name."""

    addresses: list[int]
    names: list[str]

    @classmethod
    def parse(cls, text: str) -> "Symbols":
        """Read what `nm`, /proc/kallsyms and /proc/xen/xensyms print."""
        lines = re.findall(r"^([0-9a-f]+) [tTwW] (\S+)", text, re.MULTILINE)
        found = sorted((int(address, 16), name) for address, name in lines if int(address, 16))
        return cls([address for address, _ in found], [name for _, name in found])

    def name(self, address: int) -> str:
        """The symbol an address belongs to."""
        at = bisect.bisect(self.addresses, address) - 1
        return self.names[at] if at >= 0 else "?"


class Counts:
    """The file that the plugin counts in."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[array, array]:
        """Return the records so far: address, instructions, and executions on each CPU."""
        with open(self._path, "rb") as file:
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
                (blocks,) = struct.unpack_from("Q", view, 8)
                records = array("Q")
                records.frombytes(view[16 : 16 + blocks * WORDS * 8])
        return records

    def between(self, before: array, after: array) -> Counter:
        """Return instructions by CPU and address."""
        counter: Counter = Counter()
        for at in range(0, len(after), WORDS):
            address, length = after[at], after[at + 1]
            for cpu in range(CPUS):
                executed = after[at + 2 + cpu]
                if at < len(before):
                    executed -= before[at + 2 + cpu]
                if executed:
                    counter[cpu, address] += executed * length
        return counter


def _plugin() -> Path:
    """Build the plugin, if it is not there."""
    source, library = TESTBED / "count.c", CACHE / "count.so"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        library.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def option() -> str:
    """What makes QEMU count: the value of its -plugin."""
    COUNTS.unlink(missing_ok=True)
    return f"{_plugin()},to={COUNTS}"


def profile(machine: Machine, words: list[str]) -> int:
    """Run a curve in dom0 and write target/profile/*.csv: where its instructions went."""
    folder = REPO / "target" / "profile"
    folder.mkdir(parents=True, exist_ok=True)
    counts = Counts(COUNTS)
    tables = {
        "linux": Symbols.parse(machine.run("cat /proc/kallsyms").stdout),
        "xen": Symbols.parse(machine.run("cat /proc/xen/xensyms").stdout),
        "ringway": Symbols.parse(_guest_symbols()),
    }
    with subprocess.Popen(machine.ssh.line(shlex.join(words)), stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        before = array("Q")
        for text in run.stdout:
            mark = re.match(r"@(begin|end) (\S+) (\d+)", text)
            if not mark:
                print(text, end="", flush=True)
            elif mark[1] == "begin":
                before = counts.read()
            else:
                spent = counts.between(before, counts.read())
                _report(mark[2], int(mark[3]), spent, tables, folder)
    return run.returncode


def _guest_symbols() -> str:
    path = REPO / "dist" / "ringway.debug"
    return subprocess.run(["nm", "-C", path], capture_output=True, text=True, check=True).stdout


def _report(name: str, frames: int, spent: Counter, tables: dict[str, Symbols], folder: Path) -> None:
    by_function: Counter = Counter()
    for (cpu, address), instructions in spent.items():
        where = _where(address)
        symbol = tables[where].name(address) if where in tables else "programs"
        by_function[cpu, where, symbol] += instructions
    frames = max(1, frames)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("cpu", "where", "group", "function", "instructions_per_frame"))
        for (cpu, where, symbol), instructions in by_function.most_common():
            row = (cpu, where, _group(where, symbol), symbol, round(instructions / frames, 2))
            writer.writerow(row)
    groups: Counter = Counter()
    for (cpu, where, symbol), instructions in by_function.items():
        groups[cpu, where, _group(where, symbol)] += instructions
    print(f"{name}: {frames} frames; instructions a frame by processor and part")
    for cpu in sorted({cpu for cpu, _, _ in groups}):
        total = sum(n for (at, _, _), n in groups.items() if at == cpu)
        print(f"  cpu {cpu}: {total / frames:.0f}")
        for (at, where, group), instructions in groups.most_common():
            if at == cpu and instructions > total / 200:
                print(f"    {where + ': ' + group:40}{instructions / frames:10.0f}")


def _where(address: int) -> str:
    if XEN_START <= address < XEN_END:
        return "xen"
    if address >= KERNEL_START:
        return "linux"
    return "ringway" if address < GUEST_END else "user"


def _group(where: str, symbol: str) -> str:
    for group, pattern in GROUPS[where]:
        if re.search(pattern, symbol):
            return group
    return "other"
