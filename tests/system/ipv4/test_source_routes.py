"""Source routes of IPv4 packets where an interface allows them (RFC 791 3.1, RFC 1812 5.2.4.1), beside
what a Linux domU makes of them."""

import os
from dataclasses import dataclass
from socket import inet_aton, inet_ntoa

import pytest
from dom0.guest import Guest
from dom0.topology import Host, Topology
from support.compare import assert_alike, beside
from support.network import LEFT, RIGHT
from support.packets import IPV4, ethernet, mac, read_ip
from support.tagged import echo, passing
from support.wire import Wire

NEAR, FAR = "10.0.0.1", "10.0.1.1"  # the router's addresses
IN, OUT = LEFT.address, RIGHT.address
# Behind left, to whom answers go by left; behind right, by a route of the router's; nowhere.
BEFORE, BEHIND, NOWHERE = "10.0.0.9", "192.0.2.9", "203.0.113.9"

CONFIG = f"""
hostname = "source-route"

[interface.left]
vif             = 0
address         = ["{NEAR}/24"]
source_route    = true
icmp_error_rate = 10_000

[interface.right]
vif     = 1
address = ["{FAR}/24"]

[[route]]
prefix = "192.0.2.0/24"
via    = ["{OUT}"]
"""
WORDS = f"ip=0:{NEAR}/24 ip=1:{FAR}/24 route=192.0.2.0/24,{OUT}"
LINES = [
    "echo 0 > /proc/sys/net/ipv4/icmp_ratemask",
    "echo 1 > /proc/sys/net/ipv4/conf/all/accept_source_route",
    "echo 1 > /proc/sys/net/ipv4/conf/eth0/accept_source_route",
    "echo 0 > /proc/sys/net/ipv4/conf/eth1/accept_source_route",
]

LOOSE, STRICT = 131, 137


def route(kind: int, *addresses: str, pointer: int = 4) -> bytes:
    """A source route; before the pointer is who was there already."""
    return bytes([kind, 3 + 4 * len(addresses), pointer]) + b"".join(map(inet_aton, addresses))


@dataclass(frozen=True)
class Case:
    """A packet for the router that no host answers, or an echo request."""

    options: bytes
    to: str = NEAR
    source: str = IN
    ttl: int = 64
    ask: bool = False
    host: Host = LEFT
    absent: str = ""  # a host that the router looks for in vain

    def packet(self, token: bytes) -> bytes:
        """The packet with a token in it."""
        make = echo if self.ask else passing
        return make(token, self.source, self.to, ttl=self.ttl, options=self.options)


def each(kind: int) -> dict[str, Case]:
    """What is tried with either kind."""
    back = route(kind, IN, pointer=8)
    return {
        "to the next": Case(route(kind, OUT)),
        "to the next of two": Case(route(kind, OUT, NOWHERE)),
        "in the middle": Case(route(kind, "10.9.9.9", OUT, NOWHERE, pointer=8)),
        "back to its link": Case(route(kind, IN)),
        "behind other options": Case(b"\x01\x01" + route(kind, OUT) + b"\x07\x07\x04" + bytes(4)),
        "through": Case(route(kind, NOWHERE), to=OUT),
        "a router between": Case(route(kind, BEHIND, NOWHERE)),
        "by two of the router's": Case(route(kind, FAR, OUT)),
        "to the router in the end": Case(route(kind, FAR), ask=True),
        "ended": Case(back, ask=True, source=BEFORE),
        "ended, at its other address": Case(back, to=FAR, ask=True, source=BEFORE),
        "ended, by two": Case(route(kind, "10.9.9.9", IN, pointer=12), ask=True, source=BEFORE),
        "ended, from the first of the route": Case(back, ask=True),
        "ended, with a record": Case(back + b"\x07\x07\x04" + bytes(4), ask=True, source=BEFORE),
        "ttl 1": Case(route(kind, OUT), ttl=1),
        "ttl 1, in the middle": Case(route(kind, IN, OUT, pointer=8), ttl=1, source=BEFORE),
        "no route": Case(route(kind, NOWHERE)),
        "nobody there": Case(route(kind, "10.0.1.99"), absent="10.0.1.99"),
        "to a group": Case(route(kind, "224.0.0.9")),
        "to all": Case(route(kind, "255.255.255.255")),
        "to all of far": Case(route(kind, "10.0.1.255")),
        "to 127.0.0.1": Case(route(kind, "127.0.0.1")),
        "to 0.0.0.0": Case(route(kind, "0.0.0.0")),
        "twice": Case(route(kind, OUT) + route(LOOSE, OUT)),
        "pointer 3": Case(route(kind, OUT, pointer=3)),
        "half an address": Case(route(kind, OUT, pointer=6)),
        "half an address, through": Case(route(kind, OUT, pointer=6), to=OUT),
        "no pointer": Case(bytes([kind, 2, 1, 1])),
        "where none is allowed": Case(route(kind, IN), to=FAR, source=OUT, host=RIGHT),
        "ended where none is allowed": Case(route(kind, OUT, pointer=8), to=FAR, source=OUT, host=RIGHT, ask=True),
    }


