#!/usr/bin/env python3
"""Fails if the sources break a rule of the house about structure.

    python3 -B tests/lint/structure.py [--all] [CRATE…]

The rules, for everything but tests:

- Files of a crate don't need each other in a cycle. A file needs another if it names something
  there, or calls a method of an `impl` block there on a receiver whose type is known by reading.
  A module and its own parts may need each other, but not parts of one module among themselves.
- A crate depends on crates of its own folder and of those that LAYERS names for it.
- There is no `use super::*` nor `use crate::*`: they hide what a file needs.
- A function has at most 100 lines.

Each cycle is printed as a chain of the lines that make it; `--all` prints all lines between the
files concerned. How a name is looked up is in `crate_model.py`, what makes a file need another
in `dependencies.py`.
"""

import sys
import tomllib
from pathlib import Path

from dependencies import Dependencies, dependencies, is_part
from crate_model import Crate, Module
from rust_source import blank, functions, imports, line_of

REPO = Path(__file__).resolve().parent.parent.parent
# Of which folders the crates of a folder may use crates, beside its own.
LAYERS = {
    "xen-boot": set(),
    "drivers": set(),
    "kernel": {"xen-boot", "drivers"},
    "router": set(),
    "image": {"xen-boot", "drivers", "kernel", "router"},
}
LONGEST = 100
SHOWN = 8


def members(repo: Path) -> list[tuple[Path, dict]]:
    """Return the folder and the manifest of every crate of the workspace."""
    named = tomllib.loads((repo / "Cargo.toml").read_text())["workspace"]["members"]
    folders = [folder for member in named for folder in sorted(repo.glob(member))]
    return [(folder, tomllib.loads((folder / "Cargo.toml").read_text())) for folder in folders]


def crates(repo: Path, names: list[str]) -> list[tuple[Path, Crate]]:
    """Return the folder and the model of every crate of the workspace, or of those named."""
    found = []
    for folder, manifest in members(repo):
        name = manifest["package"]["name"]
        roots = [folder / "src/lib.rs", folder / "src/main.rs", *folder.glob("src/bin/*.rs")]
        for root in roots:
            if root.exists() and (not names or name in names):
                found.append((folder, Crate(name, root)))
    return found


def layers(repo: Path) -> list[str]:
    """Return a line for each dependency that is against LAYERS; those of tests may be."""
    whole = tomllib.loads((repo / "Cargo.toml").read_text())["workspace"]["dependencies"]
    layer_of = {
        name: Path(source["path"]).parts[0]
        for name, source in whole.items()
        if isinstance(source, dict) and "path" in source
    }
    found = []
    for folder, manifest in members(repo):
        layer = folder.relative_to(repo).parts[0]
        for name in manifest.get("dependencies", {}):
            below = layer_of.get(name, layer)
            if below != layer and below not in LAYERS[layer]:
                place = (folder / "Cargo.toml").relative_to(repo)
                found.append(f"{place}: nothing in {layer} depends on {below}, as {name} is")
    return found


def strongly_connected(nodes: set[Module], needs: dict[Module, set[Module]]) -> list[set[Module]]:
    """Return the sets of more than one node from each of which all others can be reached."""
    reached = {node: reachable(node, nodes, needs) for node in nodes}
    sets, left = [], set(nodes)
    while left:
        node = min(left)
        together = {other for other in reached[node] if node in reached[other]} | {node}
        left -= together
        sets += [together] if len(together) > 1 else []
    return sets


def reachable(start: Module, nodes: set[Module], needs: dict[Module, set[Module]]) -> set[Module]:
    """Return the nodes that can be reached from one, itself only by a cycle."""
    found: set[Module] = set()
    ahead = [start]
    while ahead:
        fresh = (needs.get(ahead.pop(), set()) & nodes) - found
        found |= fresh
        ahead += fresh
    return found


def tangles(nodes: set[Module], needs: dict[Module, set[Module]]) -> list[set[Module]]:
    """Return sets of files that need each other, other than a module and its own parts.

    If all of a set are parts of one of them, cycles through that one are allowed, and the others
    are looked at without it.
    """
    found = []
    for together in strongly_connected(nodes, needs):
        top = min(together, key=len)
        if all(node == top or is_part(node, top) for node in together):
            found += tangles(together - {top}, needs)
        else:
            found.append(together)
    return found


