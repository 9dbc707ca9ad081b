"""Which file of a crate needs which: by paths, and by methods called across `impl` blocks."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from crate_model import PATH, Crate, File, Item, Method, Module
from rust_source import USE, Function, closing, functions, line_of, skip_generics, split

BINDING = re.compile(r"\blet\s+(?P<pattern>[^=;]*?)=(?!=)|\bfor\s+(?P<each>[^{;]*?)\s+in\b")
CLOSURE = re.compile(r"\s*(?:move\s+)?\|([^|]*)\|")
# What may follow a value: `?`, `[`, `.field`, `.method(` or `.method::<T>(`.
STEP = re.compile(
    r"\s*(?:\?|(?P<index>\[)|\.\s*(?P<name>\w+)(?P<call>\s*(?:::\s*<[^()]*>)?\s*\()?)"
)
NAME = re.compile(r"(?<![\w.:'])[a-z_]\w*(?!\s*(?:::|!|\w))")
PLAIN = re.compile(r"(?<![\w.])[a-z_]\w*\b(?!\s*[:({!])")


class Reason(NamedTuple):
    """Why one file needs another: a line of it, and what is there."""

    line: int
    what: str


Dependencies = dict[tuple[Module, Module], list[Reason]]


def dependencies(crate: Crate) -> Dependencies:
    """Return for each pair of files (by module) why the first needs the second."""
    found: Dependencies = defaultdict(list)
    for file in crate.files.values():
        for at, module, what in [*paths(crate, file), *calls(crate, file)]:
            target = crate.file_of(module).module
            if target != file.module:
                found[file.module, target].append(Reason(line_of(file.text, at), what))
    return {pair: sorted(set(reasons)) for pair, reasons in found.items()}


def is_part(inner: Module, outer: Module) -> bool:
    """Say whether the first module is within the second."""
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def paths(crate: Crate, file: File) -> Iterator[tuple[int, Module, str]]:
    """Yield position, module and path of whatever the file names with `use` or a path."""
    body = USE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), file.text)
    for found in file.imports:
        path = (*found.path, "*") if found.name == "*" else found.path
        target = crate.find(file.module_at(found.at), found.path)
        if not target:
            continue
        module = target[0].module if isinstance(target[0], Item) else target[0]
        passed_on = found.public and is_part(crate.file_of(module).module, file.module)
        if not passed_on or re.search(rf"\b{re.escape(found.name)}\b", body):
            yield found.at, module, f"use {'::'.join(path)}"
    for match in PATH.finditer(body):
        path = tuple(part.strip() for part in match[0].split("::"))
        if len(path) == 1:
            continue
        if path[0] == "Self":
            target = [crate.owner_at(file, match.start()), path[1:]]
        else:
            target = crate.find(file.module_at(match.start()), path)
        if not target or not isinstance(target[0], Item):
            continue
        yield match.start(), target[0].module, "::".join(path)
        for name in target[1][:1]:
            for method in crate.methods.get(target[0], {}).get(name, []):
                yield match.start(), method.module, "::".join(path)


def calls(crate: Crate, file: File) -> Iterator[tuple[int, Module, str]]:
    """Yield position, module and text of each call of a method whose receiver's type is known."""
    for function in functions(file.text):
        yield from Body(crate, file, function).calls()


