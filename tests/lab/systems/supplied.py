"""An image that the user supplies: ClickOS, Mini-OS, MirageOS, or any other router for Xen.

It is taken if target/lab/supplied/ holds `system.toml` and the files that it names:

    label = "ClickOS"
    kernel = "clickos_x86_64"          # a file beside this one
    kind = "pv"                        # or "pvh"
    memory_mib = 12
    ready = "router ready"             # what its console says once it forwards; a pattern
    extra = "ip={left} {right}"        # its command line
    [xenstore]                         # keys below the domain's folder, written when it runs
    "clickos/0/config/0" = "…"
    [routed]                           # where dom0 routes: `extra` and `xenstore` in place of those above
    extra = "ip={left} {right} route={source},{left_gateway} route={sink},{right_gateway}"

`{left}` and `{right}` become the addresses of its two vifs, with their lengths; `{left_mac}` and
`{right_mac}` their hardware addresses, `{source}` and `{sink}` the networks of generator and sink. Where
dom0 bridges, these are the networks of the addresses. Where it routes, they are behind the gateways
`{left_gateway}` and `{right_gateway}`; without `[routed]` the image isn't measured there.
"""

import ipaddress
import tomllib
from pathlib import Path

from dom0.guest import Guest
from dom0.shell import run

from . import DomU

FOLDER = Path(__file__).resolve().parents[3] / "target" / "lab" / "supplied"
DESCRIPTION = FOLDER / "system.toml"


class Supplied(Guest):
    """A guest that gets keys in xenstore as soon as it exists."""

    keys: dict[str, str]

    def create(self, *, paused: bool = False, timeout: float = 120) -> None:
        """Create it, then write its keys."""
        super().create(paused=paused, timeout=timeout)
        for key, value in self.keys.items():
            run("xenstore-write", self.xenstore_path(key, relative=True), value)


def describe() -> dict:
    """What the user says of the image; empty if there is none."""
    return tomllib.loads(DESCRIPTION.read_text()) if DESCRIPTION.exists() else {}


def make(name, vifs, extra, options):
    """Its words are made from those that the other systems are given."""
    told = describe()
    addresses = [word.partition(":")[2] for word in extra.split() if word.startswith("ip=")]
    routes = [word.removeprefix("route=").split(",") for word in extra.split() if word.startswith("route=")]
    words = {
        "left": addresses[0], "right": addresses[1], "left_mac": vifs[0].mac, "right_mac": vifs[1].mac,
        "source": ipaddress.ip_interface(addresses[0]).network, "sink": ipaddress.ip_interface(addresses[1]).network,
    }  # fmt: skip
    if routes:
        told |= told["routed"]
        (words["sink"], words["right_gateway"]), (words["source"], words["left_gateway"]) = routes
    guest = Supplied(
        name, vifs, extra=told.get("extra", "").format(**words), kernel=str(FOLDER / told["kernel"]),
        memory=told["memory_mib"], kind=told.get("kind", "pv"), options=options,
    )  # fmt: skip
    guest.keys = {key: value.format(**words) for key, value in told.get("xenstore", {}).items()}
    return guest


def _system() -> DomU:
    told = describe()
    return DomU(
        name="supplied", label=told.get("label", "supplied"), colour="#e6ab02", order=50, make=make,
        ready=told.get("ready", "."), memory_mib=told.get("memory_mib", 0), kind=told.get("kind", "pv"),
        files=(str(FOLDER / told.get("kernel", "")),), available=DESCRIPTION.exists,
        networks=("bridged", "routed") if "routed" in told else ("bridged",),
    )  # fmt: skip


SYSTEM = _system()
