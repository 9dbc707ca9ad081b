"""What must not pass is dropped, under exactly the right counter, and nothing else is."""

import os
import socket

import pytest
from dom0.guest import Guest
from dom0.ringway import counters, drops, eventually, grown, idle_pages
from dom0.topology import Host
from support.network import LEFT
from support.packets import (
    ARP, BROADCAST, IPV4, REPLY, REQUEST, VLAN, arp, ethernet, ipv4, read_error, udp4,
)  # fmt: skip
from support.wire import Wire

COUNT = 5
OUT = "10.0.1.2"
IN = LEFT.address
STRANGER = "02:00:00:00:00:99"


def plain(token: bytes, source: str = IN, destination: str = OUT, **wrong) -> bytes:
    """A packet from left to right but for what is wrong with it."""
    return udp4(source, destination, token, **wrong)


def loose_source_route(token: bytes) -> bytes:
    """A packet that asks to be sent along by way of another host."""
    return plain(token, options=b"\x83\x07\x04" + socket.inet_aton("10.0.1.9"))


BAD_PACKETS = {
    "checksum off by one": ("bad_checksum", lambda t: plain(t, damage=1)),
    "checksum inverted": ("bad_checksum", lambda t: plain(t, damage=0xFFFF)),
    "total length beyond the frame": ("bad_total_length", lambda t: plain(t, total=29 + len(t))),
    "total length 65535": ("bad_total_length", lambda t: plain(t, total=0xFFFF)),
    "total length below the header": ("bad_total_length", lambda t: plain(t, total=19)),
    "total length 0": ("bad_total_length", lambda t: plain(t, total=0)),
    "version 0": ("bad_version", lambda t: plain(t, version=0)),
    "version 6": ("bad_version", lambda t: plain(t, version=6)),
    "header of 4 words": ("bad_header_length", lambda t: plain(t, words=4)),
    "header of 0 words": ("bad_header_length", lambda t: plain(t, words=0)),
    "header beyond the frame": ("bad_header_length", lambda t: ipv4(IN, OUT, t, words=15)),
    "source 0.0.0.0": ("martian_source", lambda t: plain(t, "0.0.0.0")),
    "source 0.1.2.3": ("martian_source", lambda t: plain(t, "0.1.2.3")),
    "source 127.0.0.1": ("martian_source", lambda t: plain(t, "127.0.0.1")),
    "source 224.0.0.5": ("martian_source", lambda t: plain(t, "224.0.0.5")),
    "source 239.255.255.255": ("martian_source", lambda t: plain(t, "239.255.255.255")),
    "source 240.0.0.1": ("martian_source", lambda t: plain(t, "240.0.0.1")),
    "source 255.255.255.255": ("martian_source", lambda t: plain(t, "255.255.255.255")),
    "source is a network's broadcast": ("martian_source", lambda t: plain(t, "10.0.0.255")),
    "source is the router": ("own_source", lambda t: plain(t, "10.0.0.1")),
    "source is the router's other side": ("own_source", lambda t: plain(t, "10.0.1.1")),
    "to 0.0.0.0": ("martian_destination", lambda t: plain(t, destination="0.0.0.0")),
    "to 127.0.0.1": ("martian_destination", lambda t: plain(t, destination="127.0.0.1")),
    "to 240.0.0.1": ("martian_destination", lambda t: plain(t, destination="240.0.0.1")),
    "to a group": ("multicast", lambda t: plain(t, destination="239.1.2.3")),
    "to 255.255.255.255": ("broadcast", lambda t: plain(t, destination="255.255.255.255")),
    "to a network's broadcast": ("broadcast", lambda t: plain(t, destination="10.0.1.255")),
    "loose source route": ("source_route", loose_source_route),
}