CASES = {f"loose, {name}": case for name, case in each(LOOSE).items()} | {
    f"strict, {name}": case for name, case in each(STRICT).items()
}

FAILED = "the sender is told: the source route failed (RFC 1812 5.2.7.1)"
TOLD = "the sender is told; Linux took the step already, and what it says goes to its own address"
MALFORMED = "a route is looked at by those it passes, as any option is"
# Where Ringway differs on purpose, and why.
DIFFERENCES = {
    "loose, no route": FAILED,
    "strict, no route": FAILED,
    "loose, nobody there": TOLD,
    "strict, nobody there": TOLD,
    "loose, half an address, through": MALFORMED,
    "strict, half an address, through": MALFORMED,
}


def look(router: Guest) -> dict[str, list[str]]:
    """Send each case, and say what both sides then hear of it."""
    for host, address in ((LEFT, NEAR), (RIGHT, FAR)):
        host.reach(address)
    router_macs = {LEFT: router.vifs[0].mac, RIGHT: router.vifs[1].mac}
    seen = {}
    with Wire(LEFT) as near, Wire(RIGHT) as far:
        wires = {LEFT: near, RIGHT: far}
        for name, case in CASES.items():
            token, mark = os.urandom(12), os.urandom(12)
            host, other = (LEFT, RIGHT) if case.host is LEFT else (RIGHT, LEFT)
            # Behind it come one that passes and one that is answered, with options as well.
            options = b"\x01" * 4
            packets = (
                case.packet(token),
                passing(mark, host.address, other.address, options=options),
                echo(mark, host.address, host.gateways[0], options=options),
            )
            first, *last = (ethernet(router_macs[host], host.mac, IPV4, packet) for packet in packets)
            for wire in wires.values():
                wire.heard()
            wires[host].send(first)
            early = []
            if case.absent:
                # The error about a packet without options, whether or not there is one about the case.
                control = os.urandom(12)
                packet = passing(control, host.address, case.absent)
                wires[host].send(ethernet(router_macs[host], host.mac, IPV4, packet))
                early = wires[host].until(lambda frame, control=control: control in frame)
            wires[host].send(*last)
            heard = {side: _before(wires[side], mark) for side in (other, host)}
            heard[host] = early + heard[host]
            seen[name] = [
                f"{side.name}: {text}"
                for side, router_mac in router_macs.items()
                for frame in heard[side]
                if frame[6:12] == mac(router_mac) and (text := told(frame, token))
            ]
    return seen


def _before(wire: Wire, mark: bytes) -> list[bytes]:
    return wire.until(lambda frame: mark in frame)[:-1]


def told(frame: bytes, token: bytes) -> str | None:
    """Say what a frame is, if it comes of the token."""
    ip = read_ip(frame)
    if ip is None or token not in ip.payload:
        return None
    kind, code = ip.payload[:2]
    pointer = f" pointer {ip.payload[4]}" if kind == 12 else ""
    words = [f"ICMP {kind}/{code}{pointer} from {ip.source} to {ip.destination}", f"ttl {ip.ttl}"]
    words += [f"options {_read(ip.header[20:])}"] if ip.header[20:] else []
    return ", ".join(words if ip.sound else [*words, "wrong checksum"])


def _read(options: bytes) -> str:
    """Options in words, as far as they are source routes or records."""
    words = []
    while options and options[0] != 0:
        kind = options[0]
        length = 1 if kind == 1 else options[1]
        if length > 3:
            addresses = [inet_ntoa(options[at : at + 4]) for at in range(3, length, 4)]
            words.append(f"{kind} at {options[2]}: {' '.join(addresses)}")
        options = options[length:]
    return "; ".join(words)


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    return beside(topology, CONFIG, WORDS, LINES, look)


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_followed_as_linux_does(name: str, outcomes: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    assert_alike(name, outcomes, DIFFERENCES)


def test_the_step_is_recorded_and_the_way_back_taken(
    outcomes: tuple[dict[str, list[str]], dict[str, list[str]]],
) -> None:
    ours, _ = outcomes
    for word, kind in (("loose", LOOSE), ("strict", STRICT)):
        step = f"right: ICMP 0/0 from {IN} to {OUT}, ttl 63, options {kind}"
        assert ours[f"{word}, to the next"] == [f"{step} at 8: {FAR}"]
        assert ours[f"{word}, to the next of two"] == [f"{step} at 8: {FAR} {NOWHERE}"]
        reply = f"left: ICMP 0/0 from {NEAR} to {IN}, ttl 64, options {kind} at 4: {BEFORE}"
        assert ours[f"{word}, ended"] == [reply]
        assert ours[f"{word}, where none is allowed"] == []
    assert ours["strict, a router between"] == [f"left: ICMP 3/5 from {NEAR} to {IN}, ttl 64"]
