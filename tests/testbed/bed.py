"""The test bed's command: real Xen in an emulated machine.

    bed.py build                   make dom0's disk, if it is not there
    bed.py exec COMMAND            boot, run one command in dom0
    bed.py shell                   boot, and a shell in dom0
    bed.py test [PYTEST OPTIONS]   boot, and the system tests inside dom0
    bed.py figures NAME            boot, and measure: target/figures/NAME.csv
    bed.py curve NAME SYSTEMS KPPS boot, and measure by rate: target/figures/curve-NAME.csv
    bed.py profile SYSTEMS KPPS    the same, and where instructions go: target/profile/*.csv
    bed.py run                     boot, create a router, send traffic through it, report

SYSTEMS are ringway, ringway-N (with N routes) and linux, with commas between; KPPS are rates in 1000
frames/s likewise.
"""

import argparse
import contextlib
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import counting
import image
import install
import parallel
from machine import RESULTS, Machine, pytest_line
from paths import REPO
from qemu import Options

PAYLOAD = ("dist", "image/examples", "tests")
CURVE = "tests/testbed/dom0/curve.py"
WORDS = {"curve": ["NAME", "SYSTEMS", "KPPS"], "profile": ["SYSTEMS", "KPPS"]}


def main() -> int:
    """Do what the command line says and return the exit code."""
    arguments = _parser().parse_args()
    wanted = WORDS.get(arguments.command)
    if wanted and len(wanted) != len(arguments.rest):
        raise SystemExit(f"usage: bed.py {arguments.command} {' '.join(wanted)}")
    install.install()
    if arguments.command == "build":
        image.build()
        return 0
    plugin = counting.option() if arguments.command == "profile" else ""
    options = Options(arguments.cpus, arguments.memory, icount=arguments.icount, pvh=arguments.pvh,
                      native=arguments.native, plugin=plugin,
                      xen=tuple(arguments.xen.split()))  # fmt: skip
    boot = lambda: booted(arguments.command, options)  # noqa: E731
    machines = parallel.affordable(arguments.machines)
    if arguments.command == "test" and machines > 1:
        return parallel.test(boot, arguments.rest, machines)
    with boot() as machine:
        return COMMANDS[arguments.command](machine, arguments.rest)


@contextlib.contextmanager
def booted(name: str, options: Options) -> Iterator[Machine]:
    """A machine with the payload in its dom0."""
    print("booting Xen and dom0 in an emulated machine", flush=True)
    with Machine(name, options) as machine:
        print(f"dom0 is up after {machine.boot_seconds:.0f} s; logs: {_short(machine.logs)}", flush=True)
        put_payload(machine)
        yield machine


def put_payload(machine: Machine) -> None:
    """Copy what exists of the payload into dom0, keeping its place in the repository."""
    for name in PAYLOAD:
        source = REPO / name
        if source.exists():
            machine.put(source, folder=str(Path("/ringway", name).parent))


def execute(machine: Machine, words: list[str]) -> int:
    """Run one command in dom0."""
    words = words[1:] if words[:1] == ["--"] else words
    return machine.stream(words[0] if len(words) == 1 else shlex.join(words))


def shell(machine: Machine, _words: list[str]) -> int:
    """Give the user a shell in dom0; the machine ends with it."""
    machine.stream("cd /ringway && exec bash -l", terminal=True)
    return 0


def report(machine: Machine, _words: list[str]) -> int:
    """Show a tenant's router at work."""
    code = machine.stream("cd /ringway && exec python3 -B -u tests/testbed/dom0/report.py")
    if code != 0:
        machine.collect()
        print(f"something failed; what Xen, dom0 and the guests said is in {_short(machine.logs)}")
    return code


def figures(machine: Machine, words: list[str]) -> int:
    """Measure forwarding and keep the figures."""
    code = machine.stream("cd /ringway && exec python3 -B -u tests/testbed/dom0/figures.py")
    if code != 0:
        machine.collect()
        return code
    folder = REPO / "target" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    name = words[0] if words else "forwarding"
    for source, kept in (("figures.csv", f"{name}.csv"), ("bulk.csv", f"{name}-tcp.csv")):
        machine.get(f"{RESULTS}/{source}")
        shutil.copy(machine.results / source, folder / kept)
        print(f"written to {_short(folder / kept)}")
    return 0


def curve(machine: Machine, words: list[str]) -> int:
    """Measure by rate and keep the figures under the name that is the first word."""
    name, *words = words
    code = machine.stream(shlex.join(["python3", "-B", "-u", f"/ringway/{CURVE}", *words]))
    machine.get(f"{RESULTS}/curve.csv")
    kept = REPO / "target" / "figures" / f"curve-{name}.csv"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(machine.results / "curve.csv", kept)
    print(f"written to {_short(kept)}")
    return code


def profile(machine: Machine, words: list[str]) -> int:
    """Measure by rate, and where the instructions of a frame go."""
    return counting.profile(machine, ["python3", "-B", "-u", f"/ringway/{CURVE}", *words])


def test(machine: Machine, words: list[str]) -> int:
    """Run the system tests; the last line printed is pytest's own summary."""
    code = machine.stream(pytest_line(words))
    machine.keep_results(code)
    return code


COMMANDS = {"curve": curve, "exec": execute, "figures": figures, "profile": profile, "run": report,
            "shell": shell, "test": test}  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--cpus", type=int, default=Options.cpus)
    parser.add_argument("--machines", type=int, default=1, help="how many share the tests, if there is room")
    parser.add_argument("--memory", type=int, default=Options.memory_mib, help="MiB of the whole machine")
    parser.add_argument("--icount", action="store_true", help="one instruction = 1 ns")
    parser.add_argument("--pvh", action="store_true", help="let PVH guests start")
    parser.add_argument("--native", action="store_true", help="Linux alone, without Xen")
    parser.add_argument("--xen", default="", help="more words for Xen's command line")
    parser.add_argument("command", choices=["build", *COMMANDS])
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="what follows goes into dom0")
    return parser


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
