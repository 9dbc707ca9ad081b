"""Filtering of sources by reverse path (RFC 3704), of both families; IPv4 beside a Linux domU."""

from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import READY, drops, grown, idle_pages
from dom0.topology import Host
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw
from support.network import DUAL_STACK
from support.packets import IPV4, IPV6, ethernet
from support.wire import Wire

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
    """The sources whose packets arrive, by name."""
    kind, network = {4: (IPV4, IP), 6: (IPV6, IPv6)}[family]
    last = b"the last one"
    with Wire(left) as near, Wire(right) as far:
        for token, source in [
            *((f"from {name}.".encode(), both[family == 6]) for name, both in SOURCES.items()),
            (last, SOURCES["of the link"][family == 6]),
        ]:
            packet = network(src=source, dst=FAR[family]) / UDP(sport=4000, dport=9) / Raw(token)
            near.send(ethernet(guest.vifs[0].mac, left.mac, kind, bytes(packet)))
        frames = far.until(lambda frame: last in frame)
    return {name for name in SOURCES if any(f"from {name}.".encode() in frame for frame in frames)}


@pytest.mark.parametrize("rule", LINUX_RULES)
def test_sources_pass_by_rule(rule: str, start: Callable[..., Guest], left: Host, right: Host) -> None:
    wanted = {name for name, (_, _, rules) in SOURCES.items() if rule in rules}
    guest = start(ringway(rule), says=READY)
    for family in (4, 6):
        assert left.ping(FAR[family], 3, 0.2, "-W", 10).received
        before = drops(guest, "left")
        assert passed(guest, left, right, family) == wanted, family
        assert grown(before, drops(guest, "left")) == {"reverse_path": len(SOURCES) - len(wanted)}
    idle_pages(guest)
    guest.destroy()
    left.forget()
    right.forget()
    guest = start(linux(), says="linux: ready")
    key = "/proc/sys/net/ipv4/conf/all/rp_filter"
    guest.console_write(f"echo {LINUX_RULES[rule]} > {key} && echo pre''pared\n")
    guest.wait_console("^prepared", 60)
    assert left.ping(FAR[4], 3, 0.2, "-W", 10).received
    assert passed(guest, left, right, 4) == wanted
