"""Archives as a router's ramdisk."""

import io
import tarfile


def tar(files: dict[str, bytes]) -> bytes:
    """Return an archive as `tar` writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
