"""Routes by several gateways, as in Ringway so in Linux: which packets are one flow, how flows are
spread by weight, and what becomes of them when a gateway goes."""

from collections import Counter

import pytest
from dom0.guest import Guest
from dom0.ringway import settle, wait_key
from dom0.topology import Topology
from support.compare import DUAL_WORDS, LINUX, assert_alike, beside, prepare
from support.flow_fields import (
    FLOW_LABEL, ICMPV6, NETWORK, VARIED, Varied, datagram, fragment, here, packet, prefix, there,
)  # fmt: skip
from support.flows import FAMILIES, A, B, C, Flow, gateways_taken
from support.network import DUAL_STACK, LEFT
from support.packets import ICMP, mac
from support.wire import Wire

# Interface, Linux's name of it, and addresses of a gateway.
GATEWAYS = {
    A: ("right", "eth1", "10.0.1.11", "2001:db8:1::11"),
    B: ("right", "eth1", "10.0.1.12", "2001:db8:1::12"),
    C: ("third", "eth2", "10.0.2.13", "2001:db8:2::13"),
}
SILENT = "silent"  # one that isn't there
THIRD = 2  # the vif that leads to C

# Networks by the weights of the gateways that lead there.
TWO, THREE, LINK, RESILIENT, HALF = range(NETWORK + 1, NETWORK + 6)
WEIGHTS = {
    NETWORK: {A: 1, B: 1},
    TWO: {A: 3, B: 1},
    THREE: {A: 3, B: 2, C: 1},
    LINK: {A: 1, B: 1, C: 1},
    RESILIENT: {A: 1, B: 1, C: 1},
    HALF: {A: 1, SILENT: 1},
}
BUCKETS = 512  # Ringway deals flows to this many, and these to gateways by weight


def gateway(family: str, via: str) -> str:
    """A gateway's address."""
    four, six = ("10.0.1.99", "2001:db8:1::99") if via == SILENT else GATEWAYS[via][2:]
    return four if family == "IPv4" else six


def _route(family: str, network: int) -> str:
    via = ", ".join(f'"{gateway(family, s)}@{weight}"' for s, weight in WEIGHTS[network].items())
    return f'\n[[route]]\nprefix = "{prefix(family, network)}"\nvia = [{via}]\n'


CONFIG = (
    f"""{DUAL_STACK}
[interface.third]
vif           = {THIRD}
address       = ["10.0.2.1/24", "2001:db8:2::1/64"]
dad_transmits = 0
"""
    + "".join(_route(family, network) for family in FAMILIES for network in WEIGHTS)
    + "".join(
        f'\n[[neighbor]]\ninterface = "{interface}"\naddress = "{address}"\nmac = "{via}"\n'
        for via, (interface, _, *addresses) in GATEWAYS.items()
        for address in addresses
    )
)

# Not busybox's, which knows neither such routes nor neighbors.
IP = {"IPv4": "/sbin/ip", "IPv6": "/sbin/ip -6"}
WORDS = f"{DUAL_WORDS} ip=2:10.0.2.1/24 ip=2:2001:db8:2::1/64"
NEIGHBOURS = [
    f"/sbin/ip neigh replace {address} lladdr {via} dev {device}"
    for via, (_, device, *addresses) in GATEWAYS.items()
    for address in addresses
]

# With what Linux forgot when the link was down. It looks once a second whether links are ready.
BACK = ["ip link set eth2 up", "ip -6 address add 2001:db8:2::1/64 dev eth2", *NEIGHBOURS, "sleep 2"]


def _linux_route(family: str, network: int) -> str:
    hops = (f"nexthop via {gateway(family, s)} weight {weight}" for s, weight in WEIGHTS[network].items())
    return f"{IP[family]} route add {prefix(family, network)} {' '.join(hops)}"


def _resilient_route(family: str, first: int) -> list[str]:
    """A route by a group of next hops, whose numbers begin with `first`, that holds on to flows."""
    lines, members = [], []
    for number, (via, (_, device, *_)) in enumerate(GATEWAYS.items(), first + 1):
        lines.append(f"/sbin/ip nexthop add id {number} via {gateway(family, via)} dev {device}")
        members.append(str(number))
    group = f"group {'/'.join(members)} type resilient buckets {BUCKETS}"
    route = f"{IP[family]} route add {prefix(family, RESILIENT)} nhid {first}"
    return [*lines, f"/sbin/ip nexthop add id {first} {group}", route]


def _policy(number: int) -> list[str]:
    """Let Linux hash addresses only, as it does by default (0), or ports too (1)."""
    return [f"echo {number} > /proc/sys/net/{f.lower()}/fib_multipath_hash_policy" for f in FAMILIES]


