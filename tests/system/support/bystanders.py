"""Traffic that has nothing to do with what a test does, and of which nothing may be lost."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dom0.ringway import eventually
from dom0.topology import Host

INTERVAL_S = 0.02
AFTER = 10  # replies that come after the block, so that nothing sent while it lasted is still on its way


class Pings:
    """Numbered requests of one host to another, without pause."""

    def __init__(self, source: Host, target: str, log: Path) -> None:
        self._name = f"{source.name} to {target}"
        self._log = log
        with log.open("w") as output:
            self._run = source.popen("ping", "-n", "-i", INTERVAL_S, target, stdout=output)

    def answered(self) -> list[int]:
        """Return the numbers of the requests that were answered."""
        return [int(number) for number in re.findall(r" icmp_seq=(\d+) ttl", self._log.read_text())]

    def wait(self, replies: int) -> None:
        """Wait for this many more replies."""
        wanted = len(self.answered()) + replies
        eventually(lambda: len(self.answered()) >= wanted or None, 60, lambda: f"{self._name}: no replies")

    def end(self) -> list[int]:
        """End, and return the numbers that are missing before the last reply."""
        self._run.terminate()
        self._run.wait()
        answered = self.answered()
        assert len(answered) == len(set(answered)), f"{self._name}: replies twice"
        return sorted(set(range(1, max(answered) + 1)) - set(answered))


@contextlib.contextmanager
def nothing_lost(*pairs: tuple[Host, Host]) -> Iterator[None]:
    """Pings from one host of each pair to the other while the block lasts: all are answered."""
    with tempfile.TemporaryDirectory(prefix="pings-") as folder:
        all_pings = [
            Pings(source, sink.address, Path(folder, str(number)))
            for number, (source, sink) in enumerate(pairs)
        ]
        lost = None
        try:
            for pings in all_pings:
                pings.wait(1)
            yield
            for pings in all_pings:
                pings.wait(AFTER)
        finally:
            lost = [pings.end() for pings in all_pings]
        assert not any(lost), f"lost of the pings of {[(a.name, b.name) for a, b in pairs]}: {lost}"
