"""The forwarding table at the size of the Internet's, beside other tables.

The contenders hold the same prefixes and are asked for the same addresses, in turns and in
one run: `router/router/benches/table.rs` has those in Rust, `dpdk.c` those of DPDK. Each turn is
timed in parts so short that few are interrupted; the median of all turns counts. All have
pages of 4 KiB, which are the only ones that a paravirtualised guest has.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path.append(str(HERE.parent / "testbed"))

from install import install  # noqa: E402
from paths import read_list  # noqa: E402

FOLDER = REPO / "target" / "tables"
# DPDK's defaults, then with the vector instructions that it uses only when told to.
CPUS = len(os.sched_getaffinity(0))
EAL = [f"--lcores=0@(0-{CPUS - 1})", "--no-huge", "--no-pci", "--no-telemetry"]
EAL += [f"--file-prefix=ringway{os.getpid()}", "--force-max-simd-bitwidth=512", "--log-level=error"]
RUST = ["ringway", "ringway-single", "poptrie", "prefix-trie"]
DPDK = {
    "v4": ["rte_fib", "rte_fib-avx512", "rte_lpm"],
    "v6": ["rte_fib6", "rte_fib6-avx512", "rte_lpm6"],
}
PATTERNS = ["uniform", "mix"]
TURNS = int(os.environ.get("TURNS", "15"))

Row = tuple[str, str, str]


class Server:
    """A program that holds tables and looks addresses up when asked to."""

    def __init__(self, words: list[str]) -> None:
        """Start it; it gets ready meanwhile."""
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def wait(self) -> None:
        """Wait until it is ready."""
        while (line := self.read()) != "ready":
            if not line:
                raise RuntimeError("a table's program ended early")

    def read(self) -> str:
        """Read a line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, question: str) -> str:
        """Ask for one turn."""
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def dpdk(name: str) -> str:
    """Build a program that uses DPDK and return its path."""
    install(read_list(HERE / "packages.txt"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    program = FOLDER / name
    flags = {}
    for kind in ("cflags", "libs"):
        words = ["pkg-config", f"--{kind}", "libdpdk"]
        flags[kind] = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    words = ["cc", "-O3", "-march=x86-64-v2", *flags["cflags"], str(HERE / f"{name}.c")]
    subprocess.run([*words, "-o", str(program), *flags["libs"]], check=True)
    return str(program)


def lookups(binary: str) -> list[Row]:
    """Let all contenders look up in turns. Nanoseconds a lookup, and how many times Ringway's."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    subprocess.run([binary, "dump", str(FOLDER)], check=True)
    servers = [Server([binary, "serve"]), Server([dpdk("dpdk"), str(FOLDER), *EAL, "-m", "4000"])]
    for server in servers:
        server.wait()
    questions = [
        (server, f"{family} {pattern} {contender}")
        for family in ("v4", "v6")
        for pattern in PATTERNS
        for server, contenders in zip(servers, (RUST, DPDK[family]), strict=True)
        for contender in contenders
    ]
    times: dict[str, list[float]] = {}
    sums: dict[str, set[str]] = {}
    for _ in range(TURNS):
        for server, question in questions:
            answer = server.ask(question)
            if answer == "unsupported":
                continue
            nanos, total = answer.split()
            times.setdefault(question, []).append(float(nanos))
            sums.setdefault(" ".join(question.split()[:2]), set()).add(total)
    for server in servers:
        server.close()
    wrong = [pattern for pattern, found in sums.items() if len(found) != 1]
    if wrong:
        raise RuntimeError(f"the tables disagree about {wrong}")
    rows = []
    for question, all_nanos in times.items():
        family, pattern, contender = question.split()
        ours = statistics.median(times[f"{family} {pattern} ringway"])
        nanos = statistics.median(all_nanos)
        name = f"lookup_{family}_{pattern}_{contender}"
        rows.append((name, f"{nanos:.2f}", "ns/lookup"))
        rows.append((f"{name}_ratio", f"{nanos / ours:.2f}", "times ringway"))
    return rows


def updates(run: Callable[[list[str]], str], words: list[str]) -> list[Row]:
    """Changes a second, and bytes a prefix, as a program prints them."""
    cells = [line.split(",") for line in run(words).splitlines()[1:]]
    return [(name, value, unit) for name, value, unit in cells]
