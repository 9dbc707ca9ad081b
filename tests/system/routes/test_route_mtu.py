"""Routes with an MTU of their own, below that of their link."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import READY
from dom0.shell import run
from dom0.topology import Host, Topology
from support.compare import DUAL_WORDS, beside
from support.network import DUAL_STACK, LEFT, RIGHT
from support.outcome import Case, observe
from support.packet_cases import u4, u6
from support.packets import IPV4, MF, ethernet, ipv4, read_ip, udp
from support.wire import Wire

MTU = 1300
BEHIND = {4: "198.51.100.1", 6: "2001:db8:2::1"}
TOO_BIG = {
    4: f"From 10.0.0.1 icmp_seq=1 Frag needed and DF set (mtu = {MTU})",
    6: f"From 2001:db8::1 icmp_seq=1 Packet too big: mtu={MTU}",
}
CONFIG = DUAL_STACK + "".join(
    f'[[route]]\nprefix = "{prefix}"\nvia = ["{via}"]\nmtu = {MTU}\n'
    for prefix, via in (("198.51.100.0/24", "10.0.1.2"), ("2001:db8:2::/64", "2001:db8:1::2"))
)

CASES = {
    f"{family}, {name}": case
    for family, to, datagram in (("IPv4", BEHIND[4], u4), ("IPv6", BEHIND[6], u6))
    for name, case in {
        "as large as may be": Case(lambda t, to=to, u=datagram: u(t, to, size=MTU)),
        "too large": Case(lambda t, to=to, u=datagram: u(t, to, size=MTU + 1)),
        "as large as the link": Case(lambda t, to=to, u=datagram: u(t, to, size=1500)),
    }.items()
} | {
    "IPv4, too large, whole": Case(lambda t: u4(t, BEHIND[4], size=MTU + 1, flags="DF")),
    "IPv4, too large, on its last hop": Case(lambda t: u4(t, BEHIND[4], size=MTU + 1, flags="DF", ttl=1)),
    "IPv6, too large, on its last hop": Case(lambda t: u6(t, BEHIND[6], size=MTU + 1, hlim=1)),
}
LINUX = [
    "echo 0 > /proc/sys/net/ipv4/icmp_ratemask",
    "echo 0 > /proc/sys/net/ipv4/route/error_cost",
    "echo 0 > /proc/sys/net/ipv6/icmp/ratelimit",
    # In IPv4 Linux heeds only one that is locked when it forwards.
    f"ip route add 198.51.100.0/24 via 10.0.1.2 mtu lock {MTU}",
    f"ip -6 route add 2001:db8:2::/64 via 2001:db8:1::2 mtu {MTU}",
]


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
        assert left.ping(near, 2, 0.2, "-M", "do", "-s", 1400).lost == 0
        text = left.run("ping", "-n", "-c", 1, "-W", 30, "-M", "do", "-s", 1400, target, check=False)
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


def test_as_linux_has_it(topology: Topology) -> None:
    def look(router: Guest) -> dict[str, tuple[str, ...]]:
        for target in ("10.0.1.2", "2001:db8:1::2"):
            LEFT.reach(target)
        return observe(CASES, router.vifs[0].mac, LEFT, RIGHT)

    ours, linux = beside(topology, CONFIG, DUAL_WORDS, LINUX, look)
    assert ours == linux
    assert len(ours["IPv4, as large as the link"]) == 2 and len(ours["IPv4, too large, whole"]) == 1, ours
