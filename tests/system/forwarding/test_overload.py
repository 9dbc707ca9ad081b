"""More frames than the router can take: it forwards what it can, and loses nothing but frames."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator

import pytest
from dom0.guest import Guest
from dom0.pktgen import Generator, Load
from dom0.ringway import Pages, counters, drops, eventually, grown, idle_pages, key
from dom0.topology import Host
from support.wire import transfer

COUNT = 100_000
SLOW = 100  # frames/s


@pytest.fixture(autouse=True)
def _unharmed(router: Guest, left: Host, right: Host) -> Iterator[None]:
    """Whatever the flood: afterwards all pages are back and packets pass as before."""
    for one, other in ((left, right), (right, left)):
        assert one.ping(other.address, 3, 0.05).lost == 0
    before = idle_pages(router)
    yield
    eventually(lambda: counters(router)["pending"] == 0 or None, 60, lambda: "frames are pending")
    assert totals(idle_pages(router)) == totals(before)
    assert left.ping(right.address, 20, 0.05).lost == 0
    assert right.ping(left.address, 20, 0.05).lost == 0
    transfer(left, right, 1 << 20)
    assert key(router, "state") == "ready"
    assert totals(idle_pages(router)) == totals(before)
    assert_conserved(counters(router))


def totals(accounts: list[Pages]) -> dict[int, tuple[int, int]]:
    """Return for each domain how many pages there are and how many are posted."""
    return {account.domain: (account.total, account.posted) for account in accounts}


def assert_conserved(values: dict[str, int]) -> None:
    """Every frame that came in or was made went out, was used up, dropped or still waits."""

    def total(pattern: str) -> int:
        return sum(n for name, n in values.items() if re.fullmatch(rf"interface\.\w+\.{pattern}", name))

    lost_before = total(r"drop\.(no_buffer|rx_error)")
    went = total(r"tx\.packets") + total("consumed") + total(r"drop\.\w+") - lost_before
    assert total(r"rx\.packets") + total("originated") == went + values["pending"], values


def flood(*loads: tuple[Host, Load]) -> list[int]:
    """Send loads at full speed, all at once, and return how many frames each sent.

    They begin slowly: if the first frame of a pktgen is refused, because another has filled dom0's
    backlog, it tries with that one for ever.
    """
    generators = [Generator(host, cpu=0) for host, _ in loads]
    with contextlib.ExitStack() as stack:
        for generator, (_, load) in zip(generators, loads, strict=True):
            generator.start(dataclasses.replace(load, rate_pps=SLOW))
            stack.callback(generator.stop)
        for generator in generators:
            eventually(lambda it=generator: it.sent() or None, 60, lambda: "nothing was sent")
        for generator in generators:
            generator.set_rate(0)
        return [generator.wait(timeout=200) for generator in generators]


def test_small_frames_one_way(router: Guest, left: Host, right: Host) -> None:
    before = right.counters()["rx_packets"]
    assert flood((left, Load(router.vifs[0].mac, right.address, COUNT))) == [COUNT]
    assert right.counters()["rx_packets"] > before + 1000
    assert not {"rx_error", "bad_checksum", "truncated"} & set(drops(router, "left"))


def test_small_frames_both_ways(router: Guest, left: Host, right: Host) -> None:
    before = {host.name: host.counters()["rx_packets"] for host in (left, right)}
    there = Load(router.vifs[0].mac, right.address, COUNT // 2)
    back = Load(router.vifs[1].mac, left.address, COUNT // 2)
    assert flood((left, there), (right, back)) == [COUNT // 2] * 2
    # Most are lost in dom0, which has to make them all as well. Some pass in both directions.
    arrived = {host.name: host.counters()["rx_packets"] - before[host.name] for host in (left, right)}
    assert min(arrived.values()) > 1000, arrived


def test_large_frames(router: Guest, left: Host, right: Host) -> None:
    flood((left, Load(router.vifs[0].mac, right.address, COUNT // 5, size=1514)))


def test_the_slow_path(router: Guest, left: Host, right: Host) -> None:
    """Frames that each need an answer: others pass meanwhile all the same."""
    before = drops(router, "left")
    generator = Generator(left)
    generator.start(Load(router.vifs[0].mac, "10.0.0.1", COUNT // 3, rate_pps=3000))
    try:
        during = right.ping("10.0.1.1", 10, 0.1)
    finally:
        generator.stop()
        generator.wait()
    assert during.received >= 8, during.text
    assert set(grown(before, drops(router, "left"))) <= {"punt_full", "no_buffer", "tx_full"}


def test_unknown_neighbors(router: Guest, left: Host, right: Host) -> None:
    """A scan of all of right's network as fast as it goes."""
    words = ("flag IPDST_RND", "dst_min 10.0.1.3", "dst_max 10.0.1.254")
    flood((left, Load(router.vifs[0].mac, "10.0.1.3", COUNT // 5, options=words)))


def test_random_destinations(router: Guest, left: Host, right: Host) -> None:
    """Nearly all of them without a route."""
    words = ("flag IPDST_RND", "dst_min 1.0.0.1", "dst_max 223.255.255.254")
    before = drops(router, "left").get("no_route", 0)
    flood((left, Load(router.vifs[0].mac, "1.0.0.1", COUNT // 5, options=words)))
    assert drops(router, "left").get("no_route", 0) > before
