"""TCP through a router: iperf3, one and eight streams, both ways, with and without offloads."""

import json
import subprocess
import time

from dom0.cputime import CpuTime
from dom0.shell import run

from ..beds import BEDS
from ..inside.domus import DomUs
from ..inside.wires import End, Wires
from ..systems import all_systems
from . import Context, Part

TITLE = "TCP with an MTU of 1500: throughput, and instructions a byte"
COLUMNS = {
    "bed": "machine",
    "system": "who forwards",
    "offloads": "checksum and segmentation offloads of hosts and of dom0's ends of vifs",
    "direction": "to the sink or from it",
    "streams": "number",
    "mbit_per_s": "payload received",
    "retransmits": "segments",
    "domu_instructions_per_byte": "of payload",
    "dom0_instructions_per_byte": "of payload; both hosts included",
}
SECONDS = 2
FEATURES = ("tx", "rx", "sg", "tso", "gso", "gro")
VIF_FEATURES = ("tx", "tso", "gso", "gro")  # what comes out of a frontend is the frontend's to say
# On two CPUs only the first four: with offloads.
CASES = [(on, back, streams) for on in (True, False) for back in (False, True) for streams in (1, 8)]


def parts(quick: bool) -> list[Part]:
    """PV and PVH guests (coarsely, the former); dom0's own routing is measured beside the first."""
    kinds = {"pv"} if quick else {system.kind for system in all_systems()}
    beds = ("one",) if quick else ("one", "two")
    return [Part(bed + ("-pvh" if kind == "pvh" else ""), minutes=6) for kind in sorted(kinds) for bed in beds]


def measure(context: Context) -> None:
    """Every system that this bed carries."""
    if not context.bed.pvh:
        with Wires("bridged", 0, context.bed.cpu, context.bed.far) as wires:
            wires.direct_routed()
            streams(context, "dom0 routed", wires.direct, wires.direct_sink, [], None)
    for system in all_systems():
        if (system.kind == "pvh") == context.bed.pvh:
            with (
                Wires("bridged", 1, context.bed.cpu, context.bed.far) as wires,
                DomUs(system, wires, context.bed.guest_options()) as domus,
            ):
                [guest] = domus.up_to(1)
                vifs = [guest.vif_name(index) for index in range(2)]
                streams(context, system.name, wires.gen, wires.sinks[0], vifs, guest.domid)


def streams(context: Context, system: str, source: End, sink: End, vifs: list[str], domid: int | None) -> None:
    """Every case, one after the other."""
    clock = CpuTime()
    cases = CASES[::3] if context.quick else CASES if context.bed.cpus == 1 else CASES[:4]
    for on, back, count in cases:
        offload(on, source, sink, vifs)
        server = ["ip", "netns", "exec", sink.space, "iperf3", "-s", "-1"]
        with subprocess.Popen(server, stdout=subprocess.DEVNULL):
            time.sleep(0.5)
            domids = [0] if domid is None else [0, domid]
            before = [clock.ns(each) for each in domids]
            words = ["iperf3", "-J", "-c", sink.ip, "-t", SECONDS, "-P", count, *(["-R"] if back else [])]
            end = json.loads(source.run(*words, timeout=300))["end"]
            spent = [clock.ns(each) - ns for each, ns in zip(domids, before, strict=True)]
        received = end["sum_received"]
        context.record({
            "system": system,
            "offloads": "on" if on else "off",
            "direction": "from" if back else "to",
            "streams": count,
            "mbit_per_s": received["bits_per_second"] / 1e6,
            "retransmits": end["sum_sent"]["retransmits"],
            "domu_instructions_per_byte": spent[1] / received["bytes"] if domid is not None else None,
            "dom0_instructions_per_byte": spent[0] / received["bytes"],
        })  # fmt: skip


def offload(on: bool, source: End, sink: End, vifs: list[str]) -> None:
    """Switch everything that spares Linux sums and segments."""
    state = "on" if on else "off"

    def switch(device: str, features: tuple[str, ...], *prefix: str) -> None:
        run(*prefix, "ethtool", "-K", device, *(word for name in features for word in (name, state)))

    for end in (source, sink):
        switch(end.device, FEATURES, "ip", "netns", "exec", end.space)
        switch(end.port, FEATURES)
    for vif in vifs:
        switch(vif, VIF_FEATURES)


def report(rows, plots) -> str:
    """Throughput of every case, a panel for each machine."""
    from ..plots import groups, pivot

    beds = groups(rows, lambda row: row["bed"].removesuffix("-pvh"))
    figure, axes = plots.figure(1, len(beds), width=9, height=3.6)
    for (bed, found), ax in zip(beds.items(), axes, strict=True):
        case = lambda row: f"{row['streams']} {row['direction']}\noffloads {row['offloads']}"  # noqa: E731
        plots.bars(ax, {key: {row["system"]: row["mbit_per_s"] for row in points} for key, points in groups(found, case).items()},
                   "Mbit/s")  # fmt: skip
        ax.set_title(BEDS[bed].text, fontsize=10)
    axes[0].legend(fontsize=8)
    plots.save(figure, "tcp", "TCP through a router, MTU 1500: streams and direction")
    line = lambda row: f"{row['bed'].removesuffix('-pvh')}: {plots.label(row['system'])}"  # noqa: E731
    column = lambda row: f"{row['streams']} {row['direction']}, offloads {row['offloads']}"  # noqa: E731
    ordered = sorted(rows, key=lambda row: row["bed"].removesuffix("-pvh"))
    return "\n".join(
        pivot((row for row in ordered if row[key] is not None), line, column, lambda row, key=key: row[key], text)
        for key, text in (
            ("mbit_per_s", "Mbit/s"), ("domu_instructions_per_byte", "domU instructions a byte"),
            ("dom0_instructions_per_byte", "dom0 instructions a byte"), ("retransmits", "retransmitted segments"),
        )
    )  # fmt: skip
