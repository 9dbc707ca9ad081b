"""Routes like the Internet's: as many of each length, with neighbors beside each other."""

import itertools
import random
import socket
from bisect import bisect
from collections.abc import Callable, Iterator

# Per 10,000 prefixes, those of each length; as router/router/benches/internet has them.
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

# Gateways of routers on the right. The r-th serves 1/r as many prefixes as the first.
GATEWAYS_4 = ["10.0.1.2", *(f"10.0.1.{n}" for n in range(100, 200))]
GATEWAYS_6 = ["2001:db8:1::2", *(f"2001:db8:1::{n:x}" for n in range(0x100, 0x164))]


def internet(four: int, six: int) -> tuple[bytes, list[str]]:
    """Return a file with this many routes of each family, and addresses it leads to the first gateways for,
    three of each family in a large table.

    Always the same. No route is longer than those of the addresses.
    """
    chance = random.Random(1812)
    lines: list[str] = []
    probes: list[str] = []
    families = (
        (four, SHARES_4, 32, block4, GATEWAYS_4, socket.AF_INET),
        (six, SHARES_6, 128, block6, GATEWAYS_6, socket.AF_INET6),
    )
    for total, shares, bits, block, gateways, family in families:
        # A million times over, in an emulated machine: the least that Python can do for a route.
        ends = [f" {gateway}\n" for gateway in gateways]
        weights = list(itertools.accumulate(1 / rank for rank in range(1, len(gateways) + 1)))
        last, whole = len(gateways) - 1, weights[-1]
        draw, add, text, size = chance.random, lines.append, socket.inet_ntop, bits // 8
        longest = max(shares)
        found = 0
        for prefix, length in prefixes(chance, total, shares, bits, block):
            gateway = bisect(weights, draw() * whole, 0, last)
            add(f"{text(family, prefix.to_bytes(size))}/{length}{ends[gateway]}")
            if gateway == 0 and length == longest and found < 3 and draw() < 0.01:
                probes.append(text(family, (prefix + 77).to_bytes(size)))
                found += 1
    chance.shuffle(lines)
    return "".join(lines).encode(), probes


def prefixes(
    chance: random.Random, total: int, shares: dict[int, int], bits: int, block: Callable[[random.Random], int]
) -> Iterator[tuple[int, int]]:
    """Yield prefixes with the shares of lengths; half of them follow the one before."""
    counts = {length: total * share // sum(shares.values()) for length, share in shares.items()}
    counts[max(shares)] += total - sum(counts.values())
    draw = chance.random
    for length, count in counts.items():
        step = 1 << (bits - length)
        seen: set[int] = set()
        last = None
        while len(seen) < count:
            follows = last is not None and draw() < 0.5
            prefix = (last + step if follows else block(chance)) & -step
            last = prefix
            if prefix not in seen and usable(prefix, bits):
                seen.add(prefix)
                yield prefix, length


def usable(prefix: int, bits: int) -> bool:
    """Returns `True` if a prefix is of unicast addresses that nothing else here uses."""
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
