"""A loopback: addresses of no link, and the source of what the router says of packets."""

from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import counters, grown
from dom0.topology import Host
from support.network import DUAL_STACK

OWN = {4: "10.255.0.1", 6: "2001:db8:ff::1"}
FAR = {4: "10.0.1.2", 6: "2001:db8:1::2"}
NEAR = {4: "10.0.0.2", 6: "2001:db8::2"}
# What Linux prints of a packet that had no hop left.
EXPIRED = {4: "Time to live exceeded", 6: "Time exceeded: Hop limit"}
CONFIG = (
    DUAL_STACK.replace("vif           = 0", 'vif           = 0\nsource        = "lo"')
    + f'[interface.lo]\ntype    = "loopback"\naddress = ["{OWN[4]}/32", "{OWN[6]}/128"]\n'
)

families = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def router(share: Callable[..., Guest]) -> Guest:
    """A router with a loopback, which is the source of errors on the left."""
    return share(Guest("loopback", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG))


@families
def test_it_is_reached_from_both_sides(family: int, router: Guest, left: Host, right: Host) -> None:
    for host in (left, right):
        assert host.ping(OWN[family], 5, 0.1).lost == 0


@families
def test_errors_come_from_it_where_that_is_asked_for(
    family: int, router: Guest, left: Host, right: Host
) -> None:
    before = counters(router)
    for host, to, source in (
        (left, FAR, OWN[family]),
        (right, NEAR, {4: "10.0.1.1", 6: "2001:db8:1::1"}[family]),
    ):
        host.reach(to[family])
        text = host.run("ping", "-n", "-c", 1, "-W", 30, "-t", 1, to[family], check=False)
        assert f"From {source} icmp_seq=1 {EXPIRED[family]}" in text, text
    news = grown(before, counters(router))
    assert {news[f"interface.{side}.drop.ttl_expired"] for side in ("left", "right")} == {1}, news
