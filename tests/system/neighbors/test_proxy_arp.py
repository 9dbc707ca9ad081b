"""Answering ARP for hosts on other links (RFC 1027), beside a Linux domU."""

from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import READY, command, drops, grown
from dom0.topology import Host
from support.network import CONFIG, LEFT, RIGHT
from support.packets import ARP, BROADCAST, REPLY, REQUEST, arp, ethernet, read_arp
from support.wire import Wire

ROUTES = """
[[route]]
prefix = "192.0.2.0/24"
via    = ["10.0.1.2"]
[[route]]
prefix = "198.51.100.0/24"
via    = ["10.0.0.2"]
[[route]]
prefix = "203.0.113.0/24"
action = "blackhole"
"""
PROXY = CONFIG.replace("vif     = 0", "vif     = 0\nproxy_arp = true") + ROUTES
LINUX = (
    "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24 route=192.0.2.0/24,10.0.1.2 route=198.51.100.0/24,10.0.0.2 "
    "sysctl.net.ipv4.conf.all.proxy_arp=1"
)
LINUX_DELAY_S = 0.8  # Linux lets the host itself answer first

# The sender and target of a question, and whether it is answered.
CASES = {
    "a host on the other link": (LEFT.address, RIGHT.address, True),
    "a host that isn't there": (LEFT.address, "10.0.1.200", True),
    "the router's address there": (LEFT.address, "10.0.1.1", True),
    "a host behind the other link": (LEFT.address, "192.0.2.1", True),
    "a host on the same link": (LEFT.address, "10.0.0.77", False),
    "a host behind the same link": (LEFT.address, "198.51.100.1", False),
    "nowhere": (LEFT.address, "192.168.9.9", False),
    "a broadcast address": (LEFT.address, "10.0.1.255", False),
    "whether an address is free": ("0.0.0.0", "10.0.1.200", False),
}


def vifs() -> list[Vif]:
    """Interfaces on the left and on the right."""
    return [Vif("xenbr0"), Vif("xenbr1")]


def answered(guest: Guest, left: Host) -> set[str]:
    """The cases that a router answers, all with its own MAC address.

    Those that are to be are waited for; by then, and after twice the longest delay, others would be as well."""
    probes = {name for name, (sender, *_) in CASES.items() if sender == "0.0.0.0"}
    found = set()
    for names in (CASES.keys() - probes, probes):
        targets = {CASES[name][1]: name for name in names}
        missing = {target for target, name in targets.items() if CASES[name][2]}

        def all_answered(frame: bytes, missing: set[str] = missing) -> bool:
            if (reply := read_arp(frame)) and reply.operation == REPLY:
                missing.discard(reply.sender)
            return not missing

        with Wire(left) as wire:
            for target, name in targets.items():
                question = arp(REQUEST, left.mac, CASES[name][0], target)
                wire.send(ethernet(BROADCAST, left.mac, ARP, question))
            frames = wire.until(all_answered) if missing else []
            frames += wire.during(2 * LINUX_DELAY_S)
        replies = [reply for reply in map(read_arp, frames) if reply and reply.operation == REPLY]
        replies = [reply for reply in replies if reply.sender in targets]
        assert {(reply.sender_mac, reply.destination) for reply in replies} <= {(guest.vifs[0].mac, left.mac)}
        found |= {targets[reply.sender] for reply in replies}
    return found


@pytest.mark.limit(600)
def test_who_is_answered_for_beside_linux(start: Callable[..., Guest], left: Host) -> None:
    wanted = {name for name, (_, _, answer) in CASES.items() if answer}
    for make, says in (
        (lambda: Guest("proxy", vifs(), config=PROXY), READY),
        (lambda: linux_guest("linux", vifs(), LINUX), "linux: ready"),
    ):
        left.forget()
        guest = start(make(), says=says)
        left.reach("10.0.0.1")
        assert answered(guest, left) == wanted, guest.name
        guest.destroy()


@pytest.fixture
def proxy(share: Callable[..., Guest]) -> Guest:
    """A router that answers on the left for what isn't there, shared by this file."""
    return share(Guest("proxy", vifs(), config=PROXY))


@pytest.fixture
def wide(left: Host) -> Iterator[Host]:
    """A host on the left that takes both links for one, and knows no gateway."""
    host = Host("wide", "xenbr0", ("10.0.0.3/16",))
    host.up()
    try:
        yield host
    finally:
        host.down()


def test_a_host_without_a_gateway_gets_through(proxy: Guest, wide: Host, right: Host) -> None:
    assert wide.ping(right.address, 5, 0.2).lost == 0
    assert f"{right.address} dev eth0 lladdr {proxy.vifs[0].mac}" in wide.neighbors()
    assert f"{wide.address} " in command(proxy, "show neighbors")


def test_only_where_it_is_asked_for(proxy: Guest, right: Host) -> None:
    before = drops(proxy, "right")
    with Wire(right) as wire:
        for target in (LEFT.address, "10.0.1.1"):
            question = arp(REQUEST, right.mac, right.address, target)
            wire.send(ethernet(BROADCAST, right.mac, ARP, question))
        heard = wire.until(lambda frame: (found := read_arp(frame)) and found.sender == "10.0.1.1")
    assert not [found for found in map(read_arp, heard) if found and found.sender == LEFT.address]
    assert grown(before, drops(proxy, "right")) == {}
