"""dom0 and domUs at once, and what one flooded tenant does to the others."""

from concurrent.futures import ThreadPoolExecutor

from dom0.shell import run

from ..inside.domus import DomUs, flow
from ..inside.load import Point, offer, percentile, probe
from ..inside.wires import Wires
from ..systems import all_systems, by_name
from . import Context, Part
from .e1 import path

TITLE = "dom0 and domUs at once: breakdown per flow, and fairness under a flood"
COLUMNS = {
    "bed": "machine",
    "system": "kind of domU",
    "domus": "number",
    "case": "together: equal load for dom0 and domUs; others: domU 0 flooded or not",
    "flow": "dom0, or the number of the domU, or all",
    "offered_pps": "frames/s",
    "forwarded_pps": "frames/s",
    "loss": "part of all frames",
    "delay_p50": "us one way, of probes through that domU",
    "delay_p99": "us one way",
    "probes_lost": "part",
}
TOGETHER = (10_000, 20_000, 40_000, 60_000, 80_000, 120_000)  # frames/s in all
QUICK_TOGETHER = (20_000, 60_000)
QUIET = 1_000  # frames/s for each tenant that isn't flooded
FLOOD = 90_000  # frames/s for domU 0, where it is
PROBES, PROBE_US = 230, 8_000  # as long as a point takes
EQUAL = (256, 256)  # credit2's weights of domU 0 and of the others; dom0 has 256
CASES = (("quiet", QUIET, EQUAL), ("flood", FLOOD, EQUAL), ("flood weighted", FLOOD, (64, 512)))


def parts(quick: bool) -> list[Part]:
    """One boot for each kind and number of domUs."""
    beds = {"pv": "one", "pvh": "one-pvh"}
    counts = (3,) if quick else (3, 6)
    return [
        Part(beds[system.kind], {"system": system.name, "count": count}, 6)
        for system in all_systems() for count in counts
    ]  # fmt: skip


def measure(context: Context, system: str, count: int) -> None:
    """Both halves, with the same domUs."""
    with (
        Wires("bridged", count, context.bed.cpu, context.bed.far) as wires,
        DomUs(by_name(system), wires, context.bed.guest_options()) as domus,
    ):
        wires.drop_at_sinks()
        guests = domus.up_to(count)
        flows = [flow(wires, number, guest) for number, guest in enumerate(guests)]
        own = path(wires, "routed")
        fixed = {"system": system, "domus": count}
        for rate in QUICK_TOGETHER if context.quick else TOGETHER:
            point = offer([own, *flows], [rate // (count + 1)] * (count + 1), coarse=context.quick, cpu=context.far)
            for name, row in zip(["dom0", *range(count)], per_flow(point), strict=True):
                context.record({**fixed, "case": "together", "flow": name, **row})
        for case, rate, weights in CASES:
            for number, guest in enumerate(guests):
                run("xl", "sched-credit2", "-d", guest.domid, "-w", weights[bool(number)])
            # The probes go through domU 1, as the frames of a tenant who isn't flooded.
            with ThreadPoolExecutor() as pool:
                probes = pool.submit(probe, flows[1], PROBES, PROBE_US, context.far)
                point = offer(flows, [rate] + [QUIET] * (count - 1), cpu=context.far)
                delays = probes.result()
            for number, row in enumerate(per_flow(point)):
                context.record({**fixed, "case": case, "flow": number, **row, **(spread(delays) if number == 1 else {})})


def per_flow(point: Point) -> list[dict]:
    """What came of each flow."""
    return [
        {
            "offered_pps": flow.sent / point.seconds,
            "forwarded_pps": flow.received / point.seconds,
            "loss": max(0.0, 1 - flow.received_all / flow.sent_all),
        }
        for flow in point.flows
    ]  # fmt: skip


def spread(delays: list[float]) -> dict:
    """Median and tail of the probes' delays."""
    return {
        "delay_p50": percentile(delays, 0.5),
        "delay_p99": percentile(delays, 0.99),
        "probes_lost": 1 - len(delays) / PROBES,
    }


def report(rows, plots) -> str:
    """Who gets how much when dom0 and domUs forward at once, and what a flood does to the others."""
    from ..plots import groups, table

    both = groups((row for row in rows if row["case"] == "together"), lambda row: (row["system"], row["domus"]))
    counts = len({count for _, count in both})
    figure, axes = plots.figure(counts, len(both) // counts, width=4.6, height=3.2)
    lines = []
    for ((system, count), found), ax in zip(both.items(), axes, strict=True):
        flows = count + 1
        points = [found[at : at + flows] for at in range(0, len(found), flows)]
        xs = [sum(row["offered_pps"] for row in point) / 1000 for point in points]
        own = [point[0]["forwarded_pps"] / 1000 for point in points]
        theirs = [[row["forwarded_pps"] / 1000 for row in point[1:]] for point in points]
        ax.stackplot(xs, own, *zip(*theirs, strict=True), colors=[plots.colour("dom0 routed"), *[plots.colour(system)] * count],
                     edgecolor="white", linewidth=0.6, alpha=0.85)  # fmt: skip
        ax.plot(xs, xs, color="#888888", linestyle=":", linewidth=1)
        ax.set_title(f"dom0 and {count} {plots.label(system)}", fontsize=9)
        ax.set_xlabel("offered in all, 1000 frames/s")
        ax.set_ylabel("forwarded, 1000 frames/s")
        for x, mine, others in zip(xs, own, theirs, strict=True):
            lines.append([plots.label(system), count, x, mine + sum(others), mine, min(others), max(others)])
    plots.save(figure, "together", "dom0's own flow (at the bottom) and one flow for each domU, all offered the same")
    head = ["system", "domUs", "offered in all", "aggregate", "dom0", "least domU", "most domU"]
    text = f"Together; 1000 frames/s\n\n{table(head, lines)}"

    fair = [row for row in rows if row["case"] != "together"]
    cases = [case for case, *_ in CASES]
    figure, axes = plots.figure(2, len({row["domus"] for row in fair}), width=4.6, height=3.2)
    lines = []
    for at, (count, found) in enumerate(groups(fair, lambda row: row["domus"]).items()):
        lost = {case: {} for case in cases}
        delay = {case: {} for case in cases}
        for (system, case), flows in groups(found, lambda row: (row["system"], row["case"])).items():
            others = [row for row in flows if row["flow"] != 0]
            lost[case][system] = 100 * sum(row["loss"] for row in others) / len(others)
            probed = next(row for row in flows if row["flow"] == 1)
            delay[case][system] = probed["delay_p99"] / 1000
            lines.append([
                plots.label(system), count, case, next(row["forwarded_pps"] for row in flows if row["flow"] == 0),
                lost[case][system], max(100 * row["loss"] for row in others), probed["delay_p50"], probed["delay_p99"],
            ])  # fmt: skip
        plots.bars(axes[2 * at], lost, "loss of the others, %")
        plots.bars(axes[2 * at + 1], delay, "99th percentile of delay, ms")
        axes[2 * at].set_title(f"{count} domUs", fontsize=10)
    axes[0].legend()
    plots.save(figure, "fairness", f"One tenant gets {FLOOD // 1000},000 frames/s: what the others, at {QUIET:,} each, feel")
    head = ["system", "domUs", "case", "flooded one forwards, frames/s", "others' mean loss, %", "worst, %",
            "others' delay p50, us", "p99, us"]  # fmt: skip
    return f"{text}\nFairness\n\n{table(head, lines)}"
