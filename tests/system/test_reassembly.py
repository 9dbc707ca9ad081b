"""What becomes of fragments for the router, of both families, beside Linux (RFC 8200 4.5, RFC 8900)."""

import itertools
import os
import struct
import time
from dataclasses import dataclass

import pytest
from beside import beside
from conftest import LEFT
from discovery import LEFT6, NEAR6
from dom0.guest import Guest
from dom0.topology import Topology
from packets import ICMP, IPV4, IPV6, MF, ethernet, icmp, ipv4, mac_text
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw
from wire import Wire

LEFT4, NEAR4 = "10.0.0.2", "10.0.0.1"
ICMPV6 = 58
ANSWERS = (0, 129)
# How long a router keeps what isn't whole, and of how many packets of one interface at a time.
WAITS_S, LINUX_WAITS_S = 15, 4
ROOM = 7

CONFIG = """
hostname = "reassembly"

[interface.left]
vif     = 0
address = ["10.0.0.1/24", "2001:db8:0::1/64"]

[interface.right]
vif     = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]
"""
WORDS = "ip=0:10.0.0.1/24 ip=0:2001:db8:0::1/64 ip=1:10.0.1.1/24 ip=1:2001:db8:1::1/64"
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
    "without the end": [FIRST, SECOND],
    "without the beginning": [SECOND, THIRD],
    "without all but 16 bytes": [Piece(0, 16)],
}
FAMILIES = {"IPv4": IPV4, "IPv6": IPV6}
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
DIFFERENCES = {*(f"{family}, {name}" for family in FAMILIES for name in EITHER), *(f"IPv6, {name}" for name in SIX)}


class Ping:
    """A ping that comes in pieces, and its answer."""

    def __init__(self, kind: int, ident: int) -> None:
        self.kind, self.ident = kind, ident
        data = os.urandom(SIZE - 8)
        if kind == IPV4:
            self.message = icmp(8, 0, bytes(4) + data)
        else:
            self.message = bytes(IPv6(src=LEFT6, dst=NEAR6) / ICMPv6EchoRequest(data=data))[40:]

    def piece(self, piece: Piece) -> bytes:
        """A packet with a part of it."""
        more = piece.end < SIZE if piece.more is None else piece.more
        whole = self.message + bytes(1 << 16)
        part = whole[piece.start : piece.end]
        if piece.other:
            part = bytes(byte ^ 0xFF for byte in part)
        if self.kind == IPV4:
            field = piece.start // 8 | (MF if more else 0)
            return ipv4(LEFT4, NEAR4, part, protocol=ICMP, ident=self.ident, fragment=field)
        header = IPv6ExtHdrFragment(nh=58, offset=piece.start // 8, m=int(more), id=self.ident)
        return bytes(IPv6(src=LEFT6, dst=NEAR6) / header / Raw(part))

    def whole(self) -> bytes:
        """The packet in one piece."""
        if self.kind == IPV4:
            return ipv4(LEFT4, NEAR4, self.message, protocol=ICMP, ident=self.ident)
        return bytes(IPv6(src=LEFT6, dst=NEAR6, nh=58) / Raw(self.message))

    def said(self, packet: bytes) -> str | None:
        """Say what a router answers: something else, if it isn't the ping's data."""
        four = packet[0] >> 4 == 4
        if four != (self.kind == IPV4) or packet[9 if four else 6] != (ICMP if four else ICMPV6):
            return None
        head, (length,) = (packet[0] & 15) * 4 if four else 40, struct.unpack_from("!H", packet, 2 if four else 4)
        body = packet[head:length] if four else packet[head : head + length]
        kind, code = body[:2]
        if kind in ANSWERS:
            return "the answer" if body[4:] == self.message[4:] else f"another answer, {len(body)} bytes"
        if kind not in ((3, 11, 12) if four else range(1, 128)):
            return None
        pointer = f", pointer {struct.unpack_from('!I', body, 4)[0]}" if (four, kind) == (False, 4) else ""
        return f"error {kind}/{code}{pointer}"

    def quoted(self, packet: bytes) -> bool:
        """Whether a packet has something of it."""
        return self.message[8:16] in packet or self.message[400:416] in packet


def look(router: Guest) -> dict[str, list[str]]:
    """What a router answers on the left to each of them."""
    station = router.vifs[0].mac
    idents = itertools.count(0x100)
    waits = WAITS_S if router.name == "beside" else LINUX_WAITS_S
    unfinished = 0
    seen = {}

    def own(frames: list[bytes]) -> list[bytes]:
        return [f[14:] for f in frames if mac_text(f[6:12]) == station]

    def put(ping: Ping, pieces: list[Piece]) -> None:
        near.send(*(ethernet(station, LEFT.mac, ping.kind, ping.piece(piece)) for piece in pieces))

    for target in (NEAR4, NEAR6):
        assert LEFT.ping(target, 3, 0.2, "-W", 10).received
    with Wire(LEFT) as near:
        for family, kind in FAMILIES.items():
            for name, pieces in CASES.items():
                ping, last = Ping(kind, next(idents)), Ping(kind, next(idents))
                near.heard()
                put(ping, pieces)
                near.send(ethernet(station, LEFT.mac, kind, last.whole()))
                heard = near.until(lambda f, last=last: last.said(f[14:]) == "the answer")
                said = [text for text in map(ping.said, own(heard[:-1])) if text]
                seen[f"{family}, {name}"] = said
                unfinished += "the answer" not in said
                if unfinished == ROOM:
                    time.sleep(waits + 1)
                    unfinished = 0
        pings = {
            f"{family}, {name}": (Ping(kind, next(idents)), pieces)
            for family, kind in FAMILIES.items()
            for name, pieces in INCOMPLETE.items()
        }
        time.sleep(waits + 1)
        near.heard()
        for ping, pieces in pings.values():
            put(ping, pieces)
        heard = own(near.during(waits + 5))
        for name, (ping, _) in pings.items():
            said = [ping.said(packet) for packet in heard if ping.quoted(packet)]
            seen[name] = [text for text in said if text]
    return seen


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    return beside(topology, CONFIG, WORDS, LINES, look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", NAMES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    ours, theirs = (seen[name] for seen in outcomes)
    text = f"Ringway: {ours or 'nothing'}\nLinux: {theirs or 'nothing'}"
    if name in DIFFERENCES:
        assert ours != theirs, f"no difference any more: {text}"
    else:
        assert ours == theirs, text