BAD_FRAMES = {
    "header cut": ("truncated", lambda me, mac: ethernet(mac, me, IPV4, b"\x45" + bytes(9))),
    "nothing in it": ("truncated", lambda me, mac: ethernet(mac, me, IPV4, b"")),
    "to another host": ("other_host", lambda me, mac: ethernet(STRANGER, me, IPV4, plain(b"x"))),
    "in a broadcast": ("link_broadcast", lambda me, mac: ethernet(BROADCAST, me, IPV4, plain(b"x"))),
    "tagged": ("vlan", lambda me, mac: ethernet(mac, me, VLAN, b"\0\5\x08\0" + plain(b"x"))),
    "unknown protocol": ("unknown_ethertype", lambda me, mac: ethernet(mac, me, 0x88B5, bytes(46))),
    "ARP cut": ("bad_arp", lambda me, mac: ethernet(mac, me, ARP, arp(REQUEST, me, IN, OUT)[:27])),
    "ARP of no kind": ("bad_arp", lambda me, mac: ethernet(mac, me, ARP, arp(9, me, IN, OUT))),
    "ARP from a group": (
        "bad_arp",
        lambda me, mac: ethernet(mac, me, ARP, arp(REQUEST, "01:00:5e:00:00:01", IN, "10.0.0.1")),
    ),
    "ARP from elsewhere": (
        "foreign_arp",
        lambda me, mac: ethernet(mac, me, ARP, arp(REQUEST, me, "192.168.7.7", "10.0.0.77")),
    ),
    "ARP that claims our address": (
        "arp_conflict",
        lambda me, mac: ethernet(mac, me, ARP, arp(REPLY, me, "10.0.0.1", IN)),
    ),
}


@pytest.mark.parametrize("case", BAD_PACKETS)
def test_bad_packet(case: str, router: Guest, left: Host, right: Host) -> None:
    reason, make = BAD_PACKETS[case]
    frames, token = [], os.urandom(12)
    for _ in range(COUNT):
        frames.append(ethernet(router.vifs[0].mac, left.mac, IPV4, make(token)))
    assert_dropped(reason, frames, token, router, left, right)


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_bad_frame(case: str, router: Guest, left: Host, right: Host) -> None:
    reason, make = BAD_FRAMES[case]
    frame = make(left.mac, router.vifs[0].mac)
    assert_dropped(reason, [frame] * COUNT, frame[14:] or b"nothing", router, left, right)


def test_ipv6_is_counted(router: Guest, left: Host) -> None:
    """Hosts speak it all the time, so that exact counts can't be had."""
    name = "interface.left.drop.ipv6_disabled"
    before = counters(router)[name]
    with Wire(left) as out:
        out.send(*[ethernet(router.vifs[0].mac, left.mac, 0x86DD, b"\x60" + bytes(59))] * COUNT)
    eventually(lambda: counters(router)[name] >= before + COUNT or None, 30, lambda: name)


def assert_dropped(
    reason: str, frames: list[bytes], token: bytes, router: Guest, left: Host, right: Host
) -> None:
    """Send frames from left: each is counted once, nothing comes out, no host hears of it."""
    left.reach(right.address)  # neighbors are known: a good packet passes at once
    before = {name: drops(router, name) for name in ("left", "right")}
    good = os.urandom(12)
    with Wire(left) as near, Wire(right) as far:
        near.send(*frames)
        near.send(ethernet(router.vifs[0].mac, left.mac, IPV4, plain(good)))
        passed = far.until(lambda frame: good in frame)
        dropped = lambda: grown(before["left"], drops(router, "left"))  # noqa: E731
        eventually(lambda: sum(dropped().values()) >= len(frames) or None, 30, lambda: f"{reason}: {dropped()}")
        assert dropped() == {reason: len(frames)}
        assert grown(before["right"], drops(router, "right")) == {}
        passed += far.heard()
        assert not [frame.hex() for frame in passed if token in frame]
        told = [error for error in map(read_error, near.heard()) if error and token in error.quote]
        assert not told
    idle_pages(router)
