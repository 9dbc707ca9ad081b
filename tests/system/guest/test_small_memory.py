"""The smallest guest under everything that others can send at once: it lives, and serves who is there."""

import os
import random
import time
from collections.abc import Callable, Iterator

from dom0.guest import Guest, Vif
from dom0.ringway import READY, command, counters, eventually, idle_pages, key, numbers
from dom0.topology import Host
from support.packets import BROADCAST, ICMP, IPV4, IPV6, arp, ethernet, icmp, ipv4, udp4, udp6
from support.wire import Wire

SECONDS = 60
ARP = 0x0806
MAC = "02:00:00:00:99:99"
MORE_FRAGMENTS = 0x2000
CONFIG = """\
[interface.left]
vif = 0
address = ["10.0.0.1/16", "2001:db8:0::1/64"]
[interface.right]
vif = 1
address = ["10.1.0.1/16", "2001:db8:1::1/64"]
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.254"]
"""


def frames(router: str) -> Iterator[bytes]:
    """Yield frames of all kinds for ever: they need memory where they come."""
    some = random.Random(4)
    to_router = lambda packet, kind=IPV4: ethernet(router, MAC, kind, packet)  # noqa: E731
    off_link = lambda: f"192.0.2.{some.randrange(1, 255)}"  # noqa: E731
    ping = icmp(8, 0, bytes(4) + os.urandom(65_000))
    for ident in range(1 << 30):
        source = off_link()
        # A ping of 65,000 bytes, and the middle of another that never ends.
        for at in range(0, len(ping), 1480):
            more = MORE_FRAGMENTS if at + 1480 < len(ping) else 0
            piece = dict(protocol=ICMP, fragment=at // 8 | more, ident=ident & 0xFFFF)
            yield to_router(ipv4(source, "10.0.0.1", ping[at : at + 1480], **piece))
        half = dict(protocol=ICMP, fragment=185 | MORE_FRAGMENTS, ident=ident & 0xFFFF)
        yield to_router(ipv4(off_link(), "10.0.0.1", ping[:1480], **half))
        for _ in range(20):
            host = f"{some.randrange(256)}.{some.randrange(1, 255)}"
            yield to_router(udp4(source, f"10.1.{host}", bytes(1400)))
            yield to_router(udp4(source, "10.1.0.2", bytes(1400), ttl=1))
            yield to_router(udp4(source, "10.0.0.1", bytes(1400), options=b"\x94\x04\0\0"))
            unknown = f"2001:db8:1::{some.randrange(1, 1 << 16):x}"
            yield to_router(udp6("2001:db8:9::1", unknown, bytes(1400)), IPV6)
            sender = f"10.0.{host}"
            yield ethernet(BROADCAST, MAC, ARP, arp(1, MAC, sender, "10.0.0.1"))


def test_floods_do_not_end_it(left: Host, start: Callable[..., Guest]) -> None:
    guest = start(Guest("small", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG, memory=4), says=READY)
    assert left.ping("10.0.0.1", 3).lost == 0
    limits = numbers(guest, "show memory")
    assert limits["table.neighbors.ipv4.left.limit"] < 1024
    came = "interface.left.rx.packets"
    before = counters(guest)[came]
    with Wire(left) as wire:
        end = time.monotonic() + SECONDS
        for frame in frames(guest.vifs[0].mac):
            wire.send(frame)
            if time.monotonic() > end:
                break
    # It was a flood only if it came.
    assert counters(guest)[came] - before > 1000
    used = numbers(guest, "show memory")
    for name, limit in used.items():
        if name.startswith("table.") and name.endswith(".limit"):
            # Neighbors that are looked for have some room beside.
            assert used[name.removesuffix(".limit")] <= limit * 5 // 4, used
    answered = lambda: left.ping("10.0.0.1", 3, 0.1).lost == 0 or None  # noqa: E731
    eventually(answered, 30, lambda: command(guest, "show memory") + command(guest, "show counters"))
    assert key(guest, "state") == "ready"
    idle_pages(guest)
