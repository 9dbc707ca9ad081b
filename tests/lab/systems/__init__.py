"""The domUs that the lab compares, a file each.

A file defines `SYSTEM`, a `DomU`. Dropping a file in here adds a system to every experiment that
compares domUs; it is left out as long as its `available` says no.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dom0.guest import Guest, Vif


@dataclass(frozen=True)
class DomU:
    """A kind of domU that routes between its first two vifs."""

    name: str  # as in the CSV files
    label: str  # as in plots
    colour: str  # the same in every plot
    order: int  # where it stands in tables and legends
    make: Callable[[str, Sequence[Vif], str, Sequence[str]], Guest]
    ready: str  # what its console says once it forwards
    memory_mib: int
    kind: str = "pv"
    files: tuple[str, ...] = ()  # its image, as dom0 names the files: for its size
    networks: tuple[str, ...] = ("bridged", "routed")  # where it can be measured
    available: Callable[[], bool] = lambda: True  # asked on the host


def all_systems() -> list[DomU]:
    """Every system whose files are there, in the order of tables and legends."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    found = [importlib.import_module(f"{__name__}.{name}").SYSTEM for name in names]
    return sorted((system for system in found if system.available()), key=lambda system: system.order)


def by_name(name: str) -> DomU:
    """One system."""
    return next(system for system in all_systems() if system.name == name)
