"""The experiments, a file each: `eN.py`.

An experiment has

    TITLE      what it asks, one line
    COLUMNS    the columns of its CSV file, by name, with the unit or meaning of each
    parts(quick)               what is measured on which bed: a list of Part
    measure(context, **part)   measures one part, in dom0
    report(rows, plots)        draws its figures and returns its tables, on the host
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field

from ..beds import Bed


@dataclass(frozen=True)
class Part:
    """Something to measure on one machine."""

    bed: str
    what: dict = field(default_factory=dict)  # arguments for measure()
    minutes: float = 3.0  # roughly, at full length: long parts start first
    alone: bool = False  # changes dom0 for as long as it is up


@dataclass(frozen=True)
class Context:
    """What measure() is given."""

    name: str  # of the bed
    bed: Bed
    quick: bool
    record: Callable[[dict], None]

    @property
    def far(self) -> int | None:
        """The CPU to hold the generator on, where there are several."""
        return self.bed.far if self.bed.cpus > 1 else None


def load(number: int):
    """The module of an experiment."""
    return importlib.import_module(f"{__name__}.e{number}")


def numbers() -> list[int]:
    """All experiments."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(int(name[1:]) for name in names if name[1:].isdigit())
