"""What a router makes of a packet, put so that two routers can be compared by it."""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from dom0.topology import Host
from scapy.packet import Packet
from support.barrier import TOKEN, barrier
from support.packets import IPV4, IPV6, echo4, echo6, ethernet, mac, udp4, udp6
from support.wire import Wire

ICMP, ICMPV6, TCP = 1, 58, 6
ADVERTISEMENT = 136
# Neighbor and router discovery and group reports go on all the time.
DISCOVERY = {*range(130, 138), 143}


@dataclass(frozen=True)
class Case:
    """A packet for a router, made of a token that is found again in what comes of it."""

    packet: Callable[[bytes], Packet | bytes]
    to: str | None = None  # the MAC address it is sent to, if not the router's
    padding: bytes = b""
    late: bool = False  # whether it may take the router as long as looking for a neighbor in vain
    control: bool = False  # whether it is certain to be answered so late
    discovery: bool = False  # whether the answer is one of Neighbor Discovery

    def frame(self, token: bytes, router_mac: str, sender: str) -> bytes:
        """Return the whole frame."""
        packet = bytes(self.packet(token))
        kind = IPV6 if packet[0] >> 4 == 6 else IPV4
        return ethernet(self.to or router_mac, sender, kind, packet) + self.padding


def observe(
    cases: dict[str, Case], router_mac: str, left: Host, right: Host
) -> dict[str, tuple[str, ...]]:
    """Send each case from left to the router at `router_mac`; say what both hosts then see.

    The late ones wait together, after the others, until those that are certain to be answered are."""
    groups = [[name] for name, case in cases.items() if not case.late]
    if late := [name for name, case in cases.items() if case.late]:
        groups.append(late)
    found = {}
    with Wire(left) as near, Wire(right) as far:
        for names in groups:
            tokens = {name: os.urandom(TOKEN) for name in names}
            frames = {name: cases[name].frame(tokens[name], router_mac, left.mac) for name in names}
            near.heard()
            far.heard()
            near.send(*frames.values())
            early = _answered(near, [tokens[name] for name in names if cases[name].control])
            told, passed = _barrier(near, far, router_mac)
            told = early + told
            for name in names:
                sent, token = frames[name][14:], tokens[name]
                others = [tokens[other] for other in names if other != name]
                # An answer that isn't certainly another's may be this one's.
                own = [got for got in told if not any(other in got for other in others)]
                came = [f"right: {_forwarded(got, sent)}" for got in passed if token in got]
                answers = (_answer(got, sent, left, right, cases[name].discovery) for got in own)
                found[name] = tuple(sorted(came + [f"left: {text}" for text in answers if text]))
    return found


def _answered(near: Wire, tokens: list[bytes]) -> list[bytes]:
    """Wait until each of these is heard again, and what is answered at the same time."""
    frames: list[bytes] = []
    for token in tokens:
        if not any(token in frame for frame in frames):
            frames += near.until(lambda frame, token=token: token in frame)
    return frames + (near.heard(settle=0.5) if tokens else [])


def _barrier(near: Wire, far: Wire, router_mac: str) -> tuple[list[bytes], list[bytes]]:
    """Wait until the router is through with packets of both families."""
    at_near: list[bytes] = []
    at_far: list[bytes] = []
    for four in (True, False):

        def frame(packet: bytes, four: bool = four) -> bytes:
            return ethernet(router_mac, near.host.mac, IPV4 if four else IPV6, packet)

        source, target = (_address(host, four) for host in (near.host, far.host))
        gateway = near.host.gateways[0 if four else 1]
        echo, datagram = (echo4, udp4) if four else (echo6, udp6)
        told, passed = barrier(
            near,
            far,
            lambda token: frame(echo(source, gateway, token)),  # noqa: B023
            lambda token: frame(datagram(source, target, token, sport=7)),  # noqa: B023
        )
        at_near += told
        at_far += passed
    return at_near, at_far


def _address(host: Host, four: bool) -> str:
    return host.addresses[0 if four else 1].partition("/")[0]


