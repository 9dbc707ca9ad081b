"""The two small initrds of the bed: dom0's, and the one of the Linux domU."""

import subprocess

from cpio import Cpio
from image import LINUX_DOMU, Image
from paths import CACHE, TESTBED

DOM0_MODULES = ["ahci", "sd_mod", "crc32c_generic", "ext4"]
DOMU_MODULES = ["xen-netfront", "xen-netback", "bridge", "8021q", "vrf"]
# What Debian's ip needs, which knows routes by several gateways, as busybox's doesn't.
IP_LOADER = "ld-linux-x86-64.so.2"
IP_LIBRARIES = [
    f"lib{name}"
    for name in ("bpf.so.1", "bsd.so.0", "c.so.6", "cap.so.2", "elf.so.1", "md.so.0", "mnl.so.0", "z.so.1")
]


def dom0(image: Image) -> bytes:
    """Return dom0's initrd: finds the disk, puts the bed's own files on it, goes on there."""
    archive = _base(image, DOM0_MODULES)
    archive.file("init", (TESTBED / "dom0-initrd" / "init").read_bytes(), 0o755)
    archive.tree(TESTBED / "overlay", "overlay")
    archive.file("overlay/root/.ssh/authorized_keys", _key("login", ".pub"), 0o600)
    archive.file("overlay/etc/ssh/host_key", _key("host"), 0o600)
    archive.file(f"overlay{LINUX_DOMU}/initramfs", linux_domu(image))
    return archive.bytes()


def linux_domu(image: Image) -> bytes:
    """Return the initramfs that makes Linux a router told by its command line."""
    archive = _base(image, DOMU_MODULES)
    archive.file("init", (TESTBED / "linux-domu" / "init").read_bytes(), 0o755)
    archive.file("sbin/ip", image.read("/usr/bin/ip"), 0o755)
    archive.file(f"lib64/{IP_LOADER}", image.library(IP_LOADER), 0o755)
    for name in IP_LIBRARIES:
        archive.file(f"lib/{name}", image.library(name))
    return archive.bytes()


def login_key() -> str:
    """Return the path of the private key that dom0 lets in."""
    _key("login")
    return str(CACHE / "keys" / "login")


def _base(image: Image, modules: list[str]) -> Cpio:
    archive = Cpio()
    archive.console()
    for folder in ("proc", "sys", "root", "bin"):
        archive.directory(folder)
    archive.file("bin/busybox", image.busybox.read_bytes(), 0o755)
    loaded = image.modules(modules)
    for name, data in loaded.items():
        archive.file(f"modules/{name}", data)
    archive.file("modules/order", "".join(f"{name}\n" for name in loaded).encode())
    return archive


def _key(name: str, suffix: str = "") -> bytes:
    """Return an ssh key of this bed, made when it is first asked for."""
    path = CACHE / "keys" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ringway-testbed", "-f", path]
        subprocess.run(make, check=True)
    return path.with_name(name + suffix).read_bytes()
