"""Runs a program of requirements.txt, with arguments: `tools.py typos`.

The programs are in target/lint/, where they are installed when something of that file changed;
otherwise nothing asks the network.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
FOLDER = REPO / "target" / "lint"
REQUIREMENTS = HERE / "requirements.txt"

sys.path.insert(0, str(HERE.parent / "testbed"))
from install import install  # noqa: E402


def ensure() -> None:
    """Install what is wanted, unless just that is installed already."""
    wanted = REQUIREMENTS.read_text()
    installed = FOLDER / "installed.txt"
    if installed.exists() and installed.read_text() == wanted:
        return
    packages = re.findall(r"^([\w-]+)==(\S+)", wanted, re.MULTILINE)
    print("installing from PyPI to target/lint:", *(" ".join(p) for p in packages), flush=True)
    if not importlib.util.find_spec("ensurepip"):
        install(["python3-venv"])
    subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
    pip = [FOLDER / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    flags = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    subprocess.run([*pip, *flags, "--requirement", REQUIREMENTS], check=True)
    installed.write_text(wanted)


def main(arguments: list[str]) -> int:
    """Run the program in the repository's folder, and return what it returned."""
    ensure()
    return subprocess.run([FOLDER / "bin" / arguments[0], *arguments[1:]], cwd=REPO).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
