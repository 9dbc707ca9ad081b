"""The whole curve: what is forwarded, and in how large batches, by the rate that is offered.

    curve.py SYSTEM[,SYSTEM] KPPS[,KPPS...]     0 kpps: full speed

SYSTEM is ringway or linux, with one flow; or ringway-N, with N IPv4 routes like the Internet's,
neighbors, strict reverse-path filtering, and frames to addresses at random.
Prints a line a point and writes results/curve.csv. The lines that begin with @ tell
`bed.py profile` when a point begins and ends.
"""

import csv
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dom0.archive import tar  # noqa: E402
from dom0.cputime import CpuTime  # noqa: E402
from dom0.figures import LEFT, RIGHT, guest  # noqa: E402
from dom0.guest import Guest, Vif  # noqa: E402
from dom0.internet import GATEWAYS_4, internet  # noqa: E402
from dom0.pktgen import Generator, Load  # noqa: E402
from dom0.ringway import numbers  # noqa: E402
from dom0.topology import Topology  # noqa: E402

RESULTS = Path("/ringway/results/curve.csv")
SECONDS = 2.0
SETTLE = 1.0  # s until the last frame has left every queue
FULL_SPEED = 300_000  # frames/s, more than there can be
PINGS = 20
ANYWHERE = ("flag IPDST_RND", "dst_min 11.0.0.1", "dst_max 126.255.255.254")
CONFIG = """
[interface.left]
vif     = 0
address = ["10.0.0.1/24"]
rpf     = "strict"

[interface.right]
vif     = 1
address = ["10.0.1.1/24"]
rpf     = "strict"

[[route]]
prefix = "0.0.0.0/0"
via    = ["10.0.1.2"]

[[route_file]]
path = "internet.routes"
"""
COLUMNS = (
    "system", "offered_pps", "forwarded_pps", "loss", "guest_cpu_ns_per_frame", "dom0_cpu_ns_per_frame",
    "frames_per_event_to_netback", "frames_per_run_of_netback_rx", "frames_per_wake",
    "hypercalls_per_frame", "rtt_us",
)  # fmt: skip


def main() -> None:
    """Measure every system at every rate."""
    systems, rates = sys.argv[1].split(","), [round(float(word) * 1000) for word in sys.argv[2].split(",")]
    rows = []
    with Topology([LEFT, RIGHT]):
        for name in systems:
            with with_routes(name) if "-" in name else guest(name) as system:
                system.wait_console("ready", timeout=300)
                LEFT.ping(RIGHT.address, 3)
                rtt = round_trip_us()
                for rate in rates:
                    row = {"system": name, "rtt_us": rtt, **point(system, name, rate)}
                    rows.append(row)
                    print("  ".join(f"{key}={shown(row[key])}" for key in COLUMNS if key in row), flush=True)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({key: shown(value) for key, value in row.items()} for row in rows)


def with_routes(name: str) -> Guest:
    """A router with as many routes as the name ends with, and where all else goes."""
    count = int(name.partition("-")[2])
    routes, _ = internet(count, 0)
    lines = [CONFIG]
    lines += [f'[[neighbor]]\ninterface = "right"\naddress = "{at}"\nmac = "{RIGHT.mac}"\n' for at in GATEWAYS_4]
    archive = tar({"ringway.toml": "".join(lines).encode(), "internet.routes": routes})
    return Guest(name, [Vif("xenbr0"), Vif("xenbr1")], config=archive, memory=16 if count <= 10_000 else 96)


def shown(value: object) -> object:
    """Round what is to be read."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def round_trip_us() -> float:
    """The mean time of a ping without other traffic."""
    text = LEFT.ping(RIGHT.address, PINGS, 0.1).text
    found = re.search(r"= [\d.]+/([\d.]+)/", text)
    return float(found[1]) * 1000 if found else 0.0


def point(system: Guest, name: str, rate: int) -> dict[str, float]:
    """Offer frames at a rate for some seconds."""
    assert system.domid is not None
    clock = CpuTime()
    count = round((rate or FULL_SPEED) * SECONDS)
    generator = Generator(LEFT)
    own = numbers(system, "show cpu") if name.startswith("ringway") else {}
    events, runs = events_to_netback(system), runs_of_netback(system)
    received = RIGHT.counters()["rx_packets"]
    guest_ns, dom0_ns = clock.ns(system.domid), clock.ns(0)
    label = f"{name}-{rate // 1000}k" if rate else f"{name}-full"
    print(f"@begin {label} 0", flush=True)
    began = time.monotonic()
    options = ANYWHERE if "-" in name else ()
    generator.start(Load(system.vifs[0].mac, RIGHT.address, count=count, rate_pps=rate, options=options))
    if rate == 0:
        time.sleep(SECONDS)
        generator.stop()
    sent = generator.wait()
    took = time.monotonic() - began
    dom0_ns = clock.ns(0) - dom0_ns
    time.sleep(SETTLE)
    got = RIGHT.counters()["rx_packets"] - received
    print(f"@end {label} {got}", flush=True)
    guest_ns = clock.ns(system.domid) - guest_ns
    events, runs = events_to_netback(system) - events, runs_of_netback(system) - runs
    found = {
        "offered_pps": sent / took,
        "forwarded_pps": got / took,
        "loss": max(0.0, 1 - got / sent) if sent else 1.0,
        "guest_cpu_ns_per_frame": guest_ns / max(1, got),
        "dom0_cpu_ns_per_frame": dom0_ns / max(1, got),
        "frames_per_event_to_netback": got / max(1, events),
        "frames_per_run_of_netback_rx": got / max(1, runs),
    }
    if own:
        now = numbers(system, "show cpu")
        spent = {key: now[key] - own[key] for key in own}
        found["frames_per_wake"] = spent["frames"] / max(1, spent["sleeps"])
        found["hypercalls_per_frame"] = spent["hypercalls"] / max(1, spent["frames"])
    return found


def events_to_netback(system: Guest) -> int:
    """How many events the guest has sent to the netback of its vifs."""
    lines = Path("/proc/interrupts").read_text().splitlines()
    ours = [line for line in lines if f"vif{system.domid}." in line]
    return sum(int(word) for line in ours for word in line.split(":")[1].split() if word.isdigit())


def runs_of_netback(system: Guest) -> int:
    """How often the threads that copy to the guest have run."""
    total = 0
    for name in Path("/proc").glob("[0-9]*/comm"):
        try:
            if re.match(rf"vif{system.domid}\.\d+-q0-gues", name.read_text()):
                total += int(name.with_name("schedstat").read_text().split()[2])
        except OSError:
            continue  # it has ended
    return total


if __name__ == "__main__":
    main()
