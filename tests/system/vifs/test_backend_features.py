"""Backends that lack something: the router does it for them.

What a backend can is what its folder in xenstore says when the router connects. netback always says
it takes everything, so these tests write there what a lesser one would say, before the router runs.
"""

import itertools
from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import READY, eventually, idle_pages, store
from dom0.shell import run
from dom0.topology import Host
from support.network import CONFIG, DUAL_STACK
from support.offload import FAMILIES, SEGMENT, assert_complete, back, both_ways, front, mean_length
from support.wire import transfer

INIT_WAIT, CONNECTED = "2", "4"
NO_GSO = {"feature-gso-tcpv4": "0", "feature-gso-tcpv6": "0"}
NO_CHECKSUMS = {"feature-no-csum-offload": "1", "feature-ipv6-csum-offload": "0"}
NO_SCATTER = {"feature-sg": "0"}
KINDS = {
    "all": {},
    "no IPv6": {"feature-gso-tcpv6": "0", "feature-ipv6-csum-offload": "0"},
    "no gso": NO_GSO,
    "no csum": NO_CHECKSUMS,
    "no sg": NO_SCATTER,
    "nothing": {**NO_GSO, **NO_CHECKSUMS, **NO_SCATTER},
}

WITHOUT_CHECKSUMS = {"no IPv6": FAMILIES[1:], "no csum": FAMILIES, "nothing": FAMILIES}


@pytest.mark.parametrize("kinds", list(itertools.combinations_with_replacement(KINDS, 2)), ids=" - ".join)
def test_backends(
    kinds: tuple[str, str], start: Callable[..., Guest], left: Host, right: Host, undamaged: None
) -> None:
    guest = start(Guest("lesser", [Vif("xenbr0"), Vif("xenbr1")], config=DUAL_STACK), paused=True)
    for index, kind in enumerate(kinds):
        state = back(guest, index, "state")
        eventually(lambda: store().read(state) == INIT_WAIT or None, 60, lambda: f"{store().read(state)}")
        for key, value in KINDS[kind].items():
            store().write(back(guest, index, key), value)
    run("xl", "unpause", guest.name)
    guest.wait_console(READY, 120)
    both_ways(left, right, 1 << 19)
    hosts = (left, right)
    for index, kind in enumerate(kinds):
        # A large frame needs all of it.
        if kind != "no IPv6":
            assert (mean_length(guest, index) > SEGMENT) == (kind == "all")
        for family in WITHOUT_CHECKSUMS.get(kind, ()):
            assert_complete(hosts[1 - index], hosts[index], 1 << 16, family)
    idle_pages(guest)


def test_small_memory_takes_no_large_frames(
    start: Callable[..., Guest], left: Host, right: Host, undamaged: None
) -> None:
    """Where an interface has few pages, its backend is to cut."""
    more = "".join(f'[interface.more{n}]\nvif = {n}\naddress = ["10.9.{n}.1/24"]\n' for n in range(2, 8))
    vifs = [Vif("xenbr0"), Vif("xenbr1")]
    guest = start(Guest("small", vifs, config=CONFIG + more, memory=4))
    for index in range(2):
        connected = lambda: front(guest, index, "state") == CONNECTED or None  # noqa: B023, E731
        eventually(connected, 60, guest.console)
        guest.wait_console(f"vif/{index}: connected", 60)  # the backend too, and the link is up
        assert front(guest, index, "feature-sg") == "1"
        assert front(guest, index, "feature-gso-tcpv4") == front(guest, index, "feature-gso-tcpv6") == "0"
    transfer(left, right, 2 << 20)
    transfer(right, left, 2 << 20)
    assert mean_length(guest, 0) <= SEGMENT and mean_length(guest, 1) <= SEGMENT
    idle_pages(guest)
