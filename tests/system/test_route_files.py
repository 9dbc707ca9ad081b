"""Files of routes in the ramdisk: 10,000 in a small guest, the Internet's 1,230,000 in 64 MB."""

import ipaddress
import itertools
import random
import re
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.shell import run
from dom0.topology import Host
from ringway import READY, command, eventually, key, numbers, wait_key
from test_config import tar

CONFIG = """
[interface.left]
vif     = 0
address = ["10.0.0.1/24", "2001:db8:0::1/64"]

[interface.right]
vif     = 1
address = ["10.0.1.1/24", "2001:db8:1::1/64"]

[[route-file]]
path = "internet.routes"
"""

# Per 10,000 prefixes, those of each length; as router/benches/internet has them.
SHARES_4 = {
    8: 1, 9: 1, 10: 1, 11: 1, 12: 3, 13: 6, 14: 12, 15: 20, 16: 135, 17: 84, 18: 138, 19: 250, 20: 445,
    21: 520, 22: 1120, 23: 1010, 24: 6253,
}  # fmt: skip
SHARES_6 = {
    20: 5, 24: 15, 28: 80, 29: 290, 30: 60, 31: 40, 32: 1250, 33: 290, 34: 240, 35: 110, 36: 560, 38: 180,
    39: 60, 40: 1000, 41: 60, 42: 350, 43: 70, 44: 900, 45: 90, 46: 350, 47: 300, 48: 3700,
}  # fmt: skip
# What registries have, a /12 each, but for blocks that the bed uses itself.
REGISTRIES = (0x2400, 0x2600, 0x2800, 0x2A00, 0x2C00)

# Gateways on the right; the first is the host `right`. The r-th serves 1/r as many as the first.
GATEWAYS_4 = ["10.0.1.2", *(f"10.0.1.{n}" for n in range(100, 200))]
GATEWAYS_6 = ["2001:db8:1::2", *(f"2001:db8:1::{n:x}" for n in range(0x100, 0x164))]


@pytest.mark.limit(600)
def test_ten_thousand_in_16_mb(left: Host, right: Host, start: Callable[..., Guest]) -> None:
    routes, probes = internet(8_130, 1_870)
    guest = start(with_routes("tenthousand", routes, memory=16), says=READY)
    assert_routes(guest, 8_130, 1_870)
    assert_forwards(left, right, probes)


@pytest.mark.limit(1800)
def test_the_internet_in_64_mb(left: Host, right: Host, start: Callable[..., Guest]) -> None:
    """The guest starts larger, for the file; what counts is what it uses afterwards."""
    routes, probes = internet(1_000_000, 230_000)
    guest = start(with_routes("internet", routes, memory=96), says=READY, timeout=1200)
    assert_routes(guest, 1_000_000, 230_000)
    memory = numbers(guest, "show memory")
    assert memory["in_use_bytes"] <= 64 << 20, memory
    # The file's memory is the heap's.
    assert memory["heap_size_bytes"] - memory["heap_used_bytes"] > len(routes) * 3 // 4, memory
    assert_forwards(left, right, probes)


def test_a_bad_line_rejects_all(start: Callable[..., Guest]) -> None:
    routes = b"# good\n192.0.2.0/24 10.0.1.2\n198.51.100.0/24 10.7.7.7\n"
    guest = start(with_routes("badroutes", routes, memory=16))
    guest.wait_console(r"^ERROR config: internet\.routes:3: gateway 10\.7\.7\.7 isn't on", timeout=60)
    wait_key(guest, "state", "degraded")
    status = eventually(lambda: key(guest, "config/status"), 60, guest.console)
    assert status.startswith("error 0: internet.routes:3: gateway 10.7.7.7"), status
    assert "IPv4: 0 routes" in command(guest, "show routes")


def with_routes(name: str, routes: bytes, memory: int) -> Guest:
    """Return a router between left and right whose ramdisk has a file of routes."""
    archive = tar({"ringway.toml": CONFIG.encode(), "internet.routes": routes})
    return Guest(name, [Vif("xenbr0"), Vif("xenbr1")], config=archive, memory=memory)


