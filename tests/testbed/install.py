"""Installs the host's missing Debian packages; silent and offline when none is."""

import os
import subprocess

from paths import TESTBED, read_list


def missing(wanted: list[str]) -> list[str]:
    """Return those packages that are not installed."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted]
    known = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
    present = {line.split()[0] for line in known if line.endswith(" installed")}
    return [name for name in wanted if name not in present]


def install(also: list[str] | None = None) -> None:
    """Print what is missing of packages.txt and of what is named `also`, then install it with
    apt-get (by sudo if not root)."""
    names = missing([*read_list(TESTBED / "packages.txt"), *(also or [])])
    if not names:
        return
    print("installing Debian packages:", " ".join(names), flush=True)
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    apt = [*prefix, "apt-get", "-o", "DPkg::Lock::Timeout=600", "-qq"]
    subprocess.run([*apt, "update"], check=True)
    flags = ["install", "-y", "--no-install-recommends"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*apt, *flags, *names], check=True, env=quiet)


if __name__ == "__main__":
    install()
