"""ARP (RFC 826): what the router requests, answers and believes, and conflicts (RFC 5227), beside Linux."""

import os
import time
from collections.abc import Callable

import pytest
from dom0.guest import Guest
from dom0.topology import Topology
from support.compare import FIRST, SECOND, assert_alike, beside
from support.network import CONFIG, LEFT, RIGHT
from support.packets import (
    ARP, BROADCAST, IPV4, REPLY, REQUEST, Arp, arp, ethernet, icmp, ipv4, mac_text, read_arp, udp4,
)  # fmt: skip
from support.wire import Wire

WORDS = "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24"
LINES = [
    "echo 0 > /proc/sys/net/ipv4/icmp_ratemask",
    # By itself it believes nobody for a second after somebody.
    *(f"echo 0 > /proc/sys/net/ipv4/neigh/{name}/locktime" for name in ("eth0", "eth1")),
]

NEAR, FAR = "10.0.0.1", "10.0.1.1"
LEFT4, RIGHT4 = LEFT.address, RIGHT.address
LONGEST_PAUSE_S = 20  # between announcements of the router
ZERO, GROUP = "00:00:00:00:00:00", "01:00:5e:00:00:01"


def request(target: str, source: str, mac: str = SECOND, to: str = BROADCAST) -> bytes:
    """A frame with a request; `to` is the MAC address that it is sent to."""
    return ethernet(to, mac, ARP, arp(REQUEST, mac, source, target, ZERO))


def reply(source: str, target: str, to: str, mac: str = SECOND, target_mac: str = ZERO) -> bytes:
    """A frame with a reply."""
    return ethernet(to, mac, ARP, arp(REPLY, mac, source, target, target_mac))


# What the second MAC address says on the right of an address `a` that is known to be at the first one;
# `r` is the router's MAC address.
KNOWN: dict[str, Callable[[str, str], bytes]] = {
    "a reply about another address": lambda a, r: reply("10.0.1.77", FAR, r),
    "a reply": lambda a, r: reply(a, FAR, r),
    "a broadcast reply": lambda a, r: reply(a, a, BROADCAST),
    "an announcement": lambda a, r: request(a, a),
    "a request": lambda a, r: request(FAR, a),
    "a request for another host": lambda a, r: request("10.0.1.78", a),
    "a reply for another host": lambda a, r: reply(a, "10.0.1.78", r),
    "a reply in a frame from another MAC address": lambda a, r: ethernet(
        r, FIRST, ARP, arp(REPLY, SECOND, a, FAR, r)
    ),
    "a reply with a group MAC address": lambda a, r: ethernet(r, SECOND, ARP, arp(REPLY, GROUP, a, FAR, r)),
    "a reply with a zero MAC address": lambda a, r: ethernet(r, SECOND, ARP, arp(REPLY, ZERO, a, FAR, r)),
}

# The same of an address that the router has not requested.
UNKNOWN: dict[str, Callable[[str, str], bytes]] = {
    "a reply": lambda a, r: reply(a, FAR, r),
    "an announcement": lambda a, r: request(a, a),
    "a request": lambda a, r: request(FAR, a),
    "a request for another host": lambda a, r: request("10.0.1.78", a),
}

