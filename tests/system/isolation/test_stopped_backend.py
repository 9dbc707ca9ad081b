"""A backend that stands still: what is sent to it is dropped, and nothing else."""

import multiprocessing
import os
import signal
from collections.abc import Iterator

import pytest
from dom0.bulk import transfer
from dom0.guest import Guest
from dom0.ringway import counters, eventually, idle_pages
from dom0.topology import Host
from support.bystanders import nothing_lost
from support.flood import small_frames
from support.netback import forget, serve_until_told
from support.throughput import assert_as_fast

THERE, NOWHERE = "10.0.2.2", "10.99.0.1"  # the second has no route
FLOOD_S = 1
BULK_S = 1
DROPPED = {THERE: "interface.trouble.drop.tx_full", NOWHERE: "interface.left.drop.no_route"}


@pytest.fixture
def process(isolated: Guest) -> Iterator[int]:
    """The id of a process that is the backend of vif 2."""
    made = multiprocessing.get_context("fork").Process(target=serve_until_told, args=(isolated,), daemon=True)
    made.start()
    try:
        yield made.pid
    finally:
        made.kill()
        made.join()
        forget(isolated)


def test_a_backend_under_sigstop(process: int, isolated: Guest, left: Host, right: Host) -> None:
    """Floods into it; beside them all goes on, TCP as fast as beside a flood that has no route."""
    left.reach(THERE)
    os.kill(process, signal.SIGSTOP)

    def measure(target: str) -> list[int]:
        dropped = lambda: counters(isolated)[DROPPED[target]]  # noqa: E731
        before = dropped()
        with small_frames(isolated, left, target) as flood:
            with nothing_lost((left, right), (right, left)):
                start = flood.sent()
                lasted = lambda: flood.sent() - start > FLOOD_S * flood.load.rate_pps  # noqa: E731
                eventually(lambda: (lasted() and dropped() > before) or None, 60, isolated.console)
            ways = ((left, right), (right, left))
            return [transfer(isolated, *way, seconds=BULK_S).received for way in ways]

    assert_as_fast(measure, THERE, NOWHERE)
    os.kill(process, signal.SIGCONT)
    left.reach(THERE)
    idle_pages(isolated)
