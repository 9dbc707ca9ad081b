"""Writes cpio archives in the "newc" format, as the Linux kernel unpacks them."""

import stat
from pathlib import Path


class Cpio:
    """An archive in memory; every entry belongs to root and parents come by themselves."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._names: set[str] = set()

    def directory(self, name: str, mode: int = 0o755) -> None:
        """Add a directory and those above it, once."""
        parent = name.rpartition("/")[0]
        if parent:
            self.directory(parent)
        if name not in self._names:
            self._entry(name, stat.S_IFDIR | mode, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._with_parents(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._with_parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def console(self) -> None:
        """Add /dev/console, which the kernel opens for the first process."""
        self._with_parents("dev/console")
        self._entry("dev/console", stat.S_IFCHR | 0o600, b"", device=(5, 1))

    def tree(self, root: Path, under: str = "") -> None:
        """Add all files below `root` with their permissions, below the folder `under`."""
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            name = f"{under}/{path.relative_to(root)}".lstrip("/")
            self.file(name, path.read_bytes(), path.stat().st_mode & 0o777)

    def bytes(self) -> bytes:
        """Return the finished archive."""
        return b"".join(self._parts) + self._record("TRAILER!!!", 0, b"", 0, (0, 0))

    def _with_parents(self, name: str) -> None:
        parent = name.rpartition("/")[0]
        if parent:
            self.directory(parent)

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._names.add(name)
        self._parts.append(self._record(name, mode, data, len(self._names), device))

    @staticmethod
    def _record(name: str, mode: int, data: bytes, inode: int, device: tuple[int, int]) -> bytes:
        path = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
