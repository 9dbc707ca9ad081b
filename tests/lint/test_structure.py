"""Tests of the check of structure, on small crates written here.

    python3 -B -m unittest discover -q -s tests/lint
"""

import tempfile
import unittest
import unittest.mock
from pathlib import Path

import structure
from crate_model import Crate
from dependencies import dependencies
from rust_source import blank, imports


class Sources(unittest.TestCase):
    """Crates of a few lines."""

    def crate(self, **files: str) -> Crate:
        """Return a crate of these files; `a__b` is `a/b.rs`."""
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(unittest.mock.patch.object(structure, "REPO", folder))
        for name, text in files.items():
            path = folder / f"{name.replace('__', '/')}.rs"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return Crate("crate", folder / "lib.rs")

    def needs(self, crate: Crate) -> set[str]:
        """Return which files need which, as "a b" for `a` needs `b`."""
        names = {module: "::".join(module[1:]) or "crate" for module in crate.files}
        return {f"{names[source]} {names[target]}" for source, target in dependencies(crate)}

    def wrong(self, crate: Crate) -> list[str]:
        """Return the first line of what is said about each set of files in cycles."""
        return [text.splitlines()[0] for text in structure.cycles(crate, False)]


class Reading(unittest.TestCase):
    """Rust as text."""

    def test_comments_strings_and_tests_are_blank(self) -> None:
        text = 'a /* b */ "c\\"" r#"d"# \'e\' &\'f str // g\n#[cfg(test)]\nmod h { { } }\ni'
        self.assertEqual(blank(text).split(), ["a", "&'f", "str", "i"])
        self.assertEqual(blank(text).count("\n"), text.count("\n"))

    def test_code_for_tests_and_others_stays(self) -> None:
        text = '#[cfg(any(test, feature = "fake"))]\nmod fake;'
        self.assertIn("mod fake;", blank(text))

    def test_trees_of_use(self) -> None:
        text = "use a::{b, c::{self, d as e}, f::*}; pub(crate) use crate::g;"
        found = [("::".join(i.path), i.name, i.public) for i in imports(text)]
        private = [("a::b", "b"), ("a::c", "c"), ("a::c::d", "e"), ("a::f", "*")]
        wanted = [(path, name, False) for path, name in private]
        self.assertEqual(found, [*wanted, ("crate::g", "g", True)])


class Paths(Sources):
    """What a file needs by naming it."""

    def test_names_that_another_module_passes_on_lead_to_where_they_are(self) -> None:
        crate = self.crate(
            lib="mod a; mod b; pub use a::A; pub use b::*;",
            a="pub struct A;",
            b="pub struct B; use crate::A; fn f() -> crate::B { }",
        )
        self.assertEqual(self.needs(crate), {"b a"})

    def test_paths_without_use(self) -> None:
        crate = self.crate(
            lib="mod a; mod b; fn f() { a::g(); }",
            a="pub fn g() { super::b::h(); let x = 1; x.b() }",
            b="pub fn h() {}",
        )
        self.assertEqual(self.needs(crate), {"crate a", "a b"})

    def test_tests_need_what_they_like(self) -> None:
        crate = self.crate(
            lib="mod a; mod b;",
            a="use crate::b::B; #[cfg(test)] mod tests { use super::*; }",
            b="pub struct B; #[cfg(test)] mod t { use crate::a; } #[test] fn f() { crate::a::f() }",
        )
        self.assertEqual(self.needs(crate), {"a b"})

    def test_other_crates_of_the_same_name_as_an_item(self) -> None:
        self.assertEqual(self.needs(self.crate(lib="mod a;", a="use log::log; use log;")), set())

    def test_modules_within_a_file(self) -> None:
        crate = self.crate(
            lib="mod a; mod b;",
            a="pub mod inner { pub const X: u8 = super::super::b::Y; }",
            b="pub const Y: u8 = 1; fn f() -> u8 { crate::a::inner::X }",
        )
        self.assertEqual(self.needs(crate), {"a b", "b a"})


