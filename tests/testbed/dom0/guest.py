"""A domU under test: its xl configuration, its console and its xenstore entries.

    with Guest("r1", [Vif("xenbr0"), Vif("xenbr1")], config=TOML) as router:
        router.wait_console("ringway: ready", timeout=20)
"""

import itertools
import os
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .shell import execute, run
from .xenstore import store

RINGWAY = "/ringway/dist/ringway"
LINUX = "/ringway-linux/vmlinux"
LINUX_INITRAMFS = "/ringway-linux/initramfs"
CONSOLE_LOGS = Path("/var/log/xen/console")
DOMAINS = "/local/domain"
FAST_SCRIPT = str(Path(__file__).with_name("vif-fast"))

_macs = itertools.count(1)


def _next_mac() -> str:
    number = next(_macs)
    return f"00:16:3e:00:{number >> 8:02x}:{number & 0xFF:02x}"


@dataclass
class Vif:
    """One interface of a guest. `script=None` takes the stock script, as users do."""

    bridge: str
    mac: str = field(default_factory=_next_mac)
    script: str | None = FAST_SCRIPT
    options: Sequence[str] = ()  # more xl words, as in "mtu=9000"

    def spec(self) -> str:
        """Return the vif as xl's configuration wants it."""
        script = [f"script={self.script}"] if self.script else []
        return ",".join([f"bridge={self.bridge}", f"mac={self.mac}", *script, *self.options])


