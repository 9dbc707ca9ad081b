"""What forwarding costs: frames through a guest at a rate, and the CPU time they took.

On a machine that counts instructions (`bed.py --icount`) a nanosecond is an instruction.
"""

import time
from dataclasses import dataclass

from .cputime import CpuTime
from .guest import Guest
from .pktgen import Generator, Load
from .topology import Host

SETTLE = 1.0  # s until the last frame has left every queue


@dataclass(frozen=True)
class Point:
    """One measurement: a load that was offered, and what came of it."""

    offered_pps: float
    sent: int
    received: int
    guest_ns: int
    dom0_ns: int

    @property
    def forwarded_pps(self) -> float:
        """Frames that arrived, a second of offering."""
        return self.offered_pps * self.received / self.sent if self.sent else 0.0

    @property
    def loss(self) -> float:
        """The part of the frames that was lost."""
        return max(0.0, 1 - self.received / self.sent) if self.sent else 1.0

    @property
    def guest_ns_frame(self) -> float:
        """CPU time of the guest for each forwarded frame, in ns."""
        return self.guest_ns / max(1, self.received)

    @property
    def dom0_ns_frame(self) -> float:
        """CPU time of dom0 for each forwarded frame, generator and sink included, in ns."""
        return self.dom0_ns / max(1, self.received)


def measure(
    guest: Guest, source: Host, sink: Host, rate_pps: int, seconds: float = 2.0, cpu: int = 0
) -> Point:
    """Offer 60-byte frames at a rate (0: as fast as the generator can) for some seconds."""
    clock = CpuTime()
    assert guest.domid is not None
    count = int((rate_pps or 200_000) * seconds)
    load = Load(guest.vifs[0].mac, sink.address, count=count, rate_pps=rate_pps)
    generator = Generator(source, cpu)
    received = sink.counters()["rx_packets"]
    guest_ns, dom0_ns = clock.ns(guest.domid), clock.ns(0)
    began = time.monotonic()
    generator.start(load)
    if rate_pps == 0:
        time.sleep(seconds)
        generator.stop()
    sent = generator.wait()
    took = time.monotonic() - began
    time.sleep(SETTLE)
    return Point(
        offered_pps=sent / took,
        sent=sent,
        received=sink.counters()["rx_packets"] - received,
        guest_ns=clock.ns(guest.domid) - guest_ns,
        dom0_ns=clock.ns(0) - dom0_ns,
    )


def loss_free_rate(
    guest: Guest, source: Host, sink: Host, low: int, high: int, step: int, loss: float = 0.001
) -> int:
    """The highest rate, in frames/s to within `step`, at which at most `loss` is lost."""
    while high - low > step:
        middle = (low + high) // 2
        if measure(guest, source, sink, middle).loss <= loss:
            low = middle
        else:
            high = middle
    return low
