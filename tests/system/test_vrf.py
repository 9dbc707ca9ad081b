"""Routing tables kept apart: two tenants with the same addresses on one Ringway, and ways out of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from conftest import LEFT, RIGHT
from dom0.guest import Guest, Vif
from dom0.shell import execute, run
from dom0.topology import DEVICE, Host, Topology
from ringway import command, counters, grown, idle_pages
from wire import transfer

# Blue: left's plain network, and VLAN 5 behind right. Red: the same networks, the other way round.
CONFIG = """
hostname = "vrfs"

[vrf.blue]
[vrf.red]

[interface.blue-left]
vif     = 0
vrf     = "blue"
address = ["10.0.0.1/24"]

[interface.blue-right]
parent  = "red-right"
vlan    = 5
vrf     = "blue"
address = ["10.0.1.1/24"]

[interface.red-left]
parent  = "blue-left"
vlan    = 6
vrf     = "red"
address = ["10.0.0.1/24"]

[interface.red-right]
vif     = 1
vrf     = "red"
address = ["10.0.1.1/24"]

[interface.lo]
type    = "loopback"
address = ["10.255.0.1/32"]

[[route]]
vrf     = "blue"
prefix  = "10.255.0.0/16"
via_vrf = "default"
"""

RED_LEFT = replace(LEFT, name="redleft", addresses=("10.0.0.2/24",), gateways=("10.0.0.1",))
BLUE_RIGHT = replace(RIGHT, name="blueright", addresses=("10.0.1.2/24",), gateways=("10.0.1.1",))


@pytest.fixture(autouse=True, scope="module")
def _tenants(topology: Topology) -> Iterator[None]:
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


@pytest.fixture
def vrfs(share: Callable[..., Guest]) -> Guest:
    """A router with two tables of the same networks, shared by this file."""
    return share(Guest("vrfs", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG))


PAIRS = {"blue": (LEFT, BLUE_RIGHT), "red": (RED_LEFT, RIGHT)}


@pytest.mark.parametrize("colour", PAIRS)
def test_each_reaches_its_own(colour: str, vrfs: Guest, undamaged: None) -> None:
    near, far = PAIRS[colour]
    other = "red" if colour == "blue" else "blue"
    before = counters(vrfs)
    assert near.ping(far.address, 10, 0.05).lost == 0
    assert near.ping("10.0.1.1", 3, 0.1).lost == 0
    for source, sink in ((near, far), (far, near)):
        transfer(source, sink, 1 << 20)
    used = grown(before, counters(vrfs))
    assert used[f"interface.{colour}-left.rx.packets"] > 100
    assert used[f"interface.{colour}-right.tx.packets"] > 100
    assert used.get(f"interface.{other}-left.tx.packets", 0) < 10
    idle_pages(vrfs)


def test_a_way_into_another_table(vrfs: Guest, left: Host) -> None:
    """The default table's address is there for blue, which has a route to it, and not for red."""
    assert left.ping("10.255.0.1", 3, 0.1).lost == 0
    before = counters(vrfs)
    assert RED_LEFT.ping("10.255.0.1", 3, 0.1).received == 0
    assert grown(before, counters(vrfs))["interface.red-left.drop.no_route"] == 3


def test_tables_are_shown(vrfs: Guest) -> None:
    blue = command(vrfs, "show routes vrf blue")
    assert "10.255.0.0/16" in blue and "looked up in vrf default" in blue, blue
    assert "connected, blue-right" in blue and "red" not in blue, blue
    assert "red-right red-left" in command(vrfs, "show vrfs")
