"""Which groups the router says it listens to (RFC 3810, RFC 2710): the listener's part of MLD."""

from collections.abc import Iterator

import pytest
from dom0.guest import Guest
from dom0.topology import Topology
from scapy.layers.inet6 import (
    ICMPv6MLQuery, ICMPv6MLQuery2, IPv6, IPv6ExtHdrHopByHop, RouterAlert,
)  # fmt: skip
from scapy.packet import Packet
from support.compare import DUAL_WORDS, assert_alike, beside
from support.ndp import ALL_NODES, ALL_ROUTERS, NEAR6, Bench, Report, read_report, solicited_node_group
from support.network import DUAL_STACK, LEFT, RIGHT
from support.packets import link_local, mac_text
from support.wire import Wire

QUERIER, QUERIER_MAC = "fe80::99", "02:00:00:00:0d:01"
NEAR_GROUP = solicited_node_group(NEAR6)[0]
WITHIN_MS = 200


def query(group: str, version: int = 2, **fields) -> bytes:
    """A query of one group, or of all (`::`)."""
    header = {"src": QUERIER, "dst": ALL_NODES if group == "::" else group, "hlim": 1, **fields}
    message: Packet = ICMPv6MLQuery(mladdr=group, mrd=WITHIN_MS)
    if version == 2:
        message = ICMPv6MLQuery2(mladdr=group, mrd=WITHIN_MS, QRV=2, QQIC=125)
    alert = header.pop("alert", True)
    packet = IPv6(**header)
    return bytes(packet / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / message if alert else packet / message)


# From the first of version 1 on, only that is spoken.
CASES = {
    "general": query("::"),
    "one group": query(NEAR_GROUP),
    "all routers": query(ALL_ROUTERS),
    "a group without listeners": query("ff02::7777"),
    "all nodes": query(ALL_NODES),
    "from a global address": query("::", src="2001:db8::99"),
    "hop limit 2": query("::", hlim=2),
    "without a router alert": query("::", alert=False),
    "to the router's unicast address": query("::", dst=NEAR6),
    "one group, version 1": query(NEAR_GROUP, 1),
    "general, version 1": query("::", 1),
    "general, version 2 after version 1": query("::"),
}


def look(router: Guest) -> dict[str, list[str]]:
    """What a router answers on the left to each of them."""
    seen = {}
    with Wire(LEFT) as near, Wire(RIGHT) as far:
        bench = Bench(router, near, far)
        LEFT.reach(NEAR6)
        near.until_quiet(lambda f: _reports([f], bench.near_mac), 2.5)  # what it says of itself at first is over
        for name, packet in CASES.items():
            near.heard()
            bench.send_near(packet, QUERIER_MAC)
            # Its timers are over when it answers a ping afterwards.
            heard = near.during(WITHIN_MS / 1000 + 0.2) + bench.echo() + near.heard(settle=0.2)
            reports = _reports(heard, bench.near_mac)
            seen[name] = sorted(said for report in reports for said in _said(report, bench.near_mac))
    return seen


def _reports(frames: list[bytes], router_mac: str) -> list[Report]:
    """Those of these frames that are a router's reports."""
    packets = (f[14:] for f in frames if mac_text(f[6:12]) == router_mac)
    return [report for report in map(read_report, packets) if report]


def _said(report: Report, router_mac: str) -> Iterator[str]:
    """What a report says, a line for each group."""
    names = {
        NEAR_GROUP: "near's group",
        solicited_node_group(link_local(router_mac))[0]: "the link-local address's group",
        solicited_node_group("2001:db8::")[0]: "the group of the network's routers",
    }
    for kind, group in report.records:
        yield f"version {report.version} to {report.destination}: {kind} {names.get(group, group)}"


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    return beside(topology, DUAL_STACK, DUAL_WORDS, [], look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    assert_alike(name, outcomes, ())


def test_all_groups_are_reported_to_queriers_alone(
    outcomes: tuple[dict[str, list[str]], dict[str, list[str]]],
) -> None:
    """Which holds the comparison to something."""
    ours, _ = outcomes
    groups = {
        "ff02::2", "ff05::2", "near's group", "the link-local address's group",
        "the group of the network's routers",
    }  # fmt: skip
    assert set(ours["general"]) == {f"version 2 to ff02::16: 2 {group}" for group in groups}
    assert set(ours["general, version 1"]) == {f"version 1 to the group: 0 {group}" for group in groups}
    assert ours["one group"] == ["version 2 to ff02::16: 2 near's group"]
    for silent in ("from a global address", "hop limit 2", "without a router alert", "a group without listeners"):
        assert ours[silent] == []
