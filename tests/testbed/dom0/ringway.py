"""What a running Ringway tells about itself, asked through xenstore."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .guest import Guest
from .xenstore import store

READY = r"^ringway: ready in (\d+) us$"

# Linux hosts and bridges say things in IPv6 whenever they like.
NOISE = {"ipv6_disabled"}

Value = TypeVar("Value")


def key(guest: Guest, name: str) -> str | None:
    """Return a key of `data/ringway/`."""
    return store().read(guest.xenstore_path(name))


def wait_key(guest: Guest, name: str, pattern: str, timeout: float = 60) -> str:
    """Wait until a key of `data/ringway/` matches a pattern from its beginning to its end."""

    def value() -> str | None:
        text = key(guest, name)
        return text if text is not None and re.fullmatch(pattern, text) else None

    return eventually(value, timeout, lambda: f"{name} is {key(guest, name)!r}, not {pattern!r}")


def command(guest: Guest, line: str, timeout: float = 60) -> str:
    """Run a console command through xenstore and return what it printed."""
    reply = guest.xenstore_path("reply")
    store().remove(reply)
    store().write(guest.xenstore_path("command"), line)
    done = lambda: store().read(f"{reply}/done")  # noqa: E731
    parts = eventually(done, timeout, lambda: f"no reply to {line!r}; console:\n{guest.console()}")
    texts = [store().read(f"{reply}/{part}") for part in range(int(parts))]
    assert None not in texts, f"a part of the reply to {line!r} is missing; console:\n{guest.console()}"
    return "".join(texts)


def settle(guest: Guest) -> None:
    """Wait until a Ringway's IPv6 addresses are in use."""

    def settled() -> bool | None:
        return None if "tentative" in command(guest, "show interfaces") else True

    eventually(settled, 60, lambda: command(guest, "show interfaces"))


def numbers(guest: Guest, line: str) -> dict[str, int]:
    """Run a command that prints lines of a name and a number."""
    return {name: int(n) for name, n in re.findall(r"^(\S+) (\d+)$", command(guest, line), re.MULTILINE)}


def counters(guest: Guest) -> dict[str, int]:
    """Return the router's counters, as in `interface.left.drop.bad_checksum`."""
    return numbers(guest, "show counters")


def drops(guest: Guest, interface: str) -> dict[str, int]:
    """Return the frames dropped on an interface by reason, without reasons that never were."""
    prefix = f"interface.{interface}.drop."
    found = {name.removeprefix(prefix): n for name, n in counters(guest).items() if name.startswith(prefix)}
    return {reason: n for reason, n in found.items() if n and reason not in NOISE}


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return what counters grew by, without those that did not."""
    return {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0)}


@dataclass(frozen=True)
class Pages:
    """The account of the pages granted to one backend domain."""

    domain: int
    total: int
    free: int
    posted: int
    sending: int
    held: int

    @property
    def balanced(self) -> bool:
        """Returns `True` if every page is in exactly one place."""
        return self.total == self.free + self.posted + self.sending + self.held

    @property
    def idle(self) -> bool:
        """Returns `True` if no page is on its way."""
        return self.sending == 0 and self.held == 0


def pages(guest: Guest) -> list[Pages]:
    """Return all accounts, and check that each is balanced and no page was lost."""
    text = command(guest, "show vifs")
    pattern = (
        r"^pages for domain (\d+)(?:, queue \d+)?: (\d+) total = "
        r"(\d+) free \+ (\d+) posted \+ (\d+) sending \+ (\d+) held$"
    )
    found = [Pages(*map(int, numbers)) for numbers in re.findall(pattern, text, re.MULTILINE)]
    assert all(account.balanced for account in found), text
    assert "quarantined pages: 0" in text, text
    return found


def idle_pages(guest: Guest, timeout: float = 60) -> list[Pages]:
    """Wait until no page is on its way and return the accounts."""

    def idle() -> list[Pages] | None:
        found = pages(guest)
        return found if found and all(account.idle for account in found) else None

    return eventually(idle, timeout, lambda: command(guest, "show vifs"))


def eventually(look: Callable[[], Value | None], timeout: float, what: Callable[[], str]) -> Value:
    """Look until there is something; when there is nothing for too long, say `what`."""
    deadline = time.monotonic() + timeout
    while (value := look()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in {timeout} s: {what()}")
        time.sleep(0.02)
    return value
