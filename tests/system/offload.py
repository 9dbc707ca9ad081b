"""What the tests of offloads share: what a vif's two ends say, and whether what arrived is whole."""

import os
import socket
import struct

from dom0.guest import Guest
from dom0.topology import Host
from packets import IPV4, UDP, checksum
from ringway import store
from wire import Wire, transfer, udp_socket

TCP = 6
SEGMENT = 1514  # bytes of the longest frame that isn't large
SIZES = (0, 1, 2, 3, 17, 512, 1471, 1472)


def front(guest: Guest, index: int, key: str) -> str | None:
    """Return what the router says of a vif."""
    return store().read(f"/local/domain/{guest.domid}/device/vif/{index}/{key}")


def back(guest: Guest, index: int, key: str) -> str:
    """Return the path of a key of a vif's backend."""
    return f"/local/domain/0/backend/vif/{guest.domid}/{index}/{key}"


def mean_length(guest: Guest, index: int) -> float:
    """Return the mean length of the frames that dom0 got from a vif so far."""
    folder = f"/sys/class/net/{guest.vif_name(index)}/statistics"
    frames, length = (int(open(f"{folder}/rx_{what}").read()) for what in ("packets", "bytes"))
    return length / max(1, frames)


def datagrams(source: Host, sink: Host, sizes: tuple[int, ...] = SIZES) -> None:
    """Send datagrams of many lengths and check that they arrive unchanged."""
    with udp_socket(source) as out, udp_socket(sink) as into:
        for size in sizes:
            data = os.urandom(size)
            out.sendto(data, into.getsockname())
            assert into.recv(2000) == data


def both_ways(left: Host, right: Host, size: int) -> None:
    """Send a file and datagrams in both directions; all of it must arrive unchanged."""
    for source, sink in ((left, right), (right, left)):
        transfer(source, sink, size)
        datagrams(source, sink)


def assert_complete(source: Host, sink: Host, size: int) -> None:
    """Send a file and datagrams, and look at the sink's wire: no frame is large, no checksum blank."""
    with Wire(sink) as wire:
        transfer(source, sink, size)
        datagrams(source, sink)
        frames = wire.heard(0.1)
    seen = [found for frame in frames if (found := _segment(frame, source.address)) is not None]
    assert sum(protocol == UDP for protocol, *_ in seen) >= len(SIZES)
    assert sum(protocol == TCP for protocol, *_ in seen) >= size // SEGMENT
    blank = [(protocol, length) for protocol, length, right in seen if not right]
    assert not blank, f"protocol and bytes of those with a wrong checksum: {blank}"
    assert max(map(len, frames)) <= SEGMENT


def _segment(frame: bytes, source: str) -> tuple[int, int, bool] | None:
    """Return a segment's protocol, length and whether its checksum is right, if it is TCP or UDP from there."""
    if frame[12:14] != struct.pack("!H", IPV4) or frame[26:30] != socket.inet_aton(source):
        return None
    protocol, words = frame[23], frame[14] & 15
    if protocol not in (TCP, UDP):
        return None
    (total,) = struct.unpack_from("!H", frame, 16)
    segment = frame[14 + 4 * words : 14 + total]
    pseudo = frame[26:34] + struct.pack("!HH", protocol, len(segment))
    return protocol, len(segment), checksum(pseudo + segment) == 0
