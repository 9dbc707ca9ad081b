"""Where the test bed keeps its parts; everything follows from this file's place."""

from pathlib import Path

TESTBED = Path(__file__).resolve().parent
REPO = TESTBED.parent.parent
CACHE = REPO / "target" / "testbed"
LOGS = CACHE / "logs"


def read_list(path: Path) -> list[str]:
    """Return the words of a list file, one a line, without its comments."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]
