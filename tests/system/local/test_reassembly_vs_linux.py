"""What becomes of fragments for the router, of both families, beside Linux (RFC 8200 4.5, RFC 8900)."""

import itertools
import os
import struct
import time
from dataclasses import dataclass

import pytest
from dom0.guest import Guest
from dom0.ringway import eventually
from dom0.topology import Host, Topology
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw
from support.compare import DUAL_WORDS, assert_alike, beside
from support.ndp import FAR6, RIGHT6
from support.network import DUAL_STACK, LEFT, RIGHT
from support.packets import ICMP, IPV4, IPV6, MF, ethernet, icmp, ipv4, mac_text
from support.wire import Wire

ICMPV6 = 58
ANSWERS = (0, 129)
# How long a router keeps what isn't whole, and of how many packets of one interface at a time.
WAITS_S, LINUX_WAITS_S = 15, 4
ROOM = 8

LINES = [
    "echo 0 > /proc/sys/net/ipv4/icmp_ratemask",
    "echo 0 > /proc/sys/net/ipv6/icmp/ratelimit",
    f"echo {LINUX_WAITS_S} > /proc/sys/net/ipv4/ipfrag_time",
    f"echo {LINUX_WAITS_S} > /proc/sys/net/ipv6/ip6frag_time",
]


@dataclass(frozen=True)
class Piece:
    """These bytes of a ping of 1200 bytes, or others in their place."""

    start: int
    end: int
    more: bool | None = None  # as it should be
    other: bool = False


SIZE = 1200
FIRST, SECOND, THIRD = Piece(0, 400), Piece(400, 800), Piece(800, SIZE)

CASES: dict[str, list[Piece]] = {
    "in order": [FIRST, SECOND, THIRD],
    "in the other order": [THIRD, SECOND, FIRST],
    "in any order": [SECOND, THIRD, FIRST],
    "each twice": [FIRST, FIRST, SECOND, SECOND, THIRD],
    "the last one first, twice": [THIRD, THIRD, FIRST, SECOND],
    "one twice, then with other bytes": [FIRST, SECOND, Piece(400, 800, other=True), THIRD],
    "a part of one again": [FIRST, SECOND, Piece(400, 600), THIRD],
    "overlapping the one before": [FIRST, Piece(392, 800), THIRD],
    "overlapping the one after": [SECOND, Piece(0, 408), THIRD],
    "overlapping, with other bytes": [FIRST, Piece(0, 16, other=True), SECOND, THIRD],
    "a header again": [FIRST, Piece(0, 8), SECOND, THIRD],
    "a smaller end after the end": [THIRD, Piece(400, 800, more=False), FIRST, SECOND],
    "a larger end after the end": [THIRD, Piece(1200, 1600), FIRST, SECOND],
    "more after the end": [THIRD, Piece(1200, 1600, more=True), FIRST, SECOND],
    "a length that is no multiple of 8": [Piece(0, 396), SECOND, THIRD],
    "nothing in the middle": [FIRST, Piece(400, 400), SECOND, THIRD],
    "nothing at the end": [FIRST, SECOND, Piece(800, SIZE, more=True), Piece(SIZE, SIZE, more=False)],
    "larger than can be": [FIRST, Piece(65_528, 65_928, more=False)],
    "a part alone": [Piece(0, SIZE)],
    "a part alone, while others wait": [FIRST, Piece(0, SIZE), SECOND, THIRD],
    "16 bytes each": [Piece(at, at + 16) for at in range(0, SIZE, 16)],
    "400 bytes of which the first 8 come alone": [Piece(0, 8), Piece(8, 400), SECOND, THIRD],
}
# None of these is ever whole.
INCOMPLETE: dict[str, list[Piece]] = {
    "without the middle": [FIRST, THIRD],
    "without the beginning": [SECOND, THIRD],
    "without all but 16 bytes": [Piece(0, 16)],
}


@dataclass(frozen=True)
class Side:
    """Who sends the pings of a family, and to which of the router's addresses. Each family has a
    side of its own, because the router has room for a few packets of each interface."""

    kind: int
    host: Host
    vif: int
    source: str
    target: str


