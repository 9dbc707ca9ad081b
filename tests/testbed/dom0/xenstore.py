"""xenstored's protocol, spoken directly: a process for each key costs the bed up to a second."""

import itertools
import os
import socket
import struct

SOCKET = "/var/run/xenstored/socket"
DIRECTORY, READ, WRITE, REMOVE, SET_PERMS, ERROR = 1, 2, 11, 13, 14, 16
HEADER = struct.Struct("<IIII")

_stores: "dict[int, Xenstore]" = {}  # by process: one that was forked needs its own


def store() -> "Xenstore":
    """Return the connection that all of a process share."""
    process = os.getpid()
    if process not in _stores:
        _stores[process] = Xenstore()
    return _stores[process]


class Xenstore:
    """One connection, outside any transaction and without watches."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(SOCKET)
        self._ids = itertools.count(1)

    def read(self, path: str) -> str | None:
        """Return a key's value, None when there is no such key."""
        value = self._ask(READ, path.encode() + b"\0")
        return None if value is None else value.decode(errors="replace")

    def children(self, path: str) -> list[str]:
        """Return the names of the keys below a key, of which there are none below a missing one."""
        names = self._ask(DIRECTORY, path.encode() + b"\0") or b""
        return [name.decode() for name in names.split(b"\0") if name]

    def write(self, path: str, value: str) -> None:
        """Set a key, making it and those above it where they are missing."""
        self._ask(WRITE, path.encode() + b"\0" + value.encode())

    def remove(self, path: str) -> None:
        """Remove a key and what is below it; a missing one is no error."""
        self._ask(REMOVE, path.encode() + b"\0")

    def give(self, path: str, owner: int, reader: int) -> None:
        """Make a key, if it is missing, that belongs to a domain and that another one may read. So will
        keys that are made below it."""
        self.write(path, "")
        self._ask(SET_PERMS, b"".join(part.encode() + b"\0" for part in (path, f"n{owner}", f"r{reader}")))

    def _ask(self, kind: int, body: bytes) -> bytes | None:
        """Return the answer's body, None for ENOENT."""
        self._socket.sendall(HEADER.pack(kind, next(self._ids), 0, len(body)) + body)
        answered, _, _, length = HEADER.unpack(self._exactly(HEADER.size))
        answer = self._exactly(length)
        if answered != ERROR:
            return answer
        if answer == b"ENOENT\0":
            return None
        raise OSError(f"xenstored: {answer.rstrip(bytes(1)).decode()} for {body!r}")

    def _exactly(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            part = self._socket.recv(count - len(parts))
            if not part:
                raise ConnectionError("xenstored closed the connection")
            parts += part
        return parts
