"""Neighbor Discovery (RFC 4861): what the router solicits, answers and believes, beside Linux."""

from collections.abc import Callable

import pytest
from dom0.guest import Guest
from dom0.topology import Topology
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr, IPv6
from support.compare import DUAL_WORDS, assert_alike, beside
from support.ndp import (
    ALL_NODES, FAR6, LEFT6, NEAR6, RIGHT6, SECOND, Bench, advertisement, router_solicitation, solicitation,
)  # fmt: skip
from support.network import DUAL_STACK, LEFT, RIGHT
from support.wire import Wire

LINES = ["echo 0 > /proc/sys/net/ipv6/icmp/ratelimit"]

# What is advertised of an address that is known to be at the first MAC address.
KNOWN: dict[str, Callable[[str], bytes]] = {
    "of another address": lambda a: advertisement("2001:db8:1::77", SECOND, O=1),
    "another MAC address, override": lambda a: advertisement(a, SECOND, O=1),
    "another MAC address, no override": lambda a: advertisement(a, SECOND),
    "another MAC address, solicited, override": lambda a: advertisement(a, SECOND, to=FAR6, S=1, O=1),
    "another MAC address, solicited, no override": lambda a: advertisement(a, SECOND, to=FAR6, S=1),
    "solicited, without an option": lambda a: advertisement(a, "", to=FAR6, S=1),
    "another MAC address, from another source": lambda a: advertisement(a, SECOND, source=RIGHT6, O=1),
    "another MAC address, hop limit 254": lambda a: advertisement(a, SECOND, O=1, hops=254),
    "another MAC address, code 1": lambda a: advertisement(a, SECOND, O=1, code=1),
    "another MAC address, checksum wrong": lambda a: advertisement(a, SECOND, O=1, cksum=1),
    "another MAC address, solicited, to all nodes": lambda a: advertisement(a, SECOND, S=1, O=1),
    "a solicitation from another MAC address": lambda a: solicitation(FAR6, a, SECOND),
    "a solicitation without an option": lambda a: solicitation(FAR6, a, ""),
    "a router solicitation from another MAC address": lambda a: router_solicitation(a, SECOND),
}

# The same of an address that the router has not solicited.
UNKNOWN: dict[str, Callable[[str], bytes]] = {
    "an advertisement": lambda a: advertisement(a, SECOND, O=1),
    "a solicited advertisement": lambda a: advertisement(a, SECOND, to=FAR6, S=1, O=1),
    "a solicitation": lambda a: solicitation(FAR6, a, SECOND),
    "a solicitation without an option": lambda a: solicitation(FAR6, a, ""),
    "a router solicitation": lambda a: router_solicitation(a, SECOND),
}

# What is solicited on the left.
SOLICITED: dict[str, bytes] = {
    "multicast": solicitation(NEAR6, LEFT6, LEFT.mac),
    "unicast, without an option": solicitation(NEAR6, LEFT6, "", to=NEAR6),
    "multicast, without an option": solicitation(NEAR6, LEFT6, ""),
    "from ::": solicitation(NEAR6, "::", ""),
    "from ::, with an option": solicitation(NEAR6, "::", LEFT.mac),
    "from ::, unicast": solicitation(NEAR6, "::", "", to=NEAR6),
    "for a neighbor": solicitation("2001:db8::77", LEFT6, LEFT.mac),
    "for far": solicitation(FAR6, LEFT6, LEFT.mac),
    "for a group": solicitation(ALL_NODES, LEFT6, LEFT.mac, to=ALL_NODES),
    "hop limit 254": solicitation(NEAR6, LEFT6, LEFT.mac, hops=254),
    "code 1": solicitation(NEAR6, LEFT6, LEFT.mac, code=1),
    "checksum wrong": solicitation(NEAR6, LEFT6, LEFT.mac, cksum=1),
    "with an option of length 0": solicitation(NEAR6, LEFT6, LEFT.mac, length=0),
    "with an option beyond the packet": solicitation(NEAR6, LEFT6, LEFT.mac, length=2),
}

