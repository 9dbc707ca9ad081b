"""The third network of these tests, whose vif is the one that gives trouble."""

from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.topology import Host, Topology
from support.isolation_network import CONFIG, SLOW


@pytest.fixture(scope="session")
def slow(topology: Topology) -> Iterator[Host]:
    """A host before the router's vif 2."""
    with Topology([SLOW]):
        yield SLOW


@pytest.fixture
def isolated(share: Callable[..., Guest], left: Host, right: Host) -> Guest:
    """A router between left and right that waits for a vif 2, which is the test's to make (`Netback`)."""
    guest = share(Guest("isolated", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG), says="vif/1: connected")
    left.reach(right.address)
    return guest