def assert_routes(guest: Guest, four: int, six: int) -> None:
    """All routes are there, and no more."""
    text = command(guest, "show routes")
    assert f"internet.routes: {four + six} routes\n" in text, text
    found = re.findall(r"^IPv[46]: (\d+) routes; forwarding table \d+ prefixes, \d+ bytes$", text, re.MULTILINE)
    assert found == [str(four), str(six)], text


def assert_forwards(left: Host, right: Host, probes: list[str]) -> None:
    """Packets to addresses that only routes of the file lead to arrive at `right`."""
    for address in probes:
        length = 128 if ":" in address else 32
        run("ip", "-n", right.name, "address", "add", f"{address}/{length}", "dev", "lo")
    try:
        # Until duplicate address detection is over there is no way in IPv6.
        eventually(lambda: left.ping(probes[-1], 1).received or None, 60, lambda: f"no reply from {probes[-1]}")
        for address in probes:
            assert left.ping(address, 3, 0.05).lost == 0, address
    finally:
        for address in probes:
            length = 128 if ":" in address else 32
            run("ip", "-n", right.name, "address", "delete", f"{address}/{length}", "dev", "lo")


def internet(four: int, six: int) -> tuple[bytes, list[str]]:
    """Return a file with so many routes of each family, and addresses it leads to `right` for.

    Always the same. No route is longer than those of the addresses.
    """
    chance = random.Random(1812)
    lines: list[str] = []
    probes: list[str] = []
    families = (
        (four, SHARES_4, 32, block4, GATEWAYS_4, lambda n: str(ipaddress.IPv4Address(n))),
        (six, SHARES_6, 128, block6, GATEWAYS_6, lambda n: str(ipaddress.IPv6Address(n))),
    )
    for total, shares, bits, block, gateways, text in families:
        weights = list(itertools.accumulate(1 / rank for rank in range(1, len(gateways) + 1)))
        longest = max(shares)
        found = 0
        for prefix, length in prefixes(chance, total, shares, bits, block):
            gateway = chance.choices(gateways, cum_weights=weights)[0]
            lines.append(f"{text(prefix)}/{length} {gateway}\n")
            if length == longest and gateway == gateways[0] and found < 3 and chance.random() < 0.01:
                probes.append(text(prefix + 77))
                found += 1
        assert found == 3
    chance.shuffle(lines)
    return "".join(lines).encode(), probes


def prefixes(
    chance: random.Random, total: int, shares: dict[int, int], bits: int, block: Callable[[random.Random], int]
) -> Iterator[tuple[int, int]]:
    """Yield prefixes with the shares of lengths; half of them follow the one before."""
    counts = {length: total * share // sum(shares.values()) for length, share in shares.items()}
    counts[max(shares)] += total - sum(counts.values())
    for length, count in counts.items():
        step = 1 << (bits - length)
        seen: set[int] = set()
        last = None
        while len(seen) < count:
            follows = last is not None and chance.random() < 0.5
            prefix = (last + step if follows else block(chance)) & -step
            last = prefix
            if prefix not in seen and usable(prefix, bits):
                seen.add(prefix)
                yield prefix, length


def usable(prefix: int, bits: int) -> bool:
    """Whether a prefix is of unicast addresses that nothing else here uses."""
    if bits == 128:
        return prefix >> 124 == 2 and prefix >> 112 != 0x2001
    return 0 < prefix >> 24 < 224 and prefix >> 24 not in (10, 127)


def block4(chance: random.Random) -> int:
    """Return an address of a block: some /16 have many more prefixes than others."""
    crowded = int(65536 * chance.random() ** 2)
    return (crowded * 40503 % 65536) << 16 | chance.getrandbits(16)


def block6(chance: random.Random) -> int:
    """Return an address of a registry's block, mostly among the first of it."""
    owner = int((1 << 20) * chance.random() ** 3)
    return chance.choice(REGISTRIES) << 112 | owner << 96 | chance.getrandbits(32) << 64
