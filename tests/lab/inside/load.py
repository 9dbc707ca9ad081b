"""Frames at a constant rate through a system, and what came of them: one point of a curve.

How the traps of such measurements are avoided:

- Queues in dom0 take thousands of frames, which a short measurement counts as delivered. Here
  rates are counted in a window that begins when the load has run for a while and ends while
  it still runs; loss is counted from all frames, after the queues have emptied.
- The generator sleeps between bursts (see traffic.c), so that it does not decide who runs.
- Nothing of dom0's own work is asked for in the window: counters are files that the generator
  reads itself, CPU times are one hypercall each, and `xl` is not called.
- Sinks drop what arrives and never answer, so nothing loops and nothing comes back.
"""

import functools
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from dom0.cputime import CpuTime

from .wires import End

TRAFFIC = "/ringway/target/lab/traffic"
SECONDS, WARM_UP, SETTLE = 1.5, 0.4, 0.8
COARSE = 0.4  # of those, where a run is to be quick
LOSS_FREE = 0.001  # the part that may be lost where "loss-free" is said
KEEPS_UP = 0.99  # of what is offered must come out in the window
UDP_PORT = 9


@dataclass(frozen=True)
class Flow:
    """Frames from a device of the generator to a sink, by way of the MAC address `dst_mac`."""

    name: str
    source: End
    sink: End
    dst_mac: str
    dst_ip: str
    counter: str | None = None

    def line(self, size: int, rate: int, port: int = UDP_PORT) -> str:
        """The flow as traffic.c reads it."""
        words = (
            self.source.device, self.dst_mac, self.source.mac, self.source.ip, self.dst_ip,
            port, size, rate, self.counter or self.sink.counter,
        )  # fmt: skip
        return " ".join(map(str, words)) + "\n"


@dataclass(frozen=True)
class Count:
    """One flow's frames: in the window, and in all."""

    sent: int
    received: int
    sent_all: int
    received_all: int


@dataclass(frozen=True)
class Point:
    """What was offered to a system in a window of `seconds`, and what came out."""

    seconds: float
    flows: list[Count]
    cpu_ns: dict[int, int] = field(default_factory=dict)  # of each domain, in the window

    @property
    def offered_pps(self) -> float:
        """Frames sent a second, all flows together."""
        return sum(flow.sent for flow in self.flows) / self.seconds

    @property
    def forwarded_pps(self) -> float:
        """Frames received a second, all flows together."""
        return sum(flow.received for flow in self.flows) / self.seconds

    @property
    def loss(self) -> float:
        """The part of all frames that never arrived."""
        sent = sum(flow.sent_all for flow in self.flows)
        return max(0.0, 1 - sum(flow.received_all for flow in self.flows) / sent) if sent else 0.0

    @property
    def keeps_up(self) -> bool:
        """Nearly nothing was lost, and no queue filled."""
        return self.loss <= LOSS_FREE and self.forwarded_pps >= KEEPS_UP * self.offered_pps

    def instructions(self, *domids: int) -> float | None:
        """Instructions of some domains for each frame received in the window."""
        received = sum(flow.received for flow in self.flows)
        known = [self.cpu_ns[domid] for domid in domids if domid in self.cpu_ns]
        return sum(known) / received if known and received else None


def offer(
    flows: Sequence[Flow],
    rates: Sequence[int],
    *,
    size: int = 60,
    coarse: bool = False,
    domids: Sequence[int] = (),
    cpu: int | None = None,
) -> Point:
    """Send every flow at its rate (frames/s of `size` bytes without FCS) and count.

    A `coarse` point is a shorter one. `domids` are the domains whose CPU time is taken, `cpu` the one the generator runs on.
    """
    clock = _clock() if domids else None
    part = COARSE if coarse else 1.0
    times = (SECONDS * part, WARM_UP * part, SETTLE)
    line = [TRAFFIC, "send", flows[0].source.space, *map(str, times)]
    if cpu is not None:
        line = ["taskset", "-c", str(cpu), *line]
    text = "".join(flow.line(size, rate) for flow, rate in zip(flows, rates, strict=True))
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write(text)
        process.stdin.close()
        _expect(process, "begin")
        before = {domid: clock.ns(domid) for domid in domids} if clock else {}
        _expect(process, "end")
        spent = {domid: clock.ns(domid) - ns for domid, ns in before.items()} if clock else {}
        window = int(process.stdout.readline()) / 1e9
        counts = [Count(*map(int, process.stdout.readline().split())) for _ in flows]
    return Point(window, counts, spent)


def probe(flow: Flow, count: int = 300, interval_us: int = 5000, cpu: int | None = None) -> list[float]:
    """Send single frames; the one-way delays in us of those that arrived."""
    line = [
        TRAFFIC, "probe", flow.source.space, flow.sink.space, flow.sink.device,
        str(count), str(interval_us),
    ]  # fmt: skip
    if cpu is not None:
        line = ["taskset", "-c", str(cpu), *line]
    done = subprocess.run(
        line, input=flow.line(60, 0, UDP_PORT + 1), capture_output=True, text=True, check=True
    )
    return [int(text) / 1000 for text in done.stdout.split() if int(text) >= 0]


def percentile(values: Sequence[float], part: float) -> float:
    """The value that a part (0 to 1) of all values don't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def search(low: int, high: int, keeps_up, part: float = 0.03) -> tuple[int, list[Point]]:
    """The highest rate, to within a part of itself, that a system keeps up with.

    `keeps_up(rate)` measures a point. Returns the rate (0 if not even `low` will do) and
    the points measured.
    """
    points: list[Point] = []

    def good(rate: int) -> bool:
        points.append(keeps_up(rate))
        return points[-1].keeps_up

    if not good(low):
        return 0, points
    while high - low > part * low:
        middle = int((low * high) ** 0.5)
        if good(middle):
            low = middle
        else:
            high = middle
    return low, points


@functools.cache
def _clock() -> CpuTime:
    """One for all points: it holds files open."""
    return CpuTime()


def _expect(process: subprocess.Popen, word: str) -> None:
    got = process.stdout.readline().strip()
    if got != word:
        raise RuntimeError(f"the generator said {got!r} instead of {word!r}")
