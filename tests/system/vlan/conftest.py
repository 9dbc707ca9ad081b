"""The hosts' VLAN devices, which last for a file of tests."""

from collections.abc import Iterator

import pytest
from dom0.shell import execute, run
from dom0.topology import DEVICE, Topology
from support.network import LEFT, RIGHT
from support.vlan_network import CUSTOMER, LEFT_200, RIGHT_100, add_vlan


@pytest.fixture(autouse=True, scope="module")
def vlan_devices(topology: Topology) -> Iterator[None]:
    """The hosts' VLAN devices."""
    add_vlan(LEFT, DEVICE, "v200", 200)
    add_vlan(LEFT, DEVICE, "v7", 7, "802.1ad")
    add_vlan(LEFT, "v7", "v7.300", 300)
    run("ip", "-n", LEFT.name, "link", "set", "v7.300", "mtu", 1496)
    add_vlan(RIGHT, DEVICE, "v100", 100)
    for place in (LEFT_200, CUSTOMER, RIGHT_100):
        run("ip", "-n", place.host.name, "address", "add", f"{place.net}.2/24", "dev", place.device)
    yield
    for host, device in ((LEFT, "v200"), (LEFT, "v7"), (RIGHT, "v100")):
        execute("ip", "-n", host.name, "link", "delete", device)
    for host in (LEFT, RIGHT):
        execute("ip", "-n", host.name, "route", "flush", "cache")
