"""Does an idle domU cost dom0 anything? dom0 forwards beside more and more of them."""

from ..inside.domus import DomUs
from ..inside.load import offer
from ..inside.wires import Wires
from ..systems import all_systems, by_name
from . import Context, Part
from .e1 import path

TITLE = "dom0 forwarding beside idle domUs"
COLUMNS = {
    "bed": "machine",
    "system": "kind of the idle domUs",
    "mode": "dom0 routed or bridged",
    "idle_domus": "number",
    "offered_pps": "frames/s",
    "forwarded_pps": "frames/s",
    "loss": "part of all frames",
    "dom0_instructions_per_frame": "generator and sink included",
    "domus_share": "part of the CPU that the idle domUs took",
}
COUNTS = (0, 1, 3, 6, 12)
QUICK_COUNTS = (0, 3)
BELOW, ABOVE = 100_000, 170_000  # saturation, in frames/s


def parts(quick: bool) -> list[Part]:
    """Each kind of domU; coarsely, those that start quickest."""
    beds = {"pv": "one", "pvh": "one-pvh"}
    return [
        Part(beds[system.kind], {"system": system.name}, 5)
        for system in all_systems() if not (quick and system.kind == "pvh")
    ]  # fmt: skip


def measure(context: Context, system: str) -> None:
    """Both ways of forwarding, below and above saturation, for every number of domUs."""
    kind = by_name(system)
    counts = QUICK_COUNTS if context.quick else COUNTS
    with (
        Wires("bridged", max(counts), context.bed.cpu, context.bed.far) as wires,
        DomUs(kind, wires, context.bed.guest_options()) as domus,
    ):
        wires.drop_at_sinks()
        for count in counts:
            idle = [guest.domid for guest in domus.up_to(count)]
            for mode in ("routed", "bridged"):
                flow = path(wires, mode)
                for rate in (ABOVE,) if context.quick else (BELOW, ABOVE):
                    point = offer([flow], [rate], domids=(0, *idle), coarse=context.quick, cpu=context.far)
                    context.record({
                        "system": system,
                        "mode": mode,
                        "idle_domus": count,
                        "offered_pps": point.offered_pps,
                        "forwarded_pps": point.forwarded_pps,
                        "loss": point.loss,
                        "dom0_instructions_per_frame": point.instructions(0),
                        "domus_share": sum(point.cpu_ns[domid] for domid in idle) / (point.seconds * 1e9),
                    })  # fmt: skip


def report(rows, plots) -> str:
    """What dom0 forwards at its limit, over the number of idle domUs."""
    from ..plots import groups, pivot

    full = [row for row in rows if row["offered_pps"] > BELOW * 1.2]
    figure, axes = plots.figure(2)
    for mode, ax in zip(("routed", "bridged"), axes, strict=True):
        for system, points in groups((row for row in full if row["mode"] == mode), lambda row: row["system"]).items():
            xs = [row["idle_domus"] for row in points]
            ys = [row["forwarded_pps"] / 1000 for row in points]
            ax.plot(xs, ys, marker="o", color=plots.colour(system), label=f"idle {plots.label(system)}")
        ax.set_title(f"dom0 {mode}", fontsize=10)
        ax.set_xlabel("idle domUs")
        ax.set_ylabel("forwarded, 1000 frames/s")
        ax.set_ylim(0)
    axes[0].legend()
    plots.save(figure, "idle", f"dom0's forwarding beside idle domUs ({ABOVE // 1000},000 frames/s offered)")
    line = lambda row: f"dom0 {row['mode']}, idle {plots.label(row['system'])}"  # noqa: E731
    column = lambda row: f"{row['idle_domus']} domUs"  # noqa: E731
    tables = [pivot(full, line, column, lambda row: row["forwarded_pps"] / 1000, f"forwarded of {ABOVE // 1000},000, 1000 frames/s")]
    if below := [row for row in rows if row not in full]:
        text = f"dom0 instructions a frame at {BELOW // 1000},000"
        tables.append(pivot(below, line, column, lambda row: row["dom0_instructions_per_frame"], text))
        tables.append(pivot(below, line, column, lambda row: f"{row['domus_share']:.2%}", "part of the CPU that the idle domUs took, there"))
    return "\n".join(tables)
