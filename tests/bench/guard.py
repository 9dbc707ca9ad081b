"""Instructions of a lookup must not grow unnoticed: fails if they exceed what is stored here.

Counted under callgrind on tables of 20,000 prefixes, compiled as the guest is.
"""

import sys

from run import Count, binary, instructions

PREFIXES = "20000"
# What was counted when this was last changed (160.8, 197.5, 344.8, 354.5), and 10 % more.
BOUNDS = {("v4", "uniform"): 177, ("v4", "mix"): 218, ("v6", "uniform"): 380, ("v6", "mix"): 390}


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