def _forwarded(frame: bytes, sent: bytes) -> str:
    """Say how a packet differs from what was sent."""
    packet = frame[14:]
    if packet[0] >> 4 == 6:
        (length,) = struct.unpack_from("!H", packet, 4)
        same = packet[8:40] == sent[8:40] and packet[40 : 40 + length] == sent[40 : 40 + length]
        words = [f"hop limit {packet[7]}", f"class and label {packet[:4].hex()}", f"next header {packet[6]}"]
        return ", ".join([*words, f"{length} bytes {'as sent' if same else 'changed'}"])
    head = (packet[0] & 15) * 4
    tos, total, _, fragment, ttl = struct.unpack_from("!xBHHHB", packet)
    payload, before = packet[head:total], sent[(sent[0] & 15) * 4 :]
    offset = (fragment & 0x1FFF) * 8 - (struct.unpack_from("!H", sent, 6)[0] & 0x1FFF) * 8
    same = before[offset : offset + len(payload)] == payload and packet[12:20] == sent[12:20]
    words = [f"ttl {ttl}", f"tos {tos}", f"fragment {fragment:#06x}", f"options {packet[20:head].hex() or 'none'}"]
    return ", ".join([*words, f"{len(payload)} bytes {'as sent' if same else 'changed'}"])


def _answer(frame: bytes, sent: bytes, left: Host, right: Host, discovery: bool) -> str | None:
    """Say what a router tells the left host: what is for its address, and not from right."""
    own, others = ({ip_address(a.partition("/")[0]) for a in host.addresses} for host in (left, right))
    packet = frame[14:]
    if frame[:6] != mac(left.mac) or frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
        return None
    if packet[0] >> 4 == 6:
        source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
        hops, protocol, body, mtu_at, pointer_at = packet[7], packet[6], packet[40:], 4, 4
        errors, too_big = range(128), 2
    else:
        source, destination = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
        head = (packet[0] & 15) * 4
        total = struct.unpack_from("!H", packet, 2)[0]
        hops, protocol, body, mtu_at, pointer_at = packet[8], packet[9], packet[head:total], 4, 4
        errors, too_big = (3, 4, 5, 11, 12), 3
    if destination not in own or source in others:
        return None
    text = f"from {source}, hops {hops}"
    if protocol == TCP:
        return f"TCP flags {body[13]:#04x} {text}"
    if protocol not in (ICMP, ICMPV6):
        return f"protocol {protocol} {text}"
    kind, code = body[:2]
    if protocol == ICMPV6 and kind in DISCOVERY and not discovery:
        return None
    if protocol == ICMPV6 and kind == ADVERTISEMENT:
        target = IPv6Address(body[8:24])
        return f"{target} is here {text}, flags {body[4]:#04x}, options {body[24:26].hex() or 'none'}"
    if kind not in errors:
        same = "with" if body[8:] == _message(sent)[8:] else "without"
        return f"ICMP {kind}/{code} {text}, {same} the data"
    extra = ""
    if (protocol, kind, code) == (ICMP, 3, 4) or (protocol, kind) == (ICMPV6, too_big):
        extra = f", MTU {struct.unpack_from('!I', body, mtu_at)[0]}"
    elif (protocol, kind) == (ICMP, 12):
        extra = f", pointer {body[pointer_at]}"
    elif (protocol, kind) == (ICMPV6, 4):
        extra = f", pointer {struct.unpack_from('!I', body, pointer_at)[0]}"
    quote = body[8:]
    return f"ICMP {kind}/{code} {text}{extra}, {'quoting' if _quotes(quote, sent) else 'misquoting'}"


def _message(sent: bytes) -> bytes:
    return sent[40:] if sent[0] >> 4 == 6 else sent[(sent[0] & 15) * 4 :]


def _quotes(quote: bytes, sent: bytes) -> bool:
    """Returns `True` if an error quotes what was sent, but for fields that routers change."""
    if sent[0] >> 4 == 6:
        return quote[8:] == sent[8 : len(quote)]
    return len(quote) >= 28 and quote[12:] == sent[12 : len(quote)]
