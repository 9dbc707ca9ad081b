#!/usr/bin/env python3
"""Fails if a document links to a file or a heading that isn't there.

    python3 -B tests/lint/links.py

Links to other sites aren't followed.
"""

import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return what the headings of a document are called in links."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(document: Path, text: str) -> list[str]:
    """Return the links of a document that lead nowhere."""
    found = []
    for link in LINK.findall(CODE.sub("", text)):
        if re.match(r"\w+:", link):
            continue
        path, _, heading = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists():
            found.append(link)
        elif heading and heading not in anchors(target.read_text() if path else text):
            found.append(link)
    return found


def main() -> int:
    """Check all documents, print what is wrong, and say whether something is."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(listed, cwd=REPO, capture_output=True, text=True, check=True).stdout
    wrong = 0
    for name in names.splitlines():
        document = REPO / name
        if not document.exists():
            continue
        for link in broken(document, document.read_text()):
            print(f"{name}: {link} leads nowhere")
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
