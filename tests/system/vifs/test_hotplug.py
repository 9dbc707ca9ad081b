"""Vifs that go and come: unplugged, plugged, closed by their backend, late, unknown."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import READY, command, eventually, idle_pages, store, wait_key
from dom0.shell import execute, run
from dom0.topology import Host
from support.network import CONFIG
from support.vif_states import CLOSING, CONNECTED, backend, plug, wait_connected
from support.wire import transfer

DRIVER = Path("/sys/bus/xen-backend/drivers/vif")


@pytest.fixture
def guest(left: Host, right: Host, start) -> Guest:
    """A router of the test's own, forwarding."""
    made = start(Guest("ringway", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG), says=READY)
    assert left.ping(right.address, 2, 0.1).lost == 0
    return made


@pytest.fixture
def traffic(guest: Guest, left: Host, right: Host) -> Iterator[None]:
    """Pings in both directions, without pause."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with (
        left.background("ping", "-q", "-i", "0.02", "-s", 1000, right.address, **quiet),
        right.background("ping", "-q", "-i", "0.02", "-s", 1000, left.address, **quiet),
    ):
        yield


def assert_half(guest: Guest, left: Host, right: Host) -> None:
    """Vif 1 is down and says so; vif 0 works, and what would go out by vif 1 is dropped."""
    wait_key(guest, "state", "degraded")
    assert left.ping("10.0.0.1", 5, 0.1).lost == 0
    assert left.ping_unanswered(right.address)


def assert_whole(guest: Guest, left: Host, right: Host) -> None:
    """Everything works again and every page is accounted for."""
    wait_key(guest, "state", "ready", timeout=120)
    assert left.ping(right.address, 5, 0.05).lost == 0
    assert right.ping(left.address, 5, 0.05).lost == 0
    transfer(left, right, 1 << 20)
    idle_pages(guest)


def test_unplugged_and_plugged_under_load(guest: Guest, traffic: None, left: Host, right: Host) -> None:
    guest.network_detach(1)
    path = f"/local/domain/{guest.domid}/device/vif/1"
    eventually(lambda: store().read(path) is None or None, 60, lambda: f"{path} is still there")
    assert_half(guest, left, right)
    guest.network_attach(guest.vifs[1])
    wait_connected(guest, 1)
    assert_whole(guest, left, right)


def test_driver_unbound_and_bound_under_load(guest: Guest, traffic: None, left: Host, right: Host) -> None:
    """As when a driver domain upgrades its driver: Linux keeps the state that xenstore shows.

    Nobody takes what is sent until the driver is back; that must not hold up the other vif.
    """
    device = f"vif-{guest.domid}-1"
    DRIVER.joinpath("unbind").write_text(device)
    assert left.ping_unanswered(right.address)
    assert left.ping("10.0.0.1", 10, 0.2).lost == 0
    DRIVER.joinpath("bind").write_text(device)
    plug(guest, 1)
    wait_connected(guest, 1)
    assert_whole(guest, left, right)


def test_backend_closes_under_load(guest: Guest, traffic: None, left: Host, right: Host) -> None:
    """A backend that says Closing gets its Closed, and a new connection once it is ready."""
    store().write(backend(guest, 1, "state"), CLOSING)
    frontend = f"/local/domain/{guest.domid}/device/vif/1/state"
    eventually(lambda: store().read(frontend) != CONNECTED or None, 60, guest.console)
    plug(guest, 1)
    wait_connected(guest, 1)
    plug(guest, 1)
    assert_whole(guest, left, right)


def test_link_down_and_up_in_dom0(guest: Guest, left: Host, right: Host) -> None:
    """The bridge end goes down without anybody telling the guest."""
    run("ip", "link", "set", guest.vif_name(1), "down")
    assert left.ping_unanswered(right.address)
    assert left.ping("10.0.0.1", 3, 0.1).lost == 0
    run("ip", "link", "set", guest.vif_name(1), "up")
    left.reach(right.address)
    assert left.ping(right.address, 5, 0.1).lost == 0
    idle_pages(guest)


def test_plugged_after_boot(left: Host, right: Host, start) -> None:
    """Ready is who has all its interfaces; until then those that are there work."""
    guest = start(Guest("late", [Vif("xenbr0")], config=CONFIG))
    guest.wait_console("vif/0: connected", timeout=60)
    left.reach("10.0.0.1")
    wait_key(guest, "state", "booting")
    assert "ringway: ready" not in guest.console()
    guest.network_attach(Vif("xenbr1"))
    guest.wait_console(READY, timeout=60)
    assert left.ping(right.address, 5, 0.1).lost == 0


def test_vif_without_configuration(guest: Guest, left: Host, right: Host) -> None:
    """One more vif than the configuration has changes nothing, and can be unplugged."""
    guest.network_attach(Vif("xenbr1"))
    guest.wait_console("vif 2 isn't in the configuration", timeout=60)
    assert left.ping(right.address, 5, 0.1).lost == 0
    detached = execute("xl", "-vvv", "network-detach", guest.name, 2)
    assert detached.returncode == 0, detached.stderr
    # The router closed it: xl did not wait in vain.
    assert "forced remove" not in detached.stderr, detached.stderr
    assert left.ping(right.address, 5, 0.1).lost == 0
    assert "left: up" in command(guest, "show vifs")
    idle_pages(guest)
