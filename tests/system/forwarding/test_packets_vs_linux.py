"""One table of packets through Ringway and through Linux in its place: the same becomes of each,
or it says here why not."""

import pytest
from dom0.guest import Guest
from dom0.topology import Topology
from support.compare import DUAL_WORDS, beside
from support.network import LEFT, RIGHT
from support.outcome import observe
from support.packet_cases import MTU, UNREACHABLE, V4, V6

CASES = {f"IPv4, {name}": case for name, case in V4.items()} | {
    f"IPv6, {name}": case for name, case in V6.items()
}

CONFIG = f"""
hostname = "compared"

[interface.left]
vif             = 0
address         = ["10.0.0.1/24", "2001:db8:0::1/64"]
icmp_error_rate = 10_000

[interface.right]
vif     = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
mtu     = {MTU}
""" + "".join(
    f'\n[[route]]\nprefix = "{prefix}"\naction = "{action}"\n'
    for action, prefixes in UNREACHABLE.items()
    for prefix in prefixes
)

# What makes Linux comparable: no limit on errors, the same small link, the same routes.
LINUX = [
    "echo 0 > /proc/sys/net/ipv4/icmp_ratemask",
    "echo 0 > /proc/sys/net/ipv4/route/error_cost",
    "echo 0 > /proc/sys/net/ipv6/icmp/ratelimit",
    "echo 100000 > /proc/sys/net/ipv4/icmp_msgs_per_sec",
    "echo 10000 > /proc/sys/net/ipv4/icmp_msgs_burst",
    f"ip link set eth1 mtu {MTU}",
    *(f"ip route add {action} {pair[0]}" for action, pair in UNREACHABLE.items()),
    *(f"ip -6 route add {action} {pair[1]}" for action, pair in UNREACHABLE.items()),
]

# Where Ringway differs on purpose, and why. A case that no longer differs must leave this list.
DIFFERENCES = {
    "IPv4, option of length 0": "Linux's error points to the option, not to the octet that is wrong",
    "IPv4, option beyond the header": "Linux's error points to the option, not to the octet that is wrong",
    "IPv4, from 0.1.2.3": "no host has an address of 0.0.0.0/8 (RFC 1122 3.2.1.3)",
    "IPv4, from 240.0.0.1": "no host has an address of 240.0.0.0/4 (RFC 1112 4)",
    "IPv4, from the network's broadcast": "a broadcast address is no source (RFC 1812 5.3.7)",
    "IPv4, to 240.0.0.1": "no host has an address of 240.0.0.0/4, which isn't worth an answer",
    "IPv4, to far's network address": "an old form of broadcast (RFC 1812 5.3.5.3), not a neighbor",
    "IPv4, echo in a broadcast": "a link broadcast with a unicast packet is dropped (RFC 1122 3.3.6)",
    "IPv4, timestamp request": "not answered, as RFC 1812 4.3.3.8 leaves open",
    "IPv6, from ::ffff:10.0.0.2": "no node sends from such an address (RFC 4942 2.2)",
    "IPv6, from the router": "somebody else uses our address as source",
    "IPv6, from the router's other side": "somebody else uses our address as source",
    "IPv6, to ::": "never a destination (RFC 4291 2.5.2), which isn't worth an answer",
    "IPv6, to ::ffff:10.0.1.2": "never on the wire, which isn't worth an answer",
    "IPv6, to a link-local address": "not forwarded, not even back to its link (RFC 4291 2.5.6)",
    "IPv6, who has near, asked directly": "with its target link-layer address, and the override flag (RFC 4861 7.2.4)",
    "IPv6, unreachable": "says that the address can't be reached (1/3), Linux that there is no route",
}


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> dict[str, dict[str, tuple[str, ...]]]:
    """What becomes of each case in each router. One after the other: they have the same place."""
    ours, linux = beside(topology, CONFIG, DUAL_WORDS, LINUX, lambda router: _observe(router, topology))
    return {"ringway": ours, "linux": linux}


def _observe(router: Guest, topology: Topology) -> dict[str, tuple[str, ...]]:
    left, right = topology[LEFT.name], topology[RIGHT.name]
    for target in (right.address, "2001:db8:1::2"):
        left.reach(target)
    return observe(CASES, router.vifs[0].mac, left, right)


@pytest.mark.limit(900)
@pytest.mark.parametrize("name", CASES)
def test_the_same_becomes_of_it(name: str, outcomes: dict[str, dict[str, tuple[str, ...]]]) -> None:
    ours, theirs = outcomes["ringway"][name], outcomes["linux"][name]
    text = f"Ringway: {ours or 'nothing'}\nLinux: {theirs or 'nothing'}"
    if name in DIFFERENCES:
        assert ours != theirs, f"no difference any more: {text}"
    else:
        assert ours == theirs, text


def test_every_difference_is_one_of_a_case() -> None:
    assert DIFFERENCES.keys() <= CASES.keys()
