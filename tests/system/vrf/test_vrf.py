"""Routing tables kept apart: two tenants with the same addresses on one Ringway, and ways out of them."""

from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import command, counters, grown, idle_pages
from dom0.topology import Host
from support.network import LEFT, RIGHT
from support.vrf_network import BLUE_RIGHT, CONFIG, RED_LEFT
from support.wire import transfer


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
    assert RED_LEFT.ping_unanswered("10.255.0.1", 3)
    assert grown(before, counters(vrfs))["interface.red-left.drop.no_route"] == 3


def test_tables_are_shown(vrfs: Guest) -> None:
    blue = command(vrfs, "show routes vrf blue")
    assert "10.255.0.0/16" in blue and "looked up in vrf default" in blue, blue
    assert "connected, blue-right" in blue and "red" not in blue, blue
    assert "red-right red-left" in command(vrfs, "show vrfs")
