"""DomUs that share the load, alone: one to six of each system."""

from ..beds import BEDS
from ..inside.domus import DomUs, flow
from ..inside.load import LOSS_FREE, offer
from ..inside.wires import Wires
from ..systems import all_systems, by_name
from . import Context, Part

TITLE = "DomUs only: aggregate forwarded over offered rate"
COLUMNS = {
    "bed": "machine",
    "system": "kind of domU",
    "network": "how dom0 connects vifs: bridged or routed",
    "domus": "that share the load",
    "offered_pps": "frames/s",
    "forwarded_pps": "frames/s",
    "loss": "part of all frames",
    "domu_instructions_per_frame": "all domUs",
    "dom0_instructions_per_frame": "generator and sink included",
}
RATES = (10_000, 20_000, 30_000, 40_000, 55_000, 80_000, 120_000)
QUICK_RATES = (10_000, 30_000, 80_000)
COMPARED = 30_000  # frames/s at which instructions are shown


def parts(quick: bool) -> list[Part]:
    """Every system, bridged and routed on one CPU; bridged with a CPU for the domUs."""
    work = []
    for system in all_systems():
        pvh = "-pvh" if system.kind == "pvh" else ""
        what = {"system": system.name, "counts": (1, 3) if quick else (1, 2, 3, 6)}
        work.append(Part(f"one{pvh}", {**what, "network": "bridged"}, 6))
        # Once a kernel has had a routing rule, all its lookups take longer.
        if "routed" in system.networks and not (quick and pvh):
            work.append(Part(f"one{pvh}", {**what, "network": "routed"}, 6, alone=True))
        if not quick:
            work.append(Part(f"two{pvh}", {**what, "network": "bridged", "counts": (1, 3)}, 5))
    return work


def measure(context: Context, system: str, network: str, counts: list[int]) -> None:
    """Every number of domUs at every rate."""
    kind = by_name(system)
    with (
        Wires(network, max(counts), context.bed.cpu, context.bed.far) as wires,
        DomUs(kind, wires, context.bed.guest_options()) as domus,
    ):
        wires.drop_at_sinks()
        for count in counts:
            guests = domus.up_to(count)
            flows = [flow(wires, number, guest) for number, guest in enumerate(guests)]
            domids = [guest.domid for guest in guests]
            for rate in QUICK_RATES if context.quick else RATES:
                point = offer(flows, [rate // count] * count, domids=(0, *domids), coarse=context.quick, cpu=context.far)
                context.record({
                    "system": system,
                    "network": network,
                    "domus": count,
                    "offered_pps": point.offered_pps,
                    "forwarded_pps": point.forwarded_pps,
                    "loss": point.loss,
                    "domu_instructions_per_frame": point.instructions(*domids),
                    "dom0_instructions_per_frame": point.instructions(0),
                })  # fmt: skip


def report(rows, plots) -> str:
    """A panel for each number of domUs, on each machine and network; what came out at the most."""
    from ..plots import groups, table

    texts = []
    machine = lambda row: (row["bed"].removesuffix("-pvh"), row["network"])  # noqa: E731
    for (bed, network), found in groups(rows, machine).items():
        counts = groups(found, lambda row: row["domus"])
        columns = min(2, len(counts))
        figure, axes = plots.figure(columns, -(-len(counts) // columns), height=3.4, width=4.6)
        for (count, points), ax in zip(counts.items(), axes, strict=False):
            plots.rates(ax, points)
            ax.set_title(f"{count} domU" + "s" * (count > 1), fontsize=10)
        axes[0].legend()
        plots.save(figure, f"{bed}-{network}", f"domUs that share the load, {network}, {BEDS[bed].text}")
        lines = []
        for (system, count), points in groups(found, lambda row: (row["system"], row["domus"])).items():
            free = [row for row in points if row["loss"] <= LOSS_FREE]
            best, last = max(points, key=lambda row: row["forwarded_pps"]), points[-1]
            middle = min(points, key=lambda row: abs(row["offered_pps"] - COMPARED))
            lines.append([
                plots.label(system), count, max((row["forwarded_pps"] for row in free), default=0),
                best["forwarded_pps"], last["forwarded_pps"],
                middle["domu_instructions_per_frame"], middle["dom0_instructions_per_frame"],
                last["domu_instructions_per_frame"], last["dom0_instructions_per_frame"],
            ])  # fmt: skip
        head = ["system", "domUs", "loss-free up to", "most", f"at {last['offered_pps'] / 1000:.0f},000 offered",
                f"domU instr. a frame at {COMPARED // 1000},000", "dom0's", "domU instr. a frame at the highest load", "dom0's"]  # fmt: skip
        texts.append(f"{BEDS[bed].text}, {network}; frames/s\n\n{table(head, lines)}")
    return "\n".join(texts)
