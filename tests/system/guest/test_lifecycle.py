"""How a domain ends and begins again: shutdown, reboot, destroy, crashes, pauses."""

import subprocess
from pathlib import Path

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import READY, eventually, store, wait_key
from dom0.shell import execute, run
from dom0.topology import Host
from support.crashes import CRASHES, crash
from support.network import CONFIG


def forwarder(**options) -> Guest:
    """A router between left and right whose crash leaves it to be looked at."""
    return Guest("ringway", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG, **options)


def wait_vifs_gone(domid: int) -> None:
    """Wait until dom0 has nothing left of a domain's vifs."""
    devices = lambda: list(Path("/sys/class/net").glob(f"vif{domid}.*"))  # noqa: E731
    eventually(lambda: not devices() or None, 60, lambda: f"dom0 still has {devices()}")
    path = f"/local/domain/0/backend/vif/{domid}"
    eventually(lambda: store().read(path) is None or None, 60, lambda: f"{path} is still there")


def test_shutdown_under_load(left: Host, right: Host, start) -> None:
    guest = start(forwarder(), says=READY)
    domid = guest.domid
    with left.background("ping", "-q", "-f", "-s", 1000, right.address, stdout=subprocess.DEVNULL):
        guest.shutdown(timeout=60)
    wait_vifs_gone(domid)


def test_reboot(left: Host, right: Host, start) -> None:
    guest = start(forwarder(), says=READY)
    assert left.ping(right.address).lost == 0
    old = guest.domid
    guest.reboot(timeout=120)
    wait_key(guest, "state", "ready", timeout=120)
    assert left.ping(right.address, 3, 0.2).lost == 0
    wait_vifs_gone(old)


def test_destroy_and_create_again(left: Host, right: Host, start) -> None:
    guest = start(forwarder(), says=READY)
    domid = guest.domid
    with left.background("ping", "-q", "-f", "-s", 1000, right.address, stdout=subprocess.DEVNULL):
        guest.destroy()
    wait_vifs_gone(domid)
    assert execute("xl", "domid", "ringway").returncode != 0
    start(guest, says=READY)
    assert left.ping(right.address, 3, 0.2).lost == 0


@pytest.mark.parametrize("how", CRASHES)
def test_crash_says_where(how: str, start) -> None:
    """The reason given to Xen is a crash, and the domain stays to be looked at, as asked for."""
    guest = start(forwarder(on_crash="preserve"), says=READY)
    crash(guest, how)
    for pattern in CRASHES[how]:
        guest.wait_console(pattern, timeout=60)
    # Powered off, it would be gone by now: `preserve` is for crashes only.
    eventually(lambda: "c" in guest.state() or None, 60, guest.state)
    if CRASHES[how]:
        assert guest.console().count("crashed:") == 1
    else:
        assert f"pv guest (d{guest.domid}v0)" in run("xl", "dmesg")


def test_crash_destroys(start) -> None:
    guest = start(forwarder(on_crash="destroy"), says=READY)
    domid = guest.domid
    crash(guest, "panic")
    guest.wait_gone(timeout=60)
    wait_vifs_gone(domid)


def test_crash_restarts(left: Host, right: Host, start) -> None:
    guest = start(forwarder(on_crash="restart"), says=READY)
    old = guest.domid
    crash(guest, "fault")
    eventually(lambda: guest.refresh() not in (old, None) or None, 120, guest.console)
    wait_key(guest, "state", "ready", timeout=120)
    assert left.ping(right.address, 3, 0.2).lost == 0


def test_pause(left: Host, right: Host, start) -> None:
    """Time stands still for a paused router; it goes on where it was."""
    guest = start(forwarder(), says=READY)
    assert left.ping(right.address).lost == 0
    run("xl", "pause", guest.name)
    try:
        assert left.ping_unanswered(right.address)
    finally:
        run("xl", "unpause", guest.name)
    assert left.ping(right.address, 10, 0.1).received >= 9
