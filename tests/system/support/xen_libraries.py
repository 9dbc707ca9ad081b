"""Grants and event channels for a program in dom0, by libxengnttab and libxenevtchn."""

import ctypes
import mmap
import os
import select

_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
PAGE = 4096


def _function(library: ctypes.CDLL, name: str, result: object, *arguments: object):  # noqa: ANN202
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


class Grants:
    """Pages that one domain granted, mapped when they are first asked for."""

    def __init__(self, domain: int) -> None:
        library = ctypes.CDLL("libxengnttab.so.1", use_errno=True)
        handle, pointer, u32 = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32
        self._map = _function(library, "xengnttab_map_grant_ref", pointer, handle, u32, u32, ctypes.c_int)
        self._unmap = _function(library, "xengnttab_unmap", ctypes.c_int, handle, pointer, u32)
        self._close = _function(library, "xengnttab_close", ctypes.c_int, handle)
        self._handle = _function(library, "xengnttab_open", handle, pointer, u32)(None, 0)
        if not self._handle:
            raise OSError(ctypes.get_errno(), "xengnttab_open")
        self._domain = domain
        self._mapped: dict[int, tuple[int, memoryview]] = {}

    def page(self, reference: int) -> memoryview:
        """Return a page as bytes that change as the other domain writes. Not to be used once it is unmapped."""
        if reference not in self._mapped:
            address = self._map(self._handle, self._domain, reference, _READ_WRITE)
            if not address:
                raise OSError(ctypes.get_errno(), f"grant {reference} of domain {self._domain} can't be mapped")
            view = memoryview((ctypes.c_char * PAGE).from_address(address)).cast("B")
            self._mapped[reference] = (address, view)
        return self._mapped[reference][1]

    def unmap(self) -> None:
        """Let go of all pages."""
        for address, _ in self._mapped.values():
            self._unmap(self._handle, address, 1)
        self._mapped.clear()

    def close(self) -> None:
        """Let go of everything."""
        self.unmap()
        self._close(self._handle)


class EventChannels:
    """Event channels that other domains opened for this one."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libxenevtchn.so.1", use_errno=True)
        handle, u32, number = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int
        self._bind = _function(library, "xenevtchn_bind_interdomain", number, handle, u32, u32)
        self._notify = _function(library, "xenevtchn_notify", number, handle, u32)
        self._pending = _function(library, "xenevtchn_pending", number, handle)
        self._unmask = _function(library, "xenevtchn_unmask", number, handle, u32)
        self._unbind = _function(library, "xenevtchn_unbind", number, handle, u32)
        self._close = _function(library, "xenevtchn_close", number, handle)
        self._handle = _function(library, "xenevtchn_open", handle, ctypes.c_void_p, u32)(None, 0)
        if not self._handle:
            raise OSError(ctypes.get_errno(), "xenevtchn_open")
        self._fd = _function(library, "xenevtchn_fd", number, handle)(self._handle)
        os.set_blocking(self._fd, False)

    def bind(self, domain: int, port: int) -> int:
        """Return the port here that is joined to that of another domain."""
        own = self._bind(self._handle, domain, port)
        if own < 0:
            raise OSError(ctypes.get_errno(), f"port {port} of domain {domain} can't be bound")
        return own

    def unbind(self, port: int) -> None:
        """Close a port."""
        self._unbind(self._handle, port)

    def notify(self, port: int) -> None:
        """Send an event."""
        self._notify(self._handle, port)

    def wait(self, seconds: float) -> bool:
        """Wait for events, at most so long, and take them. Returns `True` if there were any."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        while (port := self._pending(self._handle)) >= 0:
            self._unmask(self._handle, port)
        return True

    def close(self) -> None:
        """Close all ports."""
        self._close(self._handle)
