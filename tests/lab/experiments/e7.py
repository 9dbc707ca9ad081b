"""Frame sizes: the loss-free rate of each system for those of RFC 2544."""

from ..inside.domus import DomUs, flow
from ..inside.load import Flow, offer, search
from ..inside.wires import Wires
from ..systems import all_systems
from . import Context, Part
from .e1 import path

TITLE = "Loss-free rate by frame size (RFC 2544, section 9.1)"
COLUMNS = {
    "bed": "machine",
    "system": "who forwards",
    "frame_bytes": "FCS included",
    "loss_free_pps": "frames/s; at most 0.1 % lost, found to within 3 %",
    "loss_free_mbit_per_s": "of frames with FCS, without preamble and gap",
    "measured_loss": "part, there",
    "domu_instructions_per_frame": "there",
    "dom0_instructions_per_frame": "there; generator and sink included",
}
SIZES = (64, 128, 256, 512, 1024, 1280, 1518)
QUICK_SIZES = (64, 1518)
FCS = 4  # bytes, which no virtual interface has
LOW, HIGH = 8_000, 180_000  # frames/s
RETRIES = 6


def parts(quick: bool) -> list[Part]:
    """Native, Xen with dom0 and PV guests, Xen with PVH guests."""
    kinds = {system.kind for system in all_systems()}
    beds = ["native", *("one" + ("-pvh" if kind == "pvh" else "") for kind in sorted(kinds))]
    return [Part(bed, minutes=7) for bed in beds]


def measure(context: Context) -> None:
    """Every system that this bed carries."""
    if not context.bed.pvh:
        for mode in ("routed", "bridged"):
            with Wires("bridged", 0, context.bed.cpu, context.bed.far) as wires:
                wires.drop_at_sinks()
                kernel = "native" if context.bed.native else "dom0"
                sizes(context, f"{kernel} {mode}", path(wires, mode), None)
    for system in [] if context.bed.native else all_systems():
        if (system.kind == "pvh") == context.bed.pvh:
            with (
                Wires("bridged", 1, context.bed.cpu, context.bed.far) as wires,
                DomUs(system, wires, context.bed.guest_options()) as domus,
            ):
                wires.drop_at_sinks()
                [guest] = domus.up_to(1)
                sizes(context, system.name, flow(wires, 0, guest), guest.domid)


def sizes(context: Context, system: str, way: Flow, domid: int | None) -> None:
    """A binary search with short points for each size, which begins near what the size before
    it gave; what it finds is measured at length, and a little less if that was too much."""
    domids = () if context.bed.native else (0,) if domid is None else (0, domid)
    part = 0.1 if context.quick else 0.03
    near = 0
    for size in QUICK_SIZES if context.quick else SIZES:

        def at(rate: int, size: int = size, coarse: bool = True):
            return offer([way], [rate], size=size - FCS, domids=domids, coarse=coarse, cpu=context.far)

        low, high = (near * 85 // 100, near * 106 // 100) if near else (LOW, HIGH)
        rate, points = search(low, high, at, part)
        if near and not rate:
            rate, points = search(LOW, low, at, part)
        elif near and all(point.keeps_up for point in points):
            rate, points = search(rate, HIGH, at, part)
        near = rate or near
        best = None
        for _ in range(RETRIES if rate else 0):
            point = at(rate, coarse=context.quick)
            if point.keeps_up:
                best = point
                break
            rate = int(rate * (1 - part))
        context.record({
            "system": system,
            "frame_bytes": size,
            "loss_free_pps": best.forwarded_pps if best else 0,
            "loss_free_mbit_per_s": best.forwarded_pps * size * 8 / 1e6 if best else 0,
            "measured_loss": best.loss if best else None,
            "domu_instructions_per_frame": best.instructions(domid) if best and domid is not None else None,
            "dom0_instructions_per_frame": best.instructions(0) if best and domids else None,
        })  # fmt: skip


def report(rows, plots) -> str:
    """Frames and bits by size."""
    from ..plots import groups, pivot

    figure, axes = plots.figure(2, width=4.8)
    for ax, key, factor, unit in (
        (axes[0], "loss_free_pps", 1000, "1000 frames/s"), (axes[1], "loss_free_mbit_per_s", 1, "Mbit/s"),
    ):  # fmt: skip
        for system, points in groups(rows, lambda row: row["system"]).items():
            xs = [row["frame_bytes"] for row in points]
            ax.plot(xs, [row[key] / factor for row in points], marker="o", color=plots.colour(system), label=plots.label(system))
        ax.set_xlabel("frame, bytes with FCS")
        ax.set_ylabel(f"loss-free, {unit}")
        ax.set_ylim(0)
    axes[1].legend(fontsize=8)
    plots.save(figure, "sizes", "Loss-free rate by frame size, one CPU for everything")
    name, size = (lambda row: plots.label(row["system"])), (lambda row: f"{row['frame_bytes']} B")
    rates = pivot(rows, name, size, lambda row: row["loss_free_pps"], "loss-free, frames/s")
    return rates + "\n" + pivot(rows, name, size, lambda row: row["loss_free_mbit_per_s"], "loss-free, Mbit/s")
