"""What the tests of several queues share: many flows at once, single flows, and who carried them."""

import re
import socket

import pytest
from dom0.guest import Guest
from dom0.pktgen import Generator, Load
from dom0.ringway import NOISE, command, counters, eventually, numbers
from dom0.topology import Host
from support.offload import sent

COUNT = 20_000
RATE = 4000  # frames/s, so that the router has time to sleep
STEP = 500  # frames that no queue on the way overflows with
PORT = 7007
# Where the generator sends to.
DISCARD = 9
# UDP is spread by addresses, as it may come in fragments that have no ports.
SOURCES = ("src_min 10.0.0.10", "src_max 10.0.0.250", "flag IPSRC_RND")


def frames(guest: Guest) -> list[int]:
    """Return how many frames each CPU received."""
    return [n for name, n in numbers(guest, "show cpu").items() if name.endswith(".frames")]


def rings(guest: Guest, way: str) -> list[tuple[int, int]]:
    """Return frames and bytes of all rings of a way (`received`, `sent`): vif by vif, queue by queue."""
    text = command(guest, "show vifs")
    found = re.findall(rf"^  {way} (\d+) frames, (\d+) bytes, 0 errors", text, re.MULTILINE)
    assert len(found) == len(guest.vifs) * len(frames(guest)), text
    return [(int(count), int(length)) for count, length in found]


def lost(news: dict[str, int]) -> set[str]:
    """Return why frames were dropped, by what counters grew by."""
    return {name.split(".drop.")[1] for name in news if ".drop." in name} - NOISE


def flood(
    guest: Guest, left: Host, right: Host, *options: str, to: str = "right", count: int = COUNT
) -> list[int]:
    """Send frames to the right, of which none is lost, and return how many each CPU received.

    They leave by the interface `to`.
    """
    before = frames(guest)
    name = f"interface.{to}.tx.packets"
    old = counters(guest)[name]
    pour(guest, left, right, *options, count=count)
    forwarded = lambda: counters(guest)[name] - old  # noqa: E731
    eventually(lambda: forwarded() >= count or None, 30, lambda: f"{forwarded()} of {count} were forwarded")
    return [after - old for old, after in zip(before, frames(guest), strict=True)]


def pour(guest: Guest, left: Host, right: Host, *options: str, count: int = COUNT) -> None:
    """Send frames to the right, of which none is lost, and ask the router for nothing until dom0 has
    got as many."""
    assert left.ping(right.address, 2).lost == 0
    before, _ = sent(guest, 1)
    came = lambda: sent(guest, 1)[0] - before  # noqa: E731

    def wait(wanted: int) -> None:
        eventually(lambda: came() >= wanted or None, 30, lambda: f"{came()} of {wanted} came to dom0")

    # Nobody answers to sources that don't exist.
    with udp(right, DISCARD):
        load = Load(guest.vifs[0].mac, right.address, count, rate_pps=RATE, options=options)
        Generator(left).send_in_steps(load, STEP, wait)


def udp(host: Host, port: int) -> socket.socket:
    """Open a socket in a host's namespace."""
    with host.inside():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(60)
    made.bind(("", port))
    return made


def assert_flows_stay(guest: Guest, left: Host, right: Host, family: int = socket.AF_INET) -> None:
    """Open connections until all CPUs have some; each is on one CPU in both directions."""
    used: set[int] = set()
    with right.inside():
        server = socket.create_server(("", PORT), family=family)
    with server:
        for _ in range(32):
            carried = exchange(guest, left, server, (right.address_of(family), PORT))
            most = max(carried)
            assert most > 200 and sum(carried) - most < 20, carried
            used.add(carried.index(most))
            if len(used) == len(carried):
                return
    pytest.fail(f"all flows were on queues {used}")


def exchange(guest: Guest, left: Host, server: socket.socket, to: tuple[str, int]) -> list[int]:
    """Pass a word to and fro on a connection; how many frames each CPU received for it."""
    with left.inside():
        client = socket.create_connection(to, 60)
    with client, server.accept()[0] as other:
        before = frames(guest)
        for _ in range(100):
            client.sendall(b"x")
            assert other.recv(1) == b"x"
            other.sendall(b"y")
            assert client.recv(1) == b"y"
    return [after - old for old, after in zip(before, frames(guest), strict=True)]
