"""The bed itself holds: a Linux domU boots and forwards, load and CPU time are counted."""

import pytest
from dom0.cputime import CpuTime
from dom0.guest import Guest
from dom0.pktgen import Load, send_and_count
from dom0.topology import Host


def test_linux_forwards(linux_router: Guest, left: Host, right: Host) -> None:
    assert left.ping(right.address, count=5).lost == 0
    assert right.ping(left.address, count=5).lost == 0


def test_load_and_cpu_time_are_counted(linux_router: Guest, left: Host, right: Host) -> None:
    left.ping(right.address)
    clock = CpuTime()
    before = clock.ns(linux_router.domid)
    load = Load(linux_router.vifs[0].mac, right.address, count=1000, rate_pps=500)
    result = send_and_count(load, left, right)
    assert result.sent == 1000
    assert 990 <= result.received <= 1010
    assert clock.ns(linux_router.domid) > before


def test_error_shows_the_console(linux_router: Guest) -> None:
    with pytest.raises(TimeoutError, match="linux: ready"):
        linux_router.wait_console("what it never says", timeout=0.1)


def test_console_takes_input(linux_router: Guest) -> None:
    linux_router.console_write("echo $((20 + 22)) heard\n")
    linux_router.wait_console("^42 heard", timeout=20)
