"""ARP beside Linux: whom the router asks and answers, what it believes, and conflicts (RFC 826, RFC 5227)."""

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
ANNOUNCE_INTERVAL_S = 2  # RFC 5227 1.1
NOBODY, GROUP = "00:00:00:00:00:00", "01:00:5e:00:00:01"


def asks(target: str, source: str, station: str = SECOND, to: str = BROADCAST, claims: str = NOBODY) -> bytes:
    """A frame that asks who has an address."""
    return ethernet(to, station, ARP, arp(REQUEST, station, source, target, claims))


def tells(source: str, target: str, to: str, station: str = SECOND, claims: str = NOBODY) -> bytes:
    """A frame that tells who has an address, as an answer is."""
    return ethernet(to, station, ARP, arp(REPLY, station, source, target, claims))


# What is told on the right by the second station of an address that is known to be at the first
# one; `r` is the router's station.
KNOWN: dict[str, Callable[[str, str], bytes]] = {
    "nothing": lambda a, r: tells("10.0.1.77", FAR, r),
    "an answer": lambda a, r: tells(a, FAR, r),
    "an answer to all": lambda a, r: tells(a, a, BROADCAST),
    "an announcement": lambda a, r: asks(a, a),
    "a question": lambda a, r: asks(FAR, a),
    "a question for somebody else": lambda a, r: asks("10.0.1.78", a),
    "an answer for somebody else": lambda a, r: tells(a, "10.0.1.78", r),
    "an answer in another's name": lambda a, r: ethernet(r, FIRST, ARP, arp(REPLY, SECOND, a, FAR, r)),
    "an answer from a group": lambda a, r: ethernet(r, SECOND, ARP, arp(REPLY, GROUP, a, FAR, r)),
    "an answer from nowhere": lambda a, r: ethernet(r, SECOND, ARP, arp(REPLY, NOBODY, a, FAR, r)),
}

# The same of an address that nobody has asked for.
UNKNOWN: dict[str, Callable[[str, str], bytes]] = {
    "an answer": lambda a, r: tells(a, FAR, r),
    "an announcement": lambda a, r: asks(a, a),
    "a question": lambda a, r: asks(FAR, a),
    "a question for somebody else": lambda a, r: asks("10.0.1.78", a),
}

# What is asked on the left, by the host or the second station.
ASKED: dict[str, Callable[[str], bytes]] = {
    "for near": lambda r: asks(NEAR, LEFT4, LEFT.mac),
    "for near, alone": lambda r: asks(NEAR, LEFT4, LEFT.mac, to=r),
    "for near, by a new address": lambda r: asks(NEAR, "10.0.0.9"),
    "for near, by nobody yet": lambda r: asks(NEAR, "0.0.0.0"),
    "for near, from another network": lambda r: asks(NEAR, "192.168.7.7"),
    "for near, from the other side's network": lambda r: asks(NEAR, "10.0.1.9"),
    "for near, by a group's station": lambda r: ethernet(
        BROADCAST, SECOND, ARP, arp(REQUEST, GROUP, "10.0.0.9", NEAR)
    ),
    "for near, by the network's broadcast address": lambda r: asks(NEAR, "10.0.0.255"),
    "for near, by a loopback address": lambda r: asks(NEAR, "127.0.0.1"),
    "for near, at another station": lambda r: asks(NEAR, LEFT4, LEFT.mac, to="02:00:00:00:00:99"),
    "for near, an answer": lambda r: tells("10.0.0.9", NEAR, r),
    "for far": lambda r: asks(FAR, LEFT4, LEFT.mac),
    "for a host on the left": lambda r: asks("10.0.0.77", LEFT4, LEFT.mac),
    "for a host on the right": lambda r: asks(RIGHT4, LEFT4, LEFT.mac),
    "for the network's broadcast address": lambda r: asks("10.0.0.255", LEFT4, LEFT.mac),
    "for a group": lambda r: asks("224.0.0.1", LEFT4, LEFT.mac),
    "for a loopback address": lambda r: asks("127.0.0.1", LEFT4, LEFT.mac),
    "of 8-byte addresses": lambda r: ethernet(BROADCAST, LEFT.mac, ARP, _changed(LEFT4, 5, 8)),
    "of another hardware": lambda r: ethernet(BROADCAST, LEFT.mac, ARP, _changed(LEFT4, 1, 15)),
    "cut short": lambda r: ethernet(BROADCAST, LEFT.mac, ARP, arp(REQUEST, LEFT.mac, LEFT4, NEAR)[:20]),
    # Once: the address is defended every 10 s at most. neighbors/test_acd.py has the other ways.
    "claimed by a question": lambda r: asks(LEFT4, NEAR),
}


def _changed(source: str, at: int, value: int) -> bytes:
    packet = bytearray(arp(REQUEST, LEFT.mac, source, NEAR))
    packet[at] = value
    return bytes(packet)


CASES = [
    *(f"known, {name}" for name in KNOWN),
    *(f"unknown, {name}" for name in UNKNOWN),
    *(f"asked, {name}" for name in ASKED),
    "a neighbour that was never there",
]
NO_STATION = "a group or nothing is nobody's station (RFC 1812 3.3.2)"
# Where Ringway differs on purpose.
DIFFERENCES = {
    "known, an answer from a group": NO_STATION,
    "known, an answer from nowhere": NO_STATION,
    "asked, for near, by a group's station": NO_STATION,
    "asked, for near, by the network's broadcast address": "which no host has",
    "asked, for far": "only what is on the link is answered for",
    "asked, claimed by a question": "the address is defended, at most every 10 s (RFC 5227 2.4 (c))",
}


