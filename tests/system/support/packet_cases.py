"""The packets that forwarding/test_packets_vs_linux.py sends through two routers, of both families.

Left is 10.0.0.2 and 2001:db8:0::2, right 10.0.1.2 and 2001:db8:1::2, the router .1 and ::1 on
both sides. Right's link carries 1280 bytes. 192.0.2.0/26 is unreachable, 192.0.2.64/26
prohibited, 192.0.2.128/26 a black hole, and so are 2001:db8:a::/48, b and c.
"""

import socket

from dom0.topology import Host
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, RouterAlert,
)  # fmt: skip
from scapy.packet import Packet, Raw
from support.outcome import Case
from support.packets import BROADCAST

LEFT4, RIGHT4, NEAR4, FAR4 = "10.0.0.2", "10.0.1.2", "10.0.0.1", "10.0.1.1"
LEFT6, RIGHT6, NEAR6, FAR6 = "2001:db8::2", "2001:db8:1::2", "2001:db8::1", "2001:db8:1::1"
SOLICITED = "33:33:ff:00:00:01"
STRANGER = "02:00:00:00:00:99"
LEFT_MAC = Host("left", "xenbr0").mac
MTU = 1280

UNREACHABLE = {
    "unreachable": ("192.0.2.0/26", "2001:db8:a::/48"),
    "prohibit": ("192.0.2.64/26", "2001:db8:b::/48"),
    "blackhole": ("192.0.2.128/26", "2001:db8:c::/48"),
}


