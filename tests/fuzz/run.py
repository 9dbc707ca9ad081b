"""Fuzzes with coverage: the targets of the tests named below under libFuzzer.

    run.py [--seconds 60] [--keep] [NAME...]

The compiler is the stable one. Its LLVM counts edges and compares by a pass that any build can
ask for, and bolero brings libFuzzer as C++ source, so that nothing but a C++ compiler is needed.

A target begins with its corpus, __fuzz__/NAME/corpus beside its test, and with what earlier runs
found, which stays in target/fuzz/found/NAME. An input that fails is left in .../NAME/crashes,
where plain `cargo test` runs it from then on. --keep takes into the corpus what reaches
something new.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parent.parent.parent
TARGET = "x86_64-unknown-linux-gnu"
# Packages, the folder of each, and its tests that have targets.
TESTS = {
    "router": (Path("router/router"), ["fuzz", "fuzz_own"]),
    "control-plane": (Path("image/control-plane"), ["fuzz"]),
}
FOUND = Path("target/fuzz/found")

LONGEST = 2048  # bytes of an input: what is kept stays small
# A small set of inputs that together reach every edge, however often.
SMALLEST_CORPUS = ["-set_cover_merge=1", "-use_counters=0"]

COVERAGE = [
    "--cfg=fuzzing",
    "--cfg=fuzzing_libfuzzer",
    "-Cpasses=sancov-module",
    "-Ccodegen-units=1",
    *(
        f"-Cllvm-args=-sanitizer-coverage-{option}"
        for option in ("level=4", "inline-8bit-counters", "pc-table", "trace-compares")
    ),
]


class Target(NamedTuple):
    """A fuzz target."""

    name: str
    program: Path
    corpora: Path

    @property
    def corpus(self) -> Path:
        """Where its corpus is."""
        return self.corpora / self.name / "corpus"

    @property
    def crashes(self) -> Path:
        """Where inputs that fail are left."""
        return self.corpora / self.name / "crashes"


def build() -> dict[str, Target]:
    """Build all targets."""
    targets = {}
    for package, (folder, tests) in TESTS.items():
        for program in programs(package, tests):
            listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
            names = re.findall(r"^(\S+): test$", listed.stdout, re.MULTILINE)
            corpora = folder / "tests" / "__fuzz__"
            targets |= {name: Target(name, program, corpora) for name in names}
    return targets


def programs(package: str, tests: list[str]) -> list[Path]:
    """Build tests of a package and return the programs."""
    command = ["cargo", "test", "--quiet", "--package", package, "--no-run", "--target", TARGET]
    command += [word for name in tests for word in ("--test", name)]
    command += ["--target-dir", "target/fuzz", "--message-format=json-render-diagnostics"]
    settings = {
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(COVERAGE),
        "CARGO_PROFILE_DEV_OPT_LEVEL": "2",
        "CARGO_PROFILE_DEV_DEBUG": "line-tables-only",
    }
    done = subprocess.run(command, cwd=REPO, env=os.environ | settings, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("the fuzz targets can't be built")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    return [Path(made["executable"]) for made in messages if made.get("executable")]


def fuzz(target: Target, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run libFuzzer on a target; its arguments are relative to the repository."""
    settings = {
        "BOLERO_LIBTEST_HARNESS": "1",
        "BOLERO_TEST_NAME": target.name,
        "BOLERO_LIBFUZZER_ARGS": " ".join(arguments),
    }
    command = [target.program, target.name, "--exact", "--nocapture", "--quiet", "--test-threads", "1"]
    return subprocess.run(
        command, cwd=REPO, env=os.environ | settings, stderr=subprocess.STDOUT, stdout=subprocess.PIPE,
        text=True, errors="replace",
    )  # fmt: skip


def look(target: Target, seconds: int) -> bool:
    """Look for new inputs for so long. Say what was found, and return whether all is well."""
    found, crashes = FOUND / target.name, target.crashes
    for folder in (found, crashes, target.corpus):
        (REPO / folder).mkdir(parents=True, exist_ok=True)
    done = fuzz(
        target, f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=60",
        "-rss_limit_mb=2048", f"-artifact_prefix={crashes}/", "-print_final_stats=1",
        str(found), str(target.corpus),
    )  # fmt: skip
    good = done.returncode == 0
    progress = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stdout)
    runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    edges, features, inputs = progress[-1] if progress else ("?",) * 3
    print(
        f"{target.name}: {runs[1] if runs else '?'} runs, {edges} edges, {features} features, {inputs} inputs"
        + ("" if good else f", FAILED:\n{done.stdout[-8000:]}"),
        flush=True,
    )
    if not any((REPO / crashes).iterdir()):
        (REPO / crashes).rmdir()
    return good


def keep(target: Target) -> None:
    """Make the corpus the smallest set of inputs that reaches all that is known to be reachable."""
    name, corpus = target.name, target.corpus
    new = FOUND / f"{name}.kept"
    (REPO / new).mkdir()
    folders = map(str, (new, corpus, FOUND / name))
    done = fuzz(target, *SMALLEST_CORPUS, f"-max_len={LONGEST}", *folders)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stdout[-4000:]}")
    for old in (REPO / corpus).iterdir():
        old.unlink()
    for path in (REPO / new).iterdir():
        path.rename(REPO / corpus / path.name)
    (REPO / new).rmdir()
    count = len(list((REPO / corpus).iterdir()))
    print(f"{name}: {count} inputs in {corpus}")


def main() -> int:
    """Fuzz; 1 if something was found that must not be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", action="store_true", help="take what was found into the corpus")
    parser.add_argument("names", nargs="*", help="targets; all without any")
    options = parser.parse_args()
    targets = build()
    unknown = set(options.names) - targets.keys()
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}: there are {', '.join(sorted(targets))}")
    good = True
    for name in options.names or sorted(targets):
        if options.seconds > 0:
            good &= look(targets[name], options.seconds)
        if options.keep and good:
            keep(targets[name])
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
