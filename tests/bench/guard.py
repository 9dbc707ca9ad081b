"""Instructions must not grow unnoticed: fails if they exceed what is stored here.

Counted under callgrind: of a frame from ring to ring, and of a lookup in tables so large that
they have indexes. Compiled as the guest is.
"""

import sys

import pipeline
from callgrind import Count, instructions

PREFIXES = {"v4": "200000", "v6": "20000"}
# What was counted when this was last changed (7.9, 8.7, 152.3, 152.3), and 10 % more.
LOOKUPS = {("v4", "uniform"): 8.7, ("v4", "mix"): 9.5, ("v6", "uniform"): 167, ("v6", "mix"): 167}
# The same, a frame (243.0, 367.4, 297.8), and up to 2 % more.
FRAMES = {"pipeline_one_flow": 247, "pipeline_many_flows": 368, "pipeline_one_flow_hashed": 303}


def main() -> int:
    """Count, print, and say whether all is within bounds."""
    too_many = False
    for (family, pattern), bound in LOOKUPS.items():
        words = ("count", family, pattern, "ringway", PREFIXES[family])
        count = Count("", "router", "table", "*measured*", words, frames=r"(\d+) lookups")
        too_many |= exceeds(f"lookup {family} {pattern}", count, bound)
    for name, bound in FRAMES.items():
        too_many |= exceeds(name, pipeline.count(name), bound)
    return int(too_many)


def exceeds(name: str, count: Count, bound: float) -> bool:
    """Count one, print it, and say whether it is too many."""
    found = instructions(count)
    print(f"{name}: {found:.1f} instructions, at most {bound} allowed")
    return found > bound


if __name__ == "__main__":
    sys.exit(main())
