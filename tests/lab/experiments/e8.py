"""Start-up and footprint: from `xl create` to the first packet, memory, and up to thirty routers."""

import os
import re
import time

from dom0.guest import Guest, Vif
from dom0.shell import execute, run

from ..inside.domus import SCRIPT
from ..inside.wires import Wires
from ..systems import DomU, all_systems, by_name
from . import Context, Part

TITLE = "Start-up, footprint, and growth from 1 to 30 routers"
COLUMNS = {
    "bed": "machine",
    "system": "kind of domU",
    "hotplug": "vif script: stock (vif-bridge) or lean (four lines)",
    "domus": "running, this one included",
    "create_s": "s until xl create returned",
    "first_packet_s": "s from xl create to the first ping through it",
    "ready_s": "s from its first instruction, by its own word",
    "domain_kib": "KiB of memory the domain has",
    "xen_kib": "KiB that Xen's free memory shrank by",
    "dom0_kib": "KiB that dom0's available memory shrank by since before the first",
    "image_kib": "KiB of kernel and initial ramdisk",
}
COUNT, QUICK_COUNT = 30, 2


def parts(quick: bool) -> list[Part]:
    """One boot for each system."""
    beds = {"pv": "one", "pvh": "one-pvh"}
    return [Part(beds[system.kind], {"system": system.name}, 9) for system in all_systems()]


def measure(context: Context, system: str) -> None:
    """One router with the stock script, then one after the other with the lean one."""
    kind = by_name(system)
    with Wires("bridged", 1) as wires:
        start(context, kind, wires, 0, None, available_kib()).destroy()
    count = QUICK_COUNT if context.quick else COUNT
    with Wires("bridged", count) as wires:
        guests = []
        before = available_kib()
        try:
            for number in range(count):
                guests.append(start(context, kind, wires, number, SCRIPT, before))
        finally:
            for guest in guests:
                guest.destroy()


def start(context: Context, system: DomU, wires: Wires, number: int, script: str | None, before: int) -> Guest:
    """Create one router and wait until it forwards."""
    sink = wires.sinks[number]
    wires.gen.run("ip", "route", "replace", sink.ip, "via", f"10.0.{number}.1")
    vifs = [
        Vif(bridge, f"00:16:3e:00:{number:02x}:{index:02x}", script)
        for index, bridge in enumerate(wires.bridges())
    ]
    guest = system.make(f"{system.name}-{number}", vifs, wires.extra(number), context.bed.guest_options())
    free = xen_free_kib()
    began = time.monotonic()
    guest.create()
    created = time.monotonic()
    line = ["ip", "netns", "exec", wires.gen.space, "ping", "-n", "-c", "1", "-W", "0.1", sink.ip]
    while execute(*line).returncode:
        if time.monotonic() - began > 300:
            raise TimeoutError(f"{guest.name} does not forward:\n{guest.console()}")
        # Whoever asked in vain waits a second before asking again.
        execute("ip", "-n", wires.gen.space, "neighbour", "flush", "all")
    forwards = time.monotonic()
    ready = re.search(r"ready in (\d+) us", guest.console())
    context.record({
        "system": system.name,
        "hotplug": "lean" if script else "stock",
        "domus": number + 1,
        "create_s": created - began,
        "first_packet_s": forwards - began,
        "ready_s": int(ready[1]) / 1e6 if ready else None,
        "domain_kib": domain_kib(guest),
        "xen_kib": free - xen_free_kib(),
        "dom0_kib": before - available_kib(),
        "image_kib": sum(os.path.getsize(file) for file in system.files) / 1024,
    })  # fmt: skip
    return guest


def domain_kib(guest: Guest) -> int:
    """The memory that a domain has."""
    return int(execute("xl", "list", guest.name).stdout.splitlines()[1].split()[2]) * 1024


def xen_free_kib() -> int:
    """Xen's free memory, in KiB (xl tells MiB)."""
    return int(re.search(r"free_memory\s*: (\d+)", run("xl", "info"))[1]) * 1024


def available_kib() -> int:
    """dom0's available memory."""
    with open("/proc/meminfo") as file:
        return int(re.search(r"MemAvailable:\s*(\d+)", file.read())[1])


def report(rows, plots) -> str:
    """From xl create to the first packet over the number of routers, and what each takes."""
    from ..plots import groups, table

    figure, axes = plots.figure(3, width=3.9)
    lean = [row for row in rows if row["hotplug"] == "lean"]
    for system, points in groups(lean, lambda row: row["system"]).items():
        xs = [row["domus"] for row in points]
        style = {"color": plots.colour(system), "label": plots.label(system)}
        axes[0].plot(xs, [row["first_packet_s"] for row in points], marker=".", **style)
        total = 0
        taken = [total := total + row["xen_kib"] / 1024 for row in points]
        axes[1].plot(xs, taken, marker=".", **style)
        axes[2].plot(xs, [row["dom0_kib"] / 1024 for row in points], marker=".", **style)
    for ax, unit in zip(axes, ("s from xl create to the first packet", "MiB of the machine", "MiB of dom0's own"), strict=True):
        ax.set_xlabel("routers running")
        ax.set_ylabel(unit)
        ax.set_ylim(0)
    axes[0].legend(fontsize=8)
    plots.save(figure, "growth", "From 1 to 30 routers")
    wanted = {1, 3, 10, 20, 30}
    head = ["system", "vif script", "routers", "xl create, s", "first packet, s", "ready by its own word, s", "domain, MiB",
            "of Xen's memory, MiB", "image, KiB"]  # fmt: skip
    return table(head, ([
        plots.label(row["system"]), row["hotplug"], row["domus"], row["create_s"], row["first_packet_s"], row["ready_s"],
        row["domain_kib"] / 1024, row["xen_kib"] / 1024, row["image_kib"],
    ] for row in rows if row["hotplug"] == "stock" or row["domus"] in wanted))  # fmt: skip
