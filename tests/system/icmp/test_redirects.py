"""Hosts are told of next hops on their own link, where an interface is told to do so."""

import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import READY, counters, eventually, grown
from dom0.shell import run
from dom0.topology import DEVICE, Host
from support.network import LEFT
from support.packets import IPV4, IPV6, NOBODY_LISTENS, REDIRECT, ethernet, link_local, read_error, read_ip, udp4
from support.wire import Wire

THIRD = Host("third", "xenbr0", ("10.0.0.7/24", "192.0.2.1/32", "2001:db8:99::1/128"))
BEHIND = "192.0.2.1"
ELSEWHERE = "10.0.5.2"  # left's, in another network of the same link
RATE, BURST = 10, 10  # redirects a second, and at once


CONFIG = f"""
hostname = "redirect"

[interface.left]
vif       = 0
address   = ["10.0.0.1/24", "10.0.5.1/24", "2001:db8:0::1/64"]
redirects = true

[interface.right]
vif     = 1
address = ["10.0.1.1/24"]

[[route]]
prefix = "192.0.2.0/24"
via    = ["10.0.0.7"]
[[route]]
prefix = "2001:db8:99::/48"
via    = ["{link_local(THIRD.mac)}%left"]
"""
LINUX = "ip=0:10.0.0.1/24 ip=0:10.0.5.1/24 ip=1:10.0.1.1/24 route=192.0.2.0/24,10.0.0.7"
LINUX += " sysctl.net.ipv4.icmp_ratelimit=0"


@pytest.fixture
def third(left: Host) -> Iterator[Host]:
    """One more host beside left, with what is behind it."""
    THIRD.up()
    # Who is to be told must be found.
    run("ip", "-n", left.name, "address", "add", f"{ELSEWHERE}/32", "dev", DEVICE)
    try:
        yield THIRD
    finally:
        run("ip", "-n", left.name, "address", "delete", f"{ELSEWHERE}/32", "dev", DEVICE)
        THIRD.down()
        run("ip", "-n", left.name, "route", "flush", "cache")


@pytest.fixture
def redirecting(share: Callable[..., Guest]) -> Guest:
    """A router that tells hosts on the left, shared by this file."""
    return share(Guest("redirect", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG))


def told(guest: Guest, left: Host, source: str, target: str) -> tuple[str, str] | None:
    """Send a packet to a router, and return the redirect: from which address, to which next hop."""
    token, mark = os.urandom(12), os.urandom(12)
    packet = udp4(source, target, token)
    time.sleep(0.3)  # Linux sends none sooner after another
    with Wire(left) as near:
        near.send(ethernet(guest.vifs[0].mac, left.mac, IPV4, packet))
        near.send(ethernet(guest.vifs[0].mac, left.mac, IPV4, udp4(left.address, "10.0.1.2", mark, ttl=1)))
        errors = [error for error in map(read_error, near.until(lambda f: mark in f)) if error]
    # A host says that nobody listens.
    found = [error for error in errors if token in error.quote and (error.kind, error.code) != NOBODY_LISTENS]
    for error in found:
        assert (error.kind, error.code) == (REDIRECT, 1)
        # Linux quotes the packet with the TTL that it goes on with.
        assert error.quote[:8] == packet[:8] and error.quote[12:] == packet[12:]
    assert len(found) <= 1
    return (found[0].source, socket.inet_ntoa(found[0].rest)) if found else None


CASES = {
    "through a gateway": (LEFT.address, BEHIND),
    "to another host": (LEFT.address, "10.0.0.7"),
    "from an address of another network": (ELSEWHERE, BEHIND),
    "from afar": ("198.51.100.1", BEHIND),
    "to another link": (LEFT.address, "10.0.1.2"),
}
WANTED = {
    "through a gateway": ("10.0.0.1", "10.0.0.7"),
    "to another host": ("10.0.0.1", "10.0.0.7"),
}
# Linux takes all networks of an interface for one (shared_media).
LAX = {"from an address of another network"}


