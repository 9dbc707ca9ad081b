"""Routers that are told to crash."""

from dom0.guest import Guest
from dom0.xenstore import store

# What each kind says on the console.
CRASHES = {
    "panic": [r"^ringway: crashed: panic at \S+\.rs:\d+(:\d+)?: .*crash"],
    "fault": [r"^ringway: crashed: page fault", r"\b0x0*8\b", r"(?i)\brip\b"],
    # Nothing can run on a stack that is used up: Xen itself says where that was.
    "stack": [],
}


def crash(guest: Guest, how: str) -> None:
    """Tell a router to crash; there is no reply to wait for."""
    store().write(guest.xenstore_path("command"), f"crash {how}")
