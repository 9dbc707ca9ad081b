"""Offloads of the hosts and of dom0: what one side left undone the other gets, or it is done.

What dom0 gives to the router it decides by itself, with ethtool, at any time.
"""

import itertools
from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import drops, grown, idle_pages, store
from dom0.shell import run
from dom0.topology import Host, set_offload, set_vif_offload
from support.network import DUAL_STACK
from support.offload import FAMILIES, SEGMENT, back, both_ways, front, mean_length, sent
from support.wire import transfer


@pytest.fixture
def router(share: Callable[..., Guest]) -> Guest:
    """A Ringway with both families on both sides, shared by this file."""
    return share(Guest("dual", [Vif("xenbr0"), Vif("xenbr1")], config=DUAL_STACK))


def test_router_says_what_it_takes(router: Guest) -> None:
    for index in range(2):
        for key in ("feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-ipv6-csum-offload"):
            assert front(router, index, key) == "1", key
            assert store().read(back(router, index, key)) == "1", key
        assert front(router, index, "feature-no-csum-offload") == "0"
        features = run("ethtool", "-k", router.vif_name(index))
        for name in ("tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-checksum-ipv4", "tx-checksum-ipv6"):
            assert f"\t{name}: on" in features, features


def test_large_frames_pass_whole(router: Guest, left: Host, right: Host, undamaged: None) -> None:
    """No frame is cut on the way: those that reach dom0 are as long as those that left it."""
    before = {name: drops(router, name) for name in ("left", "right")}
    for family in FAMILIES:
        earlier = [sent(router, index) for index in range(2)]
        transfer(left, right, 8 << 20, family=family)
        transfer(right, left, 8 << 20, family=family)
        assert all(mean_length(router, index, earlier[index]) > SEGMENT for index in range(2))
    lost = [grown(before[name], drops(router, name)).keys() for name in before]
    assert not {"rx_error", "punt_full"} & set().union(*lost)
    idle_pages(router)


@pytest.mark.parametrize("left_host", [True, False], ids=["left on", "left off"])
@pytest.mark.parametrize("right_host", [True, False], ids=["right on", "right off"])
def test_hosts_and_vifs_with_and_without(
    left_host: bool,
    right_host: bool,
    router: Guest,
    left: Host,
    right: Host,
    undamaged: None,
) -> None:
    """Checksums are blank or complete, TCP comes large or cut: whatever dom0 and the hosts do."""
    hosts = {left: left_host, right: right_host}
    try:
        for host, on in hosts.items():
            set_offload(host, on)
        for vifs in itertools.product((True, False), repeat=2):
            for index, on in enumerate(vifs):
                set_vif_offload(router.vif_name(index), on)
            both_ways(left, right, 1 << 19)
    finally:
        for host in hosts:
            set_offload(host, True)
        for index in range(2):
            set_vif_offload(router.vif_name(index), True)
    idle_pages(router)
