"""The lab's command: how native Linux, dom0 and domUs compare as routers.

    lab.py [--quick] [EXPERIMENT ...]       measure, then tables and plots: target/lab/
    lab.py plot [EXPERIMENT ...]            tables and plots of what was measured before
    lab.py compare FOLDER [EXPERIMENT ...]  how far the CSV files in FOLDER differ from these
    lab.py publish [EXPERIMENT ...]         plots and raw numbers to docs/results/, tables into docs/RESULTS.md
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "testbed")]

import install  # noqa: E402
from lab.beds import BEDS  # noqa: E402
from lab.experiments import Part, load, numbers  # noqa: E402
from machine import Machine  # noqa: E402
from lab.rows import OUTPUT, compare, csv_path, write_csv  # noqa: E402
from paths import REPO, read_list  # noqa: E402

PUBLISHED = REPO / "docs" / "results"
RESULTS_PAGE = REPO / "docs" / "RESULTS.md"
TRAFFIC = OUTPUT / "traffic"
PAYLOAD = ("dist", "tests", "target/lab/traffic", "target/lab/supplied")
IN_DOM0 = "cd /ringway && PYTHONPATH=tests:tests/testbed exec python3 -B -u -m lab.inside.run"
RESULTS = "/ringway/results"
PARTS_A_BOOT, COARSE_PARTS_A_BOOT = 2, 6
DEBIAN_PYTHON = "/usr/bin/python3"  # the one that Debian's matplotlib is for


def main() -> int:
    """Do what the command line says and return the exit code."""
    arguments = _parser().parse_args()
    if arguments.job:
        return measure_job(**json.loads(arguments.job))
    words = arguments.words
    if words[:1] == ["compare"]:
        return 0 if compare(Path(words[1]), chosen(words[2:])) else 1
    if words[:1] == ["publish"]:
        return publish(chosen(words[1:]))
    install.install(read_list(HERE / "packages.txt"))
    failed = 0
    if words[:1] == ["plot"]:
        words = words[1:]
    else:
        OUTPUT.mkdir(parents=True, exist_ok=True)
        build_traffic()
        failed = measure(chosen(words), arguments.quick, arguments.machines)
    drawn = subprocess.call([DEBIAN_PYTHON, "-B", HERE / "plots.py", *map(str, chosen(words))])
    if failed:
        print(f"{failed} parts failed; their logs are named above")
    return 1 if failed or drawn else 0


def chosen(words: list[str]) -> list[int]:
    """The experiments that are named; all of them if none is."""
    known = numbers()
    try:
        wanted = sorted({int(word) for word in words})
    except ValueError:
        wanted = [0]
    if not set(wanted) <= set(known):
        raise SystemExit(f"E={' '.join(words)}: the experiments are {', '.join(map(str, known))}")
    return wanted or known


def publish(experiments: list[int]) -> int:
    """Copy plots and raw numbers to docs/results/, and tables to their places in docs/RESULTS.md."""
    PUBLISHED.mkdir(parents=True, exist_ok=True)
    page = RESULTS_PAGE.read_text()
    for number in experiments:
        files = [path for path in sorted(OUTPUT.glob(f"exp{number}[.-]*")) if path.suffix != ".md"]
        for path in files:
            shutil.copy(path, PUBLISHED)
        tables = OUTPUT / f"exp{number}.md"
        if files and tables.exists():
            page = with_tables(page, number, tables.read_text())
            print(f"experiment {number}: tables, {', '.join(path.name for path in files)}")
    RESULTS_PAGE.write_text(page)
    return 0


def with_tables(page: str, number: int, tables: str) -> str:
    """The page with an experiment's tables between its two marks."""
    begin, end = f"<!-- tables of experiment {number} -->\n", f"<!-- end of experiment {number} -->"
    before, found, rest = page.partition(begin)
    _old, ended, after = rest.partition(end)
    if not (found and ended):
        raise SystemExit(f"{RESULTS_PAGE.relative_to(REPO)} has no place for the tables of experiment {number}")
    return f"{before}{begin}\n{tables.strip()}\n\n{end}{after}"


def build_traffic() -> None:
    """Compile the generator; static, since dom0 has no compiler."""
    source = HERE / "traffic" / "traffic.c"
    subprocess.run(["cc", "-O2", "-Wall", "-static", "-o", TRAFFIC, source], check=True)


@dataclass(frozen=True)
class Job:
    """Parts that are measured in one boot of a machine."""

    bed: str
    parts: list[tuple[int, int, Part]]  # experiment, place in it, part

    @property
    def name(self) -> str:
        """Its parts, for the user."""
        texts = [" ".join([f"E{number}", *map(_word, part.what.values())]) for number, _, part in self.parts]
        return f"{self.bed}: {', '.join(texts)}"


