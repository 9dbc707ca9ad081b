"""What forwarding costs Ringway and Linux, on a machine where an instruction is a nanosecond.

Run inside dom0 by `bed.py --icount figures`. Prints tables and writes results/figures.csv (small
frames) and results/bulk.csv (TCP).
"""

import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dom0.bulk import Transfer, transfer  # noqa: E402
from dom0.forwarding import Point, loss_free_rate, measure  # noqa: E402
from dom0.guest import Guest, Vif, linux_guest  # noqa: E402
from dom0.topology import Host, Topology  # noqa: E402

RESULTS = Path("/ringway/results")
EXTRA = "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24"
LEFT = Host("left", "xenbr0", ("10.0.0.2/24",), ("10.0.0.1",))
RIGHT = Host("right", "xenbr1", ("10.0.1.2/24",), ("10.0.1.1",))
RATES = (5_000, 10_000, 20_000, 30_000, 40_000, 60_000, 0)
STREAMS = (1, 8)  # of TCP at once
SEARCH = (5_000, 61_000, 1_000)  # from, to, step, in frames/s
COLUMNS = (
    "system", "offered_pps", "forwarded_pps", "loss", "guest_instructions_per_frame",
    "dom0_instructions_per_frame",
)  # fmt: skip
BULK_COLUMNS = (
    "system", "streams", "mbit_per_s", "retransmits", "guest_instructions_per_byte",
    "dom0_instructions_per_byte",
)  # fmt: skip


def main() -> None:
    """Measure both systems, one after the other."""
    rows: list[list[object]] = []
    bulk_rows: list[list[object]] = []
    summary = []
    with Topology([LEFT, RIGHT]):
        for name in ("ringway", "linux"):
            with guest(name) as system:
                system.wait_console("ready", timeout=200)
                LEFT.ping(RIGHT.address, 3)
                print(f"\n{name}: offered, forwarded (frames/s), loss, instructions a frame: guest, dom0")
                for rate in RATES:
                    point = measure(system, LEFT, RIGHT, rate)
                    rows.append(row(name, point))
                    show(point)
                rate = loss_free_rate(system, LEFT, RIGHT, *SEARCH)
                point = measure(system, LEFT, RIGHT, rate)
                rows.append(row(f"{name} at its loss-free rate", point))
                show(point)
                for streams in STREAMS:
                    bulk = transfer(system, LEFT, RIGHT, streams)
                    bulk_rows.append(bulk_row(name, bulk))
                    print(f"TCP, {streams} streams: {bulk.mbit_s:.0f} Mbit/s, instructions a byte: "
                          f"guest {bulk.guest_ns_byte:.3f}, dom0 {bulk.dom0_ns_byte:.3f}", flush=True)  # fmt: skip
                summary.append(f"{name}: at most 0.1 % lost up to {point.offered_pps:.0f} frames/s, "
                               f"{point.guest_ns_frame:.0f} instructions a frame there")  # fmt: skip
    print("\n" + "\n".join(summary))
    write("figures.csv", COLUMNS, rows)
    write("bulk.csv", BULK_COLUMNS, bulk_rows)


def write(name: str, columns: tuple[str, ...], rows: list[list[object]]) -> None:
    """Write a CSV file of results."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def guest(name: str) -> Guest:
    """The system under test."""
    vifs = [Vif("xenbr0"), Vif("xenbr1")]
    return Guest(name, vifs, extra=EXTRA) if name == "ringway" else linux_guest(name, vifs, EXTRA)


def row(name: str, point: Point) -> list[object]:
    """A line of the CSV file."""
    return [
        name, round(point.offered_pps), round(point.forwarded_pps), round(point.loss, 4),
        round(point.guest_ns_frame), round(point.dom0_ns_frame),
    ]  # fmt: skip


def bulk_row(name: str, bulk: Transfer) -> list[object]:
    """A line of the CSV file about TCP."""
    return [
        name, bulk.streams, round(bulk.mbit_s), bulk.retransmits, round(bulk.guest_ns_byte, 4),
        round(bulk.dom0_ns_byte, 4),
    ]  # fmt: skip


def show(point: Point) -> None:
    """A line of the table."""
    print(
        f"{point.offered_pps:10.0f}{point.forwarded_pps:10.0f}{point.loss:8.1%}"
        f"{point.guest_ns_frame:10.0f}{point.dom0_ns_frame:10.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
