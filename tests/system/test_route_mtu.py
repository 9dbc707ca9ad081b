"""Routes with an MTU of their own, below that of their link."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.shell import run
from dom0.topology import Host
from offload import DUAL
from packets import IPV4, MF, ethernet, ipv4, read_ip, udp
from ringway import READY
from wire import Wire

MTU = 1300
BEHIND = {4: "198.51.100.1", 6: "2001:db8:2::1"}
TOO_BIG = {
    4: f"From 10.0.0.1 icmp_seq=1 Frag needed and DF set (mtu = {MTU})",
    6: f"From 2001:db8::1 icmp_seq=1 Packet too big: mtu={MTU}",
}
CONFIG = DUAL + "".join(
    f'[[route]]\nprefix = "{prefix}"\nvia = ["{via}"]\nmtu = {MTU}\n'
    for prefix, via in (("198.51.100.0/24", "10.0.1.2"), ("2001:db8:2::/64", "2001:db8:1::2"))
)


@pytest.fixture(autouse=True)
def _forget_mtus(left: Host) -> Iterator[None]:
    """What the host learns is not to disturb other files' tests."""
    yield
    run("ip", "-n", left.name, "route", "flush", "cache")


def test_a_route_may_have_an_mtu_of_its_own(start: Callable[..., Guest], left: Host, right: Host) -> None:
    guest = start(Guest("routed", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG), says=READY)
    for family, target in BEHIND.items():
        # The link itself takes more.
        near = right.address_of({4: socket.AF_INET, 6: socket.AF_INET6}[family])
        assert left.ping(near, 2, 0.2, "-W", 10, "-M", "do", "-s", 1400).lost == 0
        text = left.run("ping", "-n", "-c", 1, "-W", 10, "-M", "do", "-s", 1400, target, check=False)
        assert TOO_BIG[family] in text, text
    segment = udp(left.address, BEHIND[4], os.urandom(1400))
    packet = ipv4(left.address, BEHIND[4], segment, ident=778)
    with Wire(left) as near, Wire(right) as far:
        near.send(ethernet(guest.vifs[0].mac, left.mac, IPV4, packet))
        frames = far.until(lambda frame: (ip := read_ip(frame)) and ip.ident == 778 and not ip.fragment & MF)
    pieces = sorted((ip for ip in map(read_ip, frames) if ip and ip.ident == 778), key=lambda ip: ip.offset)
    assert b"".join(ip.payload for ip in pieces) == segment
    # Multiples of 8 behind a header of 20.
    assert pieces[0].total == 20 + (MTU - 20) // 8 * 8
