"""Tests of the check of the fast path's machine code, on a few lines of disassembly."""

import unittest
from unittest import mock

import no_panic
from no_panic import REPO, Frame, calls, check, read_frames, short

DISASSEMBLY = """
0000000000000100 <data_plane::turn>:
 108:\tcall   200 <a::<impl b::C<H>>::helper>
 110:\tjne    102 <data_plane::turn+0x2>
 112:\tjmp    204 <a::<impl b::C<H>>::helper+0x4>
 118:\tcall   *%rax
0000000000000200 <a::<impl b::C<H>>::helper>:
 208:\tcall   900 <core::panicking::panic_bounds_check>
 210:\tcall   300 <alloc::raw_vec::RawVec<T,A>::grow_one>
0000000000000300 <alloc::raw_vec::RawVec<T,A>::grow_one>:
 308:\tcall   910 <alloc::raw_vec::capacity_overflow>
0000000000000400 <elsewhere>:
 408:\tcall   920 <core::option::unwrap_failed>
"""


class NoPanic(unittest.TestCase):
    """What is found, what is allowed, and what fits nothing."""

    def found(self, allowed: dict) -> list[str]:
        """Return what is said about the code above if `turn` of t.rs is the fast path."""
        places = {0x108: [Frame("i.rs", "1", "inlined"), Frame("t.rs", "5", "turn")]}
        places[0x208] = [Frame("h.rs", "7", "helper")]
        lists = {"ENTRIES": [("t.rs", "turn")], "LEAVES": {"alloc::": ""}, "ALLOWED": allowed}
        with mock.patch.multiple(no_panic, **lists):
            return check(list(calls(DISASSEMBLY)), places)

    def test_calls_and_jumps_to_other_functions(self) -> None:
        found = [(call.address, call.callee.address) for call in calls(DISASSEMBLY)]
        wanted = [(0x108, 0x200), (0x112, 0x200), (0x208, 0x900), (0x210, 0x300)]
        self.assertEqual(found, [*wanted, (0x308, 0x910), (0x408, 0x920)])

    def test_a_panic_is_found_through_helpers_but_not_elsewhere(self) -> None:
        wanted = ["h.rs:7: helper: panic_bounds_check (turn → helper)"]
        self.assertEqual(self.found({}), wanted)
        self.assertEqual(self.found({"h.rs": "why"}), [])

    def test_entries_that_fit_nothing(self) -> None:
        found = self.found({"h.rs": "why", "gone.rs": "why"})
        self.assertEqual(found, ["nothing in the image is gone.rs"])

    def test_frames(self) -> None:
        answer = "0x0000108\nget<u8>\n/rustc/x.rs:1\na::<impl b::C<H>>::f\n"
        answer += f"{REPO}/a.rs:2 (discriminator 1)\n"
        self.assertEqual(read_frames(answer), {0x108: [Frame("a.rs", "2", "f")]})

    def test_names(self) -> None:
        self.assertEqual(short("<a::B<fn(c::D) -> e::F> as g::H>::i"), "i")
        self.assertEqual(short("get<T, 3>"), "get")


if __name__ == "__main__":
    unittest.main()
