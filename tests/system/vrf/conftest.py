"""The tenants' hosts, which last for a file of tests."""

from collections.abc import Iterator

import pytest
from dom0.shell import execute, run
from dom0.topology import DEVICE, Topology
from support.network import LEFT, RIGHT
from support.vrf_network import BLUE_RIGHT, RED_LEFT


@pytest.fixture(autouse=True, scope="module")
def tenants(topology: Topology) -> Iterator[None]:
    """A namespace for each tenant that left and right aren't, joined to a VLAN of theirs."""
    made = ((LEFT, RED_LEFT, 6), (RIGHT, BLUE_RIGHT, 5))
    for plain, tenant, vid in made:
        execute("ip", "netns", "delete", tenant.name)
        run("ip", "netns", "add", tenant.name)
        vlan = ("link", DEVICE, "name", "vlan", "type", "vlan", "id", vid)
        run("ip", "-n", plain.name, "link", "add", *vlan)
        run("ip", "-n", plain.name, "link", "set", "vlan", "netns", tenant.name, "name", DEVICE)
        for words in (
            ("link", "set", "lo", "up"),
            ("link", "set", DEVICE, "up"),
            ("address", "add", tenant.addresses[0], "dev", DEVICE),
            ("route", "add", "default", "via", tenant.gateways[0]),
        ):
            run("ip", "-n", tenant.name, *words)
    yield
    for _, tenant, _ in made:
        execute("ip", "netns", "delete", tenant.name)
