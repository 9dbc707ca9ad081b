"""Many frames share a wake-up and an event; few never wait for others."""

from dom0.guest import Guest
from dom0.pktgen import Generator, Load
from dom0.ringway import numbers
from dom0.topology import Host

COUNT = 60_000


def spent(router: Guest, before: dict[str, int]) -> dict[str, int]:
    """Return what the counters of `show cpu` grew by."""
    after = numbers(router, "show cpu")
    return {name: after[name] - before[name] for name in before}


def test_flood(router: Guest, left: Host, right: Host) -> None:
    """As fast as the generator can: bursts on the way in and on the way out."""
    assert left.ping(right.address).lost == 0
    before = numbers(router, "show cpu")
    generator = Generator(left)
    generator.start(Load(router.vifs[0].mac, right.address, COUNT))
    assert generator.wait() == COUNT
    work = spent(router, before)
    assert work["frames"] > COUNT // 10
    assert work["frames"] >= 32 * work["sleeps"], work
    assert work["frames"] >= 32 * work["notifications"], work
    assert work["hypercalls"] * 10 < work["frames"], work


def test_single_frames_are_not_delayed(router: Guest, left: Host, right: Host) -> None:
    """Each frame of a slow ping wakes the router; it never sleeps with a limit."""
    assert left.ping(right.address, 3).lost == 0
    before = numbers(router, "show cpu")
    assert left.ping(right.address, 20, 0.1).lost == 0
    work = spent(router, before)
    assert work["frames"] >= 40
    assert work["moderated_sleeps"] == 0, work


def test_silence_ends_gathering(router: Guest, left: Host, right: Host) -> None:
    """After a load the router sleeps for as long as nothing comes: there is no tick."""
    generator = Generator(left)
    generator.start(Load(router.vifs[0].mac, right.address, COUNT // 4))
    generator.wait()
    assert left.ping(right.address).lost == 0
    before = numbers(router, "show cpu")
    left.run("sleep", 3)
    work = spent(router, before)
    # The hosts' own chatter and the two queries wake it, which is no tick of a millisecond.
    assert work["sleeps"] < 100, work
