"""What bulk TCP through a guest costs: how much arrives, and the CPU time that each byte took.

On a machine that counts instructions (`bed.py --icount`) a nanosecond is an instruction.
"""

import json
import time
from dataclasses import dataclass

from .cputime import CpuTime
from .guest import Guest
from .topology import Host

PORT = 5201


@dataclass(frozen=True)
class Transfer:
    """One measurement: TCP streams for a time, and what came of them."""

    streams: int
    mbit_s: float
    received: int
    retransmits: int
    guest_ns: int
    dom0_ns: int

    @property
    def guest_ns_byte(self) -> float:
        """CPU time of the guest for each byte of payload, in ns."""
        return self.guest_ns / max(1, self.received)

    @property
    def dom0_ns_byte(self) -> float:
        """CPU time of dom0 for each byte of payload, both hosts included, in ns."""
        return self.dom0_ns / max(1, self.received)


def transfer(guest: Guest, source: Host, sink: Host, streams: int = 1, seconds: float = 3) -> Transfer:
    """Send TCP streams from a host to another for some seconds."""
    clock = CpuTime()
    assert guest.domid is not None
    with sink.background("iperf3", "-s", "-1", "-p", PORT, stdout=-3):
        _wait_for_listener(sink)
        guest_ns, dom0_ns = clock.ns(guest.domid), clock.ns(0)
        words = ("iperf3", "-J", "-c", sink.address, "-p", PORT, "-P", streams, "-t", seconds)
        end = json.loads(source.run(*words, timeout=60 + 30 * seconds))["end"]
        guest_ns, dom0_ns = clock.ns(guest.domid) - guest_ns, clock.ns(0) - dom0_ns
    received = end["sum_received"]
    return Transfer(
        streams=streams,
        mbit_s=received["bits_per_second"] / 1e6,
        received=received["bytes"],
        retransmits=end["sum_sent"].get("retransmits", 0),
        guest_ns=guest_ns,
        dom0_ns=dom0_ns,
    )


def _wait_for_listener(host: Host) -> None:
    for _ in range(600):
        if f":{PORT}" in host.run("ss", "-ltn"):
            return
        time.sleep(0.1)
    raise TimeoutError("iperf3 does not listen")
