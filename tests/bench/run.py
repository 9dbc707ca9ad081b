"""Host benchmarks of the fast path: ns a frame, and instructions a frame under callgrind.

    run.py     runs all benchmarks, prints a table, writes target/bench.csv (name,value,unit)
    run.py tables    only those of the forwarding table, which take some minutes
    run.py pipeline  only those from ring to ring, beside DPDK's
    run.py lanes     only what a second CPU is worth

Nanoseconds depend on the machine and its mood; instructions depend on the code alone.
"""

import subprocess
import sys

import pipeline
import tables
from callgrind import REPO, Count, binary, instructions, run

CSV = REPO / "target" / "bench.csv"


ROUNDS = 200
COUNTS = [
    *(
        Count(
            f"router{family}_{routes}_routes", "router", "forward", "*measured*",
            (f"forward{family}_{routes}_routes",), (("ROUNDS", str(ROUNDS)),),
        )
        for family in ("", "6")
        for routes in (0, 1, 1_000, 10_000)
    ),
    *(
        Count(
            f"lookup_{family}_{pattern}_{contender}", "router", "table", "*measured*",
            ("count", family, pattern, contender), frames=r"(\d+) lookups",
        )
        for family in ("v4", "v6")
        for pattern in tables.PATTERNS
        for contender in ("ringway", "poptrie", "prefix-trie")
    ),
    Count("netfront_both_ways", "netfront-rs", "ring", "*front_turn*", (f"--turns={ROUNDS}",)),
]  # fmt: skip
BENCHES = [
    ("router", "forward"),
    ("router", "memory"),
    ("netfront-rs", "ring"),
    ("data-plane", "lanes"),
]


def main() -> None:
    """Run everything and write the table."""
    rows: list[tuple[str, str, str]] = []
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    if only not in ("", "tables", "pipeline", "lanes"):
        sys.exit(__doc__)
    if only in ("", "tables"):
        table = binary("router", "table")
        rows += tables.updates(run, [table, "updates"])
        rows += tables.updates(run, [binary("router", "updates")])
        rows += tables.lookups(table)
    for package, bench in BENCHES:
        if only not in ("", bench):
            continue
        for line in run([binary(package, bench)], errors=subprocess.DEVNULL).splitlines():
            cells = line.split(",")
            if len(cells) == 3 and cells[0] != "name":
                rows.append((cells[0], cells[1], cells[2]))
    for count in COUNTS:
        if not only or (only == "tables" and count.bench == "table"):
            unit = "instructions/lookup" if count.bench == "table" else "instructions/frame"
            rows.append((count.name, f"{instructions(count):.1f}", unit))
    if only in ("", "pipeline"):
        rows += pipeline.beside_l3fwd()
        for name in ("pipeline_one_flow_hashed", "pipeline_many_flows_hashed"):
            rows.append((name, f"{instructions(pipeline.count(name)):.1f}", "instructions/frame"))
    CSV.parent.mkdir(exist_ok=True)
    lines = ["name,value,unit", *(",".join(row) for row in rows)]
    CSV.write_text("\n".join(lines) + "\n")
    for name, value, unit in rows:
        if not name.endswith("_frames"):
            print(f"{name:46} {value:>10} {unit}")
    print(f"written to {CSV.relative_to(REPO)}")


if __name__ == "__main__":
    main()
