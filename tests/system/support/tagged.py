"""Tagged packets through a router between two hosts, and what comes of them, tags included."""

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dom0.guest import Guest
from support.barrier import barrier
from support.network import LEFT, RIGHT
from support.packets import ICMP, IPV4, REPLY, REQUEST, arp, ethernet, icmp, ipv4, mac, read_arp
from support.wire import Wire

C_TAG, S_TAG = 0x8100, 0x88A8  # IEEE 802.1Q's, of customers and of providers
Tag = tuple[int, int]


def tag(vid: int, protocol: int = C_TAG, priority: int = 0, eligible: bool = False) -> Tag:
    """A tag: its protocol, and priority, drop eligibility and VLAN."""
    return protocol, priority << 13 | eligible << 12 | vid


def echo(token: bytes, source: str, destination: str, **ip) -> bytes:
    """An echo request."""
    return ipv4(source, destination, icmp(8, 0, bytes(4) + token), protocol=ICMP, **ip)


def passing(token: bytes, source: str, destination: str, **ip) -> bytes:
    """A packet that no host says anything to: an answer that nobody waits for."""
    return ipv4(source, destination, icmp(0, 0, bytes(4) + token), protocol=ICMP, **ip)


@dataclass(frozen=True)
class Case:
    """A frame for the router: these tags and, of a token, what is behind them."""

    tags: Sequence[Tag]
    payload: Callable[[bytes], bytes]
    kind: int = IPV4
    to: str | None = None  # the MAC address, if not the router's

    def frame(self, token: bytes, router_mac: str) -> bytes:
        """The whole frame."""
        kinds = [*(protocol for protocol, _ in self.tags), self.kind]
        behind = zip((value for _, value in self.tags), kinds[1:], strict=True)
        tags = b"".join(struct.pack("!HH", *pair) for pair in behind)
        return ethernet(self.to or router_mac, LEFT.mac, kinds[0], tags + self.payload(token))


def observe(router: Guest, cases: dict[str, Case]) -> dict[str, list[str]]:
    """Send each case from left to the router; say what both sides then hear of it."""
    router_macs = [mac(vif.mac) for vif in router.vifs]
    seen = {}
    with Wire(LEFT, tags=True) as near, Wire(RIGHT, tags=True) as far:
        for name, case in cases.items():
            token = os.urandom(12)
            near.heard()
            far.heard()
            near.send(case.frame(token, router.vifs[0].mac))
            heard = barrier(
                near,
                far,
                lambda mark: _plain(router, echo(mark, LEFT.address, LEFT.gateways[0])),
                lambda mark: _plain(router, passing(mark, LEFT.address, RIGHT.address)),
            )
            seen[name] = [
                f"{side}: {text}"
                for side, frames, router_mac in zip(("left", "right"), heard, router_macs, strict=True)
                for frame in frames
                if frame[6:12] == router_mac and (text := _told(frame, token))
            ]
    return seen


def _plain(router: Guest, packet: bytes) -> bytes:
    """A frame without tags."""
    return ethernet(router.vifs[0].mac, LEFT.mac, IPV4, packet)


def _told(frame: bytes, token: bytes) -> str | None:
    """Say what a frame is, if it comes of the token: its tags, and what is behind them."""
    tags, at = [], 12
    while struct.unpack_from("!H", frame, at)[0] in (C_TAG, S_TAG):
        protocol, value = struct.unpack_from("!HH", frame, at)
        words = [f"{value & 0xFFF}"]
        words += ["802.1ad"] * (protocol == S_TAG) + [f"priority {value >> 13}"] * (value >> 13 > 0)
        tags.append(" ".join(words + ["eligible"] * (value >> 12 & 1)))
        at += 4
    behind = "/".join(tags) or "untagged"
    if (found := read_arp(frame[:12] + frame[at:])) and found.operation == REPLY:
        return f"{behind}: {found.sender} is here"
    packet = frame[at + 2 :]
    if frame[at : at + 2] != struct.pack("!H", IPV4) or token not in packet:
        return None
    kind, code = packet[20:22]
    source = ".".join(map(str, packet[12:16]))
    return f"{behind}: ICMP {kind}/{code} from {source}, ttl {packet[8]}, {len(packet)} bytes"


def who_has(target: str, source: str) -> Callable[[bytes], bytes]:
    """Left's question for an address, as the payload of a case."""
    return lambda _: arp(REQUEST, LEFT.mac, source, target)
