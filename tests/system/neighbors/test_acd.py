"""The router tells who has its addresses, and notices who else has (RFC 5227)."""

from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import READY, command, drops, eventually, grown
from dom0.topology import Host
from support.network import CONFIG
from support.packets import ARP, BROADCAST, REPLY, REQUEST, Arp, arp, ethernet, read_arp
from support.wire import Wire

OTHER_MAC = "02:00:00:00:07:07"
OURS = "10.0.0.1"
# The last announcement, the longest pause before one, and between defences.
ANNOUNCED_S, LONGEST_PAUSE_S, DEFEND_INTERVAL_S = 35, 20, 10


def from_router(frames: list[bytes], guest: Guest) -> list[Arp]:
    """What the router asked or announced by broadcast on the left."""
    found = [arp for arp in map(read_arp, frames) if arp and arp.destination == BROADCAST]
    return [arp for arp in found if arp.sender_mac == guest.vifs[0].mac and arp.target == OURS]


def test_addresses_are_asked_for_and_announced_for_half_a_minute(start: Callable[..., Guest], left: Host) -> None:
    """Which doesn't keep the router from being ready."""
    with Wire(left) as wire:
        guest = start(Guest("announcing", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG), says=READY)
        assert left.ping(OURS, 1, 0.2).lost == 0

        def last(frame: bytes) -> bool:
            heard.extend(from_router([frame], guest))
            return len(heard) == 6

        heard: list[Arp] = []
        wire.until(last, timeout=30 + ANNOUNCED_S)
        assert not from_router(wire.heard(settle=3), guest)
    # At 0, 2, 5, 15 and 35 s, the last for those behind a bridge with spanning tree.
    assert [found.sender for found in heard] == ["0.0.0.0", *[OURS] * 5]
    assert {found.operation for found in heard} == {REQUEST}


@pytest.fixture
def other(left: Host) -> Iterator[Host]:
    """A Linux host that has the router's address."""
    host = Host("other", "xenbr0", (f"{OURS}/24",))
    host.up()
    try:
        yield host
    finally:
        host.down()
        left.forget()


def test_a_host_that_has_the_address_is_found_at_boot(start: Callable[..., Guest], other: Host) -> None:
    """It answers the router's question."""
    guest = start(Guest("second", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG), says=READY)
    guest.wait_console(f"WARN net: left: duplicate address {OURS} detected, also used by {other.mac}", 60)
    assert f"{OURS}/24 (also used by {other.mac})" in command(guest, "show interfaces")
    assert drops(guest, "left")["arp_conflict"] >= 1


CLAIMS = {
    "an answer": (REPLY, "10.0.0.2"),
    "a question": (REQUEST, "10.0.0.2"),
    "an announcement": (REQUEST, OURS),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_the_address_is_defended_once_in_a_while(case: str, router: Guest, left: Host) -> None:
    operation, target = CLAIMS[case]
    with Wire(left) as wire:  # the case before, or the announcements at boot
        quiet_s = max(LONGEST_PAUSE_S, DEFEND_INTERVAL_S) + 1
        wire.until_quiet(lambda frame: from_router([frame], router), quiet_s, timeout=120)
    left.reach(OURS)
    before = drops(router, "left")
    claim = ethernet(BROADCAST, OTHER_MAC, ARP, arp(operation, OTHER_MAC, OURS, target))
    with Wire(left) as wire:
        wire.send(claim)
        wire.until(lambda frame: from_router([frame], router))
        # Hosts learn from the announcement that nothing has changed.
        assert router.vifs[0].mac in left.neighbors()
        wire.send(*[claim] * 4)
        counted = lambda: grown(before, drops(router, "left")) == {"arp_conflict": 5} or None  # noqa: E731
        eventually(counted, 30, lambda: str(grown(before, drops(router, "left"))))
        assert not from_router(wire.heard(settle=0.5), router)
    assert f"(also used by {OTHER_MAC})" in command(router, "show interfaces")
    assert f"left: duplicate address {OURS} detected, also used by {OTHER_MAC}" in router.console()
    left.forget()
    assert left.ping(OURS, 3, 0.2).lost == 0
