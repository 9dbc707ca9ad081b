"""A vif whose backend takes less than is sent to it: `rate=`, which a tenant's plan may have.

What goes elsewhere goes as it does without the rate. netback follows the key while it is connected, so
both are measured with the same guest, hosts and load.
"""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from dom0.bulk import transfer
from dom0.guest import Guest, Vif
from dom0.ringway import counters, eventually, idle_pages
from dom0.topology import Host
from dom0.xenstore import store
from support.bystanders import nothing_lost
from support.flood import small_frames
from support.isolation_network import CONFIG
from support.throughput import assert_as_fast
from support.vif_states import backend

RATE = "50KB/s"  # a third of the flood, and less
LIMITED, UNLIMITED = "2500,50000", f"{2**32 - 1},0"  # bytes, and microseconds until as many more
FLOOD_S = 2
BULK_S = 1


@pytest.fixture
def limited(slow: Host, share: Callable[..., Guest]) -> Guest:
    """A router between left, right and a third network that is slow."""
    vifs = [Vif("xenbr0"), Vif("xenbr1"), Vif(slow.bridge, options=[f"rate={RATE}"])]
    guest = share(Guest("limited", vifs, config=CONFIG))
    assert store().read(backend(guest, 2, "rate")) == LIMITED
    slow.forget()
    return guest


@contextlib.contextmanager
def bulk_tcp(source: Host, sink: Host) -> Iterator[None]:
    """iperf3 from one host to another, as fast as it goes."""
    quiet = {"stdout": -3, "stderr": -3}
    with (
        sink.background("iperf3", "-s", "-1", "-p", 5300, **quiet),
        source.background("iperf3", "-c", sink.address, "-p", 5300, "-t", 600, **quiet),
    ):
        yield


def dropped(guest: Guest) -> int:
    """Return how many frames for the slow network found no room."""
    return counters(guest).get("interface.trouble.drop.tx_full", 0)


def test_nothing_is_lost_beside_a_slow_output(limited: Guest, left: Host, right: Host, slow: Host) -> None:
    """Not even what comes from the very vif that overloads it."""
    before = dropped(limited)
    with (
        bulk_tcp(left, slow),
        small_frames(limited, left, slow.address) as flood,
        nothing_lost((left, right), (right, left)),
    ):
        start = flood.sent()
        overload = lambda: flood.sent() - start > FLOOD_S * flood.load.rate_pps and dropped(limited) > before  # noqa: E731
        eventually(lambda: overload() or None, 120, lambda: f"{dropped(limited) - before} were dropped")
    slow.reach(left.address)
    idle_pages(limited)


def test_bulk_tcp_is_as_fast_beside_a_slow_output(limited: Guest, left: Host, right: Host, slow: Host) -> None:
    """As beside one that takes all: into the overloading vif, and out of it."""
    rate = backend(limited, 2, "rate")

    def measure(value: str) -> list[int]:
        store().write(rate, value)
        ways = ((left, right), (right, left))
        return [transfer(limited, *way, seconds=BULK_S).received for way in ways]

    try:
        with small_frames(limited, left, slow.address):
            assert_as_fast(measure, LIMITED, UNLIMITED)
    finally:
        store().write(rate, LIMITED)