def u4(token: bytes, dst: str = RIGHT4, src: str = LEFT4, size: int = 0, **ip) -> Packet:
    """A datagram; `size` is that of the whole packet."""
    data = (token * (1 + size // len(token)))[: size - 28] if size else token
    return IP(src=src, dst=dst, **ip) / UDP(sport=4000, dport=9) / Raw(data)


def options4(token: bytes, options: bytes, dst: str = RIGHT4, **ip) -> bytes:
    """A datagram with these bytes as options."""
    options += bytes(-len(options) % 4)
    packet = bytes(u4(token, dst, **ip))
    header = bytearray(packet[:20] + options)
    header[0] = 0x40 | len(header) // 4
    header[2:4] = (len(header) + len(packet) - 20).to_bytes(2, "big")
    header[10:12] = bytes(2)
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = (total ^ 0xFFFF).to_bytes(2, "big")
    return bytes(header) + packet[20:]


def error4(token: bytes, kind: int, code: int = 0, dst: str = RIGHT4, **ip) -> Packet:
    """An ICMP message about a datagram that right never sent."""
    about = IP(src=dst, dst=LEFT4) / UDP(sport=1, dport=2) / Raw(token)
    return IP(src=LEFT4, dst=dst, **ip) / ICMP(type=kind, code=code) / Raw(bytes(about))


def piece4(token: bytes, offset: int, more: bool, **ip) -> Packet:
    """A fragment whose payload says nothing."""
    flags = "MF" if more else 0
    return IP(src=LEFT4, dst=RIGHT4, proto=17, frag=offset // 8, flags=flags, **ip) / Raw(token * 2)


def echo4(token: bytes, dst: str, **ip) -> Packet:
    """An echo request."""
    return IP(src=LEFT4, dst=dst, **ip) / ICMP(type=8, id=7, seq=1) / Raw(token)


V4 = {
    "plain": Case(u4),
    "class of service": Case(lambda t: u4(t, tos=0xBB)),
    "do not fragment": Case(lambda t: u4(t, flags="DF")),
    "the flag of RFC 3514": Case(lambda t: u4(t, flags="evil")),
    "padded": Case(u4, padding=bytes(9)),
    "ttl 2": Case(lambda t: u4(t, ttl=2)),
    "ttl 1": Case(lambda t: u4(t, ttl=1)),
    "ttl 0": Case(lambda t: u4(t, ttl=0)),
    "ttl 255": Case(lambda t: u4(t, ttl=255)),
    "header checksum wrong": Case(lambda t: u4(t, chksum=0x1234)),
    "header of 4 words": Case(lambda t: u4(t, ihl=4)),
    "header beyond the packet": Case(lambda t: IP(src=LEFT4, dst=RIGHT4, ihl=15, proto=17) / Raw(t)),
    "total length beyond the frame": Case(lambda t: u4(t, len=200)),
    "total length below the header": Case(lambda t: u4(t, len=19)),
    "version 5": Case(lambda t: u4(t, version=5)),
    "unknown protocol": Case(lambda t: IP(src=LEFT4, dst=RIGHT4, proto=253) / Raw(t)),
    "end of options": Case(lambda t: options4(t, b"\x01\x00\x00\x00")),
    "record route": Case(lambda t: options4(t, b"\x07\x0b\x04" + bytes(8))),
    "record route, full": Case(lambda t: options4(t, b"\x07\x07\x08" + socket.inet_aton("10.9.9.9"))),
    "record route, pointer in the header": Case(lambda t: options4(t, b"\x07\x0b\x03" + bytes(8))),
    "router alert": Case(lambda t: options4(t, b"\x94\x04\x00\x00")),
    "unknown option": Case(lambda t: options4(t, b"\x99\x04\xab\xcd")),
    "loose source route": Case(lambda t: options4(t, b"\x83\x07\x04" + socket.inet_aton("10.0.1.9"))),
    "strict source route": Case(lambda t: options4(t, b"\x89\x07\x04" + socket.inet_aton("10.0.1.9"))),
    "source route to its end": Case(lambda t: options4(t, b"\x83\x07\x08" + socket.inet_aton("10.0.0.1"))),
    "option of length 0": Case(lambda t: options4(t, b"\x07\x00\x04\x00")),
    "option beyond the header": Case(lambda t: options4(t, b"\x07\x27\x04\x00")),
    "from 0.0.0.0": Case(lambda t: u4(t, src="0.0.0.0")),
    "from 0.1.2.3": Case(lambda t: u4(t, src="0.1.2.3")),
    "from 127.0.0.1": Case(lambda t: u4(t, src="127.0.0.1")),
    "from 224.0.0.5": Case(lambda t: u4(t, src="224.0.0.5")),
    "from 240.0.0.1": Case(lambda t: u4(t, src="240.0.0.1")),
    "from 255.255.255.255": Case(lambda t: u4(t, src="255.255.255.255")),
    "from the network's broadcast": Case(lambda t: u4(t, src="10.0.0.255")),
    "from the router": Case(lambda t: u4(t, src=NEAR4)),
    "from the router's other side": Case(lambda t: u4(t, src=FAR4)),
    "from elsewhere": Case(lambda t: u4(t, src="198.51.100.1")),
    "to 0.0.0.0": Case(lambda t: u4(t, "0.0.0.0")),
    "to 127.0.0.1": Case(lambda t: u4(t, "127.0.0.1")),
    "to 240.0.0.1": Case(lambda t: u4(t, "240.0.0.1")),
    "to a group": Case(lambda t: u4(t, "239.1.2.3")),
    "to the local group of all": Case(lambda t: u4(t, "224.0.0.1")),
    "to 255.255.255.255": Case(lambda t: u4(t, "255.255.255.255")),
    "to near's broadcast": Case(lambda t: u4(t, "10.0.0.255")),
    "to far's broadcast": Case(lambda t: u4(t, "10.0.1.255")),
    "to far's network address": Case(lambda t: u4(t, "10.0.1.0"), late=True),
    "in a broadcast": Case(u4, to=BROADCAST),
    "in a broadcast, ttl 1": Case(lambda t: u4(t, ttl=1), to=BROADCAST),
    "to another host's MAC address": Case(u4, to=STRANGER),
    "no route": Case(lambda t: u4(t, "203.0.113.1")),
    "no route, ttl 1": Case(lambda t: u4(t, "203.0.113.1", ttl=1)),
    "nobody there": Case(lambda t: u4(t, "10.0.1.99"), late=True, control=True),
    "unreachable": Case(lambda t: u4(t, "192.0.2.1")),
    "prohibited": Case(lambda t: u4(t, "192.0.2.65")),
    "black hole": Case(lambda t: u4(t, "192.0.2.129")),
    "black hole, ttl 1": Case(lambda t: u4(t, "192.0.2.129", ttl=1)),
    "as big as may be": Case(lambda t: u4(t, size=MTU, flags="DF")),
    "too big": Case(lambda t: u4(t, size=MTU + 1, flags="DF")),
    "too big, ttl 1": Case(lambda t: u4(t, size=MTU + 1, flags="DF", ttl=1)),
    "to be fragmented": Case(lambda t: u4(t, size=1500)),
    "to be fragmented by one byte": Case(lambda t: u4(t, size=MTU + 1)),
    "first fragment": Case(lambda t: piece4(t, 0, True)),
    "later fragment": Case(lambda t: piece4(t, 800, True)),
    "last fragment": Case(lambda t: piece4(t, 8000, False)),
    "fragment beyond 65535": Case(lambda t: piece4(t, 65528, False)),
    "first fragment, ttl 1": Case(lambda t: piece4(t, 0, True, ttl=1)),
    "later fragment, ttl 1": Case(lambda t: piece4(t, 800, False, ttl=1)),
    "echo request passes": Case(lambda t: echo4(t, RIGHT4, ttl=9)),
    "echo to near": Case(lambda t: echo4(t, NEAR4)),
    "echo to far": Case(lambda t: echo4(t, FAR4)),
    "echo, ttl 1": Case(lambda t: echo4(t, NEAR4, ttl=1)),
    "echo with its checksum wrong": Case(lambda t: IP(src=LEFT4, dst=NEAR4) / ICMP(type=8, chksum=1) / Raw(t)),
    "echo to a broadcast": Case(lambda t: echo4(t, "10.0.0.255")),
    "echo in a broadcast": Case(lambda t: echo4(t, NEAR4), to=BROADCAST),
    "echo reply to the router": Case(lambda t: IP(src=LEFT4, dst=NEAR4) / ICMP(type=0) / Raw(t)),
    "timestamp request": Case(lambda t: IP(src=LEFT4, dst=NEAR4) / ICMP(type=13)),
    "address mask request": Case(lambda t: IP(src=LEFT4, dst=NEAR4) / ICMP(type=17)),
    "unknown ICMP": Case(lambda t: IP(src=LEFT4, dst=NEAR4) / ICMP(type=200) / Raw(t)),
    "port without a service": Case(lambda t: u4(t, NEAR4)),
    "port without a service, far": Case(lambda t: u4(t, FAR4)),
    "TCP without a service": Case(lambda t: IP(src=LEFT4, dst=NEAR4) / TCP(sport=5, dport=9, flags="S")),
    "TCP reset to the router": Case(lambda t: IP(src=LEFT4, dst=NEAR4) / TCP(sport=5, dport=9, flags="R")),
    "protocol that the router lacks": Case(lambda t: IP(src=LEFT4, dst=NEAR4, proto=253) / Raw(t)),
    "error about an error": Case(lambda t: error4(t, 3, 1, ttl=1)),
    "time exceeded, ttl 1": Case(lambda t: error4(t, 11, ttl=1)),
    "redirect, ttl 1": Case(lambda t: error4(t, 5, 1, ttl=1)),
    "parameter problem without a route": Case(lambda t: error4(t, 12, dst="203.0.113.1")),
    "echo without a route": Case(lambda t: echo4(t, "203.0.113.1")),
    "error passes": Case(lambda t: error4(t, 3, 1)),
}


def u6(token: bytes, dst: str = RIGHT6, src: str = LEFT6, size: int = 0, **ip) -> Packet:
    """A datagram, as u4."""
    data = (token * (1 + size // len(token)))[: size - 48] if size else token
    return IPv6(src=src, dst=dst, **ip) / UDP(sport=4000, dport=9) / Raw(data)


def behind(token: bytes, *headers: Packet, dst: str = RIGHT6, **ip) -> Packet:
    """A datagram behind extension headers."""
    packet = IPv6(src=LEFT6, dst=dst, **ip)
    for header in headers:
        packet /= header
    return packet / UDP(sport=4000, dport=9) / Raw(token)


PADDING = PadN(optlen=4, optdata=bytes(4))


def hop_by_hop(kind: int) -> Packet:
    """A hop-by-hop header with an option that nobody knows."""
    return IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=kind, optlen=4, optdata=b"abcd")])


def destination(kind: int) -> Packet:
    """The same for the destination."""
    return IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=kind, optlen=4, optdata=b"abcd")])


