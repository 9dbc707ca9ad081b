#!/usr/bin/env python3
"""Fails if a figure in a document isn't what the tree gives, of those that are cheap to verify, or
if the guide doesn't name a configuration key, a command, a counter or a drop reason.

    python3 -B tests/lint/figures.py

Each claim is a document, a pattern with the figure as its group, and where the figure comes from:
a constant of the sources, by name and folder, or something else that is computed here. A document
may state a figure more than once; each time counts. What is measured isn't held here: `make
figures`, `make bench` and `make lab` repeat that.
"""

import re
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from rust_source import blank

REPO = Path(__file__).resolve().parent.parent.parent
KIB = 1024
# How far a bound may be from what it bounds.
SLACK = 0.1


class Claim(NamedTuple):
    """A figure in a document, and what says whether it is right."""

    document: str
    pattern: str
    expected: Callable[[], "Expected"]


class Expected(NamedTuple):
    """The values that are right, and how to say so."""

    least: float
    most: float
    source: str


def constant(name: str, folder: str, unit: int = 1) -> Callable[[], Expected]:
    """Return what finds an integer constant in a folder's sources, in multiples of a unit."""

    def find() -> Expected:
        definition = re.compile(rf"\bconst {name}: \w+ = ([^;]+);")
        found = set(definition.findall(sources(folder)))
        if len(found) != 1:
            raise LookupError(f"{len(found)} different constants {name} in {folder}")
        value = number(found.pop(), name) / unit
        return Expected(value, value, f"{name} in {folder}")

    return find


@cache
def sources(folder: str) -> str:
    """Return the text of all of a folder's sources but tests."""
    paths = [path for path in sorted((REPO / folder).rglob("*.rs")) if "src" in path.parts]
    return "\n".join(blank(path.read_text()) for path in paths)


def number(expression: str, name: str) -> int:
    """Return the value of an expression of integers."""
    plain = expression.replace("_", "")
    if not re.fullmatch(r"[\d\s*+<()-]+", plain):
        raise LookupError(f"{name} = {expression} isn't made of numbers alone")
    return eval(plain)  # Digits and operators only.


def manifest(key: str) -> Callable[[], Expected]:
    """Return what finds a version number in the workspace's manifest."""

    def find() -> Expected:
        text = tomllib.loads((REPO / "Cargo.toml").read_text())["workspace"]["package"][key]
        return Expected(value(text), value(text), f"{key} in Cargo.toml")

    return find


def image_size() -> Expected:
    """Return between what bounds on the image's size are right, in KiB."""
    size = (REPO / "dist" / "ringway").stat().st_size / KIB
    return Expected(size, size * (1 + SLACK), f"dist/ringway of {size:.0f} KiB")


def guarded(name: str) -> Callable[[], Expected]:
    """Return what finds the bound that the instruction guard has for a frame."""

    def find() -> Expected:
        guard = (REPO / "tests/bench/guard.py").read_text()
        bound = int(re.search(rf'"{name}": (\d+)', guard)[1])
        return Expected(bound * 0.95, bound, f"{name} in tests/bench/guard.py")

    return find


def value(text: str) -> float:
    """Return a figure as a number; of a version, one that orders as versions do."""
    parts = text.replace(",", "").split(".")
    return sum(int(part) / 1000**place for place, part in enumerate(parts))