class Methods(Sources):
    """What a file needs by calling methods."""

    def needs_of(self, body: str) -> set[str]:
        """Return what a function of `a` with this body needs, beside the type's own file."""
        crate = self.crate(
            lib="mod a; mod b; mod c; mod router;",
            router="use crate::c::Side; pub struct Router { pub(crate) sides: Vec<Side> }",
            a=f"use crate::router::Router; impl Router {{ pub fn begin(&mut self) {{ {body} }} }}",
            b="use crate::router::Router; impl Router { pub(crate) fn slow(&self) -> u8 { 1 } }",
            c="pub struct Side; impl Side { pub fn len(&self) -> usize { 0 } }",
        )
        return {need for need in self.needs(crate) if need.startswith("a ")} - {"a router"}

    def test_of_oneself(self) -> None:
        self.assertEqual(self.needs_of("self.slow();"), {"a b"})
        self.assertEqual(self.needs_of("Self::slow(self);"), {"a b"})
        self.assertEqual(self.needs_of("Router::slow(self);"), {"a b"})

    def test_of_fields(self) -> None:
        self.assertEqual(self.needs_of("self.sides[0].len();"), {"a c"})
        self.assertEqual(self.needs_of("if let Some(s) = self.sides.get(1) { s.len(); }"), {"a c"})
        self.assertEqual(self.needs_of("self.sides.iter().map(|side| side.len());"), {"a c"})
        self.assertEqual(self.needs_of("for side in &mut self.sides { side.len(); }"), {"a c"})

    def test_of_others(self) -> None:
        self.assertEqual(self.needs_of("let x: Option<&Router> = f(); x?.slow();"), {"a b"})
        self.assertEqual(self.needs_of("let slow = 1; slow.len(); x.slow();"), set())


class Cycles(Sources):
    """Which cycles are wrong."""

    def test_of_methods(self) -> None:
        crate = self.crate(
            lib="mod a; mod b; mod router;",
            router="pub struct Router;",
            a="use crate::router::Router; impl Router { fn f(&self) { self.g() } }",
            b="use crate::router::Router; impl Router { fn g(&self) { self.f() } }",
        )
        self.assertEqual(self.wrong(crate), ["crate: 2 files need each other: a b"])
        text = structure.cycles(crate, False)[0]
        self.assertIn("a.rs → b (1: Router::g)\n    b.rs → a (1: Router::f)", text)

    def test_a_module_and_its_parts(self) -> None:
        crate = self.crate(
            lib="mod a;",
            a="mod b; mod c; pub const X: u8 = b::Y;",
            a__b="pub const Y: u8 = super::c::Z;",
            a__c="pub const Z: u8 = super::X;",
        )
        self.assertEqual(self.wrong(crate), [])

    def test_parts_of_one_module(self) -> None:
        crate = self.crate(
            lib="mod a;",
            a="mod b; mod c; pub const X: u8 = b::Y;",
            a__b="pub const Y: u8 = super::X + super::c::Z;",
            a__c="pub const Z: u8 = super::b::Y;",
        )
        self.assertEqual(self.wrong(crate), ["crate: 2 files need each other: a::b a::c"])

    def test_another_module_between_a_module_and_its_part(self) -> None:
        crate = self.crate(
            lib="mod a; mod d;",
            a="pub mod b; pub const X: u8 = super::d::Z;",
            a__b="pub const Y: u8 = super::X;",
            d="pub const Z: u8 = crate::a::b::Y;",
        )
        self.assertEqual(self.wrong(crate), ["crate: 3 files need each other: a a::b d"])
        self.assertIn("a cycle", structure.cycles(crate, False)[0])


class Rules(Sources):
    """The rules beside cycles."""

    def test_imports_that_hide(self) -> None:
        text = blank("use super::*; use crate::*; use Verdict::*; #[cfg(test)] use super::*;")
        self.assertEqual(len(structure.hidden(structure.REPO / "a.rs", text)), 2)

    def test_layers(self) -> None:
        repo = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for folder in ("router/a", "drivers/b"):
            (repo / folder).mkdir(parents=True)
        whole = '[workspace]\nmembers = ["router/*", "drivers/b"]\n[workspace.dependencies]\n'
        (repo / "Cargo.toml").write_text(f'{whole}b = {{ path = "drivers/b" }}\nlog = "1"\n')
        (repo / "drivers/b/Cargo.toml").write_text('[dependencies]\nlog = "1"')
        (repo / "router/a/Cargo.toml").write_text("[dev-dependencies]\nb.workspace = true")
        self.assertEqual(structure.layers(repo), [])
        (repo / "router/a/Cargo.toml").write_text("[dependencies]\nb.workspace = true")
        wrong = ["router/a/Cargo.toml: nothing in router depends on drivers, as b is"]
        self.assertEqual(structure.layers(repo), wrong)

    def test_long_functions(self) -> None:
        text = "fn f()\n-> u8\n{" + "\n" * 97 + "}"
        self.assertEqual(structure.too_long(structure.REPO / "a.rs", text), [])
        wrong = structure.too_long(structure.REPO / "a.rs", "\n" + text[:-1] + "\n}")
        self.assertEqual(wrong, ["a.rs:2: f has 101 lines, at most 100 allowed"])


if __name__ == "__main__":
    unittest.main()