def echo6(token: bytes, dst: str, **ip) -> Packet:
    """An echo request."""
    return IPv6(src=LEFT6, dst=dst, **ip) / ICMPv6EchoRequest(id=7, seq=1, data=token)


def error6(token: bytes, header: Packet, dst: str = RIGHT6, **ip) -> Packet:
    """An ICMPv6 error about a datagram that right never sent."""
    about = IPv6(src=dst, dst=LEFT6) / UDP(sport=1, dport=2) / Raw(token)
    return IPv6(src=LEFT6, dst=dst, **ip) / header / Raw(bytes(about))


def ask(target: str, to: str = "", **ip) -> Packet:
    """A question of left's, as any host would ask it: of those whose address ends like that."""
    source = ICMPv6NDOptSrcLLAddr(lladdr=LEFT_MAC)
    to = to or f"ff02::1:ff00:{target[-1]}"
    return IPv6(src=LEFT6, dst=to, **{"hlim": 255, **ip}) / ICMPv6ND_NS(tgt=target) / source


V6 = {
    "plain": Case(u6),
    "class and label": Case(lambda t: u6(t, tc=0xBB, fl=0x12345)),
    "padded": Case(u6, padding=bytes(9)),
    "hop limit 2": Case(lambda t: u6(t, hlim=2)),
    "hop limit 1": Case(lambda t: u6(t, hlim=1)),
    "hop limit 0": Case(lambda t: u6(t, hlim=0)),
    "hop limit 255": Case(lambda t: u6(t, hlim=255)),
    "payload length beyond the frame": Case(lambda t: u6(t, plen=200)),
    "version 5": Case(lambda t: u6(t, version=5)),
    "no next header": Case(lambda t: IPv6(src=LEFT6, dst=RIGHT6, nh=59) / Raw(t)),
    "unknown next header": Case(lambda t: IPv6(src=LEFT6, dst=RIGHT6, nh=253) / Raw(t)),
    "padding hop by hop": Case(lambda t: behind(t, IPv6ExtHdrHopByHop(options=[PADDING]))),
    "padding hop by hop, hop limit 1": Case(
        lambda t: behind(t, IPv6ExtHdrHopByHop(options=[PADDING]), hlim=1)
    ),
    "router alert": Case(lambda t: behind(t, IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)]))),
    "hop by hop, to be skipped": Case(lambda t: behind(t, hop_by_hop(0x1E))),
    "hop by hop, to be dropped": Case(lambda t: behind(t, hop_by_hop(0x5E))),
    "hop by hop, to be reported": Case(lambda t: behind(t, hop_by_hop(0x9E))),
    "hop by hop, to be reported if unicast": Case(lambda t: behind(t, hop_by_hop(0xDE))),
    "hop by hop beyond the packet": Case(lambda t: behind(t, IPv6ExtHdrHopByHop(len=200))),
    "hop by hop in second place": Case(lambda t: behind(t, destination(0x1E), hop_by_hop(0x9E))),
    "destination options pass": Case(lambda t: behind(t, destination(0x9E))),
    "routing header passes": Case(lambda t: behind(t, IPv6ExtHdrRouting(addresses=["2001:db8:9::9"]))),
    "first fragment": Case(lambda t: behind(t, IPv6ExtHdrFragment(offset=0, m=1, id=9))),
    "later fragment": Case(lambda t: behind(t, IPv6ExtHdrFragment(offset=100, m=1, id=9))),
    "later fragment, hop limit 1": Case(
        lambda t: behind(t, IPv6ExtHdrFragment(offset=100, m=0, id=9), hlim=1)
    ),
    "from ::": Case(lambda t: u6(t, src="::")),
    "from ::1": Case(lambda t: u6(t, src="::1")),
    "from a group": Case(lambda t: u6(t, src="ff02::5")),
    "from ::ffff:10.0.0.2": Case(lambda t: u6(t, src="::ffff:10.0.0.2")),
    "from the router": Case(lambda t: u6(t, src=NEAR6)),
    "from the router's other side": Case(lambda t: u6(t, src=FAR6)),
    "from elsewhere": Case(lambda t: u6(t, src="2001:db8:77::1")),
    "from a link-local address": Case(lambda t: u6(t, src="fe80::77")),
    "to ::": Case(lambda t: u6(t, "::")),
    "to ::1": Case(lambda t: u6(t, "::1")),
    "to ::ffff:10.0.1.2": Case(lambda t: u6(t, "::ffff:10.0.1.2")),
    "to a global group": Case(lambda t: u6(t, "ff0e::99"), to="33:33:00:00:00:99"),
    "to a group at the router's MAC address": Case(lambda t: u6(t, "ff0e::99")),
    "to a link-local address": Case(lambda t: u6(t, "fe80::77"), late=True),
    "in a broadcast": Case(u6, to=BROADCAST),
    "to another host's MAC address": Case(u6, to=STRANGER),
    "no route": Case(lambda t: u6(t, "2a00::1")),
    "no route, hop limit 1": Case(lambda t: u6(t, "2a00::1", hlim=1)),
    "nobody there": Case(lambda t: u6(t, "2001:db8:1::99"), late=True, control=True),
    "unreachable": Case(lambda t: u6(t, "2001:db8:a::1")),
    "prohibited": Case(lambda t: u6(t, "2001:db8:b::1")),
    "black hole": Case(lambda t: u6(t, "2001:db8:c::1")),
    "as big as may be": Case(lambda t: u6(t, size=MTU)),
    "too big": Case(lambda t: u6(t, size=MTU + 1)),
    "too big, hop limit 1": Case(lambda t: u6(t, size=MTU + 1, hlim=1)),
    "echo request passes": Case(lambda t: echo6(t, RIGHT6, hlim=9)),
    "echo to near": Case(lambda t: echo6(t, NEAR6)),
    "echo to far": Case(lambda t: echo6(t, FAR6)),
    "echo, hop limit 1": Case(lambda t: echo6(t, NEAR6, hlim=1)),
    "echo to all nodes": Case(lambda t: echo6(t, "ff02::1"), to="33:33:00:00:00:01", late=True),
    "echo to the subnet's routers": Case(lambda t: echo6(t, "2001:db8::")),
    "echo with its checksum wrong": Case(
        lambda t: IPv6(src=LEFT6, dst=NEAR6) / ICMPv6EchoRequest(cksum=1, data=t)
    ),
    "echo behind destination options": Case(
        lambda t: IPv6(src=LEFT6, dst=NEAR6)
        / IPv6ExtHdrDestOpt(options=[PADDING])
        / ICMPv6EchoRequest(data=t)
    ),
    "echo behind an option to be reported": Case(
        lambda t: IPv6(src=LEFT6, dst=NEAR6) / destination(0x9E) / ICMPv6EchoRequest(data=t)
    ),
    "echo behind an option to be dropped": Case(
        lambda t: IPv6(src=LEFT6, dst=NEAR6) / destination(0x5E) / ICMPv6EchoRequest(data=t)
    ),
    "echo in an atomic fragment": Case(
        lambda t: IPv6(src=LEFT6, dst=NEAR6) / IPv6ExtHdrFragment(id=9) / ICMPv6EchoRequest(data=t)
    ),
    "fragment of 9 bytes and more": Case(
        lambda t: IPv6(src=LEFT6, dst=NEAR6) / IPv6ExtHdrFragment(id=9, m=1, nh=58) / Raw(b"\x80" + bytes(8))
    ),
    "routing header to the router": Case(
        lambda t: behind(t, IPv6ExtHdrRouting(addresses=[RIGHT6]), dst=NEAR6)
    ),
    "routing header at its end": Case(
        lambda t: IPv6(src=LEFT6, dst=NEAR6) / IPv6ExtHdrRouting(addresses=[RIGHT6], segleft=0)
        / ICMPv6EchoRequest(data=t)
    ),
    "echo reply to the router": Case(lambda t: IPv6(src=LEFT6, dst=NEAR6) / ICMPv6EchoReply(data=t)),
    "unknown error to the router": Case(lambda t: IPv6(src=LEFT6, dst=NEAR6, nh=58) / Raw(b"\x64\0\0\0" + t)),
    "port without a service": Case(lambda t: u6(t, NEAR6)),
    "port without a service, far": Case(lambda t: u6(t, FAR6)),
    "TCP without a service": Case(lambda t: IPv6(src=LEFT6, dst=NEAR6) / TCP(sport=5, dport=9, flags="S")),
    "protocol that the router lacks": Case(lambda t: IPv6(src=LEFT6, dst=NEAR6, nh=253) / Raw(t)),
    "error, hop limit 1": Case(lambda t: error6(t, ICMPv6DestUnreach(code=3), hlim=1)),
    "time exceeded, hop limit 1": Case(lambda t: error6(t, ICMPv6TimeExceeded(), hlim=1)),
    "parameter problem without a route": Case(lambda t: error6(t, ICMPv6ParamProblem(), dst="2a00::1")),
    "echo without a route": Case(lambda t: echo6(t, "2a00::1")),
    "error passes": Case(lambda t: error6(t, ICMPv6DestUnreach(code=3))),
    "who has near": Case(lambda t: ask(NEAR6), to=SOLICITED, discovery=True),
    "who has near, asked directly": Case(lambda t: ask(NEAR6, NEAR6), discovery=True),
    "who has near, from another link": Case(lambda t: ask(NEAR6, hlim=254), to=SOLICITED, discovery=True),
    "who has far, asked at near": Case(lambda t: ask(FAR6), to=SOLICITED, discovery=True),
}
