"""Debian's Linux 6.1 as a PVH guest."""

from dom0.guest import LINUX, LINUX_INITRAMFS, linux_guest

from . import DomU


def make(name, vifs, extra, options):
    """The same kernel and init as the PV guest's."""
    return linux_guest(name, vifs, extra, memory=SYSTEM.memory_mib, options=options, kind="pvh")


SYSTEM = DomU(
    name="linux-pvh", label="Linux 6.1 PVH", colour="#66a61e", order=20, make=make, kind="pvh",
    ready="linux: ready", memory_mib=96, files=(LINUX, LINUX_INITRAMFS),
)  # fmt: skip
