"""Neighbor Discovery (RFC 4861) by hand: its packets, and a router that is asked and told."""

import os
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

from dom0.guest import Guest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr, IPv6,
)  # fmt: skip
from scapy.packet import Raw
from support.compare import FIRST, SECOND
from support.network import LEFT, RIGHT
from support.packets import IPV6, ethernet, mac_text
from support.wire import Wire

NEAR6, FAR6 = "2001:db8::1", "2001:db8:1::1"
LEFT6, RIGHT6 = "2001:db8::2", "2001:db8:1::2"
ALL_NODES, ALL_ROUTERS = "ff02::1", "ff02::2"
SOLICITATION, ADVERTISEMENT = 135, 136
REPORT, REPORT_2 = 131, 143
ALERT = bytes.fromhex("3a000502 00000100")  # of MLD, before ICMPv6 (RFC 2711)
NO_SOURCES = 3  # CHANGE_TO_INCLUDE_MODE, with none (RFC 3810 5.2.12)


@dataclass(frozen=True)
class Discovery:
    """A solicitation or an advertisement, with the MAC address that its frame was for."""

    mac: str
    source: str
    destination: str
    kind: int
    flags: int
    target: str
    options: bytes


def read(frame: bytes) -> Discovery | None:
    """Read a frame if it is a solicitation or an advertisement, with nothing before it."""
    if frame[12:14] != struct.pack("!H", IPV6) or len(frame) < 78 or frame[20] != 58 or frame[21] != 255:
        return None
    if frame[54] not in (SOLICITATION, ADVERTISEMENT):
        return None
    (length,) = struct.unpack_from("!H", frame, 18)
    source, destination, target = (str(IPv6Address(frame[at : at + 16])) for at in (22, 38, 62))
    head = (mac_text(frame[:6]), source, destination, frame[54], frame[58])
    return Discovery(*head, target, frame[78 : 54 + length])


@dataclass(frozen=True)
class Report:
    """What a router says of groups: in which version, to whom, and of each group what."""

    version: int
    destination: str
    records: tuple[tuple[int, str], ...]


def read_report(packet: bytes) -> Report | None:
    """Read a report of either version, which must be formed as reports are."""
    if len(packet) < 72 or packet[0] >> 4 != 6 or packet[6] != 0 or packet[48] not in (REPORT, REPORT_2):
        return None
    source, destination = IPv6Address(packet[8:24]), str(IPv6Address(packet[24:40]))
    assert packet[40:48] == ALERT and packet[7] == 1, packet.hex()
    assert source.is_link_local or source.is_unspecified  # RFC 3590
    if packet[48] == REPORT:
        group = str(IPv6Address(packet[56:72]))
        assert destination == group
        return Report(1, "the group", ((0, group),))
    (count,) = struct.unpack_from("!H", packet, 54)
    at = range(56, 56 + 20 * count, 20)
    # No sources, no auxiliary data.
    assert all(packet[i + 1 : i + 4] == bytes(3) for i in at)
    return Report(2, destination, tuple((packet[i], str(IPv6Address(packet[i + 4 : i + 20]))) for i in at))


def solicited_node_group(address: str) -> tuple[str, str]:
    """The solicited-node group of an address, and its MAC address."""
    tail = IPv6Address(address).packed[-3:]
    return str(IPv6Address(bytes.fromhex("ff02" + "00" * 9 + "01ff") + tail)), "33:33:ff:" + tail.hex(":")


def solicitation(
    target: str, source: str, mac: str, *, to: str = "", hops: int = 255, length: int = 1, **fields
) -> bytes:
    """A neighbor solicitation, to the solicited-node group or to `to`. `length` is what the option with
    the MAC address, if there is one, says of its own."""
    packet = IPv6(src=source, dst=to or solicited_node_group(target)[0], hlim=hops) / ICMPv6ND_NS(tgt=target, **fields)
    return bytes(packet / ICMPv6NDOptSrcLLAddr(lladdr=mac, len=length) if mac else packet)


def advertisement(
    target: str, mac: str, *, to: str = ALL_NODES, source: str = "", hops: int = 255, **fields
) -> bytes:
    """A neighbor advertisement; S, O and R are its flags."""
    answer = ICMPv6ND_NA(**{"tgt": target, "R": 0, "O": 0, **fields})
    packet = IPv6(src=source or target, dst=to, hlim=hops) / answer
    return bytes(packet / ICMPv6NDOptDstLLAddr(lladdr=mac) if mac else packet)


def router_solicitation(source: str, mac: str) -> bytes:
    """A router solicitation."""
    packet = IPv6(src=source, dst=ALL_ROUTERS, hlim=255) / ICMPv6ND_RS()
    return bytes(packet / ICMPv6NDOptSrcLLAddr(lladdr=mac))


