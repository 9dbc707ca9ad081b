"""Packets between hosts, and to the router itself."""

import os

import pytest
from dom0.guest import Guest
from dom0.ringway import drops, grown, idle_pages
from dom0.topology import Host
from support.packets import IPV4, ethernet, ipv4, read_ip, udp
from support.wire import Wire


@pytest.mark.parametrize("way", ["left to right", "right to left"])
def test_no_ping_is_lost(way: str, router: Guest, left: Host, right: Host) -> None:
    source, target = (left, right) if way == "left to right" else (right, left)
    before = {name: drops(router, name) for name in ("left", "right")}
    ping = source.ping(target.address, 200, 0.01)
    assert (ping.sent, ping.received) == (200, 200), ping.text
    for name, drop in before.items():
        assert grown(drop, drops(router, name)) == {}
    idle_pages(router)


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.1.1"])
@pytest.mark.parametrize("name", ["left", "right"])
def test_router_answers(address: str, name: str, router: Guest, left: Host, right: Host) -> None:
    """At each of its addresses, from each side."""
    host = left if name == "left" else right
    assert host.ping(address, 5, 0.05).lost == 0


@pytest.mark.parametrize("size", [0, 1, 56, 1472])
def test_sizes_that_fit(size: int, router: Guest, left: Host, right: Host) -> None:
    assert left.ping(right.address, 5, 0.05, "-M", "do", "-s", size).lost == 0
    assert left.ping("10.0.0.1", 5, 0.05, "-M", "do", "-s", size).lost == 0


def test_fragments_pass(router: Guest, left: Host, right: Host) -> None:
    assert left.ping(right.address, 5, 0.05, "-s", 20000).lost == 0


def test_router_reassembles(router: Guest, left: Host) -> None:
    assert left.ping("10.0.0.1", 5, 0.2, "-s", 3000).lost == 0


def test_packets_arrive_as_they_were_sent(router: Guest, left: Host, right: Host) -> None:
    """But for the TTL, the header's checksum and the MAC addresses."""
    left.reach(right.address)
    sizes = [*range(0, 64), *range(100, 1473, 97), 1470, 1471, 1472]
    sent = {}
    for ident, size in enumerate(sizes, 1):
        segment = udp(left.address, right.address, os.urandom(size))
        sent[ident] = ipv4(left.address, right.address, segment, ident=ident, ttl=2 + ident)
    router_mac = router.vifs[0].mac
    with Wire(left) as out, Wire(right) as wire:
        out.send(*(ethernet(router_mac, left.mac, IPV4, packet) for packet in sent.values()))
        last = sent[len(sizes)][20:]
        frames = wire.until(lambda frame: last in frame)
    arrived = [ip for ip in map(read_ip, frames) if ip and ip.source == left.address]
    assert [ip.ident for ip in arrived] == list(sent)
    for ip in arrived:
        packet = sent[ip.ident]
        assert ip.sound and ip.ttl == packet[8] - 1
        assert (ip.destination_mac, ip.source_mac) == (right.mac, router.vifs[1].mac)
        assert ip.header[:8] + ip.header[9:10] + ip.header[12:] + ip.payload == (
            packet[:8] + packet[9:10] + packet[12:]
        )


@pytest.mark.parametrize("method", ["udp", "icmp"])
@pytest.mark.parametrize("name", ["left", "right"])
def test_traceroute(name: str, method: str, router: Guest, left: Host, right: Host) -> None:
    source, target, gateway = (
        (left, right, "10.0.0.1") if name == "left" else (right, left, "10.0.1.1")
    )
    words = ["traceroute", "-n", "-q", 1, "-N", 1, "-w", 30, *(["-I"] if method == "icmp" else [])]
    lines = source.run(*words, target.address).splitlines()[1:]
    assert [line.split()[1] for line in lines] == [gateway, target.address]


def test_mtr(router: Guest, left: Host, right: Host) -> None:
    text = left.run("mtr", "-n", "-r", "-c", 3, "-i", 0.5, "-G", 3, right.address)
    hops = [line.split()[1:3] for line in text.splitlines() if "|--" in line]
    assert hops == [["10.0.0.1", "0.0%"], [right.address, "0.0%"]], text


def test_tracepath(router: Guest, left: Host, right: Host) -> None:
    text = left.run("tracepath", "-n", right.address)
    assert "10.0.0.1" in text and "pmtu 1500 hops 2 back 2" in text, text


def test_route_is_recorded(router: Guest, left: Host, right: Host) -> None:
    """The record-route option, which the router fills in on both ways (RFC 1812 5.3.13.5)."""
    text = left.run("ping", "-n", "-R", "-c", 1, "-W", 30, right.address)
    route = text[text.index("RR:") :].split()[1:6]
    assert route == [left.address, "10.0.1.1", right.address, right.address, "10.0.0.1"], text
