"""The report of `make run`: a tenant's router created by `xl`, traffic through it, Linux beside it.

Run inside dom0 by `bed.py run`. Every line printed is for the user; what went wrong is one
paragraph and exit code 1.
"""

import json
import re
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dom0.bulk import transfer  # noqa: E402
from dom0.forwarding import Point, measure  # noqa: E402
from dom0.guest import Guest, Vif, linux_guest  # noqa: E402
from dom0.shell import run  # noqa: E402
from dom0.topology import Host, Topology  # noqa: E402

REPO = Path("/ringway")
WAN = Host("wan", "xenbr0", ("10.0.0.254/24",), ("10.0.0.1",))
LAN = Host("lan", "xenbr1", ("10.0.1.2/24",), ("10.0.1.1",))
LINUX_EXTRA = "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24"
RATE = 2000  # frames/s


def main() -> int:
    """Print the report; 1 if something did not work."""
    try:
        with Topology([WAN, LAN]):
            report()
    except (RuntimeError, TimeoutError, AssertionError) as error:
        print(f"\nFAILED: {error}", flush=True)
        return 1
    return 0


def report() -> None:
    """Measure both guests and print what came out."""
    size = (REPO / "dist/ringway").stat().st_size // 1024
    say(f"image: dist/ringway, {size} KiB")
    say("creating the router: xl create tenant-a.cfg (about 10 s) ...")
    router, seconds = create_tenant()
    ready = re.search(r"ready in (\d+) us", router.console())
    say(f"  16 MB of memory, ready {int(ready[1]) / 1e6:.2f} s after its first instruction, "
        f"{seconds:.1f} s after xl create began")  # fmt: skip
    ping = LAN.ping(WAN.address, count=20)
    say(f"ping from the LAN to the WAN: {ping.received} of {ping.sent} answered")
    say("  " + ping.text.strip().splitlines()[-1])
    assert ping.lost == 0, "pings were lost"
    say("traceroute:")
    for line in LAN.run("traceroute", "-n", "-q", "1", "-w", "3", WAN.address).splitlines()[1:]:
        say("  " + line.strip())
    say("measuring throughput and CPU time (about 40 s) ...")
    ours = throughput(router)
    router.destroy()
    say("the same through Linux 6.1 as a PV domU (about 60 s) ...")
    with linux_guest("linux", vifs(), LINUX_EXTRA) as linux:
        linux.wait_console("linux: ready", timeout=180)
        LAN.ping(WAN.address, count=3)
        theirs = throughput(linux)
    table(ours, theirs)
    print(
        "\nnext:  make shell     a shell in this dom0: xl create, xl console tenant-a, show interfaces"
        "\n       make test      all tests"
        "\non a Xen host of yours: copy dist/ringway and image/examples/tenant-a.* into one folder,"
        "\nedit both, and: xl create tenant-a.cfg"
    )


def vifs() -> list[Vif]:
    """The vifs of tenant-a.cfg."""
    return [Vif("xenbr0", "00:16:3e:00:00:01"), Vif("xenbr1", "00:16:3e:00:00:02")]


def create_tenant() -> tuple[Guest, float]:
    """Create the example's router as a user would; its guest, and how long it took in s."""
    folder = Path("/root/tenant-a")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(REPO / "image/examples", folder)
    shutil.copy(REPO / "dist/ringway", folder)
    guest = Guest("tenant-a", vifs())
    guest.console_log.unlink(missing_ok=True)
    began = time.monotonic()
    run("sh", "-c", f"cd {folder} && xl create -q tenant-a.cfg", timeout=120)
    guest.refresh()
    guest.wait_console("ringway: ready in", timeout=120)
    return guest, time.monotonic() - began


def throughput(guest: Guest) -> dict[str, float]:
    """TCP both ways, UDP, and the CPU time that a byte of TCP and a frame took."""
    figures = {}
    up, down, many = transfer(guest, LAN, WAN, 1, 5), transfer(guest, WAN, LAN, 1, 5), transfer(guest, LAN, WAN, 8, 5)
    figures["TCP up, Mbit/s"] = up.mbit_s
    figures["TCP down, Mbit/s"] = down.mbit_s
    figures["TCP up, 8 streams, Mbit/s"] = many.mbit_s
    figures["CPU time a KiB of TCP, ns"] = up.guest_ns_byte * 1024
    with WAN.background("iperf3", "-s", "-1", stdout=-3):
        time.sleep(1)
        figures["UDP up, Mbit/s"] = iperf("-t", 5, "-u", "-b", "50M")
    point: Point = measure(guest, WAN, LAN, RATE, 4.0)
    assert point.received > point.sent / 2, f"only {point.received} of {point.sent} frames arrived"
    figures["CPU time a 60-byte frame, ns"] = point.guest_ns_frame
    return figures


def iperf(*options: object) -> float:
    """Run iperf3 from the LAN to the WAN; what arrived, in Mbit/s."""
    done = json.loads(LAN.run("iperf3", "-J", "-c", WAN.address, *options, timeout=120))
    end = done["end"]
    total = end.get("sum_received") or end["sum"]
    return total["bits_per_second"] / 1e6


def table(ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Print both side by side."""
    print(f"\n{'':30}{'Ringway':>12}{'Linux':>12}{'ratio':>8}")
    for name, value in ours.items():
        ratio = value / theirs[name] if theirs[name] else 0.0
        print(f"{name:30}{value:12.1f}{theirs[name]:12.1f}{ratio:8.2f}")
    print("(software emulation on a shared machine: only the ratios mean something)")


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
