"""Idle means idle: a router without traffic doesn't run."""

import time

from dom0.guest import Guest
from dom0.ringway import grown, idle_pages, numbers
from dom0.topology import Host

SECONDS = 8


def test_idle_router_sleeps(router: Guest, left: Host, right: Host) -> None:
    assert left.ping(right.address, 5, 0.05).lost == 0
    idle_pages(router)
    # What a wake-up for a ping costs here and now, and what the command does.
    start = numbers(router, "show cpu")
    asked = numbers(router, "show cpu")
    assert left.ping(right.address, 20, 0.05).lost == 0
    before = numbers(router, "show cpu")
    time.sleep(SECONDS)
    after = numbers(router, "show cpu")
    command = grown(start, asked)["running_ns"]
    pings = grown(asked, before)
    spent = {name: after[name] - before[name] for name in before}
    elapsed = spent["running_ns"] + spent["runnable_ns"] + spent["blocked_ns"]
    assert elapsed >= SECONDS * 10**9 * 0.9
    # The hosts' own IPv6 and ARP chatter and the second query wake it now and then.
    assert spent["sleeps"] * 10**9 <= 3 * elapsed + 20 * 10**9, spent
    wake = pings["running_ns"] / pings["sleeps"]
    assert spent["running_ns"] <= max(elapsed / 50, 3 * (command + spent["sleeps"] * wake)), (spent, command, wake)


def test_sleeps_between_packets(router: Guest, left: Host, right: Host) -> None:
    """A slow ping costs a few wake-ups each, not a busy loop."""
    assert left.ping(right.address).lost == 0
    before = numbers(router, "show cpu")
    assert left.ping(right.address, 6, 0.5).lost == 0
    after = numbers(router, "show cpu")
    spent = {name: after[name] - before[name] for name in before}
    assert spent["frames"] >= 12
    assert spent["running_ns"] < spent["blocked_ns"], spent
