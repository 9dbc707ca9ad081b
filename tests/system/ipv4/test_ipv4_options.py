"""Options in IPv4 headers (RFC 791, RFC 1812 5.3.13), beside what a Linux domU makes of them."""

import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import READY, drops, grown
from dom0.topology import Host
from support.barrier import barrier
from support.network import CONFIG, LEFT, RIGHT
from support.packets import (
    ICMP, IPV4, NOBODY_LISTENS, PARAMETER, echo4, ethernet, icmp, ipv4, read_error, read_ip, udp4,
)  # fmt: skip
from support.wire import Wire

IN, OUT = LEFT.address, RIGHT.address
NEAR, FAR = "10.0.0.1", "10.0.1.1"  # the router's addresses


def record_route(room: int, pointer: int = 4) -> bytes:
    """A record-route option with room for this many addresses."""
    return bytes([7, 3 + 4 * room, pointer]) + bytes(4 * room)


def timestamp(flags: int, entries: bytes, pointer: int = 5) -> bytes:
    """A timestamp option."""
    return bytes([68, 4 + len(entries), pointer, flags]) + entries


def prespecified(address: str) -> bytes:
    """A timestamp option that wants the time of one host only."""
    return timestamp(3, socket.inet_aton(address) + bytes(4))


OPTIONS = {
    "router alert": b"\x94\x04\x00\x00",
    "unknown": b"\xde\x04\x01\x02",
    "no operation": b"\x01\x01\x01\x01",
    "route": record_route(3),
    "route in the middle": b"\x01\x01\x01" + record_route(2, 8),
    "route, full": record_route(1, 8),
    "route, half an entry": record_route(1, 6),
    "route, pointer 3": record_route(1, 3),
    "route, no pointer": b"\x07\x02\x01\x01",
    "two routes": record_route(1) + record_route(1),
    "time": timestamp(0, bytes(8)),
    "time, full": timestamp(0, bytes(4), 9),
    "time, full, overflow at its end": timestamp(0xF0, bytes(4), 9),
    "time, pointer 4": timestamp(0, bytes(4), 4),
    "time, half an entry": timestamp(0, bytes(4), 7),
    "time, no flags": b"\x44\x03\x05\x00",
    "time, flags 2": timestamp(2, bytes(8)),
    "time and address": timestamp(1, bytes(16)),
    "time and address, half an entry": timestamp(1, bytes(4)),
    "time of the router": prespecified(FAR),
    "time of its other address": prespecified(NEAR),
    "time of a host": prespecified(OUT),
    "length 0": b"\x07\x00\x04\x00",
    "length 1": b"\xde\x01\x00\x00",
    "beyond the header": b"\x07\x27\x04\x00",
    "no length": b"\x01\x01\x01\x07",
    "short alert": b"\x94\x03\x00\x00",
    "loose source route": b"\x83\x07\x04" + socket.inet_aton("10.0.1.9"),
    "strict source route": b"\x89\x07\x04" + socket.inet_aton("10.0.1.9"),
}

UNLIMITED = "sysctl.net.ipv4.icmp_ratelimit=0"  # Linux would save on errors

# RFC 792 has the pointer show where the error was found: a length for Ringway, for Linux the
# option that has it.
LENGTHS = {"length 0": 1, "length 1": 1, "beyond the header": 1}

# With a time goes the address that a packet leaves from, as with a route; for Linux the one it came in at.
ADDRESSES = {"time and address"}


@dataclass(frozen=True)
class Outcome:
    """What became of a packet: the options it arrived with, or the octet that was wrong."""

    options: bytes | None = None
    pointer: int | None = None

    def timeless(self) -> "Outcome":
        """The same without the times entered, which differ."""
        found = self.options
        if found and found[0] == 68:
            step = 8 if found[3] & 15 else 4
            fixed = bytearray(found)
            for at in range(3 + step - 4 + 1, found[2] - 1, step):
                fixed[at : at + 4] = b"time"
            found = bytes(fixed)
        return Outcome(found, self.pointer)


