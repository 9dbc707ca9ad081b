"""Ringway as a PVH guest, as soon as its image has an entry point for that."""

import struct
from pathlib import Path

from dom0.guest import RINGWAY, Guest

from . import DomU

IMAGE = Path(__file__).resolve().parents[3] / "dist" / "ringway"
PT_NOTE = 4
PHYS32_ENTRY = 18  # XEN_ELFNOTE_PHYS32_ENTRY, public/elfnote.h


def make(name, vifs, extra, options):
    """The same image and configuration as the PV guest's."""
    return Guest(name, vifs, extra=extra, options=options, kind="pvh")


def has_entry(elf: bytes) -> bool:
    """Returns `True` if a 64-bit ELF file has Xen's note with a PVH entry point."""
    table, entry_size, entries = *struct.unpack_from("<Q", elf, 32), *struct.unpack_from("<HH", elf, 54)
    for at in range(table, table + entry_size * entries, entry_size):
        kind, _flags, offset, _vaddr, _paddr, size = struct.unpack_from("<IIQQQQ", elf, at)
        if kind == PT_NOTE and PHYS32_ENTRY in _xen_notes(elf[offset : offset + size]):
            return True
    return False


def _xen_notes(notes: bytes) -> list[int]:
    kinds, at = [], 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        if notes[at + 12 : at + 12 + name_size] == b"Xen\0":
            kinds.append(kind)
        at += 12 + (name_size + 3 & ~3) + (size + 3 & ~3)
    return kinds


SYSTEM = DomU(
    name="ringway-pvh", label="Ringway PVH", colour="#e7298a", order=40, make=make, kind="pvh",
    ready="ringway: ready", memory_mib=16, files=(RINGWAY,),
    available=lambda: IMAGE.exists() and has_entry(IMAGE.read_bytes()),
)  # fmt: skip