LINES = [
    *NEIGHBOURS,
    *(_linux_route(family, network) for family in FAMILIES for network in WEIGHTS if network != RESILIENT),
    *_resilient_route("IPv4", 10),
    *_resilient_route("IPv6", 20),
    *_policy(1),
]

VARIANTS = 30  # one way for all of them by chance: 2^-29
FLOWS = 400
COVER = [(family, name, varied) for family in FAMILIES for name, varied in VARIED.items()]
COVER.append(("IPv6", "flow label", FLOW_LABEL))
COVERED = (
    "source", "destination", "protocol",
    "source port of UDP", "destination port of UDP", "source port of TCP", "destination port of TCP",
)  # fmt: skip
# What is also looked at with Linux's default policy.
BY_DEFAULT = ("source", "destination", "protocol", "source port of UDP", "what errors quote", "flow label")
HOST_UNREACHABLE, ADDRESS_UNREACHABLE = (3, 1), (1, 3)

CHANGES = ("a link goes: its flows", "a link goes: the others", "the link is back")
CASES = [
    *(f"{family}, {name}" for family, name, _ in COVER),
    *(f"{family}, {name}, by default" for family, name, _ in COVER if name in BY_DEFAULT),
    *(f"{family}, fragments" for family in FAMILIES),
    *(f"{family}, a gateway is silent: {whose}" for family in FAMILIES for whose in ("its flows", "the others")),
    *(f"{family}{kind}, {name}" for family in FAMILIES for kind in ("", ", resilient") for name in CHANGES),
]
PORTS = "Linux looks for ports, or what stands there, in more protocols"
ADDRESSES = "Linux hashes addresses only, unless told otherwise"
QUOTED = "an error goes the way of the flow that it is about (RFC 7690); Linux does so by default, not here"
# Where Ringway differs on purpose.
DIFFERENCES = {
    "IPv4, ports of UDP-Lite": PORTS,
    "IPv6, ports of UDP-Lite": PORTS,
    "IPv4, ports of SCTP": PORTS,
    "IPv6, ports of SCTP": PORTS,
    "IPv4, index of ESP": PORTS,
    "IPv6, index of ESP": PORTS,
    "IPv6, ports behind options": "the flow label stands for what is behind other headers (RFC 6438)",
    "IPv4, what errors quote": QUOTED,
    "IPv6, what errors quote": QUOTED,
    "IPv4, protocol, by default": ADDRESSES,
    "IPv4, source port of UDP, by default": ADDRESSES,
    "IPv6, source port of UDP, by default": ADDRESSES,
    "IPv6, flow label, by default": "where ports are seen they tell flows apart, and a label may change",
    "IPv4, a link goes: its flows": "they go to all others, not to the next one",
    "IPv6, a link goes: its flows": "they go to all others, not to the next one",
    "IPv4, a link goes: the others": "they stay where they are (rendezvous hashing)",
    "IPv6, a link goes: the others": "they stay where they are (rendezvous hashing)",
    "IPv4, resilient, the link is back": "Linux takes it out of the group for good",
    "IPv6, resilient, the link is back": "Linux takes it out of the group for good",
}


def flows(family: str, network: int, count: int) -> list[Flow]:
    """Flows to many hosts and ports of a network."""
    return [
        lambda d, n=n: packet(family, datagram(d, 5000 + n), destination=there(family, 1 + n % 250, network))
        for n in range(count)
    ]


def spread(router: Guest, family: str, varied: Varied) -> str:
    """Returns "spread" if packets that differ in one field only take several paths, else "one way"."""
    ways = gateways_taken(router, [lambda d, n=n: varied(family, n, d) for n in range(VARIANTS)])
    return "spread" if len(set(ways.values())) > 1 else "one way"


def fragments(router: Guest, family: str) -> str:
    """Returns "together" if both fragments of each of several datagrams take one path, else "torn apart"."""

    def part(first: bool, number: int, data: bytes) -> bytes:
        body = datagram(data, 5000 + number) if first else data
        return fragment(family, body, first, number, source=here(family, 10 + number))

    first, later = (
        gateways_taken(router, [lambda d, n=n, first=first: part(first, n, d) for n in range(VARIANTS)])
        for first in (True, False)
    )
    assert len(set(first.values())) > 1
    return "together" if first == later else "torn apart"


def silence(router: Guest, family: str) -> dict[str, object]:
    """What becomes of flows when one of two gateways doesn't answer."""
    with Wire(LEFT) as near:
        first, again = (gateways_taken(router, flows(family, HALF, 100), silence=3) for _ in range(2))
        heard = [f for f in near.heard() if f[6:12] == mac(router.vifs[0].mac)]
    if family == "IPv4":
        told = {(f[34], f[35]) for f in heard if f[12:14] == b"\x08\x00" and f[23] == ICMP}
    else:
        told = {(f[54], f[55]) for f in heard if f[12:14] == b"\x86\xdd" and f[20] == ICMPV6 and f[54] < 128}
    assert 20 < len(first) < 80, first  # half of them, give or take five standard deviations
    return {
        f"{family}, a gateway is silent: its flows": sorted(told),
        f"{family}, a gateway is silent: the others": "stay" if again == first else "some move",
    }


