"""Reads Rust as text: enough of it to find modules, paths and functions, and no more.

Everything works on text whose comments, strings and tests were replaced by spaces, so that
positions and line numbers stay those of the file.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

# Comments, strings and characters; what looks like a character and isn't is a lifetime.
OPAQUE = re.compile(
    r"""//[^\n]*
    | /\*.*?\*/
    | \bb?c?r(?P<hashes>\#*)".*?"(?P=hashes)
    | \b[bc]"(?:\\.|[^"\\])*"
    | "(?:\\.|[^"\\])*"
    | '(?:\\(?:x..|u\{[^}]*\}|.)|[^\\'])'""",
    re.DOTALL | re.VERBOSE,
)
TEST_ONLY = re.compile(r"#\[(?:test\b|cfg\((?:all\()?test\b(?!,[^\]]*any))")
PAIRS = {"(": ")", "[": "]", "{": "}"}
USE = re.compile(r"(?P<public>\bpub(?:\([^)]*\))?\s+)?\buse\s+(?P<tree>[^;]+);")
FUNCTION = re.compile(r"\bfn\s+(?P<name>\w+)")


class Import(NamedTuple):
    """One name that a `use` brings in; `name` is "*" for all of a module's."""

    path: tuple[str, ...]
    name: str
    at: int
    public: bool


class Function(NamedTuple):
    """A function: its name, what stands between name and body, and where the body is."""

    name: str
    signature: str
    at: int
    body: tuple[int, int]


def blank(text: str) -> str:
    """Return the text with spaces for comments, strings, characters, and items of tests."""
    text = OPAQUE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    while match := TEST_ONLY.search(text):
        end = item_end(text, match.start())
        text = text[: match.start()] + re.sub(r"[^\n]", " ", text[match.start() : end]) + text[end:]
    return text


def item_end(text: str, at: int) -> int:
    """Return where the item ends that begins here with its attributes."""
    is_use = False
    while at < len(text):
        if text[at] in "([":
            at = closing(text, at)
        elif text[at] == "{" and not is_use:
            return closing(text, at)
        elif text[at] == ";":
            return at + 1
        elif re.match(r"\buse\b", text[at : at + 4]):
            is_use = True
            at += 3
        else:
            at += 1
    return at


def closing(text: str, at: int) -> int:
    """Return the position behind the bracket that closes the one here."""
    depth = 0
    for match in re.compile(r"[()\[\]{}]").finditer(text, at):
        depth += 1 if match[0] in PAIRS else -1
        if depth == 0:
            return match.end()
    return len(text)


def skip_generics(text: str, at: int) -> int:
    """Return the position behind `<…>` if that begins here, else this position."""
    if text[at : at + 1] != "<":
        return at
    depth = 0
    for match in re.compile(r"->|=>|<|>").finditer(text, at):
        depth += {"<": 1, ">": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return len(text)


def line_of(text: str, at: int) -> int:
    """Return the number of the line, from 1, that this position is in."""
    return text.count("\n", 0, at) + 1


def split(text: str, separator: str = ",") -> list[str]:
    """Split where the separator is outside of all brackets, angle brackets too."""
    parts, depth, start = [], 0, 0
    for match in re.compile(r"->|=>|[()\[\]{}<>]|" + re.escape(separator)).finditer(text):
        found = match[0]
        if found in "([{<":
            depth += 1
        elif found in ")]}>":
            depth -= 1
        elif found == separator and depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def imports(text: str) -> Iterator[Import]:
    """Yield every name that the text's `use` declarations bring in."""
    for match in USE.finditer(text):
        for path, name in use_tree(match["tree"].strip()):
            yield Import(path, name, match.start("tree"), bool(match["public"]))


def use_tree(tree: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield path and name for each leaf of what stands behind `use`."""
    head, brace, rest = tree.partition("{")
    if brace:
        prefix = tuple(part.strip() for part in head.split("::") if part.strip())
        for branch in split(rest.rpartition("}")[0]):
            for path, name in use_tree(branch):
                inner = path[:-1] if path[-1] == "self" and len(path) == 1 else path
                named = prefix[-1] if not inner and name == "self" else name
                yield prefix + inner, named
        return
    path, _, alias = (part.strip() for part in tree.partition(" as "))
    parts = tuple(part.strip() for part in path.split("::") if part.strip())
    yield (parts[:-1], "*") if parts[-1] == "*" else (parts, alias or parts[-1])


def functions(text: str, start: int = 0, end: int | None = None) -> Iterator[Function]:
    """Yield functions that have a body, those within others too."""
    for match in FUNCTION.finditer(text, start, len(text) if end is None else end):
        at = skip_generics(text, match.end())
        while at < len(text) and text[at] not in "{;":
            at = closing(text, at) if text[at] in "([" else at + 1
        if text[at : at + 1] == "{":
            signature = text[match.end() : at]
            yield Function(match["name"], signature, match.start(), (at, closing(text, at)))
