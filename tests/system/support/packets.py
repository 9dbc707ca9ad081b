"""Frames made by hand, right or wrong on purpose, and read again."""

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

IPV4, ARP, VLAN, IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD
ICMP, UDP, ICMPV6 = 1, 17, 58
DF, MF = 0x4000, 0x2000
BROADCAST = "ff:ff:ff:ff:ff:ff"
REQUEST, REPLY = 1, 2
TIME_EXCEEDED, UNREACHABLE, REDIRECT, PARAMETER = 11, 3, 5, 12
NOBODY_LISTENS = (UNREACHABLE, 3)


def mac(text: str) -> bytes:
    """Return a MAC address as bytes."""
    return bytes.fromhex(text.replace(":", ""))


def mac_text(raw: bytes) -> str:
    """Return a MAC address as text."""
    return raw.hex(":")


def link_local(mac: str) -> str:
    """The IPv6 address that a host makes itself of its hardware address."""
    head, tail = mac.split(":")[:3], mac.split(":")[3:]
    octets = [f"{int(head[0], 16) ^ 2:02x}", *head[1:], "ff", "fe", *tail]
    words = ["".join(pair) for pair in zip(octets[::2], octets[1::2], strict=True)]
    return str(IPv6Address("fe80::" + ":".join(words)))


def checksum(data: bytes) -> int:
    """Return the Internet checksum of data whose own checksum field is zero."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ethernet(destination: str, source: str, kind: int, payload: bytes) -> bytes:
    """Return a frame, not padded."""
    return mac(destination) + mac(source) + struct.pack("!H", kind) + payload


def ipv4(
    source: str,
    destination: str,
    payload: bytes = b"",
    *,
    protocol: int = UDP,
    ttl: int = 64,
    version: int = 4,
    words: int | None = None,
    total: int | None = None,
    damage: int = 0,
    fragment: int = 0,
    ident: int = 1,
    options: bytes = b"",
    tos: int = 0,
) -> bytes:
    """Return a packet; `words`, `total` and `damage` (of the checksum) make it a wrong one."""
    options += bytes(-len(options) % 4)
    words = 5 + len(options) // 4 if words is None else words
    total = 20 + len(options) + len(payload) if total is None else total
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    head = struct.pack("!BBHHHBB", version << 4 | words, tos, total, ident, fragment, ttl, protocol)
    right = checksum(head + bytes(2) + addresses + options)
    return head + struct.pack("!H", right ^ damage) + addresses + options + payload


def ipv6(
    source: str,
    destination: str,
    payload: bytes = b"",
    *,
    protocol: int = UDP,
    hops: int = 64,
    traffic: int = 0,
    label: int = 0,
) -> bytes:
    """Return an IPv6 packet; `traffic` is its class."""
    head = struct.pack("!IHBB", 6 << 28 | traffic << 20 | label, len(payload), protocol, hops)
    addresses = (socket.inet_pton(socket.AF_INET6, address) for address in (source, destination))
    return head + b"".join(addresses) + payload


def udp(source: str, destination: str, data: bytes, *, sport: int = 4000, dport: int = 9) -> bytes:
    """Return a UDP datagram with its checksum."""
    length = 8 + len(data)
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", UDP, length)
    head = struct.pack("!HHH", sport, dport, length)
    return head + struct.pack("!H", checksum(pseudo + head + bytes(2) + data) or 0xFFFF) + data


def udp4(source: str, destination: str, data: bytes, *, sport: int = 4000, dport: int = 9, **ip) -> bytes:
    """Return an IPv4 packet with a UDP datagram in it."""
    return ipv4(source, destination, udp(source, destination, data, sport=sport, dport=dport), **ip)


def udp6(
    source: str, destination: str, data: bytes, *, sport: int = 4000, dport: int = 9, hops: int = 64
) -> bytes:
    """Return an IPv6 packet with a UDP datagram in it."""
    ends = b"".join(socket.inet_pton(socket.AF_INET6, end) for end in (source, destination))
    length = 8 + len(data)
    ports = struct.pack("!HHH", sport, dport, length)
    check = checksum(ends + struct.pack("!II", length, UDP) + ports + data) or 0xFFFF
    return struct.pack("!IHBB", 6 << 28, length, UDP, hops) + ends + ports + struct.pack("!H", check) + data


def icmp(kind: int, code: int, rest: bytes = bytes(4)) -> bytes:
    """Return an ICMP message; `rest` begins behind the checksum."""
    head = struct.pack("!BB", kind, code)
    return head + struct.pack("!H", checksum(head + bytes(2) + rest)) + rest


def arp(operation: int, sender_mac: str, sender: str, target: str, target_mac: str = "00" * 6) -> bytes:
    """Return an ARP packet."""
    fixed = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation)
    return fixed + mac(sender_mac) + socket.inet_aton(sender) + mac(target_mac) + socket.inet_aton(target)


def echo4(source: str, destination: str, data: bytes, **ip) -> bytes:
    """Return an IPv4 packet with an echo request."""
    return ipv4(source, destination, icmp(8, 0, bytes(4) + data), protocol=ICMP, **ip)


def echo6(source: str, destination: str, data: bytes) -> bytes:
    """Return an IPv6 packet with an echo request."""
    ends = b"".join(socket.inet_pton(socket.AF_INET6, end) for end in (source, destination))
    body = bytes(4) + data
    pseudo = ends + struct.pack("!II", 4 + len(body), ICMPV6)
    head = struct.pack("!BBH", 128, 0, checksum(pseudo + b"\x80\0\0\0" + body))
    return ipv6(source, destination, head + body, protocol=ICMPV6)


@dataclass(frozen=True)
class Arp:
    """An ARP packet as it was received, with the MAC address its frame was for."""

    destination: str
    operation: int
    sender_mac: str
    sender: str
    target: str


def read_arp(frame: bytes) -> Arp | None:
    """Read a frame if it is ARP for IPv4."""
    if len(frame) < 42 or frame[12:20] != struct.pack("!HHHBB", ARP, 1, IPV4, 6, 4):
        return None
    (operation,) = struct.unpack_from("!H", frame, 20)
    sender, target = socket.inet_ntoa(frame[28:32]), socket.inet_ntoa(frame[38:42])
    return Arp(mac_text(frame[:6]), operation, mac_text(frame[22:28]), sender, target)


@dataclass(frozen=True)
class Ip:
    """An IPv4 packet as it was received, with the MAC addresses of its frame."""

    destination_mac: str
    source_mac: str
    header: bytes
    payload: bytes
    total: int
    ident: int
    fragment: int
    ttl: int
    protocol: int
    source: str
    destination: str

    @property
    def offset(self) -> int:
        """Where a fragment's payload belongs."""
        return (self.fragment & 0x1FFF) * 8

    @property
    def sound(self) -> bool:
        """Returns `True` if the header's checksum holds."""
        return checksum(self.header) == 0


