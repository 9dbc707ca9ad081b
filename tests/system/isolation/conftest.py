"""The third network of these tests, whose vif is the one that gives trouble."""

from collections.abc import Iterator

import pytest
from dom0.topology import Host, Topology
from support.isolation_network import SLOW


@pytest.fixture(scope="session")
def slow(topology: Topology) -> Iterator[Host]:
    """A host before the router's vif 2."""
    with Topology([SLOW]):
        yield SLOW
