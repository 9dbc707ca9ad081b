"""Tests of the lab's arithmetic, on any host: `python3 -m unittest discover -s tests/lab -t tests`."""

import struct
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "testbed")]

from lab.experiments import load, numbers  # noqa: E402
from lab.beds import BEDS  # noqa: E402
from lab.lab import with_tables  # noqa: E402
from lab.inside.load import Count, Point, percentile, search  # noqa: E402
from lab.systems import all_systems  # noqa: E402
from lab.systems.ringway_pvh import has_entry  # noqa: E402


def through(rate: int, capacity: int) -> Point:
    """What a system that forwards `capacity` frames/s does with a rate."""
    received = min(rate, capacity)
    return Point(1.0, [Count(rate, received, rate, received)])


class Arithmetic(unittest.TestCase):
    """Rates, losses, percentiles, searches."""

    def test_a_queue_that_fills_is_no_throughput(self):
        point = Point(2.0, [Count(2000, 1000, 2500, 2500)], {0: 4_000_000, 7: 500_000})
        self.assertEqual((point.offered_pps, point.forwarded_pps, point.loss), (1000, 500, 0))
        self.assertFalse(point.keeps_up)
        self.assertEqual(point.instructions(0), 4000)
        self.assertEqual(point.instructions(0, 7), 4500)
        self.assertIsNone(point.instructions(9))

    def test_search_finds_the_limit(self):
        for capacity in (9_000, 31_000, 140_000):
            rate, points = search(8_000, 180_000, lambda rate, capacity=capacity: through(rate, capacity))
            self.assertTrue(0.96 * capacity <= rate <= 1.01 * capacity, (rate, capacity))
            self.assertTrue(any(point.keeps_up for point in points))
        self.assertEqual(search(8_000, 180_000, lambda rate: through(rate, 5_000))[0], 0)

    def test_percentiles(self):
        self.assertEqual(percentile([5, 1, 3], 0.5), 3)
        self.assertEqual(percentile(list(range(100)), 0.99), 99)
        self.assertNotEqual(percentile([], 0.5), percentile([], 0.5))  # not a number


class Page(unittest.TestCase):
    """docs/RESULTS.md."""

    def test_tables_take_the_place_of_those_before(self):
        page = "a\n<!-- tables of experiment 3 -->\nold\n<!-- end of experiment 3 -->\nb\n"
        done = with_tables(page, 3, "| x |\n")
        self.assertEqual(done, "a\n<!-- tables of experiment 3 -->\n\n| x |\n\n<!-- end of experiment 3 -->\nb\n")
        self.assertEqual(with_tables(done, 3, "| x |"), done)
        with self.assertRaises(SystemExit):
            with_tables(page, 4, "")


class Plan(unittest.TestCase):
    """What is to be measured exists."""

    def test_parts_name_beds_and_systems(self):
        names, used = {system.name for system in all_systems()}, set()
        self.assertEqual(numbers(), list(range(1, 9)))
        for number in numbers():
            for quick in (False, True):
                for part in load(number).parts(quick):
                    self.assertIn(part.bed, BEDS)
                    self.assertIn(part.what.get("system", "linux-pv"), names)
                    used.add(part.bed)
        self.assertEqual(used, set(BEDS))

    def test_colours_differ(self):
        colours = [system.colour for system in all_systems()]
        self.assertEqual(len(colours), len(set(colours)))


class PvhEntry(unittest.TestCase):
    """An image is offered as PVH only with the note for it."""

    def test_note(self):
        self.assertTrue(has_entry(elf(18)))
        self.assertFalse(has_entry(elf(1)))


def elf(kind: int) -> bytes:
    """The least ELF file with one note of Xen's."""
    note = struct.pack("<III4sI", 4, 4, kind, b"Xen\0", 0)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(note), len(note), 4) + note


if __name__ == "__main__":
    unittest.main()
