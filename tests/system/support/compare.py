"""Linux in Ringway's place: the same looked at in both, one after the other."""

from collections.abc import Callable, Container, Sequence
from typing import TypeVar

from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import READY, settle
from dom0.topology import Topology

Seen = TypeVar("Seen")

# A Linux guest's addresses of both families, as those of offload.DUAL_STACK.
DUAL_WORDS = "ip=0:10.0.0.1/24 ip=0:2001:db8:0::1/64 ip=1:10.0.1.1/24 ip=1:2001:db8:1::1/64"
# MAC addresses beside those of the hosts.
FIRST, SECOND = "02:00:00:00:0c:01", "02:00:00:00:0c:02"
# The router's, which some packets are made of.
ROUTER_MACS = {"xenbr0": "00:16:3e:00:be:00", "xenbr1": "00:16:3e:00:be:01"}
LINUX = "beside-linux"  # the name of the guest that isn't ours


def prepare(guest: Guest, lines: Sequence[str]) -> None:
    """Run commands on a Linux guest's console, each of which must succeed."""
    start = len(guest.console())
    for line in lines:
        guest.console_write(f"{line} || echo un''prepared\n")
    guest.console_write("echo pre''pared\n")
    guest.wait_console("^prepared", 60, start)
    assert "unprepared" not in guest.console()[start:], guest.console()


def beside(
    topology: Topology,
    config: str,
    words: str,
    lines: Sequence[str],
    look: Callable[[Guest], Seen],
    more: Sequence[str] = (),
) -> tuple[Seen, Seen]:
    """Return what `look` sees of a Ringway with this configuration, then of a Linux guest that
    was started with these words and given these commands. `more` are bridges of further vifs."""
    vifs = lambda: [*(Vif(bridge, mac) for bridge, mac in ROUTER_MACS.items()), *map(Vif, more)]  # noqa: E731
    with Guest("beside", vifs(), config=config) as ringway:
        ringway.wait_console(READY, 120)
        settle(ringway)
        ours = _look(ringway, topology, look)
    with linux_guest(LINUX, vifs(), words) as linux:
        linux.wait_console("linux: ready", 120)
        prepare(linux, lines)
        return ours, _look(linux, topology, look)


def _look(guest: Guest, topology: Topology, look: Callable[[Guest], Seen]) -> Seen:
    for host in topology.hosts.values():
        host.forget()
    return look(guest)


def assert_alike(
    name: str, outcomes: tuple[dict[str, Seen], dict[str, Seen]], differences: Container[str]
) -> None:
    """Check that the same was seen of both in a case, or, if it is one of those, not the same."""
    ours, theirs = (seen[name] for seen in outcomes)
    text = f"Ringway: {ours or 'nothing'}\nLinux: {theirs or 'nothing'}"
    if name in differences:
        assert ours != theirs, f"no difference any more: {text}"
    else:
        assert ours == theirs, text
