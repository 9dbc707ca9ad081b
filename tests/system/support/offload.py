"""What the tests of offloads share: what a vif's two ends say, and whether what arrived is whole."""

import os
import socket
import struct

from dom0.guest import Guest
from dom0.ringway import store
from dom0.topology import Host
from support.packets import IPV4, IPV6, UDP, checksum
from support.wire import Wire, transfer, udp_socket

TCP = 6
SEGMENT = 1514  # bytes of the longest frame that isn't large
FAMILIES = (socket.AF_INET, socket.AF_INET6)
LONGER_HEADER = 20  # bytes by which the header of IPv6 is longer
SIZES = (0, 1, 2, 3, 17, 512, 1471, 1472)


def front(guest: Guest, index: int, key: str) -> str | None:
    """Return what the router says of a vif."""
    return store().read(f"/local/domain/{guest.domid}/device/vif/{index}/{key}")


def back(guest: Guest, index: int, key: str) -> str:
    """Return the path of a key of a vif's backend."""
    return f"/local/domain/0/backend/vif/{guest.domid}/{index}/{key}"


def sent(guest: Guest, index: int) -> tuple[int, int]:
    """Return how many frames dom0 got from a vif so far, and how many bytes."""
    folder = f"/sys/class/net/{guest.vif_name(index)}/statistics"
    frames, length = (int(open(f"{folder}/rx_{what}").read()) for what in ("packets", "bytes"))
    return frames, length


def mean_length(guest: Guest, index: int, before: tuple[int, int] = (0, 0)) -> float:
    """Return the mean length of the frames that dom0 got from a vif, those `before` not counted."""
    frames, length = sent(guest, index)
    return (length - before[1]) / max(1, frames - before[0])


def datagrams(
    source: Host, sink: Host, sizes: tuple[int, ...] = SIZES, family: int = socket.AF_INET
) -> None:
    """Send datagrams of many lengths and check that they arrive unchanged."""
    shorter = 0 if family == socket.AF_INET else LONGER_HEADER
    with udp_socket(source, family=family) as out, udp_socket(sink, family=family) as into:
        for size in (max(0, size - shorter) for size in sizes):
            data = os.urandom(size)
            out.sendto(data, into.getsockname())
            assert into.recv(2000) == data


def both_ways(left: Host, right: Host, size: int) -> None:
    """Send a file and datagrams of both families in both directions; all of it must arrive unchanged."""
    for family in FAMILIES:
        for source, sink in ((left, right), (right, left)):
            transfer(source, sink, size, family=family)
            datagrams(source, sink, family=family)


def assert_complete(source: Host, sink: Host, size: int, family: int = socket.AF_INET) -> None:
    """Send a file and datagrams, and look at the sink's wire: no frame is large, no checksum blank."""
    with Wire(sink) as wire:
        transfer(source, sink, size, family=family)
        datagrams(source, sink, family=family)
        frames = wire.heard(0.1)
    sender = socket.inet_pton(family, source.address_of(family))
    seen = [found for frame in frames if (found := _segment(frame, sender)) is not None]
    assert sum(protocol == UDP for protocol, *_ in seen) >= len(SIZES)
    assert sum(protocol == TCP for protocol, *_ in seen) >= size // SEGMENT
    blank = [(protocol, length) for protocol, length, right in seen if not right]
    assert not blank, f"protocol and bytes of those with a wrong checksum: {blank}"
    assert max(map(len, frames)) <= SEGMENT


def _segment(frame: bytes, sender: bytes) -> tuple[int, int, bool] | None:
    """Return a segment's protocol, length and whether its checksum is right, if it is TCP or UDP from there."""
    packet = frame[14:]
    if frame[12:14] == struct.pack("!H", IPV4):
        addresses, protocol, header = packet[12:20], packet[9], 4 * (packet[0] & 15)
        (total,) = struct.unpack_from("!H", packet, 2)
    elif frame[12:14] == struct.pack("!H", IPV6):
        addresses, protocol, header = packet[8:40], packet[6], 40
        total = header + int.from_bytes(packet[4:6])
    else:
        return None
    if protocol not in (TCP, UDP) or not addresses.startswith(sender):
        return None
    segment = packet[header:total]
    pseudo = addresses + struct.pack("!HH", protocol, len(segment))
    return protocol, len(segment), checksum(pseudo + segment) == 0
