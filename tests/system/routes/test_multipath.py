"""Routes by several gateways: how flows are spread over them, and what becomes of flows when one
of the gateways' links goes away (RFC 2992)."""

from collections import Counter
from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import idle_pages, settle, wait_key
from dom0.topology import Host
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw
from support.flows import FAMILIES, A, B, C, gateways_taken
from support.network import LEFT
from support.packets import udp4

THIRD = 2  # the vif that leads to C

CONFIG = f"""
hostname = "multipath"

[interface.left]
vif     = 0
address = ["10.0.0.1/24", "2001:db8:0::1/64"]

[interface.right]
vif     = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]

[interface.third]
vif     = {THIRD}
address = ["10.0.2.1/24", "2001:db8:2::1/64"]

[[route]]
prefix = "192.168.0.0/16"
via    = ["10.0.1.11", "10.0.1.12", "10.0.2.13"]

[[route]]
prefix = "2001:db8:99::/48"
via    = ["2001:db8:1::11", "2001:db8:1::12", "2001:db8:2::13"]

[[route]]
prefix = "2001:db8:98::/48"
via    = ["2001:db8:1::11@3", "2001:db8:1::12"]
""" + "".join(
    f'\n[[neighbor]]\ninterface = "{interface}"\naddress = "{address}"\nmac = "{mac}"\n'
    for interface, address, mac in (
        ("right", "10.0.1.11", A), ("right", "10.0.1.12", B), ("third", "10.0.2.13", C),
        ("right", "2001:db8:1::11", A), ("right", "2001:db8:1::12", B), ("third", "2001:db8:2::13", C),
    )
)  # fmt: skip

FLOWS = 150


@pytest.fixture
def multipath(share: Callable[..., Guest]) -> Guest:
    """A router with three gateways behind two links, shared by this file."""
    vifs = [Vif("xenbr0"), Vif("xenbr1"), Vif("xenbr1")]
    guest = share(Guest("multipath", vifs, config=CONFIG))
    settle(guest)
    return guest


def packet(family: str, flow: int, data: bytes, network: int = 0x99) -> bytes:
    """A packet of a flow: each has its own destination and port."""
    if family == "IPv4":
        return udp4(LEFT.address, f"192.168.{flow // 100}.{flow % 100 + 1}", data, sport=5000 + flow)
    header = IPv6(src="2001:db8::2", dst=f"2001:db8:{network:x}::{flow + 1:x}")
    return bytes(header / UDP(sport=5000 + flow, dport=9) / Raw(data))


def ways(router: Guest, family: str, network: int = 0x99, copies: int = 1) -> dict[int, str]:
    """Send packets of each flow, and say to which gateway all of them went."""
    flows = [lambda data, flow=flow: packet(family, flow, data, network) for flow in range(FLOWS)]
    return gateways_taken(router, flows, copies)


def test_ipv6_flows_are_spread_by_weight(multipath: Guest, left: Host, right: Host) -> None:
    """Of 150 flows some 112 take the gateway of weight 3, give or take four standard deviations."""
    shares = Counter(ways(multipath, "IPv6", network=0x98, copies=3).values())
    assert shares.keys() == {A, B}
    assert 91 <= shares[A] <= 134, shares


def test_only_the_flows_of_a_link_that_goes_move(multipath: Guest, left: Host, right: Host) -> None:
    """Those of others stay where they are, in both families, and all are as before once it is back."""
    before = {family: ways(multipath, family, copies=2) for family in FAMILIES}
    for family in FAMILIES:
        shares = Counter(before[family].values())
        assert shares.keys() == {A, B, C}
        # A third of 150, give or take four standard deviations.
        assert all(27 <= share <= 73 for share in shares.values()), shares
    multipath.network_detach(THIRD)
    wait_key(multipath, "state", "degraded")
    for family in FAMILIES:
        during = ways(multipath, family, copies=2)
        stayed = {flow: mac for flow, mac in before[family].items() if mac != C}
        assert {flow: during[flow] for flow in stayed} == stayed
        moved = Counter(during[flow] for flow in before[family].keys() - stayed.keys())
        assert moved.keys() == {A, B}, moved
    multipath.network_attach(multipath.vifs[THIRD])
    wait_key(multipath, "state", "ready", timeout=120)
    settle(multipath)
    for family in FAMILIES:
        assert ways(multipath, family) == before[family]
    idle_pages(multipath)
