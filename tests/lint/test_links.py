"""Tests of the check of links."""

import unittest

from links import REPO, anchors, broken


class Links(unittest.TestCase):
    """Which links lead somewhere."""

    def test_files_headings_and_other_sites(self) -> None:
        text = "# A b\n[1](Makefile) [2](#a-b) [3](https://x.y/z) `[4](no)`\n```\n[5](no)\n```\n"
        readme = REPO / "README.md"
        self.assertEqual(broken(readme, text + "[6](no) [7](no.md#a)"), ["no", "no.md#a"])
        self.assertEqual(broken(readme, "[1](README.md#no)"), ["README.md#no"])

    def test_headings(self) -> None:
        self.assertEqual(anchors("# Why `a`, not b?\n## C-d"), {"why-a-not-b", "c-d"})


if __name__ == "__main__":
    unittest.main()
