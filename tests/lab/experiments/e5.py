"""Latency: how long a frame is under way, and how much of that a router adds."""

import re
from concurrent.futures import ThreadPoolExecutor

from ..beds import BEDS
from ..inside.domus import DomUs, flow
from ..inside.load import Flow, offer, percentile, probe, search
from ..inside.wires import Wires
from ..systems import all_systems
from . import Context, Part
from .e1 import path

TITLE = "One-way delay at parts of the loss-free rate, and ping through an idle router"
COLUMNS = {
    "bed": "machine",
    "system": "who forwards",
    "load": "part of the system's loss-free rate; 0: probes alone",
    "offered_pps": "frames/s of load",
    "loss": "part of the load",
    "delay_p50": "us one way",
    "delay_p99": "us one way",
    "added_p50": "us more than through dom0's idle bridge",
    "added_p99": "us more than through dom0's idle bridge",
    "probes_lost": "part",
    "ping_p50": "us there and back, idle",
    "ping_p99": "us there and back, idle",
}
LOADS = (0.0, 0.1, 0.5, 0.9)
QUICK_LOADS = (0.0, 0.5)
PROBES, PROBE_US = 370, 5_000  # as long as a point takes
PINGS = 100
LOW, HIGH = 4_000, 160_000  # frames/s between which the loss-free rate lies


def parts(quick: bool) -> list[Part]:
    """PV and PVH guests (coarsely, the former), each with dom0's own forwarding beside them."""
    kinds = {"pv"} if quick else {system.kind for system in all_systems()}
    beds = ("one",) if quick else ("one", "two")
    names = [bed + ("-pvh" if kind == "pvh" else "") for kind in sorted(kinds) for bed in beds]
    return [Part(name, minutes=6) for name in names]


def measure(context: Context) -> None:
    """dom0's bridge, which is what delays are compared with, dom0 as a router, then domUs."""
    base: dict | None = None
    for mode in ("bridged", "routed"):
        with Wires("bridged", 0, context.bed.cpu, context.bed.far) as wires:
            wires.drop_at_sinks()
            way = path(wires, mode)
            base = curve(context, f"dom0 {mode}", way, base)
    for system in all_systems():
        if (system.kind == "pvh") == context.bed.pvh:
            with (
                Wires("bridged", 1, context.bed.cpu, context.bed.far) as wires,
                DomUs(system, wires, context.bed.guest_options()) as domus,
            ):
                wires.drop_at_sinks()
                [guest] = domus.up_to(1)
                curve(context, system.name, flow(wires, 0, guest), base)


def curve(context: Context, system: str, way: Flow, base: dict | None) -> dict:
    """Delays of one system at each load; what is added to `base`, or what to compare with."""
    free, _ = search(LOW, HIGH, lambda rate: offer([way], [rate], coarse=True, cpu=context.far), 0.2 if context.quick else 0.05)
    pings = ping(way)
    for load in QUICK_LOADS if context.quick else LOADS:
        rate = int(free * load)
        if rate:
            with ThreadPoolExecutor() as pool:
                probes = pool.submit(probe, way, PROBES, PROBE_US, context.far)
                point = offer([way], [rate], cpu=context.far)
                delays = probes.result()
        else:
            point, delays = None, probe(way, PROBES, PROBE_US, context.far)
        half, tail = percentile(delays, 0.5), percentile(delays, 0.99)
        base = base or {"half": half, "tail": tail}
        context.record({
            "system": system,
            "load": load,
            "offered_pps": point.offered_pps if point else 0,
            "loss": point.loss if point else 0,
            "delay_p50": half,
            "delay_p99": tail,
            "added_p50": half - base["half"],
            "added_p99": tail - base["tail"],
            "probes_lost": 1 - len(delays) / PROBES,
            "ping_p50": percentile(pings, 0.5),
            "ping_p99": percentile(pings, 0.99),
        })  # fmt: skip
    return base


def ping(way: Flow) -> list[float]:
    """Round trips in us through an otherwise idle router."""
    text = way.source.run("ping", "-n", "-c", PINGS, "-i", "0.02", way.dst_ip, timeout=120)
    return [1000 * float(ms) for ms in re.findall(r"time=([\d.]+) ms", text)]


def report(rows, plots) -> str:
    """Median and tail by load, a panel for each machine."""
    from ..plots import groups, table

    # Every machine measures dom0 to compare with; that of the PV guests' is shown.
    rows = [row for row in rows if not (row["bed"].endswith("-pvh") and row["system"].startswith("dom0"))]
    beds = groups(rows, lambda row: row["bed"].removesuffix("-pvh"))
    figure, axes = plots.figure(2, len(beds), width=4.8, height=3.4)
    for at, (bed, found) in enumerate(beds.items()):
        for ax, key, title in ((axes[2 * at], "delay_p50", "median"), (axes[2 * at + 1], "delay_p99", "99th percentile")):
            groups_ = {("idle" if load == 0 else f"{load:.0%}"): {row["system"]: row[key] for row in points}
                       for load, points in groups(found, lambda row: row["load"]).items()}  # fmt: skip
            plots.bars(ax, groups_, "us")
            ax.set_yscale("log")
            ax.set_title(f"{title}, {BEDS[bed].text}", fontsize=9)
            ax.set_xlabel("part of the system's loss-free rate")
    axes[1].legend(fontsize=8)
    plots.save(figure, "delay", "One-way delay from generator to sink")
    head = ["machine", "system", "load", "load, frames/s", "delay p50, us", "p99", "added p50, us", "p99", "ping p50, us", "p99"]
    return table(head, ([
        row["bed"].removesuffix("-pvh"), plots.label(row["system"]), f"{row['load']:.0%}", row["offered_pps"], row["delay_p50"], row["delay_p99"],
        row["added_p50"], row["added_p99"], row["ping_p50"], row["ping_p99"],
    ] for row in rows))  # fmt: skip
