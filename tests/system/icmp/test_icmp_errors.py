"""The errors that the router tells senders of, and those it must not send."""

import os
import time

import pytest
from dom0.guest import Guest
from dom0.ringway import counters, drops, eventually, grown, idle_pages
from dom0.topology import Host
from support.packets import (
    BROADCAST, ICMP, IPV4, MF, TIME_EXCEEDED, UNREACHABLE, ethernet, icmp, ipv4, read_error, udp4,
)  # fmt: skip
from support.wire import Wire


RATE, BURST = 100, 100  # errors to one host a second, and at once


@pytest.mark.parametrize("ttl", [0, 1])
@pytest.mark.parametrize("side", [0, 1])
def test_time_exceeded(side: int, ttl: int, router: Guest, left: Host, right: Host) -> None:
    """From the address of the side that the packet came in on, quoting it as it was."""
    hosts, names = (left, right), ("left", "right")
    source, target = hosts[side], hosts[1 - side]
    packet = udp4(source.address, target.address, os.urandom(1000), ttl=ttl)
    before = drops(router, names[side])
    with Wire(source) as near, Wire(target) as far:
        near.send(ethernet(router.vifs[side].mac, source.mac, IPV4, packet))
        error = read_error(near.until(read_error)[-1])
        assert not [frame for frame in far.heard() if packet[20:] in frame]
    assert (error.kind, error.code, error.source) == (TIME_EXCEEDED, 0, f"10.0.{side}.1")
    # As much as fits into 576 bytes (RFC 1812 4.3.2.3).
    assert error.quote == packet[: len(error.quote)] and 28 <= len(error.quote) <= 548
    assert grown(before, drops(router, names[side])) == {"ttl_expired": 1}


def test_ttl_1_to_the_router_is_served(router: Guest, left: Host) -> None:
    assert left.ping("10.0.0.1", 3, 0.05, "-t", 1).lost == 0
    assert left.ping("10.0.1.1", 3, 0.05, "-t", 1).lost == 0


def test_no_route(router: Guest, left: Host) -> None:
    before = drops(router, "left")
    text = left.ping("192.0.2.1").text
    assert "+1 errors" in text, text
    assert grown(before, drops(router, "left")) == {"no_route": 1}
    packet = udp4(left.address, "192.0.2.1", os.urandom(40))
    with Wire(left) as near:
        near.send(ethernet(router.vifs[0].mac, left.mac, IPV4, packet))
        error = read_error(near.until(read_error)[-1])
    assert (error.kind, error.code, error.source) == (UNREACHABLE, 0, "10.0.0.1")
    assert error.quote == packet


def test_unreachable_neighbor(router: Guest, left: Host) -> None:
    """Looked for in vain, it is answered for by the router."""
    text = left.run("ping", "-n", "-c", 1, "-W", 30, "10.0.1.99", check=False)
    assert "From 10.0.0.1 icmp_seq=1 Destination Host Unreachable" in text, text


# None of these may be answered (RFC 1122 3.2.2, RFC 1812 4.3.2.7).
UNANSWERED = {
    "an error": lambda me: ipv4(me, "10.0.1.2", icmp(3, 1, bytes(40)), protocol=ICMP, ttl=1),
    "a redirect": lambda me: ipv4(me, "10.0.1.2", icmp(5, 1, bytes(40)), protocol=ICMP, ttl=1),
    "a later fragment": lambda me: ipv4(me, "10.0.1.2", bytes(40), fragment=100, ttl=1),
    "a later fragment of several": lambda me: ipv4(me, "10.0.1.2", bytes(40), fragment=MF | 9, ttl=1),
}


@pytest.mark.parametrize("case", UNANSWERED)
def test_what_is_not_answered(case: str, router: Guest, left: Host) -> None:
    before = counters(router)
    frame = ethernet(router.vifs[0].mac, left.mac, IPV4, UNANSWERED[case](left.address))
    answered = udp4(left.address, "10.0.1.2", os.urandom(16), ttl=1)
    with Wire(left) as near:
        near.send(*[frame] * 5, ethernet(router.vifs[0].mac, left.mac, IPV4, answered))
        errors = [error for error in map(read_error, near.until(read_error)) if error]
    assert [error.quote for error in errors] == [answered]
    growth = grown(before, counters(router))
    assert growth["interface.left.drop.ttl_expired"] == 6
    assert growth["interface.left.icmp.errors"] == 1


def test_broadcast_is_not_answered(router: Guest, left: Host) -> None:
    packet = udp4(left.address, "192.0.2.1", os.urandom(16))
    answered = udp4(left.address, "10.0.1.2", os.urandom(16), ttl=1)
    with Wire(left) as near:
        near.send(ethernet(BROADCAST, left.mac, IPV4, packet))
        near.send(ethernet(router.vifs[0].mac, left.mac, IPV4, answered))
        errors = [error for error in map(read_error, near.until(read_error)) if error]
    assert [error.quote for error in errors] == [answered]


def test_errors_are_limited(router: Guest, left: Host) -> None:
    """However many packets cause them; each one is accounted for."""
    before, began = counters(router), time.monotonic()
    frame = ethernet(router.vifs[0].mac, left.mac, IPV4, udp4(left.address, "10.0.1.2", b"x", ttl=1))
    with Wire(left) as near:
        near.send(*[frame] * 2000)

        def all_seen() -> dict[str, int] | None:
            growth = grown(before, counters(router))
            full = growth.get("interface.left.drop.punt_full", 0)
            expired = growth.get("interface.left.drop.ttl_expired", 0)
            return growth if full + expired == 2000 else None

        growth = eventually(all_seen, 60, lambda: str(grown(before, counters(router))))
        took = time.monotonic() - began
        sent = growth["interface.left.icmp.errors"]
        # The router has few pages for its own packets, and may make more errors at once.
        out = sent - growth.get("interface.left.drop.tx_full", 0)
        told = 0

        def is_last(frame: bytes) -> bool:
            nonlocal told
            told += read_error(frame) is not None
            return told == out

        near.until(is_last)
        assert not [error for error in map(read_error, near.heard(settle=0.2)) if error]
    assert 0 < sent <= RATE * took + BURST
    suppressed = growth.get("interface.left.icmp.suppressed", 0)
    assert sent + suppressed == growth["interface.left.drop.ttl_expired"]
    assert left.ping("10.0.0.1", count=3).lost == 0
    idle_pages(router)
