"""Instructions of a lookup must not grow unnoticed: fails if they exceed what is stored here.

Counted under callgrind on tables of 20,000 prefixes, compiled as the guest is.
"""

import sys

from run import Count, binary, instructions

PREFIXES = "20000"
# What was counted when this was last changed (152.6, 189.3, 291.5, 298.5), and 10 % more.
BOUNDS = {("v4", "uniform"): 168, ("v4", "mix"): 208, ("v6", "uniform"): 321, ("v6", "mix"): 328}


def main() -> int:
    """Count, print, and say whether all is within bounds."""
    binary("router", "table")
    too_many = False
    for (family, pattern), bound in BOUNDS.items():
        words = ("count", family, pattern, "ringway", PREFIXES)
        count = Count("", "router", "table", "*measured*", words, frames=r"(\d+) lookups")
        found = instructions(count)
        too_many |= found > bound
        print(f"lookup {family} {pattern}: {found:.1f} instructions, at most {bound} allowed")
    return int(too_many)


if __name__ == "__main__":
    sys.exit(main())
