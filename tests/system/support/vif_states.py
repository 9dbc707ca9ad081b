"""The two ends of a vif in xenstore, and what dom0's hotplug script does."""

from pathlib import Path

from dom0.guest import Guest
from dom0.ringway import eventually
from dom0.shell import run
from dom0.xenstore import store

CLOSING, CLOSED, CONNECTED = "5", "6", "4"


def backend(guest: Guest, index: int, key: str) -> str:
    """Return the path of a key of a vif's backend."""
    return f"/local/domain/0/backend/vif/{guest.domid}/{index}/{key}"


def wait_connected(guest: Guest, index: int) -> None:
    """Wait until both ends of a vif are connected."""
    ends = (
        backend(guest, index, "state"),
        f"/local/domain/{guest.domid}/device/vif/{index}/state",
    )
    states = lambda: [store().read(path) for path in ends]  # noqa: E731
    eventually(lambda: states() == [CONNECTED] * 2 or None, 120, lambda: f"{states()}\n{guest.console()}")


def plug(guest: Guest, index: int) -> None:
    """Do what the hotplug script does, which xl runs only when it makes a vif."""
    name = guest.vif_name(index)
    device = Path("/sys/class/net", name)
    eventually(lambda: device.exists() or None, 60, lambda: f"no {name} in dom0")
    run("ip", "link", "set", name, "up", "master", guest.vifs[index].bridge)
    store().write(backend(guest, index, "hotplug-status"), "connected")
