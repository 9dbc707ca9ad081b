"""Linux's packet generator on a host of the topology.

Frames leave the host's interface, cross the bridge and reach the guest's vif. Points
shorter than about two seconds lie: queues in dom0 take thousands of frames, which
would be counted as delivered after the generator has stopped.
"""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from .topology import DEVICE, Host

FOLDER = "/proc/net/pktgen"
OWN_FOLDER = "/proc/thread-self/net/pktgen"  # in the namespace of this thread, not of this process


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


class Generator:
    """pktgen in a host's namespace, on one of its kernel threads (one for each CPU)."""

    def __init__(self, host: Host, cpu: int = 0) -> None:
        self.host = host
        self.thread = f"{FOLDER}/kpktgend_{cpu}"
        self.device = f"{FOLDER}/{DEVICE}"
        self._run: subprocess.Popen | None = None

    def start(self, load: Load) -> None:
        """Begin to send and return at once."""
        self._set(load)
        self._run = self.host.popen("sh", "-c", f"echo start > {FOLDER}/pgctrl")

    def send_in_steps(self, load: Load, step: int, arrived: Callable[[int], object]) -> None:
        """Send a load in steps, waiting for each with `arrived`, which gets what was sent so far.

        No queue gets more than a step at once, however slow whoever empties it is.
        """
        self._set(load)
        with self.host.inside():
            for before in range(0, load.count, step):
                count = min(step, load.count - before)
                _write(f"{OWN_FOLDER}/{DEVICE}", f"count {count}")
                _write(f"{OWN_FOLDER}/pgctrl", "start")  # until it is done
                arrived(before + count)

    def _set(self, load: Load) -> None:
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


def _write(path: str, word: str) -> None:
    with open(path, "w") as file:
        file.write(f"{word}\n")