def test_who_is_told_beside_linux(start: Callable[..., Guest], left: Host, right: Host, third: Host) -> None:
    found = []
    vifs = lambda: [Vif("xenbr0"), Vif("xenbr1")]  # noqa: E731
    for make, says in (
        (lambda: Guest("redirect", vifs(), config=CONFIG), READY),
        (lambda: linux_guest("linux", vifs(), LINUX), "linux: ready"),
    ):
        for host in (left, right):
            host.forget()
        guest = start(make(), says=says)
        # Both know who is there.
        left.reach("10.0.0.1")
        left.reach(BEHIND)
        found.append({name: told(guest, left, *case) for name, case in CASES.items()})
        guest.destroy()
    ours, linux = found
    assert ours == {name: WANTED.get(name) for name in CASES}
    assert {name for name in CASES if ours[name] != linux[name]} == LAX, linux


def test_by_default_nobody_is_told(start: Callable[..., Guest], left: Host) -> None:
    silent = CONFIG.replace("redirects = true\n", "")
    guest = start(Guest("silent", [Vif("xenbr0"), Vif("xenbr1")], config=silent), says=READY)
    left.reach("10.0.0.1")
    assert told(guest, left, left.address, "10.0.0.7") is None
    assert counters(guest)["interface.left.icmp.redirects"] == 0


# From here on one guest serves all tests: two would have the same addresses.


def test_a_host_takes_the_shorter_way(redirecting: Guest, left: Host, third: Host) -> None:
    for scope in ("all", DEVICE):
        left.run("sysctl", "-q", "-w", f"net.ipv4.conf.{scope}.accept_redirects=1")
    before = counters(redirecting)
    ping = left.ping(BEHIND, 10, 0.3)
    assert ping.lost == 0, ping.text
    eventually(
        lambda: True if "via 10.0.0.7" in left.run("ip", "route", "get", BEHIND) else None,
        60,
        lambda: left.run("ip", "route", "get", BEHIND),
    )
    growth = grown(before, counters(redirecting))
    assert 1 <= growth["interface.left.icmp.redirects"] <= 10


def test_redirects_are_limited(redirecting: Guest, left: Host, third: Host) -> None:
    """Yet every packet goes on."""
    left.reach(BEHIND)
    before, began = counters(redirecting), time.monotonic()
    token = os.urandom(12)
    frame = ethernet(redirecting.vifs[0].mac, left.mac, IPV4, udp4(left.address, BEHIND, token))
    with Wire(third) as wire:
        with Wire(left) as near:
            near.send(*[frame] * 200)
        heard = 0

        def last(frame: bytes) -> bool:
            nonlocal heard
            heard += bool((ip := read_ip(frame)) and token in ip.payload and ip.ttl == 63)
            return heard == 200

        wire.until(last)
    sent = grown(before, counters(redirecting))["interface.left.icmp.redirects"]
    assert sent <= RATE * (time.monotonic() - began) + BURST


def test_ipv6_hosts_are_told(redirecting: Guest, left: Host, third: Host) -> None:
    """By the router's link-local address, of the gateway's (RFC 4861 8.2)."""
    left.reach("2001:db8:0::1")
    gateway = socket.inet_pton(socket.AF_INET6, link_local(THIRD.mac))
    target = socket.inet_pton(socket.AF_INET6, "2001:db8:99::1")

    def is_redirect(frame: bytes) -> bool:
        return frame[12:14] == IPV6.to_bytes(2, "big") and frame[20] == 58 and frame[54] == 137

    with Wire(left) as near, left.background("ping", "-n", "-q", "-i", 0.3, "2001:db8:99::1"):
        found = near.until(is_redirect)[-1]
    assert found[21] == 255 and found[22:24] == b"\xfe\x80"
    assert (found[62:78], found[78:94]) == (gateway, target)