CLAIMS = [
    Claim("README.md", r"image \| at most ([\d,]+) KiB", image_size),
    Claim("README.md", r"(\d+) frames →", constant("BURST", "router/router")),
    Claim("README.md", r"1 to (\d+) vifs", constant("MAX_VIFS", "router/config")),
    Claim("README.md", r"Up to (\d+) virtual CPUs", constant("MAX_CPUS", "kernel")),
    Claim("README.md", r"fewer than (\d+) pages", constant("PAGES_FOR_LARGE", "image/data-plane")),
    Claim("README.md", r"are at most (\d+) bytes", constant("MIN_MTU", "router/wire")),
    Claim("README.md", r"Rust ([\d.]+) \(rustup", manifest("rust-version")),
    Claim("README.md", r"is about (\d+) instructions", guarded("pipeline_one_flow")),
    Claim("docs/ARCHITECTURE.md", r"burst of up to (\d+)", constant("BURST", "router/router")),
    Claim("docs/ARCHITECTURE.md", r"(\d+) header bytes", constant("HEADER_LEN", "router/router")),
    Claim("docs/ARCHITECTURE.md", r"write (\d+) bytes", constant("REWRITTEN", "router/router")),
    Claim("docs/ARCHITECTURE.md", r"(\d+) posted slots", constant("MAX_SLOTS", "drivers/netif")),
    Claim(
        "docs/ARCHITECTURE.md",
        r"at most (\d+) ms; no other vif is delayed",
        constant("MAX_AGE_NS", "image/data-plane", 1_000_000),
    ),
    Claim("docs/ARCHITECTURE.md", r"up to ([\d,]+) prefixes", constant("COPIED", "router/router")),
    Claim(
        "docs/ARCHITECTURE.md",
        r"if it has (\d+) pages or more",
        constant("PAGES_FOR_LARGE", "image/data-plane"),
    ),
    Claim("docs/GUIDE.md", r"default 1, (\d+) at most", constant("MAX_CPUS", "kernel")),
    Claim("docs/GUIDE.md", r"router more, up to (\d+)", constant("MAX_CPUS", "kernel")),
    Claim("docs/GUIDE.md", r"1 to (\d+) interfaces", constant("MAX_VIFS", "router/config")),
    Claim("docs/GUIDE.md", r"on (\d+) vifs\.", constant("MAX_VIFS", "router/config")),
    Claim("docs/GUIDE.md", r"be (\d+) interfaces", constant("MAX_INTERFACES", "router/config")),
    Claim("docs/GUIDE.md", r"may be (\d+) tables", constant("MAX_INTERFACES", "router/config")),
    Claim(
        "docs/GUIDE.md",
        r"are ([\d,]+) gateways and static",
        constant("MAX_NEIGHBORS", "router/config"),
    ),
    Claim("docs/GUIDE.md", r"([\d,]+) different groups", constant("MAX_GROUPS", "router/config")),
    Claim("docs/GUIDE.md", r"most (\d+) ICMP errors", constant("ICMP_ERROR_RATE", "router/config")),
    Claim("docs/GUIDE.md", r"max_interval_s = (\d+)", constant("MAX_INTERVAL_S", "router/config")),
    Claim("docs/GUIDE.md", r"hop_limit = (\d+)", constant("HOP_LIMIT", "router/config")),
    Claim(
        "docs/GUIDE.md",
        r"\bvalid_lifetime_s = (\d+)",
        constant("VALID_LIFETIME_S", "router/config"),
    ),
    Claim(
        "docs/GUIDE.md",
        r"preferred_lifetime_s = (\d+)",
        constant("PREFERRED_LIFETIME_S", "router/config"),
    ),
    Claim("docs/GUIDE.md", r"version ([\d.]+), 16 MiB", manifest("version")),
    Claim("docs/RFC1812.md", r"(\d+) packets at a time", constant("PACKETS", "router/router")),
    Claim("docs/RFC1812.md", r"(\d+) fragments each", constant("PIECES", "router/router")),
    Claim("docs/RFC1812.md", r"(\d+) KiB for all", constant("BYTES", "router/router", KIB)),
    Claim(
        "docs/RFC1812.md",
        r"a second for each interface, (\d+) if",
        constant("ICMP_ERROR_RATE", "router/config"),
    ),
    Claim("docs/LINUX.md", r"(\d+) fragments a packet", constant("PIECES", "router/router")),
    Claim("docs/PERFORMANCE.md", r"\| all \| \d+, (\d+) \|", guarded("pipeline_one_flow")),
    Claim("docs/PERFORMANCE.md", r"\| all \| .*\| \d+, (\d+) \|", guarded("pipeline_many_flows")),
    Claim(
        "docs/PERFORMANCE.md",
        r"\(`feature-ctrl-ring`\) it is (\d+)",
        guarded("pipeline_one_flow_hashed"),
    ),
]


def commands() -> list[str]:
    """Return a line for each `show` command that only the guide or only the sources have."""
    guide = (REPO / "docs/GUIDE.md").read_text()
    table = set(re.findall(r"^\| `(show \w+)` \|", guide, re.MULTILINE))
    known = set()
    for folder in ("router", "image"):
        for path in (REPO / folder).rglob("src/**/*.rs"):
            code = path.read_text().partition("#[cfg(test)]")[0]
            known |= set(re.findall(r'"(show \w+)",', code))
    return [f"docs/GUIDE.md and the commands differ by `{name}`" for name in sorted(table ^ known)]


# What sources read or print by name: a folder, and a pattern with the name as its group.
READS = "text|number|number_or|parsed|list|flag|choice|tables?"
NAMES = [
    ("router/config/src/toml_file", rf"\.(?:{READS})\(\s*\"(\w+)\""),
    ("router/config/src", r"\(\"(\w+)\", Words::"),
    ("router/router/src", r"^ +\w+ => \"(\w+)\",$"),
    ("router/router/src", r"\btable\(\s*\"(\w+)\"\.into"),
    ("image/control-plane/src/console", r"\(\"([a-z_.]+)\", (?:c|times|stats|worker|memory)\."),
    ("image/control-plane/src/console", r"\"(?:\{name\} )?(hypercalls[a-z_.]*) \{"),
]


def unnamed(guide: str) -> list[str]:
    """Return a line for each key, counter and drop reason that the guide doesn't name."""
    wrong = []
    for folder, pattern in NAMES:
        names = set()
        for path in (REPO / folder).rglob("*.rs"):
            code = path.read_text().partition("#[cfg(test)]")[0]
            names |= set(re.findall(pattern, code, re.MULTILINE))
        if not names:
            wrong.append(f"{folder}: nothing is like {pattern}")
        wrong += [
            f"docs/GUIDE.md doesn't name {name} of {folder}"
            for name in sorted(names)
            if not re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", guide)
        ]
    return wrong


def check(claim: Claim, text: str) -> list[str]:
    """Return a line for each figure of a claim that is wrong, or one if there is none."""
    stated = re.findall(claim.pattern, text)
    if not stated:
        return [f"{claim.document}: nothing is like {claim.pattern}"]
    try:
        expected = claim.expected()
    except (LookupError, OSError) as error:
        return [f"{claim.document}: {claim.pattern}: {error}"]
    wrong = [figure for figure in stated if not expected.least <= value(figure) <= expected.most]
    return [f"{claim.document}: {figure} isn't right by {expected.source}" for figure in wrong]


def main() -> int:
    """Check all, print what is wrong, and say whether something is."""
    wrong = []
    for claim in CLAIMS:
        wrong += check(claim, re.sub(r"\s+", " ", (REPO / claim.document).read_text()))
    wrong += commands()
    wrong += unnamed((REPO / "docs/GUIDE.md").read_text())
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
