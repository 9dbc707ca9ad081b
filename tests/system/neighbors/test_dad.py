"""Duplicate Address Detection (RFC 4862 5.4) of the router's IPv6 addresses."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import command, settle
from dom0.shell import run
from dom0.topology import Topology
from support.compare import ROUTER_MACS, assert_alike, prepare
from support.ndp import (
    ADVERTISEMENT, ALL_NODES, LEFT6, NEAR6, NO_SOURCES, SECOND, SOLICITATION, Bench, Discovery, advertisement, frame,
    read, read_report, solicitation, solicited_node_group,
)  # fmt: skip
from support.network import LEFT
from support.packets import mac_text
from support.wire import Wire

# What the router hears of an address that it solicits: somebody has it, somebody else wants it, or its
# own solicitation.
TAKEN, ALSO_TENTATIVE, LOOPED = "2001:db8::a1", "2001:db8::a2", "2001:db8::a3"
REACTIONS: dict[str, Callable[[bytes], bytes]] = {
    TAKEN: lambda _: frame("", SECOND, advertisement(TAKEN, SECOND, O=1)),
    ALSO_TENTATIVE: lambda _: frame("", SECOND, solicitation(ALSO_TENTATIVE, "::", "")),
    # As from a hub or a loop.
    LOOPED: lambda own: own,
}
ADDRESSES = (NEAR6, *REACTIONS)
RETRANS_TIMER_S = 1

CONFIG = f"""
hostname = "unique"

[interface.left]
vif     = 0
address = [{", ".join(f'"{address}/64"' for address in ADDRESSES)}]

[interface.right]
vif     = 1
address = ["2001:db8:1::1/64"]
"""
LINES = [
    "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad",
    *(f"ip -6 address add {address}/64 dev eth0" for address in ADDRESSES),
]

CASES = (
    "solicited addresses", "solicitations", "their options", "addresses in use", "unsolicited advertisements"
)  # fmt: skip
# Where Ringway differs on purpose.
DIFFERENCES = {
    "their options": "none: its own solicitation is known by its MAC address, not by a nonce (RFC 7527)",
    "unsolicited advertisements": "say who has the address from now on (RFC 4861 7.2.6)",
}


def look(guest: Guest, begin: Callable[[], None]) -> dict[str, object]:
    """What a router on the left does about addresses that it gets when it begins."""
    own = lambda f: mac_text(f[6:12]) == guest.vifs[0].mac  # noqa: E731
    asked: dict[str, Discovery] = {}
    with Wire(LEFT) as near, ThreadPoolExecutor() as pool:
        # Who has the address is to say so within RETRANS_TIMER_S of the solicitation, and the router may
        # begin with some addresses long before it has been given all.
        begun = pool.submit(begin)
        heard: list[bytes] = []
        while asked.keys() != set(ADDRESSES):
            heard += near.until(own)
            question = read(heard[-1])
            news = {*ADDRESSES} - asked.keys()
            if question and question.source == "::" and question.target in news:
                asked[question.target] = question
                if question.target in REACTIONS:
                    near.send(REACTIONS[question.target](heard[-1]))
        begun.result()
        heard = [f for f in heard + near.until_quiet(own, RETRANS_TIMER_S + 1.5) if own(f)]
        LEFT.reach(NEAR6)
        bench = Bench(guest, near, near)
        answers = {a: bench.advertised(solicitation(a, LEFT6, LEFT.mac)) for a in ADDRESSES}
    found = [nd for nd in map(read, heard) if nd and nd.target in ADDRESSES]
    reports = [report for report in (read_report(f[14:]) for f in heard) if report]
    questions = [asked[target] for target in ADDRESSES]
    told = {nd.target for nd in found if (nd.kind, nd.destination) == (ADVERTISEMENT, ALL_NODES)}
    return {
        "solicited addresses": sorted(nd.target for nd in found if nd.kind == SOLICITATION),
        "solicitations": [(nd.source, (nd.destination, nd.mac) == solicited_node_group(nd.target)) for nd in questions],
        "their options": [nd.options[:2].hex() for nd in questions],
        "addresses in use": answers,
        "unsolicited advertisements": sorted(told),
        "leaves": [group for report in reports for kind, group in report.records if kind == NO_SOURCES],
        "groups are reported first": [_reported_first(heard, target) for target in ADDRESSES],
    }


def _reported_first(heard: list[bytes], target: str) -> bool:
    """Returns `True` if a report of an address's group was heard before the solicitation."""
    group = solicited_node_group(target)[0]
    for f in heard:
        if (report := read_report(f[14:])) and any(group == said for _, said in report.records):
            return True
        if (nd := read(f)) and nd.target == target:
            return False
    return False


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    vifs = lambda: [Vif(bridge, mac) for bridge, mac in ROUTER_MACS.items()]  # noqa: E731
    LEFT.forget()
    guest = Guest("unique", vifs(), config=CONFIG)
    try:
        guest.create(paused=True)
        ours = look(guest, lambda: run("xl", "unpause", guest.name))
        settle(guest)
        ours["shown"] = command(guest, "show interfaces")
        ours["console"] = guest.console()
    finally:
        guest.destroy()
    LEFT.forget()
    with linux_guest("unique-linux", vifs(), "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24") as linux:
        linux.wait_console("linux: ready", 120)
        yield ours, look(linux, lambda: prepare(linux, LINES))


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", CASES)
def test_as_linux_has_it(name: str, outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    assert_alike(name, outcomes, DIFFERENCES)


def test_duplicates_are_not_used(outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    seen = outcomes[0]
    used = {target for target, answers in seen["addresses in use"].items() if answers}
    assert used == {NEAR6, LOOPED}
    for target in (TAKEN, ALSO_TENTATIVE):
        assert f"{target}/64 (duplicate)" in seen["shown"]
        assert f"left: duplicate address {target} detected, it isn't used" in seen["console"]


def test_groups_are_reported_before_solicitations(
    outcomes: tuple[dict[str, object], dict[str, object]],
) -> None:
    """So that switches let the answers through (RFC 4862 5.4.2)."""
    assert outcomes[0]["groups are reported first"] == [True] * len(ADDRESSES)


def test_groups_of_duplicates_are_left(outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    assert set(outcomes[0]["leaves"]) == {solicited_node_group(target)[0] for target in (TAKEN, ALSO_TENTATIVE)}