# What is requested on the left, by the host or the second MAC address.
REQUESTED: dict[str, Callable[[str], bytes]] = {
    "for near": lambda r: request(NEAR, LEFT4, LEFT.mac),
    "for near, unicast": lambda r: request(NEAR, LEFT4, LEFT.mac, to=r),
    "for near, from a new address": lambda r: request(NEAR, "10.0.0.9"),
    "for near, a probe": lambda r: request(NEAR, "0.0.0.0"),
    "for near, from another network": lambda r: request(NEAR, "192.168.7.7"),
    "for near, from the other side's network": lambda r: request(NEAR, "10.0.1.9"),
    "for near, from a group MAC address": lambda r: ethernet(
        BROADCAST, SECOND, ARP, arp(REQUEST, GROUP, "10.0.0.9", NEAR)
    ),
    "for near, from the broadcast address": lambda r: request(NEAR, "10.0.0.255"),
    "for near, from a loopback address": lambda r: request(NEAR, "127.0.0.1"),
    "for near, to another host's MAC address": lambda r: request(NEAR, LEFT4, LEFT.mac, to="02:00:00:00:00:99"),
    "for near, a reply": lambda r: reply("10.0.0.9", NEAR, r),
    "for far": lambda r: request(FAR, LEFT4, LEFT.mac),
    "for a host on the left": lambda r: request("10.0.0.77", LEFT4, LEFT.mac),
    "for a host on the right": lambda r: request(RIGHT4, LEFT4, LEFT.mac),
    "for the network's broadcast address": lambda r: request("10.0.0.255", LEFT4, LEFT.mac),
    "for a group": lambda r: request("224.0.0.1", LEFT4, LEFT.mac),
    "for a loopback address": lambda r: request("127.0.0.1", LEFT4, LEFT.mac),
    "of 8-byte protocol addresses": lambda r: ethernet(BROADCAST, LEFT.mac, ARP, _changed(LEFT4, 5, 8)),
    "of another hardware type": lambda r: ethernet(BROADCAST, LEFT.mac, ARP, _changed(LEFT4, 1, 15)),
    "truncated": lambda r: ethernet(BROADCAST, LEFT.mac, ARP, arp(REQUEST, LEFT.mac, LEFT4, NEAR)[:20]),
    # Once: the address is defended every 10 s at most. neighbors/test_acd.py has the other ways.
    "claimed by a request": lambda r: request(LEFT4, NEAR),
}


def _changed(source: str, at: int, value: int) -> bytes:
    packet = bytearray(arp(REQUEST, LEFT.mac, source, NEAR))
    packet[at] = value
    return bytes(packet)


CASES = [
    *(f"known, {name}" for name in KNOWN),
    *(f"unknown, {name}" for name in UNKNOWN),
    *(f"requested, {name}" for name in REQUESTED),
    "a neighbor that never answers",
]
NO_HOST = "no host has a group or zero MAC address (RFC 1812 3.3.2)"
# Where Ringway differs on purpose.
DIFFERENCES = {
    "known, a reply with a group MAC address": NO_HOST,
    "known, a reply with a zero MAC address": NO_HOST,
    "requested, for near, from a group MAC address": NO_HOST,
    "requested, for near, from the broadcast address": "which no host has",
    "requested, for far": "only what is on the link is answered for",
    "requested, claimed by a request": "the address is defended, at most every 10 s (RFC 5227 2.4 (c))",
}