class Body:
    """A function's body, and which types its names have, as far as that can be read off.

    A name has a list of types: all that its declaration mentions, so that what a container
    holds is found behind `get`, `iter` or `unwrap` without knowing those.
    """

    def __init__(self, crate: Crate, file: File, function: Function) -> None:
        """Begin with the parameters."""
        self.crate, self.text, self.function = crate, file.text, function
        self.module = file.module_at(function.at)
        self.owner = crate.owner_at(file, function.at)
        self.known: dict[str, list[Item]] = {"self": [self.owner]} if self.owner else {}
        start = skip_generics(function.signature, 0)
        opening = function.signature.find("(", start)
        inside = function.signature[opening + 1 : closing(function.signature, opening) - 1]
        for parameter in split(inside):
            pattern, colon, kind = parameter.partition(":")
            if colon:
                self.bind(pattern, self.types(kind))

    def types(self, text: str) -> list[Item]:
        """Return the types that a type expression here mentions."""
        return self.crate.types_in(self.module, text, self.owner)

    def bind(self, pattern: str, types: list[Item]) -> None:
        """Remember the types of all names in a pattern."""
        for name in PLAIN.findall(pattern):
            if name not in ("mut", "ref", "box", "_"):
                self.known[name] = types

    def calls(self) -> Iterator[tuple[int, Module, str]]:
        """Walk through the body once, from top to bottom."""
        start, end = self.function.body
        steps = [*BINDING.finditer(self.text, start, end), *NAME.finditer(self.text, start, end)]
        for match in sorted(steps, key=lambda step: (step.start(), -step.end())):
            if match.re is NAME:
                if match[0] in self.known:
                    yield from self.walk(match.end(), self.known[match[0]], [])
                continue
            pattern = match["pattern"] or match["each"]
            declared = split(pattern, ":")
            if len(declared) == 2:
                self.bind(declared[0], self.types(declared[1]))
            else:
                self.bind(pattern, self.value(match.end()))

    def value(self, at: int) -> list[Item]:
        """Return the types of the expression that begins here, or `None` if that isn't plain."""
        at = re.compile(r"(?:\s|&|\*|\(|\bmut\b|\bmatch\b)*").match(self.text, at).end()
        match = PATH.match(self.text, at)
        if not match:
            return []
        result: list[Item] = []
        if match[0] in self.known:
            list(self.walk(match.end(), self.known[match[0]], result))
            return result
        path = tuple(part.strip() for part in match[0].split("::"))
        if path[0] == "Self" and self.owner:
            target = [self.owner, path[1:]]
        else:
            target = self.crate.find(self.module, path)
        if not target or not isinstance(target[0], Item):
            return []
        item, rest = target
        begun = [item] if item.name[0].isupper() else self.result_of(item)
        if rest and (methods := self.methods(item, rest[0])):
            begun = self.results(item, methods)
        arguments = re.compile(r"\s*\(").match(self.text, match.end())
        end = closing(self.text, arguments.end() - 1) if arguments else match.end()
        list(self.walk(end, begun, result))
        return result

    def methods(self, item: Item, name: str) -> list[Method]:
        """Return the functions of this name in all `impl` blocks of a type."""
        return self.crate.methods.get(item, {}).get(name, [])

    def result_of(self, item: Item) -> list[Item]:
        """Return the types in what a free function returns."""
        module, result = self.crate.results.get(item, (item.module, ""))
        return self.crate.types_in(module, result)

    def results(self, owner: Item, methods: list[Method]) -> list[Item]:
        """Return the types in what methods of one name return."""
        found = (self.crate.types_in(m.module, m.result, owner) for m in methods)
        return [item for types in found for item in types]

    def walk(
        self, at: int, types: list[Item], result: list[Item]
    ) -> Iterator[tuple[int, Module, str]]:
        """Follow what is behind a value; yield calls, leave the types of the whole in `result`."""
        while types and (match := STEP.match(self.text, at)):
            at = match.end()
            name = match["name"]
            if match["index"]:
                at = closing(self.text, at - 1)
            elif match["call"]:
                if closure := CLOSURE.match(self.text, at):
                    self.bind(closure[1], types)
                owner = next((item for item in types if self.methods(item, name)), None)
                if owner:
                    methods = self.methods(owner, name)
                    for method in methods:
                        yield match.start("name"), method.module, f"{owner.name}::{name}"
                    types = self.results(owner, methods)
                at = closing(self.text, at - 1)
            elif name and name != "await":
                owners = [fields for item in types if (fields := self.crate.fields.get(item))]
                types = next((fields[name] for fields in owners if name in fields), [])
        result.extend(types)
