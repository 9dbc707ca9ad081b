"""What a backend makes of its control ring: it may refuse and be silent, but not lie."""

import re
from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import idle_pages
from dom0.topology import Host
from support.bystanders import nothing_lost
from support.isolation_network import CONFIG
from support.netback import Netback

LIES = {
    "id": ({"id": 1}, r"control: response \d+ without a request"),
    "type": ({"kind": 4}, r"control: response of type \d+ to another request"),
    "index": ({"jump": 76}, "control: ring index 77 ahead where at most 1 are possible"),
}


@pytest.fixture
def pair(max_queues: Callable[[int], None], share: Callable[..., Guest], left: Host, right: Host) -> Guest:
    """A router with two queues for each vif, which waits for vif 2."""
    vifs = [Vif("xenbr0"), Vif("xenbr1")]
    guest = share(Guest("pair", vifs, config=CONFIG, options=["vcpus = 2"]), says="vif/1: connected")
    left.reach(right.address)
    return guest


def with_control_ring(guest: Guest) -> Netback:
    """Return a backend that says it has one, for two queues."""
    back = Netback(guest)
    back.features |= {"multi-queue-max-queues": "2", "feature-ctrl-ring": "1"}
    return back


def answer(back: Netback, **how: int) -> None:
    """Answer a request once it is there."""
    assert back.control
    back.serve(lambda: back.control.answer(**how), "a request on the control ring")


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_closes_the_vif(lie: str, pair: Guest, left: Host, right: Host) -> None:
    how, says = LIES[lie]
    with with_control_ring(pair) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        assert len(back.queues) == 2
        start = len(pair.console())
        answer(back, **how)
        back.close()
        (said,) = [line for line in pair.console()[start:].splitlines() if "WARN" in line]
        assert re.search(f"vif/2: {says}; closing$", said), said
        back.connect()
        answer(back)
        back.ping()
    idle_pages(pair)


def test_it_refuses(pair: Guest, left: Host, right: Host) -> None:
    with with_control_ring(pair) as back, nothing_lost((left, right), (right, left)):
        start = len(pair.console())
        back.connect()
        answer(back)
        pair.wait_console(r"queues are chosen by the backend \(SetHashAlgorithm: not supported\)", 60, start)
        back.ping()
    idle_pages(pair)


def test_it_says_nothing(pair: Guest, left: Host, right: Host) -> None:
    with with_control_ring(pair) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        back.serve(lambda: back.control and back.control.ring.waiting, "a request on the control ring")
        back.ping()
    idle_pages(pair)