CASES = [
    *(f"known, {name}" for name in KNOWN),
    *(f"unknown, {name}" for name in UNKNOWN),
    *(f"solicited, {name}" for name in SOLICITED),
    "a router advertisement",
    "a neighbor stops answering",
    "a neighbor that never answers",
]

ANNOUNCED = "a first-hop router takes note of who announces an address (RFC 9131)"
# Where Ringway differs on purpose.
DIFFERENCES = {
    "unknown, an advertisement": ANNOUNCED,
    "unknown, a solicited advertisement": ANNOUNCED,
    "solicited, unicast, without an option": "with an option, and the override flag (RFC 4861 7.2.4)",
    "a neighbor stops answering": "if it is still sent to, a multicast solicitation follows (RFC 7048)",
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
        for name, solicited in SOLICITED.items():
            seen[f"solicited, {name}"] = bench.advertised(solicited)
        seen["a router advertisement"] = router_advertised(bench)
        seen["a neighbor stops answering"] = stops_answering(bench, next(addresses))
        seen["a neighbor that never answers"] = never_answers(bench, next(addresses))
    return seen


def router_advertised(bench: Bench) -> tuple[int, int]:
    """What becomes of a packet that only another router, which advertises itself, has a route for."""
    router = IPv6(src="fe80::99", dst=ALL_NODES, hlim=255) / ICMPv6ND_RA(routerlifetime=1800)
    prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8:77::", prefixlen=64)
    bench.send_near(bytes(router / ICMPv6NDOptSrcLLAddr(lladdr=SECOND) / prefix), SECOND)
    return bench.error("2001:db8:77::9")


def stops_answering(bench: Bench, address: str) -> dict[str, object]:
    """How a router finds out (RFC 4861 7.3): an advertisement without the override flag makes the neighbor
    stale, and what is sent to it is followed by unicast solicitations."""
    bench.learn(address)
    bench.send_far(advertisement(address, SECOND), SECOND)
    before = bench.where(address)
    # After 5 s three solicitations, a second apart, and perhaps one more.
    heard = bench.far.during(5 + 3 + 3, lambda frames: len(bench.solicitations(address, frames)) > 3)
    return {
        "before": before,
        "solicited": bench.solicitations(address, heard),
        "afterwards": bench.where(address),
    }


def never_answers(bench: Bench, address: str) -> dict[str, object]:
    """Three packets to a host that isn't there."""
    tokens = [bench.datagram(address) for _ in range(3)]
    heard = bench.near.until(lambda f: tokens[-1] in f) + bench.near.heard(settle=0.5)
    told = [f for f in heard if any(token in f for token in tokens)]
    solicited = bench.solicitations(address, bench.far.heard())
    return {"solicited": solicited, "errors": [(f[54], f[55]) for f in told]}


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> tuple[dict[str, object], dict[str, object]]:
    return beside(topology, DUAL_STACK, DUAL_WORDS, LINES, look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    assert_alike(name, outcomes, DIFFERENCES)


def test_neighbors_are_believed_as_rfc_4861_has_it(
    outcomes: tuple[dict[str, object], dict[str, object]],
) -> None:
    """Which holds the comparison to something, and the difference to what it is."""
    ours, _ = outcomes
    multicast, first = (
        f"solicitation, {to}, from a link-local address, options 0101" for to in ("multicast", "to the first")
    )
    assert ours["known, of another address"] == ours["known, another MAC address, no override"] == "to the first"
    assert ours["known, another MAC address, override"] == "to the second"
    assert ours["known, a solicitation from another MAC address"] == "to the second"
    assert ours["unknown, an advertisement"] == ours["unknown, a solicited advertisement"] == "to the second"
    assert ours["unknown, a solicitation without an option"] == multicast
    assert ours["unknown, a solicitation"] == "to the second"
    assert ours["solicited, multicast"] == [f"{NEAR6} to {LEFT6} at left, flags 0xe0, options 0201"]
    assert ours["solicited, for far"] == ours["solicited, hop limit 254"] == []
    silent = ours["a neighbor stops answering"]
    assert silent["before"] == "to the first" and silent["solicited"][:4] == [*[first] * 3, multicast]
    assert ours["a neighbor that never answers"] == {"solicited": [multicast] * 3, "errors": [(1, 3)] * 3}
