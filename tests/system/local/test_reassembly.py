"""Fragments for the router, and what must not come of them (RFC 1858, RFC 8900)."""

import os

import pytest
from dom0.guest import Guest
from dom0.ringway import counters, drops, eventually, grown, idle_pages
from dom0.topology import Host
from support.packets import ICMP, IPV4, MF, TIME_EXCEEDED, ethernet, icmp, ipv4, read_error, read_ip
from support.wire import Wire

OURS = "10.0.0.1"


def pieces(left: Host, ident: int, cuts: list[tuple[int, int]], size: int = 1200) -> list[bytes]:
    """Parts of a ping to the router, from and to these bytes of its payload."""
    whole = icmp(8, 0, bytes(4) + os.urandom(size - 8))
    packets = []
    for start, end in cuts:
        field = start // 8 | (MF if end < size else 0)
        head = {"protocol": ICMP, "ident": ident, "fragment": field}
        packets.append(ipv4(left.address, OURS, whole[start:end], **head))
    return packets


def send(router: Guest, left: Host, wire: Wire, packets: list[bytes]) -> None:
    wire.send(*(ethernet(router.vifs[0].mac, left.mac, IPV4, packet) for packet in packets))


def is_reply(frame: bytes) -> bool:
    ip = read_ip(frame)
    return ip is not None and ip.protocol == ICMP and ip.source == OURS and ip.payload[:1] == b"\0"


@pytest.mark.parametrize("size", [1473, 9000, 30_000])
def test_large_pings_are_answered(size: int, router: Guest, left: Host) -> None:
    assert left.ping(OURS, 3, 0.3, "-s", size).lost == 0
    idle_pages(router)


def test_order_and_copies_do_not_matter(router: Guest, left: Host) -> None:
    assert left.ping(OURS).lost == 0
    before = drops(router, "left")
    cuts = [(800, 1200), (0, 400), (0, 400), (400, 800)]
    with Wire(left) as wire:
        send(router, left, wire, pieces(left, 100, cuts))
        wire.until(is_reply)
    assert grown(before, drops(router, "left")) == {"bad_fragment": 1}


# Each spoils its packet, and is counted once: tiny fragments when there are more than 56.
ATTACKS = {
    "overlap": [(0, 800), (400, 1200)],
    "overlap by 8": [(0, 400), (392, 800)],
    "tiny fragments": [(at, at + 8) for at in range(0, 57 * 16, 16)],
}


@pytest.mark.parametrize("case", ATTACKS)
def test_attacks_are_not_answered(case: str, router: Guest, left: Host) -> None:
    before = drops(router, "left")
    with Wire(left) as wire:
        send(router, left, wire, pieces(left, 200, ATTACKS[case]))
        counted = lambda: grown(before, drops(router, "left")) or None  # noqa: E731
        assert eventually(counted, 30, lambda: "not counted") == {"bad_fragment": 1}
        assert not [frame for frame in wire.heard(settle=0.5) if is_reply(frame)]
    assert left.ping(OURS, 3, 0.2, "-s", 3000).lost == 0


def test_a_flood_of_first_fragments(router: Guest, left: Host, right: Host) -> None:
    """The other side isn't harmed; those few that found room are told that they waited in vain."""
    assert right.ping(OURS).lost == 0
    before = counters(router)
    with Wire(left) as wire:
        for ident in range(1000, 1200):
            send(router, left, wire, pieces(left, ident, [(0, 400)]))
        assert right.ping(OURS, 5, 0.2, "-s", 5000).lost == 0
        error = read_error(wire.until(read_error, timeout=60)[-1])
    assert (error.kind, error.code) == (TIME_EXCEEDED, 1)
    growth = grown(before, counters(router))
    full = [growth.get(f"interface.left.drop.{reason}", 0) for reason in ("reassembly_full", "punt_full")]
    assert full[0] and sum(full) >= 190, growth
    idle_pages(router)
