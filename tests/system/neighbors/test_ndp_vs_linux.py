"""Neighbor Discovery as RFC 4861 has it: whom the router asks and answers, and what it believes."""

from collections.abc import Callable

import pytest
from dom0.guest import Guest
from dom0.topology import Topology
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr, IPv6
from support.compare import DUAL_WORDS, assert_alike, beside
from support.ndp import (
    ALL_NODES, FAR6, LEFT6, NEAR6, RIGHT6, SECOND, Bench, asks, asks_for_routers, tells,
)  # fmt: skip
from support.network import DUAL_STACK, LEFT, RIGHT
from support.wire import Wire

LINES = ["echo 0 > /proc/sys/net/ipv6/icmp/ratelimit"]

# What is told about an address that is known to be at the first station.
KNOWN: dict[str, Callable[[str], bytes]] = {
    "nothing": lambda a: tells("2001:db8:1::77", SECOND, O=1),
    "elsewhere, for sure": lambda a: tells(a, SECOND, O=1),
    "elsewhere, perhaps": lambda a: tells(a, SECOND),
    "elsewhere, asked for": lambda a: tells(a, SECOND, to=FAR6, S=1, O=1),
    "elsewhere, asked for, perhaps": lambda a: tells(a, SECOND, to=FAR6, S=1),
    "still there": lambda a: tells(a, "", to=FAR6, S=1),
    "elsewhere, in another's name": lambda a: tells(a, SECOND, source=RIGHT6, O=1),
    "elsewhere, from another link": lambda a: tells(a, SECOND, O=1, hops=254),
    "elsewhere, with a code": lambda a: tells(a, SECOND, O=1, code=1),
    "elsewhere, its checksum wrong": lambda a: tells(a, SECOND, O=1, cksum=1),
    "elsewhere, to all as if asked": lambda a: tells(a, SECOND, S=1, O=1),
    "asks, from elsewhere": lambda a: asks(FAR6, a, SECOND),
    "asks, without a station": lambda a: asks(FAR6, a, ""),
    "asks for routers, from elsewhere": lambda a: asks_for_routers(a, SECOND),
}

# What is told about an address that nobody has asked for.
UNKNOWN: dict[str, Callable[[str], bytes]] = {
    "told of": lambda a: tells(a, SECOND, O=1),
    "told of as if asked": lambda a: tells(a, SECOND, to=FAR6, S=1, O=1),
    "asks": lambda a: asks(FAR6, a, SECOND),
    "asks without a station": lambda a: asks(FAR6, a, ""),
    "asks for routers": lambda a: asks_for_routers(a, SECOND),
}

# What is asked on the left.
ASKED: dict[str, bytes] = {
    "all": asks(NEAR6, LEFT6, LEFT.mac),
    "near alone, without a station": asks(NEAR6, LEFT6, "", to=NEAR6),
    "all, without a station": asks(NEAR6, LEFT6, ""),
    "in nobody's name": asks(NEAR6, "::", ""),
    "in nobody's name, with a station": asks(NEAR6, "::", LEFT.mac),
    "in nobody's name, near alone": asks(NEAR6, "::", "", to=NEAR6),
    "for a neighbour": asks("2001:db8::77", LEFT6, LEFT.mac),
    "for far": asks(FAR6, LEFT6, LEFT.mac),
    "for a group": asks(ALL_NODES, LEFT6, LEFT.mac, to=ALL_NODES),
    "from another link": asks(NEAR6, LEFT6, LEFT.mac, hops=254),
    "with a code": asks(NEAR6, LEFT6, LEFT.mac, code=1),
    "its checksum wrong": asks(NEAR6, LEFT6, LEFT.mac, cksum=1),
    "with an option of length 0": asks(NEAR6, LEFT6, LEFT.mac, length=0),
    "with an option beyond the packet": asks(NEAR6, LEFT6, LEFT.mac, length=2),
}

CASES = [
    *(f"known, {name}" for name in KNOWN),
    *(f"unknown, {name}" for name in UNKNOWN),
    *(f"asked, {name}" for name in ASKED),
    "a router tells of itself",
    "a neighbour falls silent",
    "a neighbour was never there",
]

