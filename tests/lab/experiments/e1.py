"""One Linux kernel as a router: native, and as dom0."""

from ..inside.load import Flow, offer
from ..inside.wires import Wires
from . import Context, Part

TITLE = "Native Linux and dom0: forwarded over offered rate"
COLUMNS = {
    "bed": "machine",
    "system": "who forwards",
    "asked_pps": "frames/s asked of the generator",
    "offered_pps": "frames/s that it sent",
    "forwarded_pps": "frames/s",
    "loss": "part of all frames",
    "dom0_instructions_per_frame": "generator and sink included",
}
RATES = (10_000, 20_000, 40_000, 80_000, 100_000, 120_000, 140_000, 170_000, 200_000)
QUICK_RATES = (20_000, 80_000, 140_000, 200_000)
MODES = ("generator alone", "routed", "bridged")


def parts(quick: bool) -> list[Part]:
    """The same natively and under Xen on one CPU, and under Xen on two.

    Linux alone doesn't start a second CPU when QEMU counts instructions.
    """
    beds = ("native", "one") if quick else ("native", "one", "dom0-far")
    return [Part(bed, minutes=4) for bed in beds]


def measure(context: Context) -> None:
    """Each way of forwarding at each rate."""
    kind = "native" if context.bed.native else "dom0"
    domids = () if context.bed.native else (0,)
    for mode in MODES:
        with Wires("bridged", 0, context.bed.cpu, context.bed.far) as wires:
            wires.drop_at_sinks()
            flow = path(wires, mode)
            for rate in QUICK_RATES if context.quick or mode == MODES[0] else RATES:
                point = offer([flow], [rate], domids=domids, coarse=context.quick, cpu=context.far)
                context.record({
                    "system": mode if mode == MODES[0] else f"{kind} {mode}",
                    "asked_pps": rate,
                    "offered_pps": point.offered_pps,
                    "forwarded_pps": point.forwarded_pps,
                    "loss": point.loss,
                    "dom0_instructions_per_frame": point.instructions(0),
                })  # fmt: skip


def path(wires: Wires, mode: str) -> Flow:
    """Set up a way through this kernel, and return the flow on it."""
    source, sink = wires.direct, wires.direct_sink
    if mode == "routed":
        wires.direct_routed()
        source.run("ping", "-n", "-c", "2", "-i", "0.2", sink.ip)
        return Flow(mode, source, sink, wires.mac_of(source.port), sink.ip)
    if mode == "bridged":
        wires.direct_bridged()
        source.run("ping", "-n", "-c", "2", "-i", "0.2", "10.2.0.3")
        return Flow(mode, source, sink, sink.mac, "10.2.0.3")
    # Nobody forwards: the other end of the generator's own veth drops and counts.
    wires.drop_here(source.port)
    counter = f"/sys/class/net/{source.port}/statistics/rx_packets"
    return Flow(mode, source, sink, wires.mac_of(source.port), sink.ip, counter)


def report(rows, plots) -> str:
    """Curves on each kind of machine, and the most that each way forwarded."""
    from ..plots import pivot

    for name, beds, title in (
        ("shared", ("native", "one"), "one CPU for everything"),
        ("apart", ("dom0-far",), "generator and sink on a CPU of their own"),
    ):
        curves = [row for row in rows if row["bed"] in beds]
        if curves:
            figure, (axes,) = plots.figure()
            plots.rates(axes, (row for row in curves if row["system"] != MODES[0]))
            plots.rates(axes, (row for row in curves if row["system"] == MODES[0] and row["bed"] == beds[0]))
            axes.legend()
            plots.save(figure, name, f"Forwarding in one kernel, {title}")
    return pivot(
        rows, lambda row: f"{row['bed']}: {row['system']}", lambda row: f"{row['asked_pps'] / 1000:.0f}k offered",
        lambda row: row["forwarded_pps"] / 1000, "forwarded, 1000 frames/s",
        heads=[f"{rate // 1000}k offered" for rate in sorted({row["asked_pps"] for row in rows})],
    )  # fmt: skip