def read_ip(frame: bytes) -> Ip | None:
    """Read a frame if it is IPv4 and whole."""
    packet = frame[14:]
    if frame[12:14] != struct.pack("!H", IPV4) or len(packet) < 20:
        return None
    length = (packet[0] & 15) * 4
    _, _, total, ident, fragment, ttl, protocol, _ = struct.unpack_from("!BBHHHBBH", packet)
    return Ip(
        mac_text(frame[:6]), mac_text(frame[6:12]), packet[:length], packet[length:total],
        total, ident, fragment, ttl, protocol,
        socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]),
    )  # fmt: skip


def assert_forwarded(frame: bytes, packet: bytes) -> None:
    """A frame holds an IPv4 packet without options as a router passes it on: one less of its TTL, the rest
    unchanged."""
    ip = read_ip(frame)
    assert ip and ip.sound and ip.payload == packet[20:], frame.hex()
    assert ip.ttl == packet[8] - 1, frame.hex()
    assert ip.header[:8] + ip.header[12:] == packet[:8] + packet[12:20], frame.hex()


@dataclass(frozen=True)
class IcmpError:
    """An ICMP error as it was received; `rest` is what stands between checksum and quote."""

    source: str
    kind: int
    code: int
    rest: bytes
    quote: bytes

    @property
    def mtu(self) -> int:
        """The MTU of the next link, of a fragmentation needed."""
        return int.from_bytes(self.rest[2:])


def read_error(frame: bytes) -> IcmpError | None:
    """Read a frame if it is an ICMP error with correct checksums."""
    ip = read_ip(frame)
    if ip is None or ip.protocol != ICMP or ip.payload[0] not in (3, 4, 5, 11, 12):
        return None
    assert ip.sound and checksum(ip.payload) == 0, frame.hex()
    return IcmpError(ip.source, ip.payload[0], ip.payload[1], ip.payload[4:8], ip.payload[8:])
