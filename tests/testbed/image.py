"""dom0's disk and kernels, made once from Debian packages and kept under target/.

The disk holds packages only. What the bed adds (init, keys, the Linux domU) is
put on it at each boot by the initrd, so that only a changed list of packages
costs a rebuild.
"""

import gzip
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from paths import CACHE, TESTBED, read_list

SUITE = "bookworm"
LABEL = "ringway-dom0"
DISK_SIZE = "3G"
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
LINUX_DOMU = "/ringway-linux"  # in dom0: vmlinux and initramfs of the Linux domU
RECIPE = "1"  # raised when this file makes a different disk from the same packages

UNUSED = [
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    *(
        f"/lib/modules/*/kernel/{part}/*"
        for part in ("drivers/gpu", "drivers/media", "drivers/infiniband", "drivers/staging",
                     "drivers/net/wireless", "sound")
    ),
]


@dataclass(frozen=True)
class Image:
    """The files of one built image."""

    folder: Path

    @property
    def disk(self) -> Path:
        """dom0's root file system (ext4), never written to after the build."""
        return self.folder / "dom0.ext4"

    @property
    def xen(self) -> Path:
        """The hypervisor, as a multiboot ELF file."""
        return self.folder / "xen"

    @property
    def kernel(self) -> Path:
        """Debian's Linux, unpacked: emulated unpacking costs seconds at each boot."""
        return self.folder / "vmlinux"

    @property
    def busybox(self) -> Path:
        """A static busybox for the initrds."""
        return self.folder / "busybox"

    def read(self, path: str) -> bytes:
        """Return a file of the disk."""
        done = self._ask(f"cat {path}")
        if not done.stdout:
            raise FileNotFoundError(f"{path}: {done.stderr.decode()}")
        return done.stdout

    def library(self, name: str) -> bytes:
        """Return a shared library, of which the name may be a link to the file beside it."""
        link = re.search(rb'link dest: "(.+)"', self._ask(f"stat {LIBRARIES}/{name}").stdout)
        return self.read(f"{LIBRARIES}/{link[1].decode() if link else name}")

    def _ask(self, request: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["debugfs", "-R", request, self.disk], capture_output=True, check=True)

    def modules(self, names: list[str]) -> dict[str, bytes]:
        """Return the named kernel modules and those they need, in loading order."""
        root = f"/usr/lib/modules/{(self.folder / 'release').read_text()}"
        needs = {}
        for line in self.read(f"{root}/modules.dep").decode().splitlines():
            path, _, others = line.partition(":")
            needs[path] = others.split()
        by_name = {Path(path).stem: path for path in needs}
        order: list[str] = []
        for name in names:
            # modules.dep lists the nearest need first, so loading goes backwards.
            order += [*reversed(needs[by_name[name]]), by_name[name]]
        unique = dict.fromkeys(order)
        return {Path(path).name: self.read(f"{root}/{path}") for path in unique}


def build() -> Image:
    """Return the image of the current recipe, building it if it is not there yet."""
    recipe = repr((RECIPE, SUITE, DISK_SIZE, UNUSED, read_list(TESTBED / "packages-dom0.txt")))
    name = f"image-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    image = Image(CACHE / name)
    if not image.folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        _build(image)
        _remove_others(name)
    return image


def _build(image: Image) -> None:
    """Build in a folder beside the final one and rename it when all is there."""
    started = time.monotonic()
    print("dom0 image: building from Debian packages (about two minutes, once)", flush=True)
    draft = Image(image.folder.with_name(f"draft-{os.getpid()}"))
    draft.folder.mkdir()
    try:
        with open(CACHE / "image-build.log", "w") as log:
            _make_disk(draft, log)
        _unpack_kernels(draft)
        os.rename(draft.folder, image.folder)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"dom0 image: {error}; see {CACHE / 'image-build.log'}") from error
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)
    print(f"dom0 image: built in {time.monotonic() - started:.0f} s", flush=True)


def _make_disk(image: Image, log) -> None:
    packages = ",".join(read_list(TESTBED / "packages-dom0.txt"))
    root = image.folder / "root"
    archive = image.folder / "root.tar"
    excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in UNUSED]
    command = ["mmdebstrap", "--variant=minbase", f"--include={packages}", *excludes, SUITE, archive]
    subprocess.run(command, check=True, stdout=log, stderr=log, env={**os.environ, "INITRD": "No"})
    script = (
        'mkdir "$1" && tar -C "$1" --exclude="./dev/*" -xf "$2" && '
        'mke2fs -q -t ext4 -O ^has_journal -L "$3" -d "$1" "$4" "$5"'
    )
    as_root = [] if os.geteuid() == 0 else ["fakeroot"]
    arguments = [root, archive, LABEL, image.disk, DISK_SIZE]
    shell = [*as_root, "sh", "-c", script, "sh", *arguments]
    subprocess.run(shell, check=True, stdout=log, stderr=log)
    shutil.rmtree(root)
    archive.unlink()


def _unpack_kernels(image: Image) -> None:
    boot = subprocess.run(
        ["debugfs", "-R", "ls -p /boot", image.disk], capture_output=True, text=True, check=True
    )
    names = [line.split("/")[5] for line in boot.stdout.splitlines() if line.startswith("/")]
    linux = next(name for name in names if name.startswith("vmlinuz-"))
    xen = next(name for name in names if name.startswith("xen-") and name.endswith(".gz"))
    (image.folder / "release").write_text(linux.removeprefix("vmlinuz-"))
    image.xen.write_bytes(gzip.decompress(image.read(f"/boot/{xen}")))
    image.kernel.write_bytes(_vmlinux(image.read(f"/boot/{linux}")))
    image.busybox.write_bytes(image.read("/usr/bin/busybox"))
    _write(image, f"mkdir {LINUX_DOMU}", f"write {image.kernel} {LINUX_DOMU}/vmlinux")


def _write(image: Image, *requests: str) -> None:
    """Change the disk of a draft with debugfs requests."""
    text = "".join(f"{request}\n" for request in requests)
    change = ["debugfs", "-w", "-f", "-", image.disk]
    subprocess.run(change, input=text, text=True, capture_output=True, check=True)


def _vmlinux(bz_image: bytes) -> bytes:
    """Return the ELF kernel inside a bzImage (Linux boot protocol 2.08, XZ payload)."""
    setup_sectors = bz_image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bz_image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return lzma.LZMADecompressor().decompress(bz_image[start : start + length])


def _remove_others(name: str) -> None:
    for old in CACHE.glob("image-*"):
        if old.is_dir() and old.name != name:
            shutil.rmtree(old, ignore_errors=True)
