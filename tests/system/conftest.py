"""Fixtures of the system tests, which run inside dom0 as root.

Two bridges and two hosts last for the whole session; every guest belongs to one test.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "testbed"))

from dom0.guest import Guest, Vif, linux_guest  # noqa: E402
from dom0.topology import Host, Topology  # noqa: E402

LEFT = Host("left", "xenbr0", ("10.0.0.2/24", "2001:db8:0::2/64"), ("10.0.0.1", "2001:db8:0::1"))
RIGHT = Host("right", "xenbr1", ("10.0.1.2/24", "2001:db8:1::2/64"), ("10.0.1.1", "2001:db8:1::1"))

CONFIG = """
hostname = "tenant-a"

[interface.left]
vif     = 0
address = ["10.0.0.1/24"]

[interface.right]
vif     = 1
address = ["10.0.1.1/24"]
"""

LIMIT_S = 300

_guests = pytest.StashKey[list[Guest]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make this folder's marker known."""
    config.addinivalue_line("markers", f"limit(seconds): end the test then, not after {LIMIT_S} s")


@pytest.fixture(autouse=True)
def _time_limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that hangs fails, and the others still run."""
    marker = request.node.get_closest_marker("limit")
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(marker.args[0] if marker else LIMIT_S)
    yield
    signal.alarm(0)


def _out_of_time(_number: int, _frame: object) -> None:
    raise TimeoutError("the test's time is up")


@pytest.fixture(scope="session")
def topology() -> Iterator[Topology]:
    """xenbr0 with the host `left` (10.0.0.2/24), xenbr1 with `right` (10.0.1.2/24)."""
    with Topology([LEFT, RIGHT]) as made:
        yield made


@pytest.fixture
def left(topology: Topology) -> Host:
    """The host before the router's vif 0, as a test finds it: knowing no neighbour."""
    topology["left"].forget_neighbours()
    return topology["left"]


@pytest.fixture
def right(topology: Topology) -> Host:
    """The host before the router's vif 1."""
    topology["right"].forget_neighbours()
    return topology["right"]


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Callable[[Guest], Guest]]:
    """Return a function that creates a guest which ends with the test."""
    guests = request.node.stash.setdefault(_guests, [])

    def create(guest: Guest) -> Guest:
        guests.append(guest)
        guest.create()
        return guest

    yield create
    for guest in guests:
        guest.destroy()


@pytest.fixture
def router(topology: Topology, start: Callable[[Guest], Guest]) -> Guest:
    """A Ringway between left (vif 0, 10.0.0.1) and right (vif 1, 10.0.1.1), ready."""
    guest = start(Guest("ringway", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG))
    guest.wait_console("ringway: ready in", timeout=60)
    return guest


@pytest.fixture
def linux_router(topology: Topology, start: Callable[[Guest], Guest]) -> Guest:
    """A Linux domU in the same place, ready."""
    extra = "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24"
    guest = start(linux_guest("linux", [Vif("xenbr0"), Vif("xenbr1")], extra))
    guest.wait_console("linux: ready", timeout=120)
    return guest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Show the consoles of a failed test's guests beside its traceback."""
    report = (yield).get_result()
    if report.failed:
        for guest in item.stash.get(_guests, []):
            report.sections.append((f"console of {guest.name}", guest.console()))