def jobs(experiments: list[int], quick: bool) -> list[Job]:
    """What is to be done, longest first. Parts share a boot, since that takes as long as some of them."""
    found: list[Job] = []
    parts: dict[str, list[tuple[int, int, Part]]] = {}
    for number in experiments:
        for index, part in enumerate(load(number).parts(quick)):
            if part.alone:
                found.append(Job(part.bed, [(number, index, part)]))
            else:
                parts.setdefault(part.bed, []).append((number, index, part))
    size = COARSE_PARTS_A_BOOT if quick else PARTS_A_BOOT
    for bed, shared in parts.items():
        step = -(-len(shared) // size)
        found += [Job(bed, shared[at::step]) for at in range(step)]
    return sorted(found, key=lambda job: -sum(part.minutes for *_, part in job.parts))


def measure(experiments: list[int], quick: bool, machines: int) -> int:
    """Measure in as many machines at once as there are CPUs; how many parts failed."""
    work = jobs(experiments, quick)
    queue = deque(work)
    rows: dict[int, dict[int, list[dict]]] = {number: {} for number in experiments}
    failed: list[str] = []
    lock = threading.Lock()
    began = time.monotonic()

    def worker() -> None:
        while True:
            with lock:
                if not queue:
                    return
                job = queue.popleft()
            print(f"[{_clock(began)}] {job.name}: begins", flush=True)
            got, log = run_job(job, quick)
            with lock:
                missing = [f"E{number} on {job.bed}" for number, index, _ in job.parts if (number, index) not in got]
                for (number, index), found in got.items():
                    rows[number][index] = found
                failed.extend(missing)
                count = sum(map(len, got.values()))
                verdict = f"FAILED: {', '.join(missing)}; see {log.relative_to(REPO)}" if missing else f"{count} rows"
                print(f"[{_clock(began)}] {job.name}: {verdict}", flush=True)

    threads = [threading.Thread(target=worker) for _ in range(min(machines, len(work)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in experiments:
        if rows[number]:
            path = write_csv(number, [row for index in sorted(rows[number]) for row in rows[number][index]])
            print(f"written to {path.relative_to(REPO)}")
    print(f"measured in {_clock(began)} (minutes:seconds)")
    return len(failed)


def run_job(job: Job, quick: bool) -> tuple[dict[tuple[int, int], list[dict]], Path]:
    """Measure in a process of its own; the rows of the parts that succeeded, and the log."""
    number, index, _ = job.parts[0]
    folder = OUTPUT / "parts" / f"{job.bed}-{number}-{index}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    parts = [[number, index, part.what] for number, index, part in job.parts]
    request = {"bed": job.bed, "quick": quick, "parts": parts, "folder": str(folder)}
    with log.open("w") as file:
        line = [sys.executable, "-B", "-u", __file__, "--job", json.dumps(request)]
        subprocess.call(line, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    found = {}
    for number, index, _ in job.parts:
        path = folder / f"{number}-{index}"
        if path.exists():
            found[number, index] = [json.loads(line) for line in path.read_text().splitlines()]
    return found, log


def measure_job(bed: str, quick: bool, parts: list, folder: str) -> int:
    """Boot a machine and measure parts in it; the files of those that succeed are kept."""
    failures = 0
    with Machine(f"lab-{bed}", BEDS[bed].options()) as machine:
        print(f"dom0 is up after {machine.boot_seconds:.0f} s", flush=True)
        for name in filter(lambda name: (REPO / name).exists(), PAYLOAD):
            machine.put(REPO / name, folder=str(Path("/ringway", name).parent))
        machine.run(f"mkdir -p {RESULTS}")
        for number, index, what in parts:
            began = time.monotonic()
            rows = f"{RESULTS}/{number}-{index}"
            words = (str(number), bed, "quick" if quick else "full", f"'{json.dumps(what)}'", rows)
            code = machine.stream(f"{IN_DOM0} {' '.join(words)}")
            print(f"experiment {number}: {time.monotonic() - began:.0f} s, exit code {code}", flush=True)
            if code == 0:
                machine.get(rows, folder=Path(folder, "fetched"))
                Path(folder, "fetched", rows.lstrip("/")).rename(Path(folder, f"{number}-{index}"))
            failures += code != 0
        if failures:
            machine.collect()
            print(f"logs: {machine.logs}")
    return failures


def _word(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _clock(began: float) -> str:
    seconds = int(time.monotonic() - began)
    return f"{seconds // 60}:{seconds % 60:02}"


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--quick", action="store_true", help="fewer and coarser points")
    parser.add_argument("--machines", type=int, default=os.cpu_count(), help="machines at once")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
