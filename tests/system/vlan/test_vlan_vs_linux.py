"""Frames with every kind of tag through Ringway and through Linux: what comes of them (IEEE 802.1Q)."""

from collections.abc import Callable

import pytest
from dom0.guest import Guest
from dom0.topology import Topology
from support.compare import assert_alike, beside
from support.network import LEFT, RIGHT
from support.packets import ARP, BROADCAST
from support.tagged import C_TAG, S_TAG, Case, echo, observe, passing, tag, who_has
from support.vlan_network import CONFIG, RIGHT_100, RIGHT_PLAIN

WORDS = "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24"
LINES = [
    "echo 0 > /proc/sys/net/ipv4/icmp_ratemask",
    "ip link add link eth0 name left200 type vlan id 200",
    "ip link add link eth0 name provider type vlan protocol 802.1ad id 7",
    "ip link add link provider name customer type vlan id 300",
    "ip link add link eth1 name right100 type vlan id 100",
    "ip address add 10.0.200.1/24 dev left200",
    "ip address add 10.0.30.1/24 dev customer",
    "ip address add 10.0.100.1/24 dev right100",
    *(f"ip link set {name} up" for name in ("left200", "provider", "customer", "right100")),
]

PLAIN, TAGGED, CUSTOMER = "10.0.0.2", "10.0.200.2", "10.0.30.2"
ON_PLAIN, ON_100 = "10.0.1.2", "10.0.100.2"


def to(source: str, destination: str, **ip) -> Callable[[bytes], bytes]:
    """A packet that passes, as the payload of a case."""
    return lambda token: passing(token, source, destination, **ip)


def large(source: str, destination: str) -> Callable[[bytes], bytes]:
    """The same, as large as a link takes."""
    return lambda token: passing(token + bytes(1460), source, destination)


QINQ = (tag(7, S_TAG), tag(300))
CASES = {
    "untagged to untagged": Case((), to(PLAIN, ON_PLAIN)),
    "untagged to tagged": Case((), to(PLAIN, ON_100)),
    "tagged to untagged": Case((tag(200),), to(TAGGED, ON_PLAIN)),
    "tagged to tagged": Case((tag(200),), to(TAGGED, ON_100)),
    "two tags to none": Case(QINQ, to(CUSTOMER, ON_PLAIN)),
    "two tags to one": Case(QINQ, to(CUSTOMER, ON_100)),
    "as large as may be, tagged to tagged": Case((tag(200),), large(TAGGED, ON_100)),
    "a priority alone": Case((tag(0, priority=5),), to(PLAIN, ON_PLAIN)),
    "a priority alone, twice": Case((tag(0, priority=5), tag(0)), to(PLAIN, ON_PLAIN)),
    "a priority before a tag": Case((tag(0, priority=5), tag(200)), to(TAGGED, ON_PLAIN)),
    "a priority alone, of a provider": Case((tag(0, S_TAG),), to(PLAIN, ON_PLAIN)),
    "tagged with a priority": Case((tag(200, priority=5),), to(TAGGED, ON_100)),
    "tagged as eligible to be dropped": Case((tag(200, eligible=True),), to(TAGGED, ON_100)),
    "another VLAN": Case((tag(199),), to(TAGGED, ON_PLAIN)),
    "VLAN 4095": Case((tag(4095),), to(TAGGED, ON_PLAIN)),
    "the other protocol": Case((tag(200, S_TAG),), to(TAGGED, ON_PLAIN)),
    "two tags, the other protocol outside": Case((tag(7), tag(300)), to(CUSTOMER, ON_PLAIN)),
    "two tags, the other protocol inside": Case((tag(7, S_TAG), tag(300, S_TAG)), to(CUSTOMER, ON_PLAIN)),
    "two tags, another VLAN inside": Case((tag(7, S_TAG), tag(301)), to(CUSTOMER, ON_PLAIN)),
    "the provider's tag alone": Case((tag(7, S_TAG),), to(CUSTOMER, ON_PLAIN)),
    "three tags": Case((*QINQ, tag(1)), to(CUSTOMER, ON_PLAIN)),
    "to another host's MAC address": Case((tag(200),), to(TAGGED, ON_PLAIN), to="02:00:00:00:00:99"),
    "in a broadcast": Case((tag(200),), to(TAGGED, ON_PLAIN), to=BROADCAST),
    "ttl 1, tagged": Case((tag(200),), to(TAGGED, ON_PLAIN, ttl=1)),
    "ttl 1, two tags": Case(QINQ, to(CUSTOMER, ON_PLAIN, ttl=1)),
    "no route, tagged": Case((tag(200),), to(TAGGED, "203.0.113.1", ttl=9)),
    "echo to the VLAN's address": Case((tag(200),), lambda t: echo(t, TAGGED, "10.0.200.1")),
    "echo with a priority": Case((tag(200, priority=5),), lambda t: echo(t, TAGGED, "10.0.200.1")),
    "echo to the link's address": Case((tag(200),), lambda t: echo(t, TAGGED, "10.0.0.1")),
    "who has the VLAN's address": Case((tag(200),), who_has("10.0.200.1", TAGGED), ARP, BROADCAST),
    "who has the customer's address": Case(QINQ, who_has("10.0.30.1", CUSTOMER), ARP, BROADCAST),
    "who has an address in another VLAN": Case((tag(199),), who_has("10.0.200.1", TAGGED), ARP, BROADCAST),
    "half a tag": Case((), lambda _: b"\0", C_TAG),
    "a tag and no more": Case((), lambda _: b"\0\xc8", C_TAG),
    "a tag and half a type": Case((), lambda _: b"\0\xc8\x08", C_TAG),
}


def look(router: Guest) -> dict[str, list[str]]:
    """What a router makes of all cases, once it knows the hosts."""
    for place in (RIGHT_PLAIN, RIGHT_100):
        RIGHT.reach(place.gateway)
    for device, gateway in (("eth0", "10.0.0.1"), ("v200", "10.0.200.1"), ("v7.300", "10.0.30.1")):
        LEFT.reach(gateway, "-I", device)
    return observe(router, CASES)


@pytest.fixture(scope="module")
def outcomes(topology: Topology, vlan_devices: None) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    return beside(topology, CONFIG, WORDS, LINES, look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    assert_alike(name, outcomes, ())


def test_tags_come_and_go(outcomes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    """Which holds the comparison to something: both could be silent."""
    ours, _ = outcomes
    passed = "ICMP 0/0 from {}, ttl 63, 40 bytes"
    assert ours["untagged to tagged"] == ["right: 100: " + passed.format(PLAIN)]
    assert ours["tagged to untagged"] == ["right: untagged: " + passed.format(TAGGED)]
    assert ours["two tags to one"] == ["right: 100: " + passed.format(CUSTOMER)]
    assert ours["tagged with a priority"] == ["right: 100: " + passed.format(TAGGED)]
    assert ours["a priority alone"] == ["right: untagged: " + passed.format(PLAIN)]
    assert ours["ttl 1, two tags"] == ["left: 7 802.1ad/300: ICMP 11/0 from 10.0.30.1, ttl 64, 68 bytes"]
    assert ours["who has the VLAN's address"] == ["left: 200: 10.0.200.1 is here"]
    assert not ours["another VLAN"] and not ours["three tags"] and not ours["the other protocol"]
