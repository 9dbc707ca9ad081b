"""The router of the clients, and its hosts."""

from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import settle
from dom0.topology import Topology
from support.clients_network import BEHIND, CONFIG, FAR, NEAR, ROUTER_MACS


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    with Topology([NEAR, FAR]) as made:
        for host in made.hosts.values():
            # A traceroute asks for more port unreachables than Linux tells in a second.
            host.run("sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        yield


@pytest.fixture
def clients(hosts: None, share: Callable[..., Guest]) -> Guest:
    """A router whose far link is small, and which advertises itself on the near one."""
    # The same MAC addresses each time: hosts that heard of a router by its address look for it there.
    vifs = [Vif(host.bridge, mac) for host, mac in ((NEAR, ROUTER_MACS[0]), (FAR, ROUTER_MACS[1]))]
    guest = share(Guest("clients", vifs, config=CONFIG))
    settle(guest)
    assert_forwards()
    return guest


def assert_forwards() -> None:
    """Both families cross, both ways."""
    for family in (4, 6):
        assert NEAR.ping(BEHIND[family], 3, 0.1).lost == 0
    assert FAR.ping("2001:db8:80::2", 3, 0.1).lost == 0
