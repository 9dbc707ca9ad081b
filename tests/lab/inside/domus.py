"""Several domUs of one system, wired up and ready to forward."""

import contextlib
import time
from collections.abc import Iterator, Sequence

from dom0.guest import Guest, Vif
from dom0.shell import execute

from ..systems import DomU
from .load import Flow
from .wires import Wires

SCRIPT = "/ringway/tests/lab/inside/vif-plain"
READY_TIMEOUT = 300  # s of the machine's time


@contextlib.contextmanager
def domus(system: DomU, count: int, wires: Wires, options: Sequence[str] = ()) -> Iterator[list[Guest]]:
    """Create some domUs, wait until they forward to their sinks, and remove them in the end."""
    guests = []
    with contextlib.ExitStack() as stack:
        for number in range(count):
            vifs = [
                Vif(bridge, f"00:16:3e:00:{number:02x}:{index:02x}", SCRIPT)
                for index, bridge in enumerate(wires.bridges())
            ]
            guest = system.make(f"{system.name}-{number}", vifs, wires.extra(number), options)
            guests.append(stack.enter_context(guest))
        for number, guest in enumerate(guests):
            guest.wait_console(system.ready, READY_TIMEOUT)
            names = [guest.vif_name(index) for index in range(2)]
            wires.connect(number, names)
        for number in range(count):
            wait_forwarding(wires, number)
        yield guests


def flow(wires: Wires, number: int, guest: Guest) -> Flow:
    """The flow through domU `number`."""
    mac = guest.vifs[0].mac if wires.bridged else wires.mac_of(wires.gen.port)
    end = wires.sinks[number]
    return Flow(guest.name, wires.gen, end, mac, end.ip)


def wait_forwarding(wires: Wires, number: int, timeout: float = 30) -> None:
    """Wait until the generator reaches a sink: neighbours and bridges have learnt then."""
    target = wires.sinks[number].ip
    line = ["ip", "netns", "exec", wires.gen.space, "ping", "-n", "-c", "1", "-W", "1", target]
    deadline = time.monotonic() + timeout
    while execute(*line).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{target} is not reached through domU {number}")
