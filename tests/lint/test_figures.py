"""Tests of the check of figures in documents."""

import unittest

from figures import REPO, Claim, Expected, check, number, unnamed, value


class Figures(unittest.TestCase):
    """What is right, what is wrong, and what can't be found."""

    def said(self, text: str, least: float, most: float) -> list[str]:
        """Return what is said about a text whose figure is to be between two values."""
        return check(Claim("a.md", r"up to ([\d,.]+) of", lambda: Expected(least, most, "b")), text)

    def test_figures_are_right_or_wrong(self) -> None:
        self.assertEqual(self.said("up to 1,024 of", 1024, 1024), [])
        self.assertEqual(self.said("up to 990 of", 980, 1000), [])
        self.assertEqual(self.said("up to 7 of, up to 8 of", 8, 8), ["a.md: 7 isn't right by b"])

    def test_a_claim_that_is_gone_is_wrong(self) -> None:
        self.assertEqual(len(self.said("down to 8 of", 8, 8)), 1)

    def test_a_source_that_is_gone_is_wrong(self) -> None:
        def gone() -> Expected:
            raise LookupError("gone")

        self.assertEqual(check(Claim("a.md", r"(\d+)", gone), "8"), [r"a.md: (\d+): gone"])

    def test_constants(self) -> None:
        self.assertEqual(number("16 * 1_024 + (1 << 3)", "X"), 16392)
        self.assertRaises(LookupError, number, "Y * 2", "X")

    def test_versions_are_in_order(self) -> None:
        self.assertLess(value("1.9"), value("1.10"))
        self.assertEqual(value("1.95"), value("1.95"))

    def test_what_the_guide_does_not_name_is_wrong(self) -> None:
        guide = (REPO / "docs/GUIDE.md").read_text()
        self.assertEqual(unnamed(guide), [])
        for name in (
            "icmp_error_rate",
            "bad_gso",
            "neighbors.evicted",
            "wait_limit_ns",
            "heap_size_bytes",
            "reassembly_bytes",
            "hypercalls.sched_op",
            "hostname",
        ):
            without = guide.replace(name, "something")
            self.assertEqual([line.split()[3] for line in unnamed(without)], [name])


if __name__ == "__main__":
    unittest.main()
