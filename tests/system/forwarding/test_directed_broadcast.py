"""Directed broadcasts, which pass only where an interface lets them (RFC 2644)."""

import os
from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import READY, drops, grown
from dom0.topology import Host
from support.barrier import barrier
from support.network import CONFIG
from support.packets import BROADCAST, IPV4, echo4, ethernet, read_error, read_ip, udp4
from support.wire import Wire

ALLOWED = CONFIG.replace("vif     = 1", "vif     = 1\ndirected_broadcast = true")
TO_RIGHT, TO_LEFT = "10.0.1.255", "10.0.0.255"
VIFS = ("xenbr0", "xenbr1")

# Linux asks for both, in all and in the interface.
LINUX = " ".join(
    [
        "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24",
        *(f"sysctl.net.ipv4.conf.{scope}.bc_forwarding=1" for scope in ("all", "default")),
    ]
)


@pytest.fixture
def allowing(share: Callable[..., Guest]) -> Guest:
    """A router that lets them go to the right."""
    return share(Guest("broadcast", [Vif(bridge) for bridge in VIFS], config=ALLOWED))


def through(guest: Guest, left: Host, right: Host, to_mac: str, **ip) -> list[tuple[str, int]]:
    """Where such a packet arrives on the right: MAC addresses and TTLs. Nobody is told of any."""
    left.reach(right.address)
    token = os.urandom(12)

    def frame(packet: bytes) -> bytes:
        return ethernet(guest.vifs[0].mac, left.mac, IPV4, packet)

    with Wire(left) as near, Wire(right) as far:
        near.send(ethernet(to_mac, left.mac, IPV4, udp4(left.address, TO_RIGHT, token, **ip)))
        told, passed = barrier(
            near,
            far,
            lambda data: frame(echo4(left.address, "10.0.0.1", data)),
            lambda data: frame(udp4(left.address, right.address, data)),
        )
    assert not [error for error in map(read_error, told) if error and token in error.quote]
    arrived = [ip for ip in map(read_ip, passed) if ip and token in ip.payload]
    assert all(ip.sound for ip in arrived)
    return [(ip.destination_mac, ip.ttl) for ip in arrived]


def vifs() -> list[Vif]:
    """Interfaces on the left and on the right."""
    return [Vif(bridge) for bridge in VIFS]


def test_as_linux_has_it(start: Callable[..., Guest], left: Host, right: Host) -> None:
    """Where they are allowed, and by default."""
    found = []
    for make, says in (
        (lambda allowed: Guest("ours", vifs(), config=ALLOWED if allowed else CONFIG), READY),
        (
            lambda allowed: linux_guest("linux", vifs(), LINUX if allowed else LINUX.split(" sys")[0]),
            "linux: ready",
        ),
    ):
        for allowed in (True, False):
            for host in (left, right):
                host.forget()
            guest = start(make(allowed), says=says)
            found.append(through(guest, left, right, guest.vifs[0].mac))
            guest.destroy()
    ours, linux = found[:2], found[2:]
    assert ours == linux == [[(BROADCAST, 63)], []]


def test_by_default_they_do_not(start: Callable[..., Guest], left: Host, right: Host) -> None:
    guest = start(Guest("default", vifs(), config=CONFIG), says=READY)
    before = drops(guest, "left")
    assert through(guest, left, right, guest.vifs[0].mac) == []
    assert grown(before, drops(guest, "left")) == {"broadcast": 1}


def test_they_pass_where_they_are_allowed(allowing: Guest, left: Host, right: Host) -> None:
    before = drops(allowing, "left"), drops(allowing, "right")
    assert through(allowing, left, right, allowing.vifs[0].mac) == [(BROADCAST, 63)]
    # In a link-layer broadcast they don't, nor with nothing left of their TTL.
    assert through(allowing, left, right, BROADCAST) == []
    assert through(allowing, left, right, allowing.vifs[0].mac, ttl=1) == []
    with Wire(right) as far:
        packet = udp4(right.address, TO_LEFT, os.urandom(12))
        far.send(ethernet(allowing.vifs[1].mac, right.mac, IPV4, packet))
        right.reach(left.address)  # when this is answered, that was seen
    assert grown(before[0], drops(allowing, "left")) == {"broadcast": 1, "ttl_expired": 1}
    assert grown(before[1], drops(allowing, "right")) == {"broadcast": 1}
