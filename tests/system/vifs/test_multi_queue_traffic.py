"""Other traffic on several queues: IPv6, VLANs, large TCP frames, and four queues instead of two."""

import socket
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import READY, counters, grown, idle_pages
from dom0.shell import execute, run
from dom0.topology import DEVICE, Host
from support.network import DUAL_STACK, LEFT, RIGHT
from support.offload import FAMILIES, front
from support.queues import SOURCES, assert_flows_stay, flood, lost, rings
from support.vlan_network import Place, add_vlan, routes_between
from support.wire import transfer

COUNT = 10_000
SIZE = 2 << 20

CONFIG = (
    DUAL_STACK
    + """
[interface.left100]
parent  = "left"
vlan    = 100
address = ["10.0.100.1/24"]

[interface.right200]
parent  = "right"
vlan    = 200
address = ["10.0.200.1/24"]

[[route]]
prefix = "2001:db8:2::/64"
via    = ["2001:db8:1::2"]
"""
)
# Of IPv6 the generator makes only destinations at random: all behind one neighbor.
TARGETS = ("src6 2001:db8::2", "dst6_min 2001:db8:2::", "dst6_max 2001:db8:2::ff")

NEAR = Place(LEFT, "v100", "10.0.100")
FAR = Place(RIGHT, "v200", "10.0.200")


@pytest.fixture
def queues(max_queues: Callable[[int], None], left: Host, right: Host, start) -> Callable[[int], Guest]:
    """Return a function that starts a router with this many queues and virtual CPUs."""

    def make(count: int) -> Guest:
        max_queues(count)
        vifs, options = [Vif("xenbr0"), Vif("xenbr1")], [f"vcpus = {count}"]
        guest = start(Guest("ringway", vifs, config=CONFIG, memory=32, options=options), says=READY)
        assert all(front(guest, vif, "multi-queue-num-queues") == str(count) for vif in (0, 1))
        return guest

    return make


@pytest.fixture
def tagged() -> Iterator[tuple[Host, Host]]:
    """The two hosts as they know each other by their VLANs."""
    places = {NEAR: 100, FAR: 200}
    try:
        for place, vid in places.items():
            add_vlan(place.host, DEVICE, place.device, vid)
            address = (f"{place.net}.2/24", "dev", place.device)
            run("ip", "-n", place.host.name, "address", "add", *address)
        with routes_between(NEAR, FAR) as hosts:
            yield hosts
    finally:
        for place in places:
            execute("ip", "-n", place.host.name, "link", "delete", place.device)


def test_ipv6_flows(queues: Callable[[int], Guest], left: Host, right: Host) -> None:
    guest = queues(2)
    assert left.ping("2001:db8:1::2", 2).lost == 0
    before = counters(guest)
    both = flood(guest, left, right, *TARGETS, count=COUNT)
    assert min(both) > COUNT * 0.4, both
    assert_flows_stay(guest, left, right, socket.AF_INET6)
    news = grown(before, counters(guest))
    assert not lost(news), news
    idle_pages(guest)


def test_four_queues(queues: Callable[[int], Guest], left: Host, right: Host) -> None:
    guest = queues(4)
    before = counters(guest), rings(guest, "sent")
    each = flood(guest, left, right, *SOURCES, count=COUNT)
    assert min(each) > COUNT * 0.2, each
    # What came in by a queue went out by that of the same number.
    sent = [new - old for (new, _), (old, _) in zip(rings(guest, "sent"), before[1], strict=True)][4:]
    assert min(sent) > COUNT * 0.2, sent
    assert_flows_stay(guest, left, right)
    news = grown(before[0], counters(guest))
    assert not lost(news), news
    idle_pages(guest)


def test_vlans(queues: Callable[[int], Guest], left: Host, tagged: tuple[Host, Host]) -> None:
    guest = queues(2)
    near, far = tagged
    before = counters(guest)
    sources = [word.replace("10.0.0.", "10.0.100.") for word in SOURCES]
    both = flood(guest, near, far, "vlan_id 100", *sources, to="right200", count=COUNT)
    assert min(both) > COUNT * 0.4, both
    assert_flows_stay(guest, near, far)
    transfer(near, far, SIZE)
    transfer(far, near, SIZE)
    news = grown(before, counters(guest))
    assert news["interface.left100.rx.packets"] >= COUNT
    assert not lost(news), news
    idle_pages(guest)


def test_large_frames(
    queues: Callable[[int], Guest], left: Host, right: Host, undamaged: None
) -> None:
    guest = queues(2)
    before = counters(guest)
    for family in FAMILIES:
        for hosts in ((left, right), (right, left)):
            used: set[int] = set()
            for _ in range(16):
                used.add(carry(guest, *hosts, family))
                if used == {0, 1}:
                    break
            else:
                pytest.fail(f"all transfers were on queue {used}")
    news = grown(before, counters(guest))
    assert not lost(news), news
    idle_pages(guest)


def carry(guest: Guest, source: Host, sink: Host, family: int) -> int:
    """Send a file, in large frames on one queue all the way, and return which."""
    ways = ("received", "sent")
    before = [rings(guest, way) for way in ways]
    # What is under way fits into the rings, so that however slow dom0 is none is full for long.
    transfer(source, sink, SIZE, family=family, buffer=1 << 16)
    after = [rings(guest, way) for way in ways]
    rows = []
    for vif, old, new in zip((source, sink), before, after, strict=True):
        at = 2 * (vif == RIGHT)
        rows.append([(m[0] - n[0], m[1] - n[1]) for m, n in zip(new, old, strict=True)][at : at + 2])
    queue = max((0, 1), key=lambda q: rows[0][q][1])
    for row in rows:
        count, length = row[queue]
        assert length > SIZE and length / count > 3000, rows
    return queue
