"""The emulated machine: which QEMU options make Xen and dom0 run in software."""

import ctypes
import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from image import LABEL, Image

# What software emulation gets wrong under Xen is left out: SMAP (dom0 dies at
# its first iretq), MONITOR (#GP in Xen's idle loop), AVX and XSAVE (vector
# registers leak between domains).
CPU = "EPYC,-smap,-monitor,-avx,-avx2,-f16c,-fma,-xsave"
CPU_PVH = CPU + ",+svm,-rdtscp"

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Options:
    """What a run may choose of its machine."""

    # With two, a host whose own CPUs are busy slows the machine tenfold: one emulated
    # CPU then waits in vain for the other, which the host is not running.
    cpus: int = 1
    memory_mib: int = 2048
    dom0_mib: int = 1024
    icount: bool = False  # one instruction = one virtual nanosecond
    plugin: str = ""  # QEMU's -plugin, to count what is executed
    pvh: bool = False  # offer SVM, so that PVH guests start
    native: bool = False  # dom0's Linux alone, without Xen
    xen: tuple[str, ...] = ()  # more words for Xen's command line

    def xen_line(self) -> str:
        """Return Xen's command line."""
        memory = f"dom0_mem={self.dom0_mib}M,max:{self.dom0_mib}M"
        fixed = ("console=com1", "loglvl=all", "guest_loglvl=all", memory)
        quirk = ("cpuidle=0",) if self.pvh else ()
        return " ".join((*fixed, *quirk, *self.xen))


def kvm_usable(options: Options) -> bool:
    """Returns `True` if hardware virtualisation is to be tried: it counts no instructions, and a
    /dev/kvm on a processor without it (a guest's own emulation of one) does not carry Xen.

    `RINGWAY_ACCEL=tcg` or `kvm` in the environment decides otherwise.
    """
    wanted = os.environ.get("RINGWAY_ACCEL", "")
    if options.icount or wanted == "tcg":
        return False
    if wanted == "kvm":
        return True
    flags = Path("/proc/cpuinfo").read_text().split()
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and ("vmx" in flags or "svm" in flags)


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(
    image: Image, initrd: Path, options: Options, port: int, serial: Path, kvm: bool = False
) -> list[str]:
    """Return the whole QEMU command line; dom0's ssh answers on `port`."""
    console = "ttyS0" if options.native else "hvc0"
    linux = f"console={console} root=LABEL={LABEL} net.ifnames=0 mitigations=off"
    tcg = "tcg" if options.icount else "tcg,thread=multi"
    emulated = CPU_PVH if options.pvh else CPU
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "q35", "-accel", "kvm" if kvm else tcg,
        "-cpu", "host" if kvm else emulated,
        *(["-icount", "shift=0,sleep=off"] if options.icount else []),
        *(["-plugin", options.plugin] if options.plugin else []),
        "-smp", str(options.cpus), "-m", str(options.memory_mib),
        *_kernel(image, linux, initrd, options),
        "-drive", f"if=none,id=dom0,format=raw,snapshot=on,cache=unsafe,file={image.disk}",
        "-device", "ide-hd,drive=dom0,serial=ringway-dom0",
        "-netdev", f"user,id=host,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:22",
        "-device", "e1000,netdev=host",
        "-serial", f"file:{serial}", "-monitor", "none", "-no-reboot",
    ]  # fmt: skip


def _kernel(image: Image, linux: str, initrd: Path, options: Options) -> list[str]:
    if options.native:
        return ["-kernel", str(image.kernel), "-append", linux, "-initrd", str(initrd)]
    xen = ["-kernel", str(image.xen), "-append", options.xen_line()]
    return [*xen, "-initrd", f"{image.kernel} {linux},{initrd}"]


def start(line: list[str], errors: Path, scratch: Path) -> subprocess.Popen:
    """Start QEMU so that it dies with this process."""
    with open(errors, "wb") as log:
        return subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(scratch)},
            preexec_fn=die_with_parent,
            start_new_session=True,
        )


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
