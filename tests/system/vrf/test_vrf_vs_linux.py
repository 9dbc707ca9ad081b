"""Routing tables kept apart, as in Ringway so in Linux: where packets of each tenant go, and what
their senders are told."""

from collections.abc import Callable

import pytest
from dom0.guest import Guest
from dom0.topology import Topology
from support.compare import assert_alike, beside
from support.network import LEFT, RIGHT
from support.packets import ARP, BROADCAST
from support.tagged import Case, echo, observe, passing, tag, who_has
from support.vrf_network import BLUE_RIGHT, CONFIG, RED_LEFT

# Blue is left's plain network and VLAN 5 on the right, red VLAN 6 and right's plain network.
ROUTES = """
[[route]]
vrf    = "blue"
prefix = "198.51.100.0/24"
via    = ["10.0.1.2"]

[[route]]
vrf     = "red"
prefix  = "198.51.100.0/24"
via_vrf = "blue"

[[route]]
vrf    = "red"
prefix = "203.0.113.0/24"
action = "unreachable"

[[route]]
prefix = "192.0.2.0/24"
action = "prohibit"
"""
BLUE, RED = 10, 11
WORDS = "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24"
LINES = [
    "echo 0 > /proc/sys/net/ipv4/icmp_ratemask",
    "ip link add link eth1 name eth1.5 type vlan id 5",
    "ip link add link eth0 name eth0.6 type vlan id 6",
    f"ip link add blue type vrf table {BLUE}",
    f"ip link add red type vrf table {RED}",
    *(f"ip link set {name} up" for name in ("blue", "red")),
    *(f"ip link set {name} master blue" for name in ("eth0", "eth1.5")),
    *(f"ip link set {name} master red" for name in ("eth0.6", "eth1")),
    *(f"ip link set {name} up" for name in ("eth0", "eth1", "eth1.5", "eth0.6")),
    "ip address add 10.0.0.1/24 dev eth0.6",
    "ip address add 10.0.1.1/24 dev eth1.5",
    f"ip route add 198.51.100.0/24 via 10.0.1.2 dev eth1.5 table {BLUE}",
    f"ip route add 198.51.100.0/24 dev blue table {RED}",
    f"ip route add unreachable 203.0.113.0/24 table {RED}",
    "ip route add prohibit 192.0.2.0/24",
    # What no route of a VRF is for isn't looked up in the main table.
    *(f"ip route add unreachable default metric 4278198272 table {table}" for table in (BLUE, RED)),
]

SOURCE, THERE = "10.0.0.2", "10.0.1.2"
TENANTS = {"blue": (), "red": (tag(6),)}
PAYLOADS: dict[str, Callable[[bytes], bytes]] = {
    "to the other side": lambda t: passing(t, SOURCE, THERE),
    "to the other side, ttl 1": lambda t: passing(t, SOURCE, THERE, ttl=1),
    "echo to near": lambda t: echo(t, SOURCE, "10.0.0.1"),
    "echo to far": lambda t: echo(t, SOURCE, "10.0.1.1"),
    "by a route of blue's": lambda t: passing(t, SOURCE, "198.51.100.9"),
    "by a route of blue's, ttl 1": lambda t: passing(t, SOURCE, "198.51.100.9", ttl=1),
    "by a route of red's": lambda t: passing(t, SOURCE, "203.0.113.9"),
    "by a route of nobody's": lambda t: passing(t, SOURCE, "192.0.2.9"),
}
CASES = {
    f"{tenant}, {name}": Case(tags, payload)
    for tenant, tags in TENANTS.items()
    for name, payload in PAYLOADS.items()
}
CASES |= {
    f"{tenant}, who has near": Case(tags, who_has("10.0.0.1", SOURCE), ARP, BROADCAST)
    for tenant, tags in TENANTS.items()
}
ALONE = "a table ends where it ends: Linux needs a default that is unreachable"
# Where Ringway differs on purpose.
DIFFERENCES = {
    "blue, by a route of red's": ALONE,
    "blue, by a route of nobody's": ALONE,
    "red, by a route of nobody's": ALONE,
}


def look(router: Guest) -> dict[str, list[str]]:
    """What a router makes of all cases, once it knows the hosts."""
    for host in (LEFT, RED_LEFT):
        host.reach("10.0.0.1")
    for host in (RIGHT, BLUE_RIGHT):
        host.reach("10.0.1.1")
    return observe(router, CASES)


@pytest.fixture(scope="module")
def outcomes(topology: Topology, tenants: None) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    return beside(topology, CONFIG + ROUTES, WORDS, LINES, look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    assert_alike(name, outcomes, DIFFERENCES)


def test_each_goes_its_own_way(outcomes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    ours, _ = outcomes
    passed = f"ICMP 0/0 from {SOURCE}, ttl 63, 40 bytes"
    assert ours["blue, to the other side"] == [f"right: 5: {passed}"]
    assert ours["red, to the other side"] == [f"right: untagged: {passed}"]
    # By a route into blue's table.
    assert ours["red, by a route of blue's"] == [f"right: 5: {passed}"]
