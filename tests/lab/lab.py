"""The lab's command: how native Linux, dom0 and domUs compare as routers.

    lab.py [--quick] [EXPERIMENT ...]       measure, then tables and plots: target/lab/
    lab.py plot [EXPERIMENT ...]            tables and plots of what was measured before
    lab.py compare FOLDER [EXPERIMENT ...]  how far the CSV files in FOLDER differ from these
    lab.py publish [EXPERIMENT ...]         copy plots and raw numbers to docs/results/
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
TRAFFIC = OUTPUT / "traffic"
PAYLOAD = ("dist", "tests", "target/lab/traffic", "target/lab/supplied")
IN_DOM0 = "cd /ringway && PYTHONPATH=tests:tests/testbed exec python3 -B -u -m lab.inside.run"
ROWS = "/ringway/results/rows"
DEBIAN_PYTHON = "/usr/bin/python3"  # the one that Debian's matplotlib is for


def main() -> int:
    """Do what the command line says and return the exit code."""
    arguments = _parser().parse_args()
    if arguments.part:
        return measure_part(**json.loads(arguments.part))
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
        failed = measure(chosen(words), arguments.quick, arguments.jobs)
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
    """Copy plots and raw numbers to docs/results/, for docs/RESULTS.md."""
    PUBLISHED.mkdir(parents=True, exist_ok=True)
    for number in experiments:
        for path in sorted(OUTPUT.glob(f"exp{number}[.-]*")):
            shutil.copy(path, PUBLISHED)
            print(path.name)
    return 0


def build_traffic() -> None:
    """Compile the generator; static, since dom0 has no compiler."""
    source = HERE / "traffic" / "traffic.c"
    subprocess.run(["cc", "-O2", "-Wall", "-static", "-o", TRAFFIC, source], check=True)


def measure(experiments: list[int], quick: bool, jobs: int) -> int:
    """Measure in as many machines at once as there are CPUs; how many parts failed."""
    work = [(number, part) for number in experiments for part in load(number).parts(quick)]
    work.sort(key=lambda item: -item[1].minutes)
    queue = deque(enumerate(work))
    rows: dict[int, dict[int, list[dict]]] = {number: {} for number in experiments}
    failed: list[str] = []
    lock = threading.Lock()
    began = time.monotonic()

    def worker() -> None:
        while True:
            with lock:
                if not queue:
                    return
                index, (number, part) = queue.popleft()
            started = time.monotonic()
            name = f"experiment {number} on {part.bed} {' '.join(map(str, part.what.values()))}".strip()
            print(f"[{_clock(began)}] {name}: begins", flush=True)
            got, log = run_part(number, part, quick, index)
            with lock:
                if got is None:
                    failed.append(name)
                    print(f"[{_clock(began)}] {name}: FAILED, see {log.relative_to(REPO)}", flush=True)
                else:
                    rows[number][index] = got
                    took = time.monotonic() - started
                    print(f"[{_clock(began)}] {name}: {len(got)} rows in {took:.0f} s", flush=True)

    threads = [threading.Thread(target=worker) for _ in range(min(jobs, len(work)))]
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


def run_part(number: int, part: Part, quick: bool, index: int) -> tuple[list[dict] | None, Path]:
    """Measure one part in a process of its own; its rows (None: it failed), and its log."""
    folder = OUTPUT / "parts" / f"{number}-{index}"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    (folder / "rows").unlink(missing_ok=True)
    request = {"number": number, "bed": part.bed, "quick": quick, "what": part.what, "folder": str(folder)}
    with log.open("w") as file:
        line = [sys.executable, "-B", "-u", __file__, "--part", json.dumps(request)]
        code = subprocess.call(line, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    if code != 0:
        return None, log
    lines = (folder / "rows").read_text().splitlines()
    return [json.loads(line) for line in lines], log


def measure_part(number: int, bed: str, quick: bool, what: dict, folder: str) -> int:
    """Boot a machine and measure one part in it."""
    with Machine(f"lab-{number}", BEDS[bed].options()) as machine:
        print(f"dom0 is up after {machine.boot_seconds:.0f} s", flush=True)
        for name in filter(lambda name: (REPO / name).exists(), PAYLOAD):
            machine.put(REPO / name, folder=str(Path("/ringway", name).parent))
        machine.run(f"mkdir -p {Path(ROWS).parent}")
        words = (str(number), bed, "quick" if quick else "full", f"'{json.dumps(what)}'", ROWS)
        code = machine.stream(f"{IN_DOM0} {' '.join(words)}")
        machine.get(ROWS, folder=Path(folder, "fetched"))
        if code != 0:
            machine.collect()
            print(f"logs: {machine.logs}")
        fetched = Path(folder, "fetched", ROWS.lstrip("/"))
        if fetched.exists():
            fetched.rename(Path(folder, "rows"))
        return code


def _clock(began: float) -> str:
    seconds = int(time.monotonic() - began)
    return f"{seconds // 60}:{seconds % 60:02}"


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--quick", action="store_true", help="fewer and coarser points")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="machines at once")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
