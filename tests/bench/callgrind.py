"""Builds benchmarks as the guest is built, runs them, and counts instructions under callgrind."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
# As the guest is compiled (image/.cargo/config.toml).
BUILD = {"RUSTFLAGS": "-C target-cpu=x86-64-v2", "CARGO_TARGET_DIR": str(REPO / "target" / "bench")}
# The router's own benchmarks call what forwards themselves, as the crate `workers` does in the guest,
# which is compiled for speed; the router is compiled for size.
FOR_SPEED = ("--config", "profile.bench.package.router.opt-level=3")
# How benchmarks say how many frames they had.
FRAMES = r"(\d+) frames|frames,(\d+)|_frames,(\d+),"


@dataclass(frozen=True)
class Count:
    """One instruction count: a run of a benchmark in which one function is counted."""

    name: str
    package: str
    bench: str
    function: str  # callgrind's pattern for what is counted
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    frames: str = FRAMES


def binary(package: str, bench: str) -> str:
    """Build a benchmark and return its path."""
    words = ["cargo", "bench", "-q", "-p", package, "--bench", bench, "--no-run"]
    words += FOR_SPEED if package == "router" else ()
    output = run([*words, "--message-format=json"], environment=BUILD)
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    paths = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == bench]
    return paths[-1]


def instructions(count: Count) -> float:
    """Count the instructions of one function of a benchmark, a frame."""
    words = [binary(count.package, count.bench), *count.arguments]
    return counted(words, count.function, count.frames, dict(count.environment))


def counted(
    program: list[str], function: str, frames: str, environment: dict[str, str] | None = None
) -> float:
    """Count the instructions of one function of any program, a frame."""
    words = [
        "valgrind", "--tool=callgrind", "--collect-atstart=no", "--callgrind-out-file=/dev/null",
        f"--toggle-collect={function}", *program,
    ]  # fmt: skip
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env={**os.environ, **(environment or {})}
    )
    text = done.stdout + done.stderr
    collected = re.search(r"Collected : (\d+)", text)
    if collected is None:
        raise RuntimeError(f"callgrind counted nothing:\n{text}")
    numbers = (next(filter(None, match.groups())) for match in re.finditer(frames, text))
    return int(collected.group(1)) / sum(map(int, numbers))


def run(
    words: list[str], errors: int | None = None, environment: dict[str, str] | None = None
) -> str:
    """Run a command in the repository and return what it printed."""
    done = subprocess.run(
        words, cwd=REPO, check=True, text=True, env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
    )  # fmt: skip
    return done.stdout
