"""Packets as no host should send them: none does harm, and each is accounted for."""

import random
from collections.abc import Callable

import pytest
from dom0.guest import Guest
from dom0.ringway import counters, eventually, grown, idle_pages, key
from dom0.topology import Host
from support.packets import (
    ARP, ICMP, IPV4, MF, REQUEST, arp, ethernet, icmp, ipv4, udp, udp4,
)  # fmt: skip
from support.wire import Wire

ROUNDS = 500
SEED = 2007


def good_frames(host: Host, router_mac: str, gateway: str, other: Host) -> list[bytes]:
    """One frame of each kind that the router knows what to do with."""
    me, there = host.address, other.address
    echo = icmp(8, 0, bytes(60))
    packets = [
        udp4(me, there, bytes(30)),
        udp4(me, gateway, bytes(30)),
        udp4(me, there, bytes(900), ttl=1),
        udp4(me, "192.0.2.1", bytes(10)),
        ipv4(me, gateway, echo, protocol=ICMP),
        ipv4(me, there, echo, protocol=ICMP, options=b"\x07\x0b\x04" + bytes(8)),
        ipv4(me, gateway, echo, protocol=ICMP, options=b"\x44\x0c\x05\x00" + bytes(8)),
        ipv4(me, gateway, echo[:40], protocol=ICMP, fragment=MF),
        ipv4(me, gateway, echo[40:], protocol=ICMP, fragment=5),
        ipv4(me, gateway, icmp(3, 4, bytes(4) + udp4(gateway, me, b"")), protocol=ICMP),
        ipv4(me, gateway, bytes(40), protocol=6),
        ipv4(me, gateway, udp(me, gateway, bytes(20), dport=53), options=bytes(40)),
    ]
    asked = arp(REQUEST, host.mac, me, gateway)
    return [ethernet(router_mac, host.mac, IPV4, packet) for packet in packets] + [
        ethernet(router_mac, host.mac, ARP, asked)
    ]


def mutated(frame: bytes, dice: random.Random) -> bytes:
    """Change a frame somewhere behind its MAC addresses; half of them get a header checksum that fits."""
    raw = bytearray(frame)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        place = min(int(dice.expovariate(1 / 14)) + 12, len(raw) - 1)
        raw[place] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    if dice.random() < 0.3:
        del raw[dice.randrange(14, len(raw)) :]
    elif dice.random() < 0.2:
        raw += dice.randbytes(dice.randrange(1, 200))
    if dice.random() < 0.5:
        fix_checksum(raw)
    return bytes(raw[:1514])


def fix_checksum(raw: bytearray) -> None:
    """Make the header's checksum right, for the rest of the checks to be reached."""
    length = (raw[14] & 15) * 4 if len(raw) > 14 else 0
    header = raw[14 : 14 + length]
    if len(header) == length >= 20:
        header[10:12] = bytes(2)
        words = (header[n] << 8 | header[n + 1] for n in range(0, length, 2))
        total = sum(words)
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        raw[24:26] = (total ^ 0xFFFF).to_bytes(2, "big")


def random_frame(frame: bytes, dice: random.Random) -> bytes:
    """Nothing but the MAC addresses is left."""
    return frame[:12] + dice.randbytes(dice.randrange(2, 1502))


@pytest.mark.parametrize("make", [mutated, random_frame])
def test_fuzz(
    make: Callable[[bytes, random.Random], bytes], router: Guest, left: Host, right: Host
) -> None:
    dice = random.Random(SEED)
    before = counters(router)
    for host, other, index in ((left, right, 0), (right, left, 1)):
        seeds = good_frames(host, router.vifs[index].mac, f"10.0.{index}.1", other)
        with Wire(host) as wire:
            for _ in range(ROUNDS):
                wire.send(make(dice.choice(seeds), dice))

    def all_arrived() -> bool | None:
        arrived = grown(before, counters(router))
        sides = [arrived.get(f"interface.{name}.rx.packets", 0) for name in ("left", "right")]
        return min(sides) >= ROUNDS or None

    eventually(all_arrived, 60, lambda: f"not all frames arrived: {counters(router)}")
    # Hosts that were taken for others say who they are.
    for host in (left, right):
        host.forget()
    assert left.ping("10.0.0.1", 5, 0.1).received >= 4
    assert right.ping("10.0.1.1", 5, 0.1).received >= 4
    assert left.ping(right.address, 10, 0.1).lost == 0
    assert right.ping(left.address, 10, 0.1).lost == 0
    assert key(router, "state") == "ready"
    idle_pages(router)