def outcome(guest: Guest, left: Host, right: Host, options: bytes) -> Outcome:
    """Send a packet with options through a router."""
    token = os.urandom(12)

    def frame(packet: bytes) -> bytes:
        return ethernet(guest.vifs[0].mac, left.mac, IPV4, packet)

    with Wire(left) as near, Wire(right) as far:
        near.send(frame(udp4(IN, OUT, token, options=options)))
        told, passed = barrier(
            near, far, lambda data: frame(echo4(IN, NEAR, data)), lambda data: frame(udp4(IN, OUT, data))
        )
    arrived = [ip for ip in map(read_ip, passed) if ip and token in ip.payload]
    errors = [error for error in map(read_error, told) if error]
    # A host says that nobody listens.
    errors = [error for error in errors if token in error.quote and (error.kind, error.code) != NOBODY_LISTENS]
    assert len(arrived) + len(errors) <= 1
    if arrived:
        assert arrived[0].sound and arrived[0].ttl == 63
        return Outcome(options=arrived[0].header[20:])
    if errors:
        assert (errors[0].kind, errors[0].code) == (PARAMETER, 0)
        assert errors[0].source == NEAR
        return Outcome(pointer=errors[0].rest[0])
    return Outcome()


def all_outcomes(guest: Guest, left: Host, right: Host) -> dict[str, Outcome]:
    """Every case, once the hosts' MAC addresses are known."""
    left.reach(right.address)
    return {name: outcome(guest, left, right, options) for name, options in OPTIONS.items()}


@pytest.mark.limit(600)
def test_options_as_linux_has_them(start: Callable[..., Guest], left: Host, right: Host) -> None:
    found = []
    for make, says in (
        (lambda: Guest("options", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG), READY),
        (
            lambda: linux_guest(
                "linux", [Vif("xenbr0"), Vif("xenbr1")], f"ip=0:{NEAR}/24 ip=1:{FAR}/24 {UNLIMITED}"
            ),
            "linux: ready",
        ),
    ):
        for host in (left, right):
            host.forget()
        guest = start(make(), says=says)
        found.append({name: o.timeless() for name, o in all_outcomes(guest, left, right).items()})
        guest.destroy()
    ours, linux = found
    differ = {name for name in OPTIONS if ours[name] != linux[name]}
    for name, further in LENGTHS.items():
        assert ours[name].pointer == linux[name].pointer + further, (ours[name], linux[name])
    assert differ == set(LENGTHS) | ADDRESSES, "\n".join(f"{name}: {ours[name]}, {linux[name]}" for name in differ)


def test_the_address_towards_the_next_hop_is_recorded(router: Guest, left: Host, right: Host) -> None:
    left.reach(right.address)
    there = outcome(router, left, right, record_route(2))
    assert there.options == bytes([7, 11, 8]) + socket.inet_aton(FAR) + bytes(5)


def test_times_are_marked_as_not_those_of_the_day(router: Guest, left: Host, right: Host) -> None:
    left.reach(right.address)
    times = []
    for _ in range(2):
        options = outcome(router, left, right, timestamp(0, bytes(4))).options
        assert options[:4] == bytes([68, 8, 9, 0])
        times += struct.unpack("!I", options[4:])
    assert all(time >> 31 for time in times)
    assert 0 <= times[1] - times[0] < 60_000


def test_source_routes_are_dropped_in_silence(router: Guest, left: Host, right: Host) -> None:
    left.reach(right.address)
    before = drops(router, "left")
    for name in ("loose source route", "strict source route"):
        assert outcome(router, left, right, OPTIONS[name]) == Outcome()
    assert grown(before, drops(router, "left")) == {"source_route": 2}


def test_malformed_options_are_counted(router: Guest, left: Host, right: Host) -> None:
    left.reach(right.address)
    before = drops(router, "left")
    assert outcome(router, left, right, OPTIONS["two routes"]).pointer == 27
    assert grown(before, drops(router, "left")) == {"bad_options": 1}


def test_a_ping_to_the_router_brings_its_records_back(router: Guest, left: Host) -> None:
    """With the router's entry (RFC 1812 4.3.3.6)."""
    text = left.run("ping", "-n", "-R", "-c", 1, "-W", 30, NEAR)
    route = text[text.index("RR:") :].split()[1:4]
    assert route == [IN, NEAR, IN], text
    request = ipv4(
        IN, FAR, icmp(8, 0, bytes(12)), protocol=ICMP, options=timestamp(1, bytes(16))
    )
    with Wire(left) as near:
        near.send(ethernet(router.vifs[0].mac, left.mac, IPV4, request))
        frame = near.until(lambda f: (ip := read_ip(f)) and ip.source == FAR)[-1]
    reply = read_ip(frame)
    assert reply.sound and reply.payload[0] == 0
    assert reply.header[20:28] == bytes([68, 20, 13, 1]) + socket.inet_aton(FAR)
