"""Debian's Linux 6.1 as a PV guest: busybox, netfront, forwarding switched on."""

from dom0.guest import LINUX, LINUX_INITRAMFS, linux_guest

from . import DomU


def make(name, vifs, extra, options):
    """Its init takes the same words as Ringway."""
    return linux_guest(name, vifs, extra, memory=SYSTEM.memory_mib, options=options)


SYSTEM = DomU(
    name="linux-pv", label="Linux 6.1 PV", colour="#1b6ca8", order=10, make=make, ready="linux: ready",
    memory_mib=96, files=(LINUX, LINUX_INITRAMFS),
)  # fmt: skip