def set_link(router: Guest, up: bool) -> None:
    """Let the third link go or come back: unplug the vif, or plug it in. Linux would forget all that
    it was told about a vif, so there the interface is set down."""
    if router.name == LINUX:
        prepare(router, BACK if up else ["ip link set eth2 down"])
    elif up:
        router.network_attach(router.vifs[THIRD])
        wait_key(router, "state", "ready", timeout=120)
        settle(router)
    else:
        router.network_detach(THIRD)
        wait_key(router, "state", "degraded")


def changes(router: Guest) -> dict[str, object]:
    """What becomes of flows when the link of one of three gateways goes, and when it is back."""
    both = {family: (family, LINK) for family in FAMILIES}
    both |= {f"{family}, resilient": (family, RESILIENT) for family in FAMILIES}
    ways = lambda: {name: gateways_taken(router, flows(*which, 150)) for name, which in both.items()}  # noqa: E731
    before = ways()
    assert all(set(taken.values()) == {A, B, C} for taken in before.values())
    set_link(router, up=False)
    during = ways()
    set_link(router, up=True)
    after = ways()
    seen: dict[str, object] = {}
    for name in both:
        own = {flow for flow, via in before[name].items() if via == C}
        stay = all(during[name][flow] == before[name][flow] for flow in before[name].keys() - own)
        seen[f"{name}, a link goes: its flows"] = sorted({during[name][flow] for flow in own})
        seen[f"{name}, a link goes: the others"] = "stay" if stay else "some move"
        seen[f"{name}, the link is back"] = "as before" if after[name] == before[name] else "not as before"
    return seen


def look(router: Guest) -> dict[str, object]:
    """What a router makes of all flows."""
    seen: dict[str, object] = {f"{f}, {name}": spread(router, f, varied) for f, name, varied in COVER}
    if router.name == LINUX:
        prepare(router, _policy(0))
    by_default = [case for case in COVER if case[1] in BY_DEFAULT]
    seen |= {f"{f}, {name}, by default": spread(router, f, varied) for f, name, varied in by_default}
    if router.name == LINUX:
        prepare(router, _policy(1))
    for family in FAMILIES:
        seen[f"{family}, fragments"] = fragments(router, family)
        for network in (TWO, THREE):
            taken = gateways_taken(router, flows(family, network, FLOWS), copies=2).values()
            seen[f"{family}, shares of {network}"] = Counter(taken)
        seen |= silence(router, family)
    return seen | changes(router)


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> tuple[dict[str, object], dict[str, object]]:
    return beside(topology, CONFIG, WORDS, LINES, look, more=["xenbr1"])


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    assert_alike(name, outcomes, DIFFERENCES)


@pytest.mark.parametrize("network", [TWO, THREE])
@pytest.mark.parametrize("family", FAMILIES)
def test_shares_are_as_weighed(
    family: str, network: int, outcomes: tuple[dict[str, object], dict[str, object]]
) -> None:
    """Five standard deviations at most from what is fair, by the chance of where each flow goes, and
    in Ringway each bucket too."""
    weights = WEIGHTS[network]
    for seen, buckets in zip(outcomes, (BUCKETS, None), strict=True):
        shares = seen[f"{family}, shares of {network}"]
        assert shares.keys() == weights.keys()
        for via, weight in weights.items():
            part = weight / sum(weights.values())
            variance = FLOWS * part * (1 - part) * (1 + FLOWS / buckets if buckets else 1)
            assert abs(shares[via] - FLOWS * part) <= 5 * variance**0.5, shares


def test_flows_and_those_of_others(outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    """A flow is what has the same addresses, protocol and ports, with the errors about it; it moves only
    when its own link goes."""
    ours, _ = outcomes
    covered = {f"{family}, {name}" for family in FAMILIES for name in COVERED}
    covered |= {"IPv4, ports behind options", *(f"{family}, what errors quote" for family in FAMILIES)}
    assert {f"{f}, {name}" for f, name, _ in COVER if ours[f"{f}, {name}"] == "spread"} == covered
    for family in FAMILIES:
        assert ours[f"{family}, fragments"] == "together"
        for name in (family, f"{family}, resilient"):
            assert ours[f"{name}, a link goes: its flows"] == [A, B]
            assert ours[f"{name}, a link goes: the others"] == "stay"
            assert ours[f"{name}, the link is back"] == "as before"
    assert ours["IPv4, a gateway is silent: its flows"] == [HOST_UNREACHABLE]
    assert ours["IPv6, a gateway is silent: its flows"] == [ADDRESS_UNREACHABLE]
