"""Host benchmarks of the fast path: ns a frame, and instructions a frame under callgrind.

    run.py     runs all benchmarks, prints a table, writes target/bench.csv (name,value,unit)
    run.py tables    only those of the forwarding table, which take some minutes

Nanoseconds depend on the machine and its mood; instructions depend on the code alone.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tables

REPO = Path(__file__).resolve().parents[2]
CSV = REPO / "target" / "bench.csv"


@dataclass(frozen=True)
class Count:
    """One instruction count: a run of a benchmark in which one function is counted."""

    name: str
    package: str
    bench: str
    function: str  # callgrind's pattern for what is counted
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    frames: str = r"(\d+) frames|frames,(\d+)|_frames,(\d+),"


ROUNDS = 200
# As the guest is compiled (image/.cargo/config.toml).
BUILD = {"RUSTFLAGS": "-C target-cpu=x86-64-v2", "CARGO_TARGET_DIR": str(REPO / "target" / "bench")}
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
    *(
        Count(
            f"pipeline_{flows}", "plane", "pipeline", "*measured*",
            (f"--turns={ROUNDS}", f"--only={flows}"),
        )
        for flows in ("one_flow", "many_flows")
    ),
]  # fmt: skip
BENCHES = [
    ("router", "forward"),
    ("router", "memory"),
    ("netfront-rs", "ring"),
    ("plane", "pipeline"),
]


def main() -> None:
    """Run everything and write the table."""
    rows: list[tuple[str, str, str]] = []
    only = sys.argv[1:] == ["tables"]
    table = binary("router", "table")
    rows += tables.updates(run, table)
    rows += tables.lookups(table)
    for package, bench in [] if only else BENCHES:
        for line in run([binary(package, bench)], errors=subprocess.DEVNULL).splitlines():
            cells = line.split(",")
            if len(cells) == 3 and cells[0] != "name":
                rows.append((cells[0], cells[1], cells[2]))
    for count in COUNTS:
        if not only or count.bench == "table":
            unit = "instructions/lookup" if count.bench == "table" else "instructions/frame"
            rows.append((count.name, f"{instructions(count):.1f}", unit))
    CSV.parent.mkdir(exist_ok=True)
    lines = ["name,value,unit", *(",".join(row) for row in rows)]
    CSV.write_text("\n".join(lines) + "\n")
    for name, value, unit in rows:
        if not name.endswith("_frames"):
            print(f"{name:32} {value:>10} {unit}")
    print(f"written to {CSV.relative_to(REPO)}")


def binary(package: str, bench: str) -> str:
    """Build a benchmark and return its path."""
    words = ["cargo", "bench", "-q", "-p", package, "--bench", bench, "--no-run"]
    output = run([*words, "--message-format=json"], environment=BUILD)
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    paths = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == bench]
    return paths[-1]


def instructions(count: Count) -> float:
    """Count the instructions of one function, a frame."""
    words = [
        "valgrind", "--tool=callgrind", "--collect-atstart=no", "--callgrind-out-file=/dev/null",
        f"--toggle-collect={count.function}", binary(count.package, count.bench), *count.arguments,
    ]  # fmt: skip
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env={**os.environ, **dict(count.environment)}
    )
    text = done.stdout + done.stderr
    collected = re.search(r"Collected : (\d+)", text)
    if collected is None:
        raise RuntimeError(f"callgrind counted nothing:\n{text}")
    matches = re.finditer(count.frames, text)
    frames = sum(int(next(filter(None, match.groups()))) for match in matches)
    return int(collected.group(1)) / frames


def run(
    words: list[str], errors: int | None = None, environment: dict[str, str] | None = None
) -> str:
    """Run a command in the repository and return what it printed."""
    done = subprocess.run(
        words, cwd=REPO, check=True, text=True, env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    main()
