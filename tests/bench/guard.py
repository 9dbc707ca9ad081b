"""Instructions must not grow unnoticed: fails if they exceed what is stored here.

Counted under callgrind: of a frame from ring to ring, and of a lookup in tables so large that
they have indexes. Compiled as the guest is.
"""

import sys

import pipeline
from callgrind import Count, instructions

PREFIXES = {"v4": "200000", "v6": "20000"}
# What was counted when this was last changed (7.7, 8.9, 154.5, 154.5), and 10 % more.
LOOKUPS = {("v4", "uniform"): 9, ("v4", "mix"): 10, ("v6", "uniform"): 170, ("v6", "mix"): 170}
# The same, a frame (249.7, 364.7, 313.9), and 1 or 2 % more.
FRAMES = {"pipeline_one_flow": 252, "pipeline_many_flows": 368, "pipeline_one_flow_hashed": 319}


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


def exceeds(name: str, count: Count, bound: int) -> bool:
    """Count one, print it, and say whether it is too many."""
    found = instructions(count)
    print(f"{name}: {found:.1f} instructions, at most {bound} allowed")
    return found > bound


if __name__ == "__main__":
    sys.exit(main())
