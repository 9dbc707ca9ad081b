"""Packets for a network behind several gateways that are all alike but for one thing."""

import struct
from collections.abc import Callable

from support.packets import ICMP, MF, UDP, ipv4, ipv6

TCP, FRAGMENT, ESP, ICMPV6, DESTINATION_OPTIONS, SCTP, UDP_LITE = 6, 44, 50, 58, 60, 132, 136

# A packet of a family, made of its number and of data that it is known by.
Varied = Callable[[str, int, bytes], bytes]


def prefix(family: str, network: int) -> str:
    """A network by its number."""
    return f"198.18.{network}.0/24" if family == "IPv4" else f"2001:db8:{network:x}::/48"


def there(family: str, host: int, network: int) -> str:
    """A host of a network."""
    return f"198.18.{network}.{host}" if family == "IPv4" else f"2001:db8:{network:x}::{host:x}"


def here(family: str, host: int) -> str:
    """A host on the left, of which number 2 is LEFT."""
    return f"10.0.0.{host}" if family == "IPv4" else f"2001:db8::{host:x}"


# All are from LEFT to the first host of this network, unless said otherwise.
NETWORK = 0x90


def packet(family: str, body: bytes, protocol: int = UDP, **fields) -> bytes:
    """A packet with other fields than those of all, by the names of `ipv4` and `ipv6`."""
    ends = {"source": here(family, 2), "destination": there(family, 1, NETWORK)}
    make = ipv4 if family == "IPv4" else ipv6
    return make(payload=body, protocol=protocol, **{**ends, **fields})


def datagram(data: bytes, source: int = 4000, destination: int = 9) -> bytes:
    """A UDP datagram, without a checksum."""
    return struct.pack("!HHHH", source, destination, 8 + len(data), 0) + data


def segment(data: bytes, source: int = 4000, destination: int = 9) -> bytes:
    """A TCP segment, which no host gets to see."""
    return struct.pack("!HHIIBBHHH", source, destination, 1, 1, 5 << 4, 0x10, 0, 0, 0) + data


def fragment(family: str, body: bytes, first: bool, ident: int, **fields) -> bytes:
    """The first or the second of two fragments."""
    body += bytes(-len(body) % 8)
    if family == "IPv4":
        return packet(family, body, ident=ident, fragment=MF if first else 8, **fields)
    head = struct.pack("!BxHI", UDP, 1 if first else 64, ident)
    return packet(family, head + body, FRAGMENT, **fields)


def _icmp(family: str, four: tuple[int, int], six: tuple[int, int], rest: bytes) -> bytes:
    """An ICMP message, by its kinds in both families, and what stands behind the checksum."""
    kind, protocol = (four, ICMP) if family == "IPv4" else (six, ICMPV6)
    return packet(family, struct.pack("!BBxx", *kind) + rest, protocol)


def _behind_options(family: str, body: bytes) -> bytes:
    """A packet with options that say nothing."""
    if family == "IPv4":
        return packet(family, body, options=b"\x01" * 4)
    return packet(family, struct.pack("!BBBBI", UDP, 0, 1, 4, 0) + body, DESTINATION_OPTIONS)


def _echo(family: str, number: int, data: bytes) -> bytes:
    return _icmp(family, (0, 0), (129, 0), struct.pack("!HH", 5000 + number, 1) + data)


def _error(family: str, number: int, data: bytes) -> bytes:
    """An error about a packet from there, to another host and port each time."""
    ends = {"source": there(family, 1, NETWORK), "destination": here(family, 10 + number)}
    return _icmp(family, (3, 3), (1, 4), bytes(4) + packet(family, datagram(data, 9, 5000 + number), **ends))


VARIED: dict[str, Varied] = {
    "source": lambda f, n, d: packet(f, datagram(d), source=here(f, 10 + n)),
    "destination": lambda f, n, d: packet(f, datagram(d), destination=there(f, 10 + n, NETWORK)),
    "protocol": lambda f, n, d: packet(f, datagram(d), 150 + n),
    "source port of UDP": lambda f, n, d: packet(f, datagram(d, 5000 + n)),
    "destination port of UDP": lambda f, n, d: packet(f, datagram(d, 4000, 5000 + n)),
    "source port of TCP": lambda f, n, d: packet(f, segment(d, 5000 + n), TCP),
    "destination port of TCP": lambda f, n, d: packet(f, segment(d, 4000, 5000 + n), TCP),
    "ports of UDP-Lite": lambda f, n, d: packet(f, datagram(d, 5000 + n), UDP_LITE),
    "ports of SCTP": lambda f, n, d: packet(f, datagram(bytes(4) + d, 5000 + n), SCTP),
    "index of ESP": lambda f, n, d: packet(f, struct.pack("!II", 5000 + n, 1) + d, ESP),
    "ports behind options": lambda f, n, d: _behind_options(f, datagram(d, 5000 + n)),
    "ports of first fragments": lambda f, n, d: fragment(f, datagram(d, 5000 + n), True, 7),
    "identification of fragments": lambda f, n, d: fragment(f, d, False, 5000 + n),
    "identifier of echoes": _echo,
    "what errors quote": _error,
    "class of service": lambda f, n, d: packet(f, datagram(d), **{"tos" if f == "IPv4" else "traffic": 4 * n}),
    "hops": lambda f, n, d: packet(f, datagram(d), **{"ttl" if f == "IPv4" else "hops": 10 + n}),
    "data": lambda f, _, d: packet(f, datagram(d)),
}
# In IPv6 alone.
FLOW_LABEL: Varied = lambda f, n, d: packet(f, datagram(d), label=5000 + n)  # noqa: E731
