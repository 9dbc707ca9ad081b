"""More small frames than where they go to takes."""

import contextlib
from collections.abc import Iterator

from dom0.guest import Guest
from dom0.pktgen import Generator, Load
from dom0.ringway import eventually
from dom0.topology import Host

RATE = 3000  # frames of 60 bytes a second


class Flood:
    """One that is under way."""

    def __init__(self, generator: Generator, load: Load) -> None:
        self.load = load
        self.sent = generator.sent


@contextlib.contextmanager
def small_frames(guest: Guest, source: Host, target: str) -> Iterator[Flood]:
    """60-byte frames from the host before vif 0 to an address, RATE a second."""
    generator = Generator(source)
    load = Load(guest.vifs[0].mac, target, 10_000_000, rate_pps=RATE)
    generator.start(load)
    try:
        eventually(lambda: generator.sent() > RATE // 10 or None, 60, lambda: "nothing was sent")
        yield Flood(generator, load)
    finally:
        generator.stop()
        generator.wait()
