"""IPv6 through a Ringway: forwarding, its own addresses, errors, and hosts that configure themselves."""

import re
from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import command, drops, eventually, idle_pages, settle
from dom0.topology import DEVICE, Host

CONFIG = """
hostname = "six"

[interface.left]
vif     = 0
address = ["10.0.0.1/24", "2001:db8:0::1/64"]

[interface.right]
vif     = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]

[interface.right.advertise]
max_interval_s = 4
lifetime_s     = 1800
dns = ["2001:db8:1::53"]
"""


@pytest.fixture
def six(share: Callable[..., Guest]) -> Guest:
    """A router whose IPv6 addresses are in use, shared by this file."""
    guest = share(Guest("six", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG))
    settle(guest)
    return guest


def test_both_families_cross(six: Guest, left: Host, right: Host) -> None:
    assert left.ping("2001:db8:1::2", 20, 0.05).lost == 0
    assert right.ping("2001:db8:0::2", 20, 0.05).lost == 0
    assert left.ping("2001:db8:1::2", 3, 0.1, "-s", 1400).lost == 0
    assert left.ping("10.0.1.2", 5, 0.05).lost == 0
    assert "2001:db8:1::2" in command(six, "show neighbors")
    idle_pages(six)


def test_own_addresses_and_groups_answer(six: Guest, left: Host) -> None:
    local = re.search(r"fe80::[0-9a-f:]+", command(six, "show interfaces"))
    assert local is not None
    for target in ("2001:db8:0::1", "2001:db8:1::1", f"{local[0]}%{DEVICE}", f"ff02::2%{DEVICE}"):
        assert left.ping(target, 3, 0.1).lost == 0, target
    # In fragments, both ways.
    assert left.ping("2001:db8:0::1", 3, 0.1, "-s", 4000).lost == 0


def test_errors(six: Guest, left: Host) -> None:
    exceeded = left.run("ping", "-n", "-c", 1, "-t", 1, "-W", 30, "2001:db8:1::2", check=False)
    assert "From 2001:db8::1" in exceeded and "Hop limit" in exceeded, exceeded
    no_route = left.run("ping", "-n", "-c", 1, "-W", 30, "2a00::1", check=False)
    assert "From 2001:db8::1" in no_route and "No route" in no_route, no_route
    silent = left.run("ping", "-n", "-c", 1, "-W", 30, "2001:db8:1::99", check=False)
    assert "Address unreachable" in silent, silent
    assert drops(six, "left")["no_route"] >= 1


def test_a_host_configures_itself(six: Guest, left: Host, right: Host) -> None:
    """A third host, with nothing but its link, reaches the other side by what is advertised."""
    host = Host("slaac", "xenbr1")
    host.up()
    try:
        found = eventually(
            lambda: re.search(
                r"inet6 (2001:db8:1:[0-9a-f:]+)/64 scope global(?!.*tentative)",
                host.run("ip", "address", "show", DEVICE),
            ),
            60,
            lambda: host.run("ip", "address", "show", DEVICE),
        )
        assert "via fe80::" in host.run("ip", "-6", "route", "show", "default")
        assert host.ping("2001:db8:0::2", 5, 0.1).lost == 0
        assert left.ping(found[1], 5, 0.1).lost == 0
    finally:
        host.down()


def test_hosts_look_for_another_router_when_it_ends(six: Guest, left: Host, right: Host) -> None:
    """The last test of this file: there is no router afterwards."""
    host = Host("slaac", "xenbr1")
    host.up()
    try:
        default = lambda: host.run("ip", "-6", "route", "show", "default")  # noqa: E731
        eventually(lambda: "via fe80::" in default() or None, 60, default)
        six.shutdown(timeout=60)
        eventually(lambda: not default() or None, 60, default)
    finally:
        host.down()
