"""Links of different sizes: packets that are too big, and how they get through all the same."""

import os
import re
import socket
from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import drops, grown, idle_pages
from dom0.shell import run
from dom0.topology import Host
from support.network import CONFIG
from support.packets import DF, IPV4, MF, UNREACHABLE, ethernet, ipv4, read_error, read_ip, udp, udp4
from support.wire import Wire, transfer, udp_socket

MTU = 1280
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0


@pytest.fixture
def narrow(share: Callable[..., Guest], left: Host, right: Host) -> Guest:
    """A router whose right side takes packets of at most 1280 bytes."""
    guest = share(Guest("narrow", [Vif("xenbr0"), Vif("xenbr1")], config=f"{CONFIG}mtu = {MTU}\n"))
    for host in (left, right):
        run("ip", "-n", host.name, "route", "flush", "cache")
    return guest


@pytest.fixture(autouse=True, scope="module")
def _forget_mtus(topology):
    """What the hosts learned of the narrow link is not to disturb other files' tests."""
    yield
    for host in topology.hosts.values():
        run("ip", "-n", host.name, "route", "flush", "cache")


def test_sender_is_told_the_mtu(narrow: Guest, left: Host, right: Host) -> None:
    before = drops(narrow, "left")
    text = left.run("ping", "-n", "-c", 1, "-W", 30, "-M", "do", "-s", 1400, right.address, check=False)
    assert f"From 10.0.0.1 icmp_seq=1 Frag needed and DF set (mtu = {MTU})" in text, text
    assert grown(before, drops(narrow, "left")) == {"too_big": 1}


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_the_limit_is_exact(excess: int, narrow: Guest, left: Host, right: Host) -> None:
    left.reach(right.address)
    data = os.urandom(MTU - 28 + excess)
    packet = udp4(left.address, right.address, data, fragment=DF)
    with Wire(left) as near, Wire(right) as far:
        near.send(ethernet(narrow.vifs[0].mac, left.mac, IPV4, packet))
        if excess <= 0:
            far.until(lambda frame: data in frame)
        else:
            error = read_error(near.until(read_error)[-1])
            assert (error.kind, error.code, error.mtu) == (UNREACHABLE, 4, MTU)
            assert (error.source, error.quote) == ("10.0.0.1", packet[: len(error.quote)])


def test_what_may_be_is_fragmented(narrow: Guest, left: Host, right: Host) -> None:
    """In pieces that fit and that together are what was sent; options that say so in all."""
    left.reach(right.address)
    segment = udp(left.address, right.address, os.urandom(1400))
    copied, once = b"\x94\x04\0\0", b"\x1e\x04\0\0"  # router alert, an experiment (RFC 4727)
    packet = ipv4(left.address, right.address, segment, ident=777, options=copied + once)
    with Wire(left) as near, Wire(right) as far:
        near.send(ethernet(narrow.vifs[0].mac, left.mac, IPV4, packet))
        frames = far.until(lambda frame: (ip := read_ip(frame)) and ip.ident == 777 and not ip.fragment & MF)
    pieces = [ip for ip in map(read_ip, frames) if ip and ip.ident == 777]
    assert len(pieces) >= 2
    pieces.sort(key=lambda ip: ip.offset)
    assert b"".join(ip.payload for ip in pieces) == segment
    position = 0
    for ip in pieces:
        assert ip.sound and ip.total <= MTU and ip.offset == position and not ip.fragment & DF
        assert bool(ip.fragment & MF) == (ip is not pieces[-1])
        assert copied in ip.header and (once in ip.header) == (ip is pieces[0])
        position += len(ip.payload)


@pytest.mark.parametrize("size", [1253, 1472, 8000])
def test_ping_in_pieces(size: int, narrow: Guest, left: Host, right: Host) -> None:
    """There in pieces, and back in pieces that left's side need not cut again."""
    assert left.ping(right.address, 3, 0.1, "-M", "dont", "-s", size).lost == 0


@pytest.mark.parametrize("offload", [True, False])
def test_datagrams_in_pieces(offload: bool, narrow: Guest, left: Host, right: Host) -> None:
    """With offload the checksum is still blank when the router cuts the datagram."""
    with udp_socket(left) as source, udp_socket(right) as sink:
        source.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        source.setsockopt(socket.SOL_SOCKET, 11, 0 if offload else 1)  # SO_NO_CHECK: no checksum
        for size in (1300, 1471, 1472):
            data = os.urandom(size)
            source.sendto(data, sink.getsockname())
            assert sink.recv(2000) == data


def test_tracepath_finds_the_mtu(narrow: Guest, left: Host, right: Host) -> None:
    text = left.run("tracepath", "-n", right.address)
    assert re.search(rf"10\.0\.0\.1 .*pmtu {MTU}", text), text
    assert f"Resume: pmtu {MTU} hops 2 back 2" in text, text


@pytest.mark.parametrize("way", ["to right", "to left"])
def test_tcp_finds_its_way(way: str, narrow: Guest, left: Host, right: Host) -> None:
    source, sink = (left, right) if way == "to right" else (right, left)
    transfer(source, sink, 1 << 20)
    idle_pages(narrow)
