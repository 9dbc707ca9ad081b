"""Linux's packet generator on a host of the topology, and a sink that counts.

Frames leave the host's interface, cross the bridge and reach the guest's vif. Points
shorter than about two seconds lie: queues in dom0 take thousands of frames, which
would be counted as delivered after the generator has stopped.
"""

import re
import subprocess
import time
from dataclasses import dataclass

from .topology import DEVICE, Host

FOLDER = "/proc/net/pktgen"


@dataclass(frozen=True)
class Load:
    """What to send. `size` is the frame without its checksum; `rate_pps` 0 is full speed."""

    dst_mac: str
    dst_ip: str
    count: int
    rate_pps: int = 0
    size: int = 60
    src_ip: str | None = None
    src_port: int = 9
    options: tuple[str, ...] = ()  # more pktgen words, as in "flag IPDST_RND"


@dataclass(frozen=True)
class Result:
    """What became of a load."""

    sent: int
    received: int
    seconds: float

    @property
    def lost(self) -> int:
        """Frames that did not reach the sink."""
        return self.sent - self.received


class Generator:
    """pktgen in a host's namespace, on one of its kernel threads (one for each CPU)."""

    def __init__(self, host: Host, cpu: int = 0) -> None:
        self.host = host
        self.thread = f"{FOLDER}/kpktgend_{cpu}"
        self.device = f"{FOLDER}/{DEVICE}"
        self._run: subprocess.Popen | None = None

    def start(self, load: Load) -> None:
        """Begin to send and return at once."""
        words = [
            f"count {load.count}", f"pkt_size {load.size}", "clone_skb 0", "delay 0",
            f"dst {load.dst_ip}", f"dst_mac {load.dst_mac}", f"src_mac {self.host.mac}",
            f"udp_src_min {load.src_port}", f"udp_src_max {load.src_port}",
            f"src_min {load.src_ip or self.host.address}",
            f"src_max {load.src_ip or self.host.address}",
            *([f"ratep {load.rate_pps}"] if load.rate_pps else []),
            *load.options,
        ]  # fmt: skip
        lines = [f"echo rem_device_all > {self.thread}", f"echo add_device {DEVICE} > {self.thread}"]
        lines += [f"echo '{word}' > {self.device}" for word in words]
        self.host.run("sh", "-e", "-c", "\n".join(lines))
        self._run = self.host.popen("sh", "-c", f"echo start > {FOLDER}/pgctrl")

    def set_rate(self, rate_pps: int) -> None:
        """Go on at another rate, 0 for full speed."""
        word = f"ratep {rate_pps}" if rate_pps else "delay 0"
        self.host.run("sh", "-c", f"echo '{word}' > {self.device}")

    def stop(self) -> None:
        """Stop sending before the count is reached."""
        self.host.run("sh", "-c", f"echo stop > {FOLDER}/pgctrl")

    def wait(self, timeout: float = 120) -> int:
        """Wait for the end and return how many frames were sent."""
        if self._run is None:
            raise RuntimeError("the generator was not started")
        try:
            self._run.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            self._run.wait()
        return self.sent()

    def sent(self) -> int:
        """Return how many frames were sent so far."""
        found = re.search(r"pkts-sofar: (\d+)", self.host.run("cat", self.device))
        return int(found[1]) if found else 0


def send_and_count(load: Load, source: Host, sink: Host, settle: float = 1.0) -> Result:
    """Send a load and count what arrives at another host, stragglers of `settle` s included."""
    before = sink.counters()["rx_packets"]
    began = time.monotonic()
    generator = Generator(source)
    generator.start(load)
    sent = generator.wait()
    seconds = time.monotonic() - began
    time.sleep(settle)
    return Result(sent, sink.counters()["rx_packets"] - before, seconds)