def is_allowed(cycle: list[Module]) -> bool:
    """Say whether a cycle is one of a module and its own parts."""
    top = min(cycle, key=len)
    return all(node == top or is_part(node, top) for node in cycle)


def shortest_cycles(tangle: set[Module], needs: dict[Module, set[Module]]) -> list[list[Module]]:
    """Return for each file one of the shortest cycles through it, without repetitions."""
    found = {}
    for start in sorted(tangle):
        seen: set[Module] = set()
        paths = [[start]]
        while paths:
            closed = [path for path in paths if start in needs[path[-1]] and not is_allowed(path)]
            if closed:
                found.setdefault(frozenset(closed[0]), closed[0])
                break
            longer = [[*path, n] for path in paths for n in sorted(needs[path[-1]] & tangle - seen)]
            paths = list({path[-1]: path for path in longer if path[-1] != start}.values())
            seen |= {path[-1] for path in paths}
    return sorted(found.values(), key=len)


def cycles(crate: Crate, everything: bool) -> list[str]:
    """Return a text for each set of files that need each other."""
    found = dependencies(crate)
    needs: dict[Module, set[Module]] = {module: set() for module in crate.files}
    for source, target in found:
        needs[source].add(target)
    texts = []
    for tangle in tangles(set(crate.files), needs):
        names = " ".join(sorted("::".join(module[1:]) or "crate" for module in tangle))
        lines = [f"{crate.name}: {len(tangle)} files need each other: {names}"]
        some = shortest_cycles(tangle, needs)
        for cycle in some[:SHOWN]:
            lines.append("  a cycle:")
            for source, target in zip(cycle, [*cycle[1:], cycle[0]]):
                lines.append("    " + step(crate, found, source, target))
        if len(some) > SHOWN:
            lines.append(f"  and {len(some) - SHOWN} more; --all prints all lines")
        if everything:
            pairs = sorted(pair for pair in found if set(pair) <= tangle)
            lines += ["  all:", *("    " + step(crate, found, *pair, 99) for pair in pairs)]
        texts.append("\n".join(lines))
    return texts


def step(crate: Crate, found: Dependencies, source: Module, target: Module, most: int = 2) -> str:
    """Return a line that says where one file needs another."""
    reasons = found[source, target]
    shown = ", ".join(f"{reason.line}: {reason.what}" for reason in reasons[:most])
    more = f", and {len(reasons) - most} more" if len(reasons) > most else ""
    file = crate.files[source].path.relative_to(REPO)
    return f"{file} → {'::'.join(target[1:]) or 'crate'} ({shown}{more})"


def outside_of_tests(folder: Path) -> list[Path]:
    """Return a crate's files of Rust that aren't tests."""
    inside = [*folder.glob("src/**/*.rs"), *folder.glob("benches/**/*.rs")]
    return sorted([*inside, *folder.glob("examples/**/*.rs"), *folder.glob("build.rs")])


def hidden(path: Path, text: str) -> list[str]:
    """Return a line for each import that hides what a file needs."""
    return [
        f"{path.relative_to(REPO)}:{line_of(text, found.at)}: use {'::'.join(found.path)}::*"
        for found in imports(text)
        if found.name == "*" and set(found.path) <= {"super", "crate", "self"}
    ]


def too_long(path: Path, text: str) -> list[str]:
    """Return a line for each function that is too long."""
    found = []
    for function in functions(text):
        length = text.count("\n", function.at, function.body[1]) + 1
        if length > LONGEST:
            place = f"{path.relative_to(REPO)}:{line_of(text, function.at)}"
            found.append(f"{place}: {function.name} has {length} lines, at most {LONGEST} allowed")
    return found


def main(arguments: list[str]) -> int:
    """Check all, print what is wrong, and say whether something is."""
    everything = "--all" in arguments
    wrong: list[str] = []
    folders: dict[Path, set[Path]] = {}
    for folder, crate in crates(REPO, [name for name in arguments if name != "--all"]):
        wrong += cycles(crate, everything)
        folders.setdefault(folder, set()).update(file.path for file in crate.files.values())
    for folder, known in folders.items():
        for path in outside_of_tests(folder):
            if path.is_relative_to(folder / "src") and path not in known:
                continue  # Only tests declare it.
            text = blank(path.read_text())
            wrong += hidden(path, text) + too_long(path, text)
    wrong += layers(REPO)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