FAMILIES = {
    "IPv4": Side(IPV4, LEFT, 0, "10.0.0.2", "10.0.0.1"),
    "IPv6": Side(IPV6, RIGHT, 1, RIGHT6, FAR6),
}
NAMES = [f"{family}, {name}" for family in FAMILIES for name in CASES | INCOMPLETE]

# Where Ringway differs on purpose, for both families and for one.
OVERLAP = "what overlaps is given up, unless it is the same again (RFC 5722, RFC 8200 4.5)"
EITHER = {
    "one twice, then with other bytes": OVERLAP,
    "a part of one again": OVERLAP,
    "a header again": OVERLAP,
    "overlapping, with other bytes": OVERLAP,
    "nothing in the middle": "an empty fragment is dropped, and its packet isn't",
    "16 bytes each": "nobody makes so many of one packet",
}
SIX = {"larger than can be": "a later fragment of ICMP may be one of an error (RFC 4443 2.4 (e))"}
DIFFERENCES = {f"{family}, {name}" for family in FAMILIES for name in EITHER}
DIFFERENCES |= {f"IPv6, {name}" for name in SIX}


class Ping:
    """A ping that comes in pieces, and its answer."""

    def __init__(self, side: Side, ident: int) -> None:
        self.side, self.kind, self.ident = side, side.kind, ident
        data = os.urandom(SIZE - 8)
        if self.kind == IPV4:
            self.message = icmp(8, 0, bytes(4) + data)
        else:
            self.message = bytes(IPv6(src=side.source, dst=side.target) / ICMPv6EchoRequest(data=data))[40:]

    def piece(self, piece: Piece) -> bytes:
        """A packet with a part of it."""
        more = piece.end < SIZE if piece.more is None else piece.more
        whole = self.message + bytes(1 << 16)
        part = whole[piece.start : piece.end]
        if piece.other:
            part = bytes(byte ^ 0xFF for byte in part)
        if self.kind == IPV4:
            field = piece.start // 8 | (MF if more else 0)
            head = {"protocol": ICMP, "ident": self.ident, "fragment": field}
            return ipv4(self.side.source, self.side.target, part, **head)
        header = IPv6ExtHdrFragment(nh=58, offset=piece.start // 8, m=int(more), id=self.ident)
        return bytes(IPv6(src=self.side.source, dst=self.side.target) / header / Raw(part))

    def whole(self) -> bytes:
        """The packet in one piece."""
        if self.kind == IPV4:
            return ipv4(self.side.source, self.side.target, self.message, protocol=ICMP, ident=self.ident)
        return bytes(IPv6(src=self.side.source, dst=self.side.target, nh=58) / Raw(self.message))

    def said(self, packet: bytes) -> str | None:
        """Say what a router answers: something else, if it isn't the ping's data."""
        four = packet[0] >> 4 == 4
        if four != (self.kind == IPV4) or packet[9 if four else 6] != (ICMP if four else ICMPV6):
            return None
        head = (packet[0] & 15) * 4 if four else 40
        (length,) = struct.unpack_from("!H", packet, 2 if four else 4)
        body = packet[head:length] if four else packet[head : head + length]
        kind, code = body[:2]
        if kind in ANSWERS:
            return "the answer" if body[4:] == self.message[4:] else f"another answer, {len(body)} bytes"
        if kind not in ((3, 11, 12) if four else range(1, 128)):
            return None
        pointer = f", pointer {struct.unpack_from('!I', body, 4)[0]}" if (four, kind) == (False, 4) else ""
        return f"error {kind}/{code}{pointer}"

    def quoted(self, packet: bytes) -> bool:
        """Returns `True` if `packet` quotes part of the message."""
        return self.message[8:16] in packet or self.message[400:416] in packet


class Bench:
    """A router, and wires to both of its sides."""

    def __init__(self, router: Guest, wires: dict[str, Wire]) -> None:
        self.router_macs = [vif.mac for vif in router.vifs]
        self.wires = wires
        self.idents = itertools.count(0x100)

    def ping(self, family: str) -> Ping:
        """A new ping."""
        return Ping(FAMILIES[family], next(self.idents))

    def send(self, ping: Ping, *packets: bytes) -> None:
        """Put packets of a ping on the wire."""
        router_mac, host = self.router_macs[ping.side.vif], ping.side.host
        self.wires[host.name].send(*(ethernet(router_mac, host.mac, ping.kind, packet) for packet in packets))

    def said(self, ping: Ping, frames: list[bytes]) -> list[str]:
        """What the router says in answer to a ping, of these frames."""
        own = (f[14:] for f in frames if mac_text(f[6:12]) == self.router_macs[ping.side.vif])
        return [text for text in map(ping.said, own) if text]

    def answers(self, family: str, pieces: list[Piece]) -> list[str]:
        """What it answers at once to a ping in pieces."""
        ping, last = self.ping(family), self.ping(family)
        wire = self.wires[ping.side.host.name]
        wire.heard()
        self.send(ping, *map(ping.piece, pieces))
        self.send(last, last.whole())
        return self.said(ping, wire.until(lambda f: last.said(f[14:]) == "the answer")[:-1])


def look(router: Guest) -> dict[str, list[str]]:
    """What a router answers to each of them."""
    waits = WAITS_S if router.name == "beside" else LINUX_WAITS_S
    for side in FAMILIES.values():
        side.host.reach(side.target)
    with Wire(LEFT) as near, Wire(RIGHT) as far:
        bench = Bench(router, {LEFT.name: near, RIGHT.name: far})
        seen: dict[str, list[str]] = {}
        late: dict[str, list[str]] = {}
        unfinished = len(INCOMPLETE)  # for which there is to be room beside the first of the cases
        for name, pieces in CASES.items():
            for family in FAMILIES:
                seen[f"{family}, {name}"] = bench.answers(family, pieces)
            unfinished += "the answer" not in seen[f"IPv4, {name}"]
            if unfinished == ROOM:
                if late:
                    time.sleep(waits + 2)
                late = late or never_whole(bench, waits)
                unfinished = 0
        return seen | (late or never_whole(bench, waits))


def never_whole(bench: Bench, waits: int) -> dict[str, list[str]]:
    """What it says in the end to what is never whole."""
    pings = {f"{family}, {name}": bench.ping(family) for family in FAMILIES for name in INCOMPLETE}
    for wire in bench.wires.values():
        wire.heard()
    for name, ping in pings.items():
        bench.send(ping, *map(ping.piece, INCOMPLETE[name.partition(", ")[2]]))
    told = {name: ping for name, ping in pings.items() if "without the beginning" not in name}
    heard: list[bytes] = []

    def all_told() -> bool | None:
        heard.extend(frame for wire in bench.wires.values() for frame in wire.heard())
        return all(any(map(ping.quoted, heard)) for ping in told.values()) or None

    # When it has told of all that it is to, there would have been something of the others as well.
    eventually(all_told, waits + 30, lambda: "not all senders were told")
    heard += [frame for wire in bench.wires.values() for frame in wire.heard(settle=0.5)]
    return {name: bench.said(ping, [f for f in heard if ping.quoted(f)]) for name, ping in pings.items()}


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    return beside(topology, DUAL_STACK, DUAL_WORDS, LINES, look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", NAMES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    assert_alike(name, outcomes, DIFFERENCES)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_what_is_whole_is_answered(
    family: str, outcomes: tuple[dict[str, list[str]], dict[str, list[str]]]
) -> None:
    """Which holds the comparison to something."""
    ours = {name: outcomes[0][f"{family}, {name}"] for name in CASES | INCOMPLETE}
    late = "error 11/1" if family == "IPv4" else "error 3/1"
    assert ours["in order"] == ours["in any order"] == ours["each twice"] == ["the answer"]
    assert ours["a part alone, while others wait"] == ["the answer"] * 2
    assert ours["overlapping the one before"] == ours["overlapping, with other bytes"] == []
    assert ours["without the middle"] == ours["without all but 16 bytes"] == [late]
    assert ours["without the beginning"] == []
