"""The machines that experiments run on. All count instructions: one is one nanosecond.

Where several emulated CPUs are busy they share the machine's one instruction a nanosecond in
turn, so figures of different beds are not to be compared with each other.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "testbed"))

from qemu import Options  # noqa: E402


@dataclass(frozen=True)
class Bed:
    """A machine, and who runs where on it."""

    text: str
    cpus: int = 1
    xen: str = ""
    native: bool = False
    pvh: bool = False
    memory_mib: int = 2048
    cpu: int = 0  # of dom0's part in forwarding
    far: int = 0  # of generator and sinks
    guests: str | None = None  # of domUs, as xl's `cpus=`

    def options(self) -> Options:
        """The machine to boot."""
        return Options(
            cpus=self.cpus, memory_mib=self.memory_mib, icount=True, pvh=self.pvh,
            native=self.native, xen=tuple(self.xen.split()),
        )  # fmt: skip

    def guest_options(self) -> list[str]:
        """Lines of xl's configuration."""
        return [f'cpus = "{self.guests}"'] if self.guests else []


TWO = "dom0_max_vcpus=1 dom0_vcpus_pin"
FAR = "dom0_max_vcpus=2 dom0_vcpus_pin"

BEDS = {
    "native": Bed("Linux alone on one CPU", native=True),
    "dom0-far": Bed("Xen with dom0 alone, generator and sinks on a CPU of their own", cpus=2, xen=FAR, far=1),
    "one": Bed("one CPU for everything", memory_mib=4096),
    "one-pvh": Bed("one CPU for everything, PVH guests", memory_mib=4096, pvh=True),
    "two": Bed("a CPU for dom0, generator and sinks; one for domUs", cpus=2, xen=TWO, guests="1", memory_mib=4096),
    "two-pvh": Bed("the same, PVH guests", cpus=2, xen=TWO, guests="1", pvh=True, memory_mib=4096),
}  # fmt: skip
