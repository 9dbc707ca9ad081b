"""Ringway as a PV guest."""

from dom0.guest import RINGWAY, Guest

from . import DomU


def make(name, vifs, extra, options):
    """Its configuration is its command line."""
    return Guest(name, vifs, extra=extra, options=options)


SYSTEM = DomU(
    name="ringway-pv", label="Ringway PV", colour="#d95f02", order=30, make=make, ready="ringway: ready",
    memory_mib=16, files=(RINGWAY,),
)  # fmt: skip
