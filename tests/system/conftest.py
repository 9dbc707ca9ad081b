"""Fixtures of the system tests, which run inside dom0 as root.

Two bridges and two hosts last for the whole session; a guest belongs to one test, or to the
tests of one file that leave it as they found it.
"""

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "testbed"))

from dom0.guest import Guest, Vif, linux_guest  # noqa: E402
from dom0.ringway import READY  # noqa: E402
from dom0.topology import Host, Topology  # noqa: E402
from support.network import CONFIG, LEFT, RIGHT  # noqa: E402

LIMIT_S = 300

MAX_QUEUES = Path("/sys/module/xen_netback/parameters/max_queues")

_alive: list[Guest] = []  # what the report of a failed test shows the consoles of
_suspect: set[Guest] = set()  # what was there when a test failed


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
        for host in made.hosts.values():
            # Linux saves on port unreachables, which would make hosts look silent.
            host.run("sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0")
        yield made


@pytest.fixture
def left(topology: Topology) -> Host:
    """The host before the router's vif 0, as a test finds it: knowing nothing of the network."""
    topology["left"].forget()
    return topology["left"]


@pytest.fixture
def right(topology: Topology) -> Host:
    """The host before the router's vif 1."""
    topology["right"].forget()
    return topology["right"]


@pytest.fixture
def undamaged(left: Host, right: Host) -> Iterator[None]:
    """Nothing arrives damaged at a host while the test lasts, as far as the host looks."""
    before = [_damage(host) for host in (left, right)]
    yield
    assert [_damage(host) for host in (left, right)] == before


def _damage(host: Host) -> dict[str, int]:
    found = json.loads(host.run("nstat", "-a", "-s", "-z", "-j"))["kernel"]
    damage = {name: int(n) for name, n in found.items() if name.endswith(("CsumErrors", "InErrors", "InErrs"))}
    assert {"TcpInCsumErrors", "UdpInCsumErrors", "IpInHdrErrors"} <= found.keys()
    return damage


@contextlib.contextmanager
def _ending_guests() -> Iterator[Callable[..., Guest]]:
    """Give a function that creates guests, and end those it made."""
    guests: list[Guest] = []

    def create(guest: Guest, *, says: str = "", timeout: float = 120, paused: bool = False) -> Guest:
        guests.append(guest)
        _alive.append(guest)
        try:
            guest.create(paused=paused)
        except BaseException:
            guest.destroy()
            raise
        if says:
            guest.wait_console(says, timeout)
        return guest

    try:
        yield create
    finally:
        for guest in guests:
            if guest.domid is not None:  # it has not ended by itself
                guest.destroy()
            _alive.remove(guest)


@pytest.fixture
def start(topology: Topology) -> Iterator[Callable[..., Guest]]:
    """Return a function that creates a guest which ends with the test.

    `says=` is a pattern to wait for on its console.
    """
    with _ending_guests() as create:
        yield create


@pytest.fixture(scope="module")
def share(topology: Topology) -> Iterator[Callable[..., Guest]]:
    """Return a function that gives all tests of a file one guest, ready.

    It takes the guest to create for the first test, and for one after a failure; `says=` is
    a pattern to wait for on its console.
    """
    running: dict[str, Guest] = {}
    with _ending_guests() as create:

        def get(guest: Guest, *, says: str = READY) -> Guest:
            old = running.get(guest.name)
            if old and old not in _suspect:
                return old
            if old:
                old.destroy()
            running[guest.name] = guest
            return create(guest, says=says)

        yield get


@pytest.fixture
def router(share: Callable[..., Guest]) -> Guest:
    """A Ringway between left (vif 0, 10.0.0.1) and right (vif 1, 10.0.1.1), shared by a file."""
    return share(Guest("ringway", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG))


@pytest.fixture
def linux_router(share: Callable[..., Guest]) -> Guest:
    """A Linux domU in the same place, shared by a file."""
    extra = "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24"
    vifs = [Vif("xenbr0"), Vif("xenbr1")]
    return share(linux_guest("linux", vifs, extra), says="linux: ready")


@pytest.fixture
def max_queues() -> Iterator[Callable[[int], None]]:
    """Return a function that sets how many queues netback offers for vifs made from now on, first 2.

    By itself it offers one a CPU."""
    before = MAX_QUEUES.read_text()
    set_max = lambda queues: MAX_QUEUES.write_text(f"{queues}\n")  # noqa: E731
    set_max(2)
    yield set_max
    MAX_QUEUES.write_text(before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Show the consoles of the guests beside a failed test's traceback."""
    report = (yield).get_result()
    if report.failed:
        for guest in _alive:
            _suspect.add(guest)
            report.sections.append((f"console of {guest.name}", guest.console()))
