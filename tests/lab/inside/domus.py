"""Several domUs of one system, wired up and ready to forward."""

import time
from collections.abc import Sequence

from dom0.guest import Guest, Vif
from dom0.shell import execute

from ..systems import DomU
from .load import Flow
from .wires import Wires

SCRIPT = "/ringway/tests/lab/inside/vif-plain"
READY_TIMEOUT = 300  # s of the machine's time


class DomUs:
    """As many domUs of one system as are asked for, while the block lasts.

        with DomUs(system, wires) as domus:
            guests = domus.up_to(3)

    Asking for more only adds the missing ones, since starting one takes long.
    """

    def __init__(self, system: DomU, wires: Wires, options: Sequence[str] = ()) -> None:
        """`options` are more lines for xl."""
        self._system, self._wires, self._options = system, wires, options
        self._guests: list[Guest] = []

    def __enter__(self) -> "DomUs":
        return self

    def __exit__(self, *_error) -> None:
        for guest in self._guests:
            guest.destroy()

    def up_to(self, count: int) -> list[Guest]:
        """The first `count` domUs, which forward to their sinks by then."""
        missing = range(len(self._guests), count)
        for number in missing:
            vifs = [
                Vif(bridge, f"00:16:3e:00:{number:02x}:{index:02x}", SCRIPT)
                for index, bridge in enumerate(self._wires.bridges())
            ]
            name = f"{self._system.name}-{number}"
            self._guests.append(self._system.make(name, vifs, self._wires.extra(number), self._options))
            self._guests[-1].create()
        for number in missing:
            guest = self._guests[number]
            guest.wait_console(self._system.ready, READY_TIMEOUT)
            self._wires.connect(number, [guest.vif_name(index) for index in range(2)])
        for number in missing:
            wait_forwarding(self._wires, number)
        return self._guests[:count]


def flow(wires: Wires, number: int, guest: Guest) -> Flow:
    """The flow through domU `number`."""
    mac = guest.vifs[0].mac if wires.bridged else wires.mac_of(wires.gen.port)
    end = wires.sinks[number]
    return Flow(guest.name, wires.gen, end, mac, end.ip)


def wait_forwarding(wires: Wires, number: int, timeout: float = 30) -> None:
    """Wait until the generator reaches a sink: neighbors and bridges have learnt then."""
    target = wires.sinks[number].ip
    line = ["ip", "netns", "exec", wires.gen.space, "ping", "-n", "-c", "1", "-W", "1", target]
    deadline = time.monotonic() + timeout
    while execute(*line).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{target} is not reached through domU {number}")
