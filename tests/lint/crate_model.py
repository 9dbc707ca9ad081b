"""What a crate consists of: modules (a file each), names, types with their methods and fields."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rust_source import Import, blank, closing, functions, imports, line_of, skip_generics, split

Module = tuple[str, ...]

CHILD = re.compile(r"\bmod\s+(\w+)\s*([;{])")
IMPL = re.compile(r"(?:^|[;{}\]])\s*(?:unsafe\s+)?impl\b\s*", re.MULTILINE)
ITEM = re.compile(r"\b(?:struct|enum|union|trait|type|fn|const|static|mod)\s+(?:mut\s+)?(\w+)")
PATH = re.compile(r"(?<![\w:.'])[A-Za-z_]\w*(?:\s*::\s*\w+)*")


class Item(NamedTuple):
    """Something that a module defines: a type, a function, a constant."""

    module: Module
    name: str


class Method(NamedTuple):
    """A function of an `impl` block, and where that is."""

    module: Module
    line: int
    result: str


@dataclass
class File:
    """A file of a crate, which is a module."""

    path: Path
    module: Module
    text: str
    imports: list[Import]
    inline: dict[Module, tuple[int, int]] = field(default_factory=dict)
    children: set[str] = field(default_factory=set)
    items: set[str] = field(default_factory=set)

    def module_at(self, at: int) -> Module:
        """Return the module at a position: the file's own, or one written within it."""
        inner = [m for m, (start, end) in self.inline.items() if start <= at < end]
        return max(inner, key=len, default=self.module)


