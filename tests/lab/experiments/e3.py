"""DomUs that share the load, alone: one to six of each system."""

from ..beds import BEDS
from ..inside.domus import domus, flow
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
RATES = (5_000, 10_000, 20_000, 30_000, 40_000, 55_000, 80_000, 120_000)
QUICK_RATES = (10_000, 30_000, 80_000)
COMPARED = 30_000  # frames/s at which instructions are shown


def parts(quick: bool) -> list[Part]:
    """One boot for each system and network."""
    work = []
    for system in all_systems():
        pvh = "-pvh" if system.kind == "pvh" else ""
        for bed in ("one",) if quick else ("one", "two"):
            networks = ("bridged", "routed") if bed == "one" else ("bridged",)
            work += [Part(bed + pvh, {"system": system.name, "network": network}, 8) for network in networks]
    return work


def measure(context: Context, system: str, network: str) -> None:
    """Every number of domUs at every rate."""
    kind = by_name(system)
    for count in (1, 3) if context.quick else (1, 2, 3, 6):
        with (
            Wires(network, count, context.bed.cpu, context.bed.far) as wires,
            domus(kind, count, wires, context.bed.guest_options()) as guests,
        ):
            wires.drop_at_sinks()
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
