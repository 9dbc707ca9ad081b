"""A domain's CPU time in nanoseconds, from one hypercall.

`xl list` gives tenths of a second only and costs dom0 a hundred million instructions.
"""

import ctypes


class _VcpuInfo(ctypes.Structure):
    """xc_vcpuinfo_t, which is struct xen_domctl_getvcpuinfo of xen/domctl.h."""

    _fields_ = (
        ("vcpu", ctypes.c_uint32),
        ("online", ctypes.c_uint8),
        ("blocked", ctypes.c_uint8),
        ("running", ctypes.c_uint8),
        ("cpu_time", ctypes.c_uint64),
        ("cpu", ctypes.c_uint32),
    )


class CpuTime:
    """An open handle to the hypervisor: `CpuTime().ns(domid)`."""

    def __init__(self) -> None:
        self._xc = ctypes.CDLL("libxenctrl.so.4.17", use_errno=True)
        self._xc.xc_interface_open.restype = ctypes.c_void_p
        self._xc.xc_interface_open.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]
        self._xc.xc_vcpu_getinfo.argtypes = [
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.POINTER(_VcpuInfo),
        ]  # fmt: skip
        self._handle = self._xc.xc_interface_open(None, None, 0)
        if not self._handle:
            raise OSError(ctypes.get_errno(), "xc_interface_open")

    def vcpu_ns(self, domid: int, vcpu: int) -> int | None:
        """Return the time one vCPU has run, None if there is no such vCPU."""
        info = _VcpuInfo()
        failed = self._xc.xc_vcpu_getinfo(self._handle, domid, vcpu, ctypes.byref(info))
        return None if failed else info.cpu_time

    def ns(self, domid: int) -> int:
        """Return the time all vCPUs of a domain have run (domain 0 is dom0)."""
        total = self.vcpu_ns(domid, 0)
        if total is None:
            raise ProcessLookupError(f"no domain {domid}")
        vcpu = 1
        while (more := self.vcpu_ns(domid, vcpu)) is not None:
            total += more
            vcpu += 1
        return total
