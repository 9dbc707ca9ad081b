"""Commands and files over one ssh connection to dom0."""

import subprocess
import time
from pathlib import Path

from qemu import die_with_parent


class Ssh:
    """One shared connection; each command costs a round trip, not a key exchange."""

    def __init__(self, port: int, key: str, scratch: Path) -> None:
        self._control = scratch / "ssh"
        self._base = [
            "ssh", "-F", "none", "-p", str(port), "-i", key,
            "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
            "-o", "BatchMode=yes", "-o", "ConnectTimeout=60",
            "-o", f"ControlPath={self._control}",
        ]  # fmt: skip
        self._target = "root@127.0.0.1"
        self._master: subprocess.Popen | None = None

    def connect(self, timeout: float) -> None:
        """Open the connection; raises TimeoutError when dom0 does not answer."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            line = [*self._base, "-M", "-N", self._target]
            self._master = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # refused until sshd listens
                preexec_fn=die_with_parent,
                start_new_session=True,
            )
            while self._master.poll() is None and time.monotonic() < deadline:
                if self._control.exists():
                    return
                time.sleep(0.05)
            self.close()
            time.sleep(0.5)
        raise TimeoutError("dom0 does not answer on ssh")

    def close(self) -> None:
        """Close the connection."""
        if self._master and self._master.poll() is None:
            self._master.terminate()
            try:
                self._master.wait(5)
            except subprocess.TimeoutExpired:
                self._master.kill()
                self._master.wait()

    def line(self, command: str, *, terminal: bool = False) -> list[str]:
        """Return the host command that runs `command` in dom0."""
        return [*self._base, *(["-t"] if terminal else []), self._target, command]

    def run(self, command: str, timeout: float, check: bool) -> subprocess.CompletedProcess[str]:
        """Run a shell command in dom0 and return its output."""
        done = subprocess.run(
            self.line(command),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=timeout,
        )  # fmt: skip
        if check and done.returncode != 0:
            text = f"{done.stdout}{done.stderr}"
            raise RuntimeError(f"dom0: `{command}` returned {done.returncode}:\n{text}")
        return done

    def put(self, sources: list[Path], folder: str) -> None:
        """Copy files and folders of the host into a folder of dom0."""
        pack = ["tar", "-c", "--owner=0", "--group=0", "--exclude=__pycache__"]
        for source in sources:
            pack += ["-C", str(source.parent), source.name]
        unpack = self.line(f"mkdir -p {folder} && tar -x -m -C {folder}")
        _pipe(pack, unpack)

    def get(self, paths: list[str], folder: Path) -> None:
        """Copy files and folders of dom0 (absolute paths, missing ones left out)."""
        folder.mkdir(parents=True, exist_ok=True)
        names = " ".join(path.lstrip("/") for path in paths)
        pack = self.line(f"cd / && ls -d {names} 2>/dev/null | tar -c -T -")
        _pipe(pack, ["tar", "-x", "-C", str(folder)])


def _pipe(source: list[str], sink: list[str]) -> None:
    with subprocess.Popen(source, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as first:
        second = subprocess.run(sink, stdin=first.stdout)
    if first.returncode or second.returncode:
        raise RuntimeError(f"copy failed: {' '.join(map(str, source))}")
