"""A network with VLANs on both sides of a router: the configuration, and the hosts' VLAN devices."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dom0.shell import execute, run
from dom0.topology import DEVICE, Host
from support.network import LEFT, RIGHT

CONFIG = """
hostname = "vlans"

[interface.left]
vif     = 0
address = ["10.0.0.1/24"]

[interface.left200]
parent  = "left"
vlan    = 200
address = ["10.0.200.1/24"]

[interface.provider]
parent   = "left"
vlan     = 7
protocol = "802.1ad"

[interface.customer]
parent  = "provider"
vlan    = 300
address = ["10.0.30.1/24"]
mtu     = 1496

[interface.right]
vif     = 1
address = ["10.0.1.1/24"]

[interface.right100]
parent  = "right"
vlan    = 100
address = ["10.0.100.1/24", "2001:db8:100::1/64"]

[interface.right100.advertise]
max_interval_s = 4
"""


@dataclass(frozen=True)
class Place:
    """A network that one of the two hosts is in: its device there, and addresses."""

    host: Host
    device: str
    net: str

    @property
    def gateway(self) -> str:
        return f"{self.net}.1"

    @property
    def there(self) -> Host:
        """The host as others in this network know it."""
        return replace(self.host, addresses=(f"{self.net}.2/24",))


LEFT_PLAIN = Place(LEFT, DEVICE, "10.0.0")
LEFT_200 = Place(LEFT, "v200", "10.0.200")
CUSTOMER = Place(LEFT, "v7.300", "10.0.30")
RIGHT_PLAIN = Place(RIGHT, DEVICE, "10.0.1")
RIGHT_100 = Place(RIGHT, "v100", "10.0.100")


def add_vlan(host: Host, link: str, name: str, vid: int, protocol: str = "802.1Q") -> None:
    words = ("link", link, "name", name, "type", "vlan", "protocol", protocol, "id", vid)
    run("ip", "-n", host.name, "link", "add", *words)
    run("ip", "-n", host.name, "link", "set", name, "up")


@contextlib.contextmanager
def routes_between(near: Place, far: Place) -> Iterator[tuple[Host, Host]]:
    """Have the hosts of two places reach each other by these while the block lasts."""
    routes = [(near, far), (far, near)]
    for here, there in routes:
        words = (f"{there.net}.0/24", "via", here.gateway, "dev", here.device, "src", f"{here.net}.2")
        run("ip", "-n", here.host.name, "route", "replace", *words)
    try:
        yield near.there, far.there
    finally:
        for here, there in routes:
            execute("ip", "-n", here.host.name, "route", "delete", f"{there.net}.0/24", "via", here.gateway)
