"""Filtering of sources by reverse path (RFC 3704), of both families; IPv4 beside a Linux domU."""

import os
from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import READY, drops, grown, idle_pages
from dom0.topology import Host
from support.barrier import barrier
from support.network import DUAL_STACK
from support.packets import IPV4, IPV6, echo4, echo6, ethernet, udp4, udp6
from support.wire import Wire

OF_LEFT = {4: "10.0.0.2", 6: "2001:db8::2"}
NEAR = {4: "10.0.0.1", 6: "2001:db8::1"}
FAR = {4: "10.0.1.2", 6: "2001:db8:1::2"}
ROUTES = {
    "198.51.100.0/24": "10.0.0.2",
    "192.0.2.0/24": "10.0.1.2",
    "2001:db8:a::/48": "2001:db8::2",
    "2001:db8:b::/48": "2001:db8:1::2",
}
# Sources of packets that come from the left, and the rules that let them pass.
SOURCES = {
    "of the link": ("10.0.0.7", "2001:db8::7", {"strict", "loose"}),
    "behind the link": ("198.51.100.9", "2001:db8:a::9", {"strict", "loose"}),
    "of the other link": ("10.0.1.77", "2001:db8:1::77", {"loose"}),
    "behind the other link": ("192.0.2.9", "2001:db8:b::9", {"loose"}),
    "nowhere": ("203.0.113.9", "2001:db8:c::9", set()),
}
LINUX_RULES = {"strict": 1, "loose": 2}


def ringway(rule: str) -> Guest:
    """A Ringway with a rule for what comes from the left."""
    routes = "".join(f'[[route]]\nprefix = "{prefix}"\nvia = ["{via}"]\n' for prefix, via in ROUTES.items())
    config = DUAL_STACK.replace("vif           = 0", f'vif           = 0\nrpf           = "{rule}"')
    return Guest("sources", [Vif("xenbr0"), Vif("xenbr1")], config=config + routes)


def linux() -> Guest:
    """A Linux with the same routes."""
    routes = " ".join(f"route={prefix},{via}" for prefix, via in ROUTES.items() if ":" not in via)
    words = f"ip=0:10.0.0.1/24 ip=1:10.0.1.1/24 {routes}"
    return linux_guest("linux", [Vif("xenbr0"), Vif("xenbr1")], words)


def passed(guest: Guest, left: Host, right: Host, family: int) -> set[str]:
    """The sources whose packets arrive, by name.

    One by one: of packets to one destination that come together Linux validates only the first one's source
    (`ip_route_use_hint` in net/ipv4/route.c)."""
    found = set()

    echo, datagram = (echo4, udp4) if family == 4 else (echo6, udp6)

    def frame(packet: bytes) -> bytes:
        return ethernet(guest.vifs[0].mac, left.mac, IPV4 if family == 4 else IPV6, packet)

    with Wire(left) as near, Wire(right) as far:
        for name, both in SOURCES.items():
            token = os.urandom(12)
            near.send(frame(datagram(both[family == 6], FAR[family], token)))
            _, arrived = barrier(
                near,
                far,
                lambda data: frame(echo(OF_LEFT[family], NEAR[family], data)),
                lambda data: frame(datagram(OF_LEFT[family], FAR[family], data)),
            )
            if any(token in one for one in arrived):
                found.add(name)
    return found


@pytest.mark.parametrize("rule", LINUX_RULES)
def test_sources_pass_by_rule(rule: str, start: Callable[..., Guest], left: Host, right: Host) -> None:
    wanted = {name for name, (_, _, rules) in SOURCES.items() if rule in rules}
    guest = start(ringway(rule), says=READY)
    for family in (4, 6):
        left.reach(FAR[family])
        before = drops(guest, "left")
        assert passed(guest, left, right, family) == wanted, family
        dropped = grown(before, drops(guest, "left"))
        assert dropped == {"reverse_path": len(SOURCES) - len(wanted)}
    idle_pages(guest)
    guest.destroy()
    left.forget()
    right.forget()
    guest = start(linux(), says="linux: ready")
    key = "/proc/sys/net/ipv4/conf/all/rp_filter"
    guest.console_write(f"echo {LINUX_RULES[rule]} > {key} && echo pre''pared\n")
    guest.wait_console("^prepared", 60)
    left.reach(FAR[4])
    assert passed(guest, left, right, 4) == wanted
