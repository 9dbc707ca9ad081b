"""Files of routes in the ramdisk: 10,000 in a small guest, the Internet's 1,230,000 in 64 MB."""

import re
from collections.abc import Callable

import pytest
from dom0.archive import tar
from dom0.guest import Guest, Vif
from dom0.internet import internet
from dom0.ringway import READY, command, eventually, key, numbers, wait_key
from dom0.shell import run
from dom0.topology import Host

CONFIG = """
[interface.left]
vif     = 0
address = ["10.0.0.1/24", "2001:db8:0::1/64"]

[interface.right]
vif     = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]

[[route_file]]
path = "internet.routes"
"""


@pytest.mark.limit(600)
def test_ten_thousand_in_16_mb(left: Host, right: Host, start: Callable[..., Guest]) -> None:
    routes, probes = internet(8_130, 1_870)
    guest = start(with_routes("tenthousand", routes, memory=16), says=READY)
    assert_routes(guest, 8_130, 1_870)
    assert_forwards(left, right, probes)


@pytest.mark.limit(1800)
def test_the_internet_in_64_mb(left: Host, right: Host, start: Callable[..., Guest]) -> None:
    """The guest starts larger, for the file; what counts is what it uses afterwards."""
    routes, probes = internet(1_000_000, 230_000)
    guest = start(with_routes("internet", routes, memory=96), says=READY, timeout=1200)
    assert_routes(guest, 1_000_000, 230_000)
    memory = numbers(guest, "show memory")
    assert memory["in_use_bytes"] <= 64 << 20, memory
    # The file's memory is the heap's.
    assert memory["heap_size_bytes"] - memory["heap_used_bytes"] > len(routes) * 3 // 4, memory
    assert_forwards(left, right, probes)


def test_a_bad_line_rejects_all(start: Callable[..., Guest]) -> None:
    routes = b"# good\n192.0.2.0/24 10.0.1.2\n198.51.100.0/24 10.7.7.7\n"
    guest = start(with_routes("badroutes", routes, memory=16))
    guest.wait_console(r"^ERROR config: internet\.routes:3: gateway 10\.7\.7\.7 isn't on", timeout=60)
    wait_key(guest, "state", "degraded")
    status = eventually(lambda: key(guest, "config/status"), 60, guest.console)
    assert status.startswith("error 0: internet.routes:3: gateway 10.7.7.7"), status
    assert "IPv4: 0 routes" in command(guest, "show routes")


def test_too_little_memory_is_said(start: Callable[..., Guest]) -> None:
    routes, _ = internet(90_000, 10_000)
    guest = start(with_routes("toosmall", routes, memory=8))
    guest.wait_console(r"^ringway: crashed: out of memory: \d+ bytes more .* 8 MiB .*memory", timeout=120)
    eventually(lambda: "c" in guest.state() or None, 60, guest.state)


def with_routes(name: str, routes: bytes, memory: int) -> Guest:
    """Return a router between left and right whose ramdisk has a file of routes."""
    archive = tar({"ringway.toml": CONFIG.encode(), "internet.routes": routes})
    return Guest(name, [Vif("xenbr0"), Vif("xenbr1")], config=archive, memory=memory)


def assert_routes(guest: Guest, four: int, six: int) -> None:
    """All routes are there, and no more."""
    text = command(guest, "show routes")
    assert f"internet.routes: {four + six} routes\n" in text, text
    found = re.findall(r"^IPv[46]: (\d+) routes; forwarding table \d+ prefixes, \d+ bytes$", text, re.MULTILINE)
    assert found == [str(four), str(six)], text


def assert_forwards(left: Host, right: Host, probes: list[str]) -> None:
    """Packets to addresses that only routes of the file lead to arrive at `right`."""
    assert len(probes) == 6
    for address in probes:
        length = 128 if ":" in address else 32
        run("ip", "-n", right.name, "address", "add", f"{address}/{length}", "dev", "lo")
    try:
        # Until duplicate address detection is over there is no way in IPv6.
        left.reach(probes[-1])
        for address in probes:
            assert left.ping(address, 3, 0.05).lost == 0, address
    finally:
        for address in probes:
            length = 128 if ":" in address else 32
            run("ip", "-n", right.name, "address", "delete", f"{address}/{length}", "dev", "lo")
