"""A frame's way from ring to ring, beside a loop like that of DPDK's example l3fwd.

Both have the same routes and frames (`image/data-plane/benches/pipeline.rs` writes them for `l3fwd.c`)
and compare what arrives byte by byte. They run in turns, and the median of all turns counts.
"""

import tables
from callgrind import FRAMES, REPO, Count, binary, counted, instructions, run

FOLDER = REPO / "target" / "pipeline"
FLOWS = ["one_flow", "many_flows"]
ROUTES = ["1_route", "1000_routes", "10000_routes", "1000000_routes"]
TURNS = 7
# Bursts of a run under callgrind.
BURSTS = 200

Row = tuple[str, str, str]


def count(name: str) -> Count:
    """How to count Ringway's instructions."""
    only = name.removeprefix("pipeline_")
    arguments = (f"--turns={BURSTS}", f"--only={only}")
    return Count(name, "data-plane", "pipeline", "*measured*", arguments)


def beside_l3fwd() -> list[Row]:
    """Nanoseconds and instructions a frame of all, and how many times those of l3fwd."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    ringway, l3fwd = binary("data-plane", "pipeline"), tables.dpdk("l3fwd")
    run([ringway, f"--dump={FOLDER}"])

    def dpdk(name: str, bursts: int) -> list[str]:
        traffic = name.removeprefix("l3fwd_")
        return [l3fwd, str(FOLDER), traffic, str(bursts), *tables.EAL, "-m", "200"]

    # Those that are compared, l3fwd's first. 10,000 routes go without saying in Ringway's names.
    cases = []
    for flows in FLOWS:
        for routes in ROUTES:
            ours = f"pipeline_{flows}_{routes}".removesuffix("_10000_routes")
            cases.append((f"l3fwd_{flows}_{routes}", [f"{ours}_plain", ours]))

    printed: dict[tuple[str, str], list[str]] = {}
    for _ in range(TURNS):
        for theirs, both in cases:
            lines = run(dpdk(theirs, 5_000))
            for name in both:
                lines += run([ringway, f"--only={name.removeprefix('pipeline_')}"])
            for line in lines.splitlines():
                name, value, unit = line.split(",")
                if unit not in ("unit", "frames"):
                    printed.setdefault((name, unit), []).append(value)
    medians = {row: sorted(values, key=float)[TURNS // 2] for row, values in printed.items()}
    rows = [(name, value, unit) for (name, unit), value in medians.items()]

    for theirs, both in cases:
        counts = {theirs: counted(dpdk(theirs, BURSTS), "measured", FRAMES)}
        counts |= {name: instructions(count(name)) for name in both}
        rows += [(name, f"{found:.1f}", "instructions/frame") for name, found in counts.items()]
        nanos = {name: float(medians[name, "ns/frame"]) for name in counts}
        for name in both:
            for unit, values in (("ns", nanos), ("instructions", counts)):
                ratio = values[name] / values[theirs]
                rows.append((f"{name}_ratio", f"{ratio:.2f}", f"times l3fwd's {unit}"))
    return rows