# Where Ringway differs on purpose.
DIFFERENCES = {
    "asked, near alone, without a station": "says its station as well, and overrides (RFC 4861 7.2.4)",
    "a neighbour falls silent": "if it is still sent to, all are asked for it (RFC 7048)",
}


def look(router: Guest) -> dict[str, object]:
    """What a router makes of all cases."""
    seen: dict[str, object] = {}
    addresses = (f"2001:db8:1::{n:x}" for n in range(0x1000, 0x2000))
    with Wire(LEFT) as near, Wire(RIGHT) as far:
        bench = Bench(router, near, far)
        for host, target in ((LEFT, RIGHT6), (RIGHT, LEFT6)):
            host.reach(target)
        for name, told in KNOWN.items():
            address = next(addresses)
            bench.learn(address)
            bench.send_far(told(address), SECOND)
            seen[f"known, {name}"] = bench.where(address)
        for name, told in UNKNOWN.items():
            address = next(addresses)
            bench.send_far(told(address), SECOND)
            seen[f"unknown, {name}"] = bench.where(address)
        for name, question in ASKED.items():
            seen[f"asked, {name}"] = bench.answers(question)
        seen["a router tells of itself"] = advertised_to(bench)
        seen["a neighbour falls silent"] = falls_silent(bench, next(addresses))
        seen["a neighbour was never there"] = never_there(bench, next(addresses))
    return seen


def advertised_to(bench: Bench) -> tuple[int, int]:
    """What becomes of a packet that only another router, which says so, has a way for."""
    advertisement = IPv6(src="fe80::99", dst=ALL_NODES, hlim=255) / ICMPv6ND_RA(routerlifetime=1800)
    prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8:77::", prefixlen=64)
    bench.send_near(bytes(advertisement / ICMPv6NDOptSrcLLAddr(lladdr=SECOND) / prefix), SECOND)
    return bench.error("2001:db8:77::9")


def falls_silent(bench: Bench, address: str) -> dict[str, object]:
    """How a router finds out (RFC 4861 7.3): somebody says that it may be elsewhere, and what
    goes on to where it was is followed by questions to it alone."""
    bench.learn(address)
    bench.send_far(tells(address, SECOND), SECOND)
    before = bench.where(address)
    # After 5 s three questions, a second apart, and perhaps one more.
    asked = bench.questions(address, bench.far.during(5 + 3 + 3))
    return {"before": before, "asked": asked, "afterwards": bench.where(address)}


def never_there(bench: Bench, address: str) -> dict[str, object]:
    """Three packets to somebody who isn't there."""
    tokens = [bench.datagram(address) for _ in range(3)]
    heard = bench.near.until(lambda f: tokens[-1] in f) + bench.near.heard(settle=0.5)
    told = [f for f in heard if any(token in f for token in tokens)]
    asked = bench.questions(address, bench.far.heard())
    return {"asked": asked, "errors": [(f[54], f[55]) for f in told]}


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> tuple[dict[str, object], dict[str, object]]:
    return beside(topology, DUAL_STACK, DUAL_WORDS, LINES, look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    assert_alike(name, outcomes, DIFFERENCES)


def test_neighbours_are_believed_as_rfc_4861_has_it(
    outcomes: tuple[dict[str, object], dict[str, object]],
) -> None:
    """Which holds the comparison to something, and the difference to what it is."""
    ours, _ = outcomes
    everybody, first = (f"asks {whom} in its link-local name, options 0101" for whom in ("all", "the first"))
    assert ours["known, nothing"] == ours["known, elsewhere, perhaps"] == "to the first"
    assert ours["known, elsewhere, for sure"] == ours["known, asks, from elsewhere"] == "to the second"
    assert ours["unknown, told of"] == everybody
    assert ours["unknown, asks"] == "to the second"
    assert ours["asked, all"] == [f"{NEAR6} to {LEFT6} at left, flags 0xe0, options 0201"]
    assert ours["asked, for far"] == ours["asked, from another link"] == []
    silent = ours["a neighbour falls silent"]
    assert silent["before"] == "to the first" and silent["asked"][:4] == [*[first] * 3, everybody]
    assert ours["a neighbour was never there"] == {"asked": [everybody] * 3, "errors": [(1, 3)] * 3}