class Bench:
    """A router between two hosts whose frames are seen, and those of MAC addresses beside them."""

    def __init__(self, router: Guest, near: Wire, far: Wire) -> None:
        self.near_mac, self.far_mac = (vif.mac for vif in router.vifs)
        self.near, self.far = near, far

    def datagram(self, target: str) -> bytes:
        """Send a datagram from left to an address on the right; return what it is known by."""
        token = os.urandom(12)
        self.near.send(ethernet(self.near_mac, LEFT.mac, IPV4, udp4(LEFT4, target, token)))
        return token

    def where(self, target: str) -> str:
        """Where a datagram goes, or what the router requests."""
        token = self.datagram(target)
        last = self.far.until(lambda f: token in f or self.is_request(f, target))[-1]
        if token in last:
            return f"to {NAMES.get(mac_text(last[:6]), 'another')}"
        return self.requested(read_arp(last))

    def is_announcement(self, frame: bytes) -> bool:
        """Returns `True` if this is the router's announcement of its address on the left."""
        found = read_arp(frame)
        return bool(found and (found.sender_mac, found.target) == (self.near_mac, NEAR))

    def is_request(self, frame: bytes, target: str) -> bool:
        """Returns `True` if this is the router's request for an address on the right."""
        found = read_arp(frame)
        return bool(found and (found.sender_mac, found.target) == (self.far_mac, target))

    @staticmethod
    def requested(found: Arp | None) -> str:
        """Say to whom a request is, and from whom."""
        assert found and found.operation == REQUEST
        return f"request to {NAMES.get(found.destination, found.destination)} from {found.sender}"

    def learn(self, target: str) -> None:
        """Have the router know that an address is at the first MAC address."""
        token = self.datagram(target)
        self.far.until(lambda f: self.is_request(f, target))
        self.far.send(reply(target, FAR, self.far_mac, FIRST, self.far_mac))
        self.far.until(lambda f: token in f)

    def tell_far(self, frame: bytes) -> None:
        """Send a frame on the right, and wait until the router has looked at it."""
        self.far.send(frame, request(FAR, RIGHT4, RIGHT.mac))
        self.far.until(lambda f: (found := read_arp(f)) and found.operation == REPLY and found.sender == FAR)

    def answers(self, frame: bytes) -> list[str]:
        """What the router answers or announces on the left when it gets a frame. It may probe at any
        time whether left is still there."""
        self.near.heard()
        self.near.send(frame)
        token = os.urandom(12)  # comes back behind what it answers
        echo = ipv4(LEFT4, NEAR, icmp(8, 0, bytes(4) + token), protocol=1)
        self.near.send(ethernet(self.near_mac, LEFT.mac, IPV4, echo))
        heard = self.near.until(lambda f: token in f)
        own = [said for said in map(read_arp, heard) if said and said.sender_mac == self.near_mac]
        found = [said for said in own if said.operation == REPLY or said.target == said.sender]
        return [
            f"{'request' if said.operation == REQUEST else 'reply'}: {said.sender} for {said.target}, "
            f"to {NAMES.get(said.destination, said.destination)}"
            for said in found
        ]


NAMES = {
    FIRST: "the first", SECOND: "the second", LEFT.mac: "left", RIGHT.mac: "right", BROADCAST: "broadcast",
}  # fmt: skip


def look(router: Guest) -> dict[str, object]:
    """What a router makes of all cases."""
    seen: dict[str, object] = {}
    addresses = (f"10.0.1.{n}" for n in range(100, 250))
    with Wire(LEFT) as near, Wire(RIGHT) as far:
        bench = Bench(router, near, far)
        for host, target in ((LEFT, RIGHT4), (RIGHT, LEFT4)):
            host.reach(target)
        near.until_quiet(bench.is_announcement, LONGEST_PAUSE_S + 1, timeout=120)  # what it announces at first is over
        for name, told in KNOWN.items():
            address = next(addresses)
            bench.learn(address)
            time.sleep(0.02)  # nor in the same tick
            bench.tell_far(told(address, bench.far_mac))
            seen[f"known, {name}"] = bench.where(address)
        for name, told in UNKNOWN.items():
            address = next(addresses)
            bench.tell_far(told(address, bench.far_mac))
            seen[f"unknown, {name}"] = bench.where(address)
        for name, requested in REQUESTED.items():
            seen[f"requested, {name}"] = bench.answers(requested(bench.near_mac))
        seen["a neighbor that never answers"] = never_answers(bench, next(addresses))
    return seen


def never_answers(bench: Bench, address: str) -> dict[str, object]:
    """Three packets to a host that isn't there."""
    tokens = [bench.datagram(address) for _ in range(3)]
    heard = bench.near.until(lambda f: tokens[-1] in f) + bench.near.heard(settle=0.5)
    told = [f for f in heard if any(token in f for token in tokens)]
    requests = [bench.requested(read_arp(f)) for f in bench.far.heard() if bench.is_request(f, address)]
    return {"requests": requests, "errors": [(f[34], f[35]) for f in told]}


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> tuple[dict[str, object], dict[str, object]]:
    return beside(topology, CONFIG, WORDS, LINES, look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    assert_alike(name, outcomes, DIFFERENCES)
