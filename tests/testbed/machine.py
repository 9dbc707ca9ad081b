"""A booted machine: Xen with a dom0 that takes commands, ended whatever happens."""

import atexit
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import image
import initrd
import qemu
from paths import LOGS
from ssh import Ssh

READY = "ringway-bed: ready"
BOOT_TIMEOUT = 300.0
KVM_TIMEOUT = 60.0
RESULTS = "/ringway/results"  # in dom0
LOST = 255  # ssh's exit code for a broken connection
STATE_COMMANDS = {
    "xl-dmesg.txt": "xl dmesg",
    "xl-list.txt": "xl list -v; xl list -l",
    "dom0-dmesg.txt": "dmesg",
    "xenstore.txt": "xenstore-ls -f",
    "network.txt": "ip -d -s address; bridge fdb; ip netns list",
}


class Machine:
    """Boots on entry, ends on exit: `with Machine("name") as machine: machine.run("xl info")`."""

    def __init__(self, name: str, options: qemu.Options | None = None) -> None:
        self.options = options or qemu.Options()
        self.logs = _new_log_folder(name)
        self.boot_seconds = 0.0
        self._qemu: subprocess.Popen | None = None
        self._ssh: Ssh | None = None
        self._scratch: Path | None = None

    def __enter__(self) -> "Machine":
        atexit.register(self.stop)
        signal.signal(signal.SIGTERM, _exit_on_signal)
        signal.signal(signal.SIGHUP, _exit_on_signal)
        try:
            self._boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, _error, _trace) -> None:
        if kind is not None and issubclass(kind, Exception):
            self.collect()
        self.stop()

    def run(
        self, command: str, timeout: float = 120, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command in dom0; a failing one raises unless `check` is off."""
        try:
            return self.ssh.run(command, timeout, check)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            raise self._explained(error) from error

    def stream(self, command: str, *, terminal: bool = False) -> int:
        """Run a command in dom0 on this process's own input and output; its exit code."""
        code = subprocess.call(self.ssh.line(command, terminal=terminal))
        if code == LOST and self._ends_soon():
            raise self._explained(RuntimeError("the connection to dom0 was lost"))
        return code

    def put(self, *sources: Path, folder: str = "/ringway") -> None:
        """Copy files and folders into dom0."""
        self.ssh.put(list(sources), folder)

    def get(self, *paths: str, folder: Path | None = None) -> None:
        """Copy files and folders out of dom0, by default to this run's logs."""
        self.ssh.get(list(paths), folder or self.logs)

    def keep_results(self, code: int) -> None:
        """Copy what a run left in RESULTS out of dom0, and its state too if it failed."""
        self.get(RESULTS)
        if code != 0:
            self.collect()

    @property
    def results(self) -> Path:
        """Where this run's logs have what was copied of RESULTS."""
        return self.logs / RESULTS.lstrip("/")

    def collect(self) -> None:
        """Save what Xen, dom0 and every domU said, as far as dom0 still answers."""
        try:
            for name, command in STATE_COMMANDS.items():
                (self.logs / name).write_text(self.run(command, timeout=30, check=False).stdout)
            self.get("/var/log/xen")
        except (RuntimeError, subprocess.SubprocessError, OSError):
            return  # the serial log is all there is

    def stop(self) -> None:
        """End QEMU; nothing happens when it has ended already."""
        if self._ssh:
            self._ssh.close()
        if self._qemu and self._runs():
            self._qemu.terminate()
            try:
                self._qemu.wait(5)
            except subprocess.TimeoutExpired:
                self._qemu.kill()
                self._qemu.wait()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
        atexit.unregister(self.stop)

    @property
    def ssh(self) -> Ssh:
        """The connection to dom0."""
        if self._ssh is None:
            raise RuntimeError("the machine is not running")
        return self._ssh

    @property
    def serial(self) -> Path:
        """The log of the serial console: Xen and dom0."""
        return self.logs / "serial.log"

    def _boot(self) -> None:
        files = image.build()
        started = time.monotonic()
        self._scratch = Path(tempfile.mkdtemp(prefix="ringway-"))
        ramdisk = self._scratch / "initrd"
        ramdisk.write_bytes(initrd.dom0(files))
        port = qemu.free_port()
        kvm = qemu.kvm_usable(self.options)
        try:
            self._start(files, ramdisk, port, kvm, KVM_TIMEOUT if kvm else BOOT_TIMEOUT)
        except (RuntimeError, TimeoutError):
            if not kvm:
                raise
            print("KVM doesn't carry Xen here; emulating instead", flush=True)
            self._end_qemu()
            self._start(files, ramdisk, port, False, BOOT_TIMEOUT)
        self._ssh = Ssh(port, initrd.login_key(), self._scratch)
        self._ssh.connect(60)
        self.boot_seconds = time.monotonic() - started

    def _runs(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    def _ends_soon(self) -> bool:
        """Tell a machine that is ending, as its lost connection suggests, from one that lives."""
        try:
            return self._qemu is None or self._qemu.wait(2) is not None
        except subprocess.TimeoutExpired:
            return False

    def _explained(self, error: Exception) -> Exception:
        """Xen reboots after a crash of its own or of dom0, and QEMU ends then."""
        if not self._ends_soon():
            return error
        tail = self.serial.read_text(errors="replace").splitlines()[-30:]
        return RuntimeError(f"the machine crashed; end of {self.serial}:\n" + "\n".join(tail))

    def _start(self, files: image.Image, ramdisk: Path, port: int, kvm: bool, limit: float) -> None:
        assert self._scratch is not None
        self.serial.unlink(missing_ok=True)
        line = qemu.command(files, ramdisk, self.options, port, self.serial, kvm)
        self._qemu = qemu.start(line, self.logs / "qemu.log", self._scratch)
        self._wait_for_dom0(time.monotonic() + limit)

    def _end_qemu(self) -> None:
        if self._qemu and self._qemu.poll() is None:
            self._qemu.terminate()
            try:
                self._qemu.wait(5)
            except subprocess.TimeoutExpired:
                self._qemu.kill()
                self._qemu.wait()

    def _wait_for_dom0(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            text = self.serial.read_text(errors="replace") if self.serial.exists() else ""
            if READY in text:
                return
            if not self._runs():
                errors = (self.logs / "qemu.log").read_text(errors="replace")
                raise RuntimeError(f"QEMU ended while booting; see {self.logs}\n{errors}")
            time.sleep(0.1)
        raise TimeoutError(f"dom0 is not up after {BOOT_TIMEOUT:.0f} s; see {self.serial}")


def pytest_line(words: list[str]) -> str:
    """Return the shell command that runs the system tests in dom0."""
    options = ["-p", "no:cacheprovider", f"--junitxml={RESULTS}/junit.xml", *words]
    line = shlex.join(["python3", "-B", "-u", "-m", "pytest", "tests/system", *options])
    return f"mkdir -p {RESULTS} && cd /ringway && {line}"


def _new_log_folder(name: str) -> Path:
    LOGS.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%m%d-%H%M%S")
    return Path(tempfile.mkdtemp(prefix=f"{name}-{stamp}-", dir=LOGS))


def _exit_on_signal(number: int, _frame) -> None:
    sys.exit(128 + number)
