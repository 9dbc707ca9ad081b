"""From `xl create` to a router that forwards, in all the shapes it can have."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from dom0.guest import FAST_SCRIPT, Guest, Vif
from dom0.ringway import READY, command, counters, eventually, idle_pages, key, numbers, wait_key
from dom0.shell import run
from dom0.topology import Host, Topology, add_bridge
from support.network import CONFIG
from support.packets import BROADCAST, REQUEST, read_arp
from support.wire import Wire

EXAMPLES = Path("/ringway/image/examples")


def test_says_that_it_is_ready(left: Host, right: Host, start) -> None:
    with Wire(left) as before_vif_0, Wire(right) as before_vif_1:
        guest = start(Guest("ringway", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG))
        took = guest.wait_console(READY, timeout=120)[1]
        wait_key(guest, "state", "ready")
        wait_key(guest, "boot-us", took)
        wait_key(guest, "version", r"\d+\.\d+\.\d+")
        assert key(guest, "config/status") == "ok 0"
        assert guest.console().count("ringway: ready in") == 1
        # It announced its addresses, before anybody asked for them.
        for wire, address, vif in (
            (before_vif_0, "10.0.0.1", guest.vifs[0]),
            (before_vif_1, "10.0.1.1", guest.vifs[1]),
        ):
            said = lambda frame: (found := read_arp(frame)) and found.sender != "0.0.0.0"  # noqa: E731
            heard = read_arp(wire.until(said, timeout=30)[-1])
            assert (heard.sender, heard.target, heard.sender_mac) == (address, address, vif.mac)
            assert (heard.destination, heard.operation) == (BROADCAST, REQUEST)
    assert left.ping(right.address, 3).lost == 0


def test_smallest_memory_configured_by_extra(left: Host, right: Host, start) -> None:
    extra = "ip=0:10.0.0.1/24 ip=1:10.0.1.1/24 hostname=small log=debug"
    vifs = [Vif("xenbr0"), Vif("xenbr1")]
    guest = start(Guest("small", vifs, memory=4, extra=extra), says=READY)
    assert left.ping(right.address, 50, 0.05).lost == 0
    assert right.ping(left.address, 50, 0.05, "-s", 1400).lost == 0
    assert numbers(guest, "show memory")["total_pages"] <= 1024
    idle_pages(guest)


def test_four_vifs_between_all_pairs(start) -> None:
    hosts = [Host(f"four{n}", f"xenfour{n}", (f"10.4.{n}.2/24",), (f"10.4.{n}.1",)) for n in range(4)]
    config = "".join(
        f'[interface.net{n}]\nvif = {n}\naddress = ["10.4.{n}.1/24"]\n' for n in range(4)
    )
    with Topology(hosts):
        vifs = [Vif(host.bridge) for host in hosts]
        guest = start(Guest("four", vifs, config=config, memory=16), says=READY)
        for one, other in itertools.combinations(hosts, 2):
            assert one.ping(other.address, 2, 0.01).lost == 0, f"{one.name} and {other.name}"
        idle_pages(guest)


def test_sixteen_vifs(start) -> None:
    numbers_of = range(16)
    addresses = tuple(f"10.16.{n}.2/24" for n in numbers_of)
    host = Host("sixteen", "xensixteen", addresses)
    config = "".join(
        f'[interface.net{n}]\nvif = {n}\naddress = ["10.16.{n}.1/24"]\n' for n in numbers_of
    )
    with Topology([host]):
        vifs = [Vif(host.bridge) for _ in numbers_of]
        guest = start(Guest("sixteen", vifs, config=config, memory=32), says=READY, timeout=240)
        assert "WARN" not in guest.console()
        for n in numbers_of:
            assert host.ping(f"10.16.{n}.1", 1, 0.2, "-I", f"10.16.{n}.2").lost == 0, f"vif {n}"
        # A reply of many parts, as long as all of them together.
        assert len(command(guest, "show counters")) > 4096
        assert all(counters(guest)[f"interface.net{n}.rx.packets"] for n in numbers_of)
        # All requests for addresses came in on all vifs, but each was answered by one only.
        vif_of = {vif.mac: n for n, vif in enumerate(vifs)}
        neighbors = [line.split() for line in host.neighbors().splitlines() if "lladdr" in line]
        known = {words[0]: words[words.index("lladdr") + 1] for words in neighbors}
        assert {vif_of[mac]: address for address, mac in known.items() if mac in vif_of} == {
            n: f"10.16.{n}.1" for n in numbers_of
        }
        idle_pages(guest)


@pytest.fixture
def example_bridges(topology: Topology) -> Iterator[None]:
    """xenbr2 and xenbr3 besides those that are always there."""
    for name in ("xenbr2", "xenbr3"):
        add_bridge(name)
    yield
    for name in ("xenbr2", "xenbr3"):
        run("ip", "link", "delete", name)


@pytest.mark.parametrize(
    ("name", "script"), [("tenant-a", None), ("exchange", FAST_SCRIPT), ("small", FAST_SCRIPT)]
)
def test_example(
    name: str, script: str | None, left: Host, example_bridges: None, tmp_path: Path
) -> None:
    """The configurations that users start from work as they are.

    One with the stock hotplug script too, which costs seconds for each vif.
    """
    for file in [*EXAMPLES.glob("*.toml"), Path("/ringway/dist/ringway")]:
        os.symlink(file, tmp_path / file.name)
    text = EXAMPLES.joinpath(f"{name}.cfg").read_text()
    if script:
        text = text.replace('"bridge=', f'"script={script},bridge=')
    tmp_path.joinpath(f"{name}.cfg").write_text(text)
    guest = Guest(name)
    guest.console_log.unlink(missing_ok=True)
    try:
        run("sh", "-c", f"cd {tmp_path} && xl create -q {name}.cfg", timeout=180)
        guest.refresh()
        guest.wait_console(READY, timeout=120)
        assert left.ping("10.0.0.1", count=2).lost == 0
        status = lambda: (key(guest, "config/status") or None)  # noqa: E731
        assert eventually(status, 30, guest.console) == "ok 0"
    finally:
        guest.destroy()