class Crate:
    """All that the checks want to know about a crate, beginning with its root file."""

    def __init__(self, name: str, root: Path) -> None:
        """Read the crate."""
        self.name = name
        self.files: dict[Module, File] = {}
        self.methods: dict[Item, dict[str, list[Method]]] = {}
        self.fields: dict[Item, dict[str, list[Item]]] = {}
        self.results: dict[Item, tuple[Module, str]] = {}
        self.impls: list[tuple[File, Item | None, tuple[int, int]]] = []
        self._add(root, ("crate",), root.parent)
        self._owner = {module: file for file in self.files.values() for module in file.inline}
        self._owner |= self.files
        for file in self.files.values():
            self._read_types(file)
            self._read_impls(file)

    def _add(self, path: Path, module: Module, folder: Path) -> None:
        text = blank(path.read_text())
        file = File(path, module, text, list(imports(text)))
        self.files[module] = file
        for match in CHILD.finditer(text):
            inside = file.module_at(match.start())
            if match[2] == "{":
                file.inline[(*inside, match[1])] = (match.end(), closing(text, match.end() - 1))
                continue
            file.children.add(match[1])
            below = folder.joinpath(*inside[len(module) :])
            options = [below / f"{match[1]}.rs", below / match[1] / "mod.rs"]
            child = next((option for option in options if option.exists()), None)
            if child is None:
                raise FileNotFoundError(f"{path}: no file for mod {match[1]}")
            self._add(child, (*inside, match[1]), below / match[1])
        file.items = {match[1] for match in ITEM.finditer(text)}

    def file_of(self, module: Module) -> File:
        """Return the file that a module is in."""
        return self._owner[module]

    def owner_at(self, file: File, at: int) -> Item | None:
        """Return the type whose `impl` block is around a position."""
        blocks = [(owner, span) for whose, owner, span in self.impls if whose is file]
        return next((owner for owner, (start, end) in blocks[::-1] if start < at < end), None)

    def find(self, module: Module, path: tuple[str, ...], seen=frozenset()) -> list | None:
        """Return [what the path means, the rest of it]; None if that isn't of this crate.

        What it means is an `Item`, or a `Module` if all of the path leads to one.
        """
        if (module, path) in seen:
            return None
        seen = seen | {(module, path)}
        first, rest = path[0], path[1:]
        if first == "crate":
            return self._within(("crate",), rest, seen)
        if first == "self":
            return self._within(module, rest, seen)
        if first == "super":
            return self._within(module[:-1], rest, seen) if len(module) > 1 else None
        return self._member(module, first, rest, seen)

    def _within(self, module: Module, path: tuple[str, ...], seen) -> list | None:
        if not path:
            return [module, ()]
        if path[0] == "super":
            return self._within(module[:-1], path[1:], seen)
        return self._member(module, path[0], path[1:], seen) or [Item(module, path[0]), path[1:]]

    def _member(self, module: Module, name: str, rest: tuple[str, ...], seen) -> list | None:
        """Find what a module calls by this name: its part, something imported, or its own."""
        if (*module, name) in self._owner:
            return self._within((*module, name), rest, seen)
        file = self._owner[module]
        near = [found for found in file.imports if file.module_at(found.at) == module]
        for found in near:
            if found.name == name:
                external = found.path[0] == name
                return None if external else self.find(module, found.path + rest, seen)
        if name in file.items:
            return [Item(module, name), rest]
        for found in near:
            if found.name == "*" and (source := self.find(module, found.path, seen)):
                if isinstance(source[0], Item) or (module, name, source[0]) in seen:
                    continue
                below = self._member(source[0], name, rest, seen | {(module, name, source[0])})
                if below:
                    return below
        return None

    def types_in(self, module: Module, text: str, itself: Item | None = None) -> list[Item]:
        """Return the crate's types that a type expression names, outermost first."""
        found = []
        for match in PATH.finditer(text):
            path = tuple(part.strip() for part in match[0].split("::"))
            if path[0] == "Self" and itself:
                found.append(itself)
            elif (target := self.find(module, path)) and isinstance(target[0], Item):
                if target[0].name[0].isupper():
                    found.append(target[0])
        return list(dict.fromkeys(found))

    def _read_types(self, file: File) -> None:
        text = file.text
        for match in re.finditer(r"\bstruct\s+(\w+)", text):
            module = file.module_at(match.start())
            at = skip_generics(text, match.end())
            at = min((p for p in (text.find(c, at) for c in "{(;") if p >= 0), default=at)
            fields = {}
            for number, part in enumerate(split(text[at + 1 : closing(text, at) - 1])):
                part = re.sub(r"#\[[^\]]*\]|\bpub\b(\([^)]*\))?", "", part).strip()
                named = re.match(r"(\w+)\s*:(?!:)(.*)", part, re.DOTALL)
                key, kind = (named[1], named[2]) if named else (str(number), part)
                fields[key] = self.types_in(module, kind)
            self.fields[Item(module, match[1])] = fields
        for function in functions(text):
            module = file.module_at(function.at)
            result = function.signature.partition("->")[2].partition(" where ")[0]
            self.results.setdefault(Item(module, function.name), (module, result))

    def _read_impls(self, file: File) -> None:
        text = file.text
        for match in IMPL.finditer(text):
            at = skip_generics(text, match.end())
            opening = text.find("{", at)
            if opening < 0:
                continue
            header = text[at:opening].partition(" where ")[0]
            kind = split(re.sub(r"\bfor\s*<[^>]*>", "", header).replace(" for ", " \0 "), "\0")[-1]
            module = file.module_at(match.start())
            owner = next(iter(self.types_in(module, kind)), None)
            first = PATH.search(re.sub(r"^[&\s]*(?:'\w+|mut|dyn)?\s*", "", kind))
            if owner and first and first[0].split("::")[-1].strip() != owner.name:
                owner = None
            span = (opening, closing(text, opening))
            self.impls.append((file, owner, span))
            for function in functions(text, *span):
                result = function.signature.partition("->")[2].partition(" where ")[0]
                found = Method(module, line_of(text, function.at), result)
                if owner:
                    self.methods.setdefault(owner, {}).setdefault(function.name, []).append(found)
