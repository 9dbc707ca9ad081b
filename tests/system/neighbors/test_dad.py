"""Whether the router's IPv6 addresses are its own: Duplicate Address Detection (RFC 4862 5.4)."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import command, settle
from dom0.shell import run
from dom0.topology import Topology
from support.compare import STATIONS, assert_alike, prepare
from support.ndp import (
    ADVERTISEMENT, ALL_NODES, LEFT6, NEAR6, NO_SOURCES, SECOND, SOLICITATION, Bench, Discovery, asks, frame,
    group_of, read, read_report, tells,
)  # fmt: skip
from support.network import LEFT
from support.packets import mac_text
from support.wire import Wire

# What becomes of an address that the router asks about, and who then answers for it.
TOLD, WANTED, HEARD = "2001:db8::a1", "2001:db8::a2", "2001:db8::a3"
REACTIONS: dict[str, Callable[[bytes], bytes]] = {
    TOLD: lambda _: frame("", SECOND, tells(TOLD, SECOND, O=1)),
    WANTED: lambda _: frame("", SECOND, asks(WANTED, "::", "")),
    # The router's own question comes back, as from a hub or a loop.
    HEARD: lambda question: question,
}
ADDRESSES = (NEAR6, *REACTIONS)
OBJECTION_S = 1

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

CASES = ("whose questions", "the question", "its option", "who answers", "tells all")
# Where Ringway differs on purpose.
DIFFERENCES = {
    "its option": "none: its own question is known by its station, not by a nonce (RFC 7527)",
    "tells all": "says who has the address from now on (RFC 4861 7.2.6)",
}


def look(guest: Guest, begin: Callable[[], None]) -> dict[str, object]:
    """What a router on the left does about addresses that it gets when it begins."""
    own = lambda f: mac_text(f[6:12]) == guest.vifs[0].mac  # noqa: E731
    asked: dict[str, Discovery] = {}
    with Wire(LEFT) as near, ThreadPoolExecutor() as pool:
        # Whoever objects has a second from the question on, and the router may begin with some addresses
        # long before it has been told of all.
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
        heard = [f for f in heard + near.until_quiet(own, OBJECTION_S + 1.5) if own(f)]
        LEFT.reach(NEAR6)
        bench = Bench(guest, near, near)
        answers = {a: bench.answers(asks(a, LEFT6, LEFT.mac)) for a in ADDRESSES}
    found = [nd for nd in map(read, heard) if nd and nd.target in ADDRESSES]
    reports = [report for report in (read_report(f[14:]) for f in heard) if report]
    questions = [asked[target] for target in ADDRESSES]
    told = {nd.target for nd in found if (nd.kind, nd.destination) == (ADVERTISEMENT, ALL_NODES)}
    return {
        "whose questions": sorted(nd.target for nd in found if nd.kind == SOLICITATION),
        "the question": [(nd.source, (nd.destination, nd.station) == group_of(nd.target)) for nd in questions],
        "its option": [nd.options[:2].hex() for nd in questions],
        "who answers": answers,
        "tells all": sorted(told),
        "leaves": [group for report in reports for kind, group in report.records if kind == NO_SOURCES],
        "listens before it asks": [_reported_first(heard, target) for target in ADDRESSES],
    }


def _reported_first(heard: list[bytes], target: str) -> bool:
    """Whether a report on an address's group was heard before the question."""
    group = group_of(target)[0]
    for f in heard:
        if (report := read_report(f[14:])) and any(group == said for _, said in report.records):
            return True
        if (nd := read(f)) and nd.target == target:
            return False
    return False


@pytest.fixture(scope="module")
def outcomes(topology: Topology) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    vifs = lambda: [Vif(bridge, mac) for bridge, mac in STATIONS.items()]  # noqa: E731
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


def test_only_what_nobody_else_has_is_used(outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    seen = outcomes[0]
    used = {target for target, answers in seen["who answers"].items() if answers}
    assert used == {NEAR6, HEARD}
    for target in (TOLD, WANTED):
        assert f"{target}/64 (duplicate)" in seen["shown"]
        assert f"left: {target} isn't used, somebody has it already" in seen["console"]


def test_groups_are_reported_before_the_questions(
    outcomes: tuple[dict[str, object], dict[str, object]],
) -> None:
    """So that switches let the answers through (RFC 4862 5.4.2)."""
    assert outcomes[0]["listens before it asks"] == [True] * len(ADDRESSES)


def test_groups_of_duplicates_are_left(outcomes: tuple[dict[str, object], dict[str, object]]) -> None:
    assert set(outcomes[0]["leaves"]) == {group_of(target)[0] for target in (TOLD, WANTED)}