class Bench:
    """A router between two hosts whose frames are seen, and those of stations beside them."""

    def __init__(self, router: Guest, near: Wire, far: Wire) -> None:
        self.near_station, self.far_station = (vif.mac for vif in router.vifs)
        self.near, self.far = near, far

    def datagram(self, target: str) -> bytes:
        """Send a datagram from left to an address on the right; return what it is known by."""
        token = os.urandom(12)
        self.near.send(ethernet(self.near_station, LEFT.mac, IPV4, udp4(LEFT4, target, token)))
        return token

    def where(self, target: str) -> str:
        """Where a datagram goes, or whom the router asks."""
        token = self.datagram(target)
        last = self.far.until(lambda f: token in f or self.asked(f, target))[-1]
        if token in last:
            return f"to {NAMES.get(mac_text(last[:6]), 'another')}"
        return self.question(read_arp(last))

    def is_announcement(self, frame: bytes) -> bool:
        """Whether this is the router's announcement of its address on the left."""
        found = read_arp(frame)
        return bool(found and (found.sender_mac, found.target) == (self.near_station, NEAR))

    def asked(self, frame: bytes, target: str) -> bool:
        """Whether this is the router's question for an address on the right."""
        found = read_arp(frame)
        return bool(found and (found.sender_mac, found.target) == (self.far_station, target))

    @staticmethod
    def question(found: Arp | None) -> str:
        """Say how a router asks."""
        assert found and found.operation == REQUEST
        return f"asks {NAMES.get(found.destination, found.destination)} in the name of {found.sender}"

    def learn(self, target: str) -> None:
        """Have the router know that an address is at the first station."""
        token = self.datagram(target)
        self.far.until(lambda f: self.asked(f, target))
        self.far.send(tells(target, FAR, self.far_station, FIRST, self.far_station))
        self.far.until(lambda f: token in f)

    def tell_far(self, frame: bytes) -> None:
        """Send a frame on the right, and wait until the router has looked at it."""
        self.far.send(frame, asks(FAR, RIGHT4, RIGHT.mac))
        self.far.until(lambda f: (found := read_arp(f)) and found.operation == REPLY and found.sender == FAR)

    def answers(self, frame: bytes) -> list[str]:
        """What the router answers or announces on the left when it gets a frame. It may ask at any
        time whether left is still there."""
        self.near.heard()
        self.near.send(frame)
        token = os.urandom(12)  # comes back behind the answers
        echo = ipv4(LEFT4, NEAR, icmp(8, 0, bytes(4) + token), protocol=1)
        self.near.send(ethernet(self.near_station, LEFT.mac, IPV4, echo))
        heard = self.near.until(lambda f: token in f)
        own = [said for said in map(read_arp, heard) if said and said.sender_mac == self.near_station]
        found = [said for said in own if said.operation == REPLY or said.target == said.sender]
        return [
            f"{'question' if said.operation == REQUEST else 'answer'}: {said.sender} for {said.target}, "
            f"to {NAMES.get(said.destination, said.destination)}"
            for said in found
        ]


NAMES = {
    FIRST: "the first", SECOND: "the second", LEFT.mac: "left", RIGHT.mac: "right", BROADCAST: "all",
}  # fmt: skip


def look(router: Guest) -> dict[str, object]:
    """What a router makes of all cases."""
    seen: dict[str, object] = {}
    addresses = (f"10.0.1.{n}" for n in range(100, 250))
    with Wire(LEFT) as near, Wire(RIGHT) as far:
        bench = Bench(router, near, far)
        for host, target in ((LEFT, RIGHT4), (RIGHT, LEFT4)):
            host.reach(target)
        near.until_quiet(bench.is_announcement, ANNOUNCE_INTERVAL_S + 1)  # what it announces at first is over
        for name, told in KNOWN.items():
            address = next(addresses)
            bench.learn(address)
            time.sleep(0.02)  # nor in the same tick
            bench.tell_far(told(address, bench.far_station))
            seen[f"known, {name}"] = bench.where(address)
        for name, told in UNKNOWN.items():
            address = next(addresses)
            bench.tell_far(told(address, bench.far_station))
            seen[f"unknown, {name}"] = bench.where(address)
        for name, question in ASKED.items():
            seen[f"asked, {name}"] = bench.answers(question(bench.near_station))
        seen["a neighbour that was never there"] = never_there(bench, next(addresses))
    return seen


def never_there(bench: Bench, address: str) -> dict[str, object]:
    """Three packets to somebody who isn't there."""
    tokens = [bench.datagram(address) for _ in range(3)]
    heard = bench.near.until(lambda f: tokens[-1] in f) + bench.near.heard(settle=0.5)
    told = [f for f in heard if any(token in f for token in tokens)]
    asked = [bench.question(read_arp(f)) for f in bench.far.heard() if bench.asked(f, address)]
    return {"asked": asked, "errors": [(f[34], f[35]) for f in told]}


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> tuple[dict[str, object], dict[str, object]]:
    return beside(topology, CONFIG, WORDS, LINES, look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    assert_alike(name, outcomes, DIFFERENCES)
