"""Sockets inside a host's namespace, opened by the test itself.

A Python of their own in the namespace would cost seconds to start; a socket stays where
it was made, so the test only steps inside to open it.
"""

import hashlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

from dom0.topology import DEVICE, Host

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 0x10
SO_RCVBUFFORCE = 33
BUFFER = 16 << 20


class Wire:
    """Whole frames to and from a host's interface, whoever they are for."""

    def __init__(self, host: Host, tags: bool = False) -> None:
        """`tags` leaves frames the VLAN tag that Linux takes out and notes beside them."""
        self.host = host
        with host.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.bind((DEVICE, ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, int(tags))

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_error) -> None:
        self._socket.close()

    def send(self, *frames: bytes) -> None:
        """Put frames on the wire as they are."""
        for frame in frames:
            self._socket.send(frame)

    def until(self, wanted: Callable[[bytes], object], timeout: float = 60) -> list[bytes]:
        """Return what arrives up to the first wanted frame, which is the last one returned."""
        frames: list[bytes] = []
        deadline = time.monotonic() + timeout
        while not frames or not wanted(frames[-1]):
            frame = self._next(max(0.0, deadline - time.monotonic()))
            if frame is None:
                raise TimeoutError(f"{self.host.name}: {len(frames)} frames, none of them wanted")
            frames.append(frame)
        return frames

    def until_quiet(self, wanted: Callable[[bytes], object], seconds: float, timeout: float = 60) -> list[bytes]:
        """Return what arrives until nothing wanted has for this many seconds."""
        frames: list[bytes] = []
        began = last = time.monotonic()
        while (left := last + seconds - time.monotonic()) > 0:
            if time.monotonic() > began + timeout:
                raise TimeoutError(f"{self.host.name}: not quiet in {timeout} s")
            if (frame := self._next(left)) is not None:
                frames.append(frame)
                last = time.monotonic() if wanted(frame) else last
        return frames

    def heard(self, settle: float = 0.0) -> list[bytes]:
        """Return all that has arrived; with `settle`, until there was silence for this many seconds."""
        frames: list[bytes] = []
        while (frame := self._next(settle)) is not None:
            frames.append(frame)
        return frames

    def during(self, seconds: float, enough: Callable[[list[bytes]], bool] = lambda _: False) -> list[bytes]:
        """Return all that arrives in this many seconds, or until it is `enough`."""
        frames: list[bytes] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not enough(frames):
            if (frame := self._next(left)) is not None:
                frames.append(frame)
        return frames

    def _next(self, timeout: float) -> bytes | None:
        while select.select([self._socket], [], [], timeout)[0]:
            frame, notes, _, sender = self._socket.recvmsg(1 << 17, 64)
            if sender[2] != PACKET_OUTGOING:
                return _with_tag(frame, notes[0][2]) if notes else frame
        return None


def _with_tag(frame: bytes, note: bytes) -> bytes:
    """Put a tag back that Linux noted (struct tpacket_auxdata of linux/if_packet.h)."""
    status, tag, protocol = struct.unpack_from("=I12xHH", note)
    if not status & TP_STATUS_VLAN_VALID:
        return frame
    return frame[:12] + struct.pack("!HH", protocol, tag) + frame[12:]


def udp_socket(host: Host, port: int = 0, family: int = socket.AF_INET) -> socket.socket:
    """Return a bound UDP socket of a host."""
    with host.inside():
        made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((host.address_of(family), port))
    made.settimeout(60)
    return made


def transfer(
    source: Host,
    sink: Host,
    size: int,
    timeout: float = 180,
    family: int = socket.AF_INET,
    buffer: int | None = None,
) -> None:
    """Send random bytes over TCP and check that they arrive unchanged (SHA-256).

    With a receive `buffer`, in bytes, no more than that are under way.
    """
    with sink.inside():
        server = socket.socket(family, socket.SOCK_STREAM)
    if buffer is not None:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    server.bind((sink.address_of(family), 0))
    server.listen()
    with source.inside():
        client = socket.socket(family, socket.SOCK_STREAM)
    arrived = hashlib.sha256()
    count = 0

    def receive() -> None:
        nonlocal count
        with server.accept()[0] as connection:
            connection.settimeout(timeout)
            while part := connection.recv(1 << 18):
                arrived.update(part)
                count += len(part)

    with server, client:
        server.settimeout(timeout)
        receiver = threading.Thread(target=receive, daemon=True)
        receiver.start()
        client.settimeout(timeout)
        client.connect(server.getsockname())
        data = os.urandom(size)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        receiver.join(timeout)
    assert count == size, f"{count} of {size} bytes arrived"
    assert arrived.digest() == hashlib.sha256(data).digest()
