"""Routes of every kind: where packets go, and what is said about those that go nowhere."""

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import drops, grown
from dom0.shell import run
from dom0.topology import Host
from support.network import CONFIG
from support.packets import IPV4, UNREACHABLE, ethernet, read_arp, read_error, read_ip, udp4
from support.wire import Wire

GATEWAY_A, MAC_A = "10.0.1.11", "02:00:00:00:0a:0a"
GATEWAY_B, MAC_B = "10.0.1.12", "02:00:00:00:0b:0b"

ROUTES = f"""
[[route]]
prefix = "10.9.0.0/16"
via    = ["10.0.1.2"]

[[route]]
prefix = "10.9.8.0/24"
action = "blackhole"

[[route]]
prefix = "10.9.8.128/25"
via    = ["10.0.1.2"]

[[route]]
prefix = "172.16.1.0/24"
action = "unreachable"

[[route]]
prefix = "172.16.2.0/24"
action = "prohibit"

[[route]]
prefix    = "172.16.3.0/24"
interface = "right"

[[route]]
prefix = "192.168.0.0/16"
via    = ["{GATEWAY_A}", "{GATEWAY_B}"]

[[route]]
prefix = "192.168.77.0/24"
via    = ["{GATEWAY_A}@3", "{GATEWAY_B}"]

[[neighbor]]
interface = "right"
address   = "{GATEWAY_A}"
mac       = "{MAC_A}"

[[neighbor]]
interface = "right"
address   = "{GATEWAY_B}"
mac       = "{MAC_B}"
"""

BEHIND_RIGHT = ("10.9.0.1", "10.9.8.1", "10.9.8.200", "172.16.3.9")


@pytest.fixture
def routing(share: Callable[..., Guest]) -> Guest:
    """A router with the routes above."""
    return share(Guest("routing", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG + ROUTES))


@pytest.fixture
def behind(right: Host) -> Iterator[None]:
    """The host `right` has addresses in networks that only routes lead to."""
    for address in BEHIND_RIGHT:
        run("ip", "-n", right.name, "address", "add", f"{address}/32", "dev", "lo")
    yield
    for address in BEHIND_RIGHT:
        run("ip", "-n", right.name, "address", "delete", f"{address}/32", "dev", "lo")


def test_by_a_gateway(routing: Guest, left: Host, behind: None) -> None:
    assert left.ping("10.9.0.1", 5, 0.05).lost == 0


def test_longest_prefix_wins(routing: Guest, left: Host, behind: None) -> None:
    assert left.ping("10.9.8.200", 3, 0.05).lost == 0
    before = drops(routing, "left")
    assert left.ping_unanswered("10.9.8.1", 1)
    assert grown(before, drops(routing, "left")) == {"blackhole": 1}


def test_on_the_link(routing: Guest, left: Host, behind: None) -> None:
    """A network without a gateway, whose hosts are asked for by their own addresses."""
    assert left.ping("172.16.3.9", 3, 0.05).lost == 0


@pytest.mark.parametrize(
    ("address", "reason", "code", "text"),
    [
        ("172.16.1.5", "unreachable", 1, "Destination Host Unreachable"),
        ("172.16.2.5", "prohibited", 13, "Packet filtered"),
    ],
)
def test_refused(
    address: str, reason: str, code: int, text: str, routing: Guest, left: Host
) -> None:
    before = drops(routing, "left")
    said = left.run("ping", "-n", "-c", 1, "-W", 30, address, check=False)
    assert f"From 10.0.0.1 icmp_seq=1 {text}" in said, said
    assert grown(before, drops(routing, "left")) == {reason: 1}
    packet = udp4(left.address, address, os.urandom(20))
    with Wire(left) as near:
        near.send(ethernet(routing.vifs[0].mac, left.mac, IPV4, packet))
        error = read_error(near.until(read_error)[-1])
    assert (error.kind, error.code, error.quote) == (UNREACHABLE, code, packet)


def test_blackhole_is_silent(routing: Guest, left: Host) -> None:
    before = drops(routing, "left")
    packet = udp4(left.address, "10.9.8.7", os.urandom(20))
    marker = udp4(left.address, "172.16.1.1", os.urandom(20))
    with Wire(left) as near:
        near.send(*[ethernet(routing.vifs[0].mac, left.mac, IPV4, packet)] * 5)
        near.send(ethernet(routing.vifs[0].mac, left.mac, IPV4, marker))
        errors = [error for error in map(read_error, near.until(read_error)) if error]
    assert [error.quote for error in errors] == [marker]
    assert grown(before, drops(routing, "left")) == {"blackhole": 5, "unreachable": 1}


def test_static_neighbor_is_not_asked_for(routing: Guest, left: Host, right: Host) -> None:
    taken = spread(routing, left, right, ["192.168.1.1"])
    assert set(taken) <= {MAC_A, MAC_B} and sum(taken.values()) == 1


def test_flows_spread_over_gateways(routing: Guest, left: Host, right: Host) -> None:
    """About evenly: of 200 flows each gateway gets 70 or more, as chance has it once in 10^5."""
    addresses = [f"192.168.{n // 10}.{n % 10 + 1}" for n in range(200)]
    taken = spread(routing, left, right, addresses)
    assert set(taken) == {MAC_A, MAC_B}
    assert min(taken.values()) >= 70, taken


def test_flows_of_one_pair_spread_by_port(routing: Guest, left: Host, right: Host) -> None:
    taken = spread(routing, left, right, ["192.168.1.1"] * 200, ports=True)
    assert set(taken) == {MAC_A, MAC_B}
    assert min(taken.values()) >= 70, taken


def test_a_flow_stays_on_its_way(routing: Guest, left: Host, right: Host) -> None:
    for n in range(5):
        assert len(spread(routing, left, right, [f"192.168.5.{n + 1}"] * 20)) == 1


def test_weights(routing: Guest, left: Host, right: Host) -> None:
    """Of 400 flows about 300 take the gateway of weight 3."""
    addresses = [f"192.168.77.{n % 200 + 1}" for n in range(400)]
    taken = spread(routing, left, right, addresses, ports=True)
    assert 255 <= taken[MAC_A] <= 345, taken


def spread(
    routing: Guest, left: Host, right: Host, addresses: list[str], ports: bool = False
) -> Counter[str]:
    """Send a packet to each address and count at which MAC addresses they arrive, unasked for."""
    token = os.urandom(12)
    packets = [
        udp4(left.address, address, token, sport=5000 + (n if ports else 0))
        for n, address in enumerate(addresses)
    ]
    # Two ways of equal length: the last packet on both says that all have passed.
    ends = [udp4(left.address, f"192.168.200.{n + 1}", token + b"end") for n in range(20)]
    with Wire(left) as near, Wire(right) as far:
        for packet in [*packets, *ends]:
            near.send(ethernet(routing.vifs[0].mac, left.mac, IPV4, packet))
        last = socket.inet_aton("192.168.200.20")
        frames = far.until(lambda frame: token in frame and frame[30:34] == last)
        asked = {found.target for found in map(read_arp, frames) if found}
    assert not asked & {GATEWAY_A, GATEWAY_B, *addresses}
    arrived = [ip for ip in map(read_ip, frames) if ip and ip.payload.endswith(token)]
    assert len(arrived) == len(addresses)
    return Counter(ip.destination_mac for ip in arrived)
