"""The system tests on several machines at once: each takes the next file when it has done one."""

import contextlib
import os
import re
import subprocess
import threading
import time
import xml.etree.ElementTree as xml
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from machine import Machine, pytest_line
from paths import REPO

TESTS = REPO / "tests" / "system"
# The longest first, so that the machines end together.
LONGEST = (
    "routes/test_route_files.py", "clients/test_attacks.py", "vifs/test_multi_queue.py",
    "vifs/test_backend_features.py", "forwarding/test_packets_vs_linux.py", "guest/test_boot.py",
    "vlan/test_vlan.py", "local/test_reassembly_vs_linux.py",
)  # fmt: skip
FILE_QUEUE = "tests.system.support.file_queue"
NEXT = "next?\n"  # as file_queue.py says it
MEMORY_KIB = 3 << 20  # what a machine may need, its disk's cache included


def affordable(wanted: int) -> int:
    """Return how many machines this one carries: each keeps a CPU busy."""
    free = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    memory = int(free[1]) // MEMORY_KIB if free else 1
    return max(1, min(wanted, memory, len(os.sched_getaffinity(0))))


def test(boot: Callable[[], AbstractContextManager[Machine]], words: list[str], machines: int) -> int:
    """Boot this many machines and run the tests; the first is at work while the next one boots."""
    started = time.monotonic()
    files = Files()
    runs: list[Run] = []
    with contextlib.ExitStack() as stack:
        for number in range(machines):
            machine = stack.enter_context(boot())
            runs.append(Run(f"{number + 1}| ", machine, files, words))
            runs[-1].start()
        for run in runs:
            run.join()
    print(f"{_summary(runs)} in {time.monotonic() - started:.0f} s on {machines} machines")
    return 0 if all(run.code == 0 for run in runs) else 1


class Files:
    """The files of tests that no machine has taken yet."""

    def __init__(self) -> None:
        names = {str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}
        first = [name for name in LONGEST if name in names]
        self._names = iter([*first, *sorted(names.difference(first))])
        self._lock = threading.Lock()

    def take(self) -> str:
        """Return the next one; an empty name once there is none."""
        with self._lock:
            return next(self._names, "")


class Run(threading.Thread):
    """pytest on one machine, whose lines are printed with a mark before each."""

    def __init__(self, mark: str, machine: Machine, files: Files, words: list[str]) -> None:
        super().__init__(daemon=True)
        self.code = 1
        self.machine = machine
        self._mark, self._files, self._words = mark, files, words

    def run(self) -> None:
        """Hand out files until pytest ends."""
        line = pytest_line(["-p", FILE_QUEUE, "-o", "console_output_style=classic", *self._words])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(self.machine.ssh.line(line), **pipes, text=True, errors="replace") as pytest:
            said = threading.Thread(target=lambda: [self._print(text) for text in pytest.stdout], daemon=True)
            said.start()
            for text in pytest.stderr:
                if text == NEXT:
                    pytest.stdin.write(f"{self._files.take()}\n")
                    pytest.stdin.flush()
                else:
                    self._print(text)
            said.join()
        self.code = pytest.returncode
        try:
            self.machine.keep_results(self.code)
        except RuntimeError as error:  # it has ended too
            self._print(f"{error}\n")

    def _print(self, text: str) -> None:
        print(f"{self._mark}{text}", end="", flush=True)


def _summary(runs: list[Run]) -> str:
    """Say what the reports of all machines say together, of those that wrote one."""
    reports = [run.machine.results / "junit.xml" for run in runs]
    suites = [xml.parse(report).getroot()[0] for report in reports if report.exists()]
    total = {key: sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors")}
    return f"{total['tests']} tests, {total['failures']} failed, {total['errors']} errors"
