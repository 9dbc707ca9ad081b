"""The bed itself holds: a Linux domU boots and forwards, load and CPU time are counted."""

import pytest
from dom0.cputime import CpuTime
from dom0.guest import Guest
from dom0.pktgen import Generator, Load
from dom0.ringway import eventually
from dom0.topology import Host


def test_linux_forwards(linux_router: Guest, left: Host, right: Host) -> None:
    assert left.ping(right.address, count=5).lost == 0
    assert right.ping(left.address, count=5).lost == 0


def test_load_and_cpu_time_are_counted(linux_router: Guest, left: Host, right: Host) -> None:
    left.reach(right.address)
    clock = CpuTime()
    before = clock.ns(linux_router.domid)
    received = right.counters()["rx_packets"]
    came = lambda: right.counters()["rx_packets"] - received  # noqa: E731
    generator = Generator(left)
    generator.start(Load(linux_router.vifs[0].mac, right.address, count=1000, rate_pps=500))
    assert generator.wait() == 1000
    eventually(lambda: came() >= 990 or None, 30, lambda: f"{came()} of 1000 arrived")
    assert came() <= 1010
    assert clock.ns(linux_router.domid) > before


def test_error_shows_the_console(linux_router: Guest) -> None:
    with pytest.raises(TimeoutError, match="linux: ready"):
        linux_router.wait_console("what it never says", timeout=0.1)


def test_console_takes_input(linux_router: Guest) -> None:
    linux_router.console_write("echo $((20 + 22)) heard\n")
    linux_router.wait_console("^42 heard", timeout=20)