class Guest:
    """A domU that exists while the block lasts."""

    def __init__(
        self,
        name: str,
        vifs: Sequence[Vif] = (),
        *,
        config: str | bytes | None = None,
        extra: str = "",
        memory: int = 16,
        kind: str = "pv",
        kernel: str = RINGWAY,
        ramdisk: str | None = None,
        options: Sequence[str] = (),
        on_crash: str = "preserve",
        on_reboot: str = "restart",
    ) -> None:
        """`config` is the text of the ramdisk file; `kind` is xl's type, pv or pvh;
        `options` are more lines for xl."""
        self.name = name
        self.vifs = list(vifs)
        self.domid: int | None = None
        self._folder = tempfile.TemporaryDirectory(prefix=f"{name}-")
        if config is not None:
            ramdisk = f"{self._folder.name}/ramdisk"
            Path(ramdisk).write_bytes(config.encode() if isinstance(config, str) else config)
        self._lines = [
            f'name = "{name}"',
            f'type = "{kind}"',
            f'kernel = "{kernel}"',
            *([f'ramdisk = "{ramdisk}"'] if ramdisk else []),
            f"memory = {memory}",
            f"vif = [ {', '.join(repr(vif.spec()) for vif in self.vifs)} ]",
            *([f"extra = {_quoted(extra)}"] if extra else []),
            'on_poweroff = "destroy"',
            f'on_reboot = "{on_reboot}"',
            f'on_crash = "{on_crash}"',
            *options,
        ]

    def __enter__(self) -> "Guest":
        self.create()
        return self

    def __exit__(self, *_error) -> None:
        self.destroy()

    def create(self, *, paused: bool = False, timeout: float = 120) -> None:
        """Create the domain with `xl create`."""
        path = Path(self._folder.name, "xl.cfg")
        path.write_text("\n".join(self._lines) + "\n")
        self.console_log.unlink(missing_ok=True)
        try:
            run("xl", "create", "-q", *(["-p"] if paused else []), path, timeout=timeout)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n--- console:\n{self.console()}") from error
        self.refresh()

    def refresh(self) -> int | None:
        """Look up the domain's id again (it changes at a reboot); None when it is gone."""
        named = (n for n in store().children(DOMAINS) if store().read(f"{DOMAINS}/{n}/name") == self.name)
        self.domid = next(map(int, named), None)
        return self.domid

    def destroy(self) -> None:
        """Remove the domain at once, if it is still there."""
        execute("xl", "destroy", self.name)
        self.domid = None

    def shutdown(self, timeout: float = 30) -> None:
        """Ask the guest to power off and wait until the domain is gone."""
        run("xl", "shutdown", self.name)
        self.wait_gone(timeout)

    def reboot(self, timeout: float = 60) -> None:
        """Ask the guest to reboot and wait until it has a new domain."""
        old = self.domid
        run("xl", "reboot", self.name)
        deadline = time.monotonic() + timeout
        while self.refresh() in (old, None):
            if time.monotonic() > deadline:
                raise self._late(f"{self.name} did not reboot in {timeout} s")
            time.sleep(0.1)

    def wait_gone(self, timeout: float = 30) -> None:
        """Wait until the domain no longer exists."""
        deadline = time.monotonic() + timeout
        while self.refresh() is not None:
            if time.monotonic() > deadline:
                raise self._late(f"{self.name} is still there after {timeout} s")
            time.sleep(0.1)

    def state(self) -> str:
        """Return xl's state letters, as `r`, `b`, `p`, `s`, `c`, `d`; empty when gone."""
        done = execute("xl", "list", self.name)
        return done.stdout.splitlines()[1].split()[4].replace("-", "") if done.returncode == 0 else ""

    def network_attach(self, vif: Vif) -> None:
        """Plug in one more vif."""
        run("xl", "network-attach", self.name, *vif.spec().split(","))

    def network_detach(self, index: int) -> None:
        """Unplug a vif."""
        run("xl", "network-detach", self.name, index)

    def vif_name(self, index: int) -> str:
        """Return dom0's name of a vif."""
        return f"vif{self.domid}.{index}"

    @property
    def console_log(self) -> Path:
        """The file where xenconsoled writes what the guest says."""
        return CONSOLE_LOGS / f"guest-{self.name}.log"

    def console(self) -> str:
        """Return all the guest has said so far."""
        try:
            return self.console_log.read_text(errors="replace").replace("\r", "")
        except FileNotFoundError:
            return ""

    def console_write(self, text: str) -> None:
        """Type text on the guest's console."""
        terminal = self.xenstore_read("console/tty", relative=True)
        with open(os.open(terminal or "", os.O_WRONLY | os.O_NOCTTY), "w") as console:
            console.write(text)

    def wait_console(self, pattern: str, timeout: float = 30, start: int = 0) -> re.Match[str]:
        """Wait for a pattern in the console text after `start`; the error shows the text."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.console()[start:], re.MULTILINE)
            if found:
                return found
            if time.monotonic() > deadline:
                raise self._late(f"{self.name}: no {pattern!r} on the console in {timeout} s")
            time.sleep(0.05)

    def xenstore_path(self, key: str, relative: bool = False) -> str:
        """Return the full path of a key below the guest's own folder `data/ringway/`."""
        middle = "" if relative else "data/ringway/"
        return f"{DOMAINS}/{self.domid}/{middle}{key}"

    def xenstore_read(self, key: str, relative: bool = False) -> str | None:
        """Read a key of `data/ringway/` (or, `relative`, of the guest's folder)."""
        return store().read(self.xenstore_path(key, relative))

    def _late(self, what: str) -> TimeoutError:
        said = execute("xl", "dmesg").stdout.splitlines()[-15:]
        return TimeoutError(
            f"{what}\n--- console of {self.name}:\n{self.console()}\n--- xl dmesg:\n" + "\n".join(said)
        )


def linux_guest(name: str, vifs: Sequence[Vif], extra: str, memory: int = 128, **options) -> Guest:
    """Return Linux as a router: `extra` takes ip= and route= as Ringway's does.

    It prints `linux: ready` once it forwards.
    """
    fixed = {"kernel": LINUX, "ramdisk": LINUX_INITRAMFS, "memory": memory}
    return Guest(name, vifs, extra=f"console=hvc0 {extra}", **fixed, **options)


def _quoted(text: str) -> str:
    """Return a string as xl's configuration wants it."""
    quote = "'" if '"' in text else '"'
    return f"{quote}{text}{quote}"
