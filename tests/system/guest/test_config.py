"""Configurations that can't be used, said with line and reason; and the ways to hand one over."""

import re

import pytest
from dom0.archive import tar
from dom0.guest import Guest, Vif
from dom0.ringway import READY, command, drops, eventually, idle_pages, key, wait_key
from dom0.topology import Host
from support.network import CONFIG

GOOD = """\
[interface.left]
vif     = 0
address = ["10.0.0.1/24"]
"""

# What is handed over, the line to blame (0: none) and what is said about it.
BAD_FILES = {
    "syntax": ('hostname = "a"\n[interface.left\nvif = 0\n', 2, "."),
    "unknown key": (
        GOOD.replace("address", "adress"), 3, r'unknown key "adress" .*did you mean "address"\?',
    ),
    "contradiction": (
        GOOD + '[interface.right]\nvif = 1\naddress = ["10.0.0.9/25"]\n', 6, "overlaps",
    ),
    "not text": (b'hostname = "a"\n\xff\xfe\n', 2, "not UTF-8"),
    "only zeros": (bytes(4096), 0, "the ramdisk is empty"),
}  # fmt: skip

BAD_EXTRAS = {
    "nothing": ("", "no interface is configured"),
    "unknown word": ("ip=0:10.0.0.1/24 rout=0.0.0.0/0,10.0.0.9", r'"rout=\S+" \(did you mean "route"\?\)'),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(case: str, start) -> None:
    config, line, text = BAD_FILES[case]
    assert_degraded(start(Guest("degraded", config=config)), line, text)


@pytest.mark.parametrize("case", BAD_EXTRAS)
def test_bad_extra(case: str, start) -> None:
    extra, text = BAD_EXTRAS[case]
    assert_degraded(start(Guest("degraded", extra=extra)), 0, text)


def test_damaged_archive(start) -> None:
    archive = bytearray(tar({"ringway.toml": GOOD.encode()}))
    archive[0] ^= 1
    assert_degraded(start(Guest("degraded", config=bytes(archive))), 0, "checksum")


def assert_degraded(guest: Guest, line: int, text: str) -> None:
    """The reason is on the console and in xenstore; the domain lives and can be shut down."""
    place = f"{line}: " if line else ""
    guest.wait_console(f"^ERROR config: {place}.*({text})", timeout=60)
    wait_key(guest, "state", "degraded")
    status = eventually(lambda: key(guest, "config/status"), 60, guest.console)
    assert re.search(f"^error {line}: .*({text})", status), status
    assert "unknown command" not in command(guest, "show version")
    assert "ringway: ready" not in guest.console()
    guest.shutdown(timeout=60)


def test_degraded_router_forwards_nothing(left: Host, right: Host, start) -> None:
    config = CONFIG.replace("hostname", "hostnam")
    guest = start(Guest("degraded", [Vif("xenbr0"), Vif("xenbr1")], config=config))
    wait_key(guest, "state", "degraded")
    assert left.ping_unanswered(right.address)
    assert left.ping_unanswered("10.0.0.1")
    assert_degraded(guest, 2, "hostnam")


def test_archive(left: Host, right: Host, start) -> None:
    """A tar archive may hold other files beside the configuration; `extra` is for the log then."""
    archive = tar({"README": b"not this one", "./ringway.toml": CONFIG.encode(), "z": bytes(5000)})
    vifs = [Vif("xenbr0"), Vif("xenbr1")]
    guest = start(Guest("archive", vifs, config=archive, extra="log=debug"), says=READY)
    assert left.ping(right.address, 3, 0.05).lost == 0
    assert "DEBUG" in guest.console()


def test_interfaces_by_mac(left: Host, right: Host, start) -> None:
    """The order of the vifs doesn't matter where the configuration names their MAC addresses."""
    vifs = [Vif("xenbr1"), Vif("xenbr0")]
    config = CONFIG.replace("vif     = 0", f'mac = "{vifs[1].mac}"')
    config = config.replace("vif     = 1", f'mac = "{vifs[0].mac}"')
    guest = start(Guest("bymac", vifs, config=config), says=READY)
    assert left.ping(right.address, 3, 0.05).lost == 0
    idle_pages(guest)
    assert drops(guest, "left") == drops(guest, "right") == {}


def test_several_addresses(left: Host, right: Host, start) -> None:
    """All of an interface's addresses are served and stand for a network each."""
    config = CONFIG.replace('"10.0.1.1/24"', '"10.0.1.1/24", "10.0.77.1/24", "10.0.78.1/31"')
    start(Guest("several", [Vif("xenbr0"), Vif("xenbr1")], config=config), says=READY)
    for address in ("10.0.1.1", "10.0.77.1", "10.0.78.1"):
        assert left.ping(address, 2, 0.05).lost == 0