def frame(destination: str, source: str, packet: bytes) -> bytes:
    """An IPv6 packet in a frame, to a group's MAC address if it goes to a group."""
    group = packet[24] == 0xFF
    return ethernet("33:33:" + packet[36:40].hex(":") if group else destination, source, IPV6, packet)


class Bench:
    """A router between two hosts whose frames are seen, and those of MAC addresses beside them."""

    def __init__(self, router: Guest, near: Wire, far: Wire) -> None:
        self.near_mac, self.far_mac = (vif.mac for vif in router.vifs)
        self.near, self.far = near, far

    def send_near(self, packet: bytes, source: str = LEFT.mac) -> None:
        """Send a packet to the router's left side."""
        self.near.send(frame(self.near_mac, source, packet))

    def send_far(self, packet: bytes, source: str = FIRST) -> None:
        """Send a packet to the router's right side, and wait until it has been looked at."""
        self.far.send(frame(self.far_mac, source, packet))
        self.far.send(frame(self.far_mac, RIGHT.mac, solicitation(FAR6, RIGHT6, RIGHT.mac)))
        self.far.until(lambda f: (nd := read(f)) and (nd.kind, nd.target) == (ADVERTISEMENT, FAR6))

    def datagram(self, target: str) -> bytes:
        """Send a datagram from left to an address on the right; return what it is known by."""
        token = os.urandom(12)
        self.send_near(bytes(IPv6(src=LEFT6, dst=target) / UDP(sport=7, dport=9) / Raw(token)))
        return token

    def error(self, target: str) -> tuple[int, int]:
        """The type and code of the error that a datagram from left causes."""
        token = self.datagram(target)
        found = self.near.until(lambda f: token in f)[-1]
        return found[54], found[55]

    def where(self, target: str) -> str:
        """Where a datagram goes, or what the router solicits."""
        token = self.datagram(target)

        def one(f: bytes) -> bool:
            nd = read(f)
            return token in f or bool(nd and (nd.kind, nd.target) == (SOLICITATION, target))

        last = self.far.until(one)[-1]
        if token in last:
            return f"to {_mac_name(mac_text(last[:6]))}"
        found = read(last)
        assert found
        return _solicitation(found)

    def advertised(self, solicited: bytes) -> list[str]:
        """What the router advertises when it is solicited on the left; what it says unasked now and then is
        no answer, unless all nodes get that too."""
        self.near.heard()
        self.send_near(solicited)
        heard = [f for f in self.echo() if mac_text(f[6:12]) == self.near_mac]
        to_all = IPv6(solicited).src == "::"
        found = [nd for nd in map(read, heard) if nd and nd.kind == ADVERTISEMENT]
        found = [nd for nd in found if to_all or nd.destination != ALL_NODES]
        return [
            f"{nd.target} to {nd.destination} at {_mac_name(nd.mac)}, flags {nd.flags:#04x}, "
            f"options {nd.options[:2].hex() or 'none'}"
            for nd in found
        ]

    def echo(self) -> list[bytes]:
        """What arrives on the left before the router has answered a ping of left's."""
        token = os.urandom(12)
        self.send_near(bytes(IPv6(src=LEFT6, dst=NEAR6) / ICMPv6EchoRequest(data=token)))
        return self.near.until(lambda f: token in f)

    def learn(self, target: str) -> None:
        """Have the router know that an address is at the first MAC address."""
        token = self.datagram(target)
        self.far.until(lambda f: (nd := read(f)) and (nd.kind, nd.target) == (SOLICITATION, target))
        self.far.send(frame(self.far_mac, FIRST, advertisement(target, FIRST, to=FAR6, S=1, O=1)))
        self.far.until(lambda f: token in f)

    def solicitations(self, target: str, frames: list[bytes]) -> list[str]:
        """The router's solicitations of an address, of frames on the right."""
        found = [nd for nd in map(read, frames) if nd and (nd.kind, nd.target) == (SOLICITATION, target)]
        return [_solicitation(nd) for nd in found]


def _mac_name(mac: str) -> str:
    names = {FIRST: "the first", SECOND: "the second", RIGHT.mac: "right", LEFT.mac: "left"}
    return names.get(mac, mac)


def _solicitation(nd: Discovery) -> str:
    """Say to whom a solicitation is, from whom, and with which options."""
    to = "multicast" if (nd.destination, nd.mac) == solicited_node_group(nd.target) else f"to {_mac_name(nd.mac)}"
    assert to == "multicast" or nd.destination == nd.target, nd
    source = "a link-local address" if nd.source.startswith("fe80::") else nd.source
    return f"solicitation, {to}, from {source}, options {nd.options[:2].hex() or 'none'}"
