#!/usr/bin/env python3
"""Fails if the fast path's machine code can panic in a place that isn't known here.

    python3 -B tests/lint/no_panic.py [IMAGE]

The image, `dist/ringway.debug` by default, is disassembled. From the functions in ENTRIES on, all
direct calls are followed, into what the compiler inlined too, but not beyond LEAVES. What is found
that calls one of `core`'s functions for panics is printed with its source line, unless ALLOWED says
why it may. Calls through pointers can't be followed: what is called so belongs in ENTRIES.

An entry of ENTRIES or ALLOWED that fits nothing fails as well, so that code that moves is followed.
Whether one of LEAVES is called, or the compiler put it where it is called, may change with any other code.
"""

import re
import subprocess
import sys
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parent.parent.parent
IMAGE = REPO / "dist" / "ringway.debug"

# Source file and function: one turn of a CPU, from the receive rings to the transmit rings.
ENTRIES = [
    ("image/data-plane/src/turn.rs", "turn"),
    # Called through a pointer, since there are two of it.
    ("image/data-plane/src/burst.rs", "receive"),
]

# Functions that are no longer the fast path, by the beginning of their name.
LEAVES = {
    "alloc::": "only what the slow path gets is kept in memory that may have to grow",
    "<alloc::": "the same, by way of a trait",
    "<kernel::heap::KernelHeap ": "the same",
}

# Sources whose checks remain, by the beginning of their path, and why no packet and no peer can
# make them fail.
ALLOWED = {
    "router/lpm/src/": "an index that the table stored: addresses choose among those, make none",
    "router/router/src/route/vrf.rs": "a lock that counts its readers: no more than there are lanes",
}

# Functions of `core` and `alloc` that never return.
PANICS = re.compile(
    r"<?(?:core|alloc|std)::(?:.*::)?"
    r"(?:panic\w*|\w+_panic|\w+_fail(?:ed)?(?:_rt)?|capacity_overflow|handle_alloc_error)$"
)
FUNCTION = re.compile(r"([0-9a-f]+) <(.*)>:$")
CALL = re.compile(r" *([0-9a-f]+):\t(?:call|j\w+) +([0-9a-f]+) <(.*?)(?:\+0x([0-9a-f]+))?>$")


class Function(NamedTuple):
    """A function of the image; names aren't unique."""

    address: int
    name: str


class Call(NamedTuple):
    """A call, or a jump to another function."""

    address: int
    caller: Function
    callee: Function


class Frame(NamedTuple):
    """A function of the sources that an instruction belongs to; the innermost of those inlined."""

    path: str
    line: str
    name: str


def calls(disassembly: str) -> Iterator[Call]:
    """Yield all direct calls from one function to another."""
    caller = Function(0, "")
    for line in disassembly.splitlines():
        if begin := FUNCTION.match(line):
            caller = Function(int(begin[1], 16), begin[2])
        elif call := CALL.match(line):
            callee = Function(int(call[2], 16) - int(call[4] or "0", 16), call[3])
            if callee != caller:
                yield Call(int(call[1], 16), caller, callee)


def frames(addresses: list[int], image: Path) -> dict[int, list[Frame]]:
    """Return the functions of this repository that each address belongs to, innermost first."""
    asked = "\n".join(f"{address:x}" for address in addresses)
    command = ["addr2line", "-a", "-i", "-f", "-C", "-e", image]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    return read_frames(done.stdout)


def read_frames(answer: str) -> dict[int, list[Frame]]:
    """Read what addr2line says: an address, then a function and its place in turn."""
    found: dict[int, list[Frame]] = {}
    lines = iter(answer.splitlines())
    for line in lines:
        if line.startswith("0x"):
            inside = found.setdefault(int(line, 16), [])
            continue
        path, _, number = next(lines).partition(":")
        if path.startswith(f"{REPO}/"):
            inside.append(Frame(path.removeprefix(f"{REPO}/"), number.split()[0], short(line)))
    return found


def short(name: str) -> str:
    """Return a function's name without types and modules."""
    while (shorter := re.sub(r"<[^<>]*>", "", name.replace("->", ""))) != name:
        name = shorter
    return name.rpartition("::")[2]


def check(all_calls: list[Call], places: dict[int, list[Frame]]) -> list[str]:
    """Return a line for each panic that isn't allowed, and for each entry that fits nothing."""
    by_caller = defaultdict(list)
    for call in all_calls:
        by_caller[call.caller].append(call)
    unused = {str(key) for names in (ENTRIES, ALLOWED) for key in names}
    ahead: deque[tuple[Call, str]] = deque()
    for call in all_calls:
        for frame in places.get(call.address, []):
            if (frame.path, frame.name) in ENTRIES:
                unused.discard(str((frame.path, frame.name)))
                ahead.append((call, frame.name))
                break
    found: dict[str, str] = {}
    seen = set()
    while ahead:
        call, way = ahead.popleft()
        name = call.callee.name
        leave = any(name.startswith(start) for start in LEAVES)
        if PANICS.match(name):
            place = next(iter(places.get(call.address, [])), Frame("?", "?", call.caller.name))
            allowed = next((start for start in ALLOWED if place.path.startswith(start)), None)
            if allowed:
                unused.discard(allowed)
            else:
                text = f"{place.path}:{place.line}: {place.name}: {name.rpartition('::')[2]}"
                found.setdefault(text, way)
        elif not leave and call.callee not in seen:
            seen.add(call.callee)
            longer = f"{way} → {short(name)}"
            ahead += [(further, longer) for further in by_caller[call.callee]]
    panics = [f"{text} ({way})" for text, way in sorted(found.items())]
    return [*panics, *(f"nothing in the image is {name}" for name in sorted(unused))]


def main(arguments: list[str]) -> int:
    """Check the image, print what is wrong, and say whether something is."""
    image = Path(arguments[0]) if arguments else IMAGE
    command = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", image]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    all_calls = list(calls(done.stdout))
    if not any(PANICS.match(call.callee.name) for call in all_calls):
        print(f"{image}: no function for panics found: PANICS is out of date")
        return 1
    wrong = check(all_calls, frames([call.address for call in all_calls], image))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
