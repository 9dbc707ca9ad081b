"""A virtual CPU for each queue of the vifs: flows are spread over them and stay on theirs."""

import re
import socket
from collections.abc import Callable

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import READY, command, counters, eventually, grown, idle_pages, numbers, store, wait_key
from dom0.shell import run
from dom0.topology import Host
from support.crashes import CRASHES, crash
from support.network import CONFIG
from support.queues import COUNT, SOURCES, assert_flows_stay, flood, lost, pour, udp
from support.vif_states import backend, plug, wait_connected
from support.wire import transfer

IP_RECVERR = 11


@pytest.fixture
def pair(max_queues: Callable[[int], None], start) -> Guest:
    """A router with two queues and two virtual CPUs."""
    return start(two(), says=READY)


def two(**options) -> Guest:
    """A router to be with two virtual CPUs."""
    more = ["vcpus = 2", *options.pop("options", [])]
    return Guest("ringway", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG, options=more, **options)


def frontend(guest: Guest, index: int, key: str) -> str | None:
    """Read a key of a vif's frontend."""
    return store().read(f"/local/domain/{guest.domid}/device/vif/{index}/{key}")


def test_both_queues_carry_flows(pair: Guest, left: Host, right: Host) -> None:
    for vif in (0, 1):
        assert frontend(pair, vif, "multi-queue-num-queues") == "2"
        assert frontend(pair, vif, "tx-ring-ref") is None
        assert frontend(pair, vif, "queue-1/tx-ring-ref") is not None
    both = flood(pair, left, right, *SOURCES)
    assert sum(both) >= COUNT
    # Thousands of flows: neither CPU has much more of them than the other.
    assert min(both) > COUNT * 0.4, both
    text = command(pair, "show vifs")
    sent = [int(n) for n in re.findall(r"sent (\d+) frames", text)]
    assert len(sent) == 4 and min(sent[2:]) > COUNT * 0.4, text
    idle_pages(pair)


def test_a_flow_stays_on_one_queue(pair: Guest, left: Host, right: Host) -> None:
    """Toeplitz with a key that is the same both ways: neither direction leaves the flow's CPU."""
    assert_flows_stay(pair, left, right)


def test_what_the_second_cpu_does_not_forward(pair: Guest, left: Host, right: Host) -> None:
    """Whatever the queue, the router answers: errors, its own addresses, unknown neighbors."""
    before = counters(pair)
    for port in range(2000, 2040):
        with udp(left, port) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            sock.connect((right.address, 9))
            sock.send(b"x")
            with pytest.raises(OSError, match="No route to host"):
                sock.recv(100)
    news = grown(before, counters(pair))
    assert news["interface.left.drop.ttl_expired"] == 40, news
    assert left.ping("10.0.0.1", 20, 0.02).lost == 0
    transfer(left, right, 1 << 20)
    transfer(right, left, 1 << 20)
    assert left.ping_unanswered("10.0.1.77")
    idle_pages(pair)


def test_no_cpu_is_woken_for_another(pair: Guest, left: Host, right: Host) -> None:
    """An event ends the sleep of the CPU whose queue it is for, and of no other."""
    start, before = (numbers(pair, "show cpu") for _ in range(2))
    pour(pair, left, right, *SOURCES)
    after = numbers(pair, "show cpu")
    for cpu in ("cpu0", "cpu1"):
        news = grown(before, after)
        sleeps, empty = news[f"{cpu}.sleeps"], news.get(f"{cpu}.wakes_by_frames.0", 0)
        # xenstore wakes the first one some times for the command that asks.
        own = grown(start, before).get(f"{cpu}.wakes_by_frames.0", 0)
        assert news[f"{cpu}.frames"] > COUNT * 0.4 and sleeps > 500, news
        assert empty - own < sleeps / 50, (cpu, sleeps, empty, own)


def test_as_many_vifs_and_queues_as_there_may_be(max_queues: Callable[[int], None], left: Host, start) -> None:
    """All of them connect: each has as many queues as its share of xenstore's entries and of grants has room for."""
    max_queues(8)
    config = "".join(f'[interface.net{n}]\nvif = {n}\naddress = ["10.{n}.0.1/24"]\n' for n in range(16))
    vifs = [Vif("xenbr0") for _ in range(16)]
    guest = start(Guest("most", vifs, config=config, options=["vcpus = 8"], memory=256), says=READY, timeout=400)
    assert "WARN" not in guest.console()
    assert left.ping("10.0.0.1", 2).lost == 0
    text = command(guest, "show vifs")
    assert text.count("queue 5") >= 16, text


def test_a_backend_with_one_queue(max_queues: Callable[[int], None], left: Host, right: Host, start) -> None:
    max_queues(1)
    guest = start(two(), says=READY)
    assert frontend(guest, 0, "multi-queue-num-queues") is None
    assert frontend(guest, 0, "tx-ring-ref") is not None
    first, second = flood(guest, left, right, *SOURCES)
    assert first >= COUNT and second == 0
    # Reconnected with two queues, and again with one, it leaves nothing of before.
    for queues in (2, 1):
        max_queues(queues)
        for vif in (0, 1):
            guest.network_detach(vif)
        for vif in guest.vifs:
            guest.network_attach(vif)
        wait_key(guest, "state", "ready", timeout=120)
        left.reach(right.address)
        assert (frontend(guest, 1, "queue-0") is None) == (queues == 1)
        first, second = flood(guest, left, right, *SOURCES)
        assert (second == 0) == (queues == 1)
    idle_pages(guest)


def test_vifs_with_different_numbers_of_queues(
    max_queues: Callable[[int], None], left: Host, right: Host, start
) -> None:
    """What comes in by a queue that the other vif lacks goes out by one that it has."""
    guest = start(two(), says=READY)
    max_queues(1)
    guest.network_detach(1)
    guest.network_attach(guest.vifs[1])
    wait_key(guest, "state", "ready", timeout=120)
    left.reach(right.address)
    before = counters(guest)
    transfer(left, right, 1 << 20)
    transfer(right, left, 1 << 20)
    for _ in range(8):
        assert left.ping(right.address, 10, 0.01).lost == 0
    news = grown(before, counters(guest))
    assert not lost(news), news
    # Once it is known that one backend takes a single queue, more elsewhere are of no use.
    reconnect(guest, 0)
    left.reach(right.address)
    assert frontend(guest, 0, "multi-queue-num-queues") is None
    idle_pages(guest)


def reconnect(guest: Guest, index: int) -> None:
    """Have a vif's backend close and come back."""
    store().write(backend(guest, index, "state"), "5")
    path = f"/local/domain/{guest.domid}/device/vif/{index}/state"
    eventually(lambda: store().read(path) != "4" or None, 60, guest.console)
    plug(guest, index)
    wait_connected(guest, index)
    plug(guest, index)
    wait_key(guest, "state", "ready", timeout=120)


def test_reconnecting_under_load(pair: Guest, left: Host, right: Host) -> None:
    quiet = {"stdout": -3, "stderr": -3}
    with left.background("ping", "-q", "-i", "0.02", "-s", 1000, right.address, **quiet):
        for _ in range(2):
            reconnect(pair, 1)
    assert left.ping(right.address, 5, 0.05).lost == 0
    both = flood(pair, left, right, *SOURCES)
    assert min(both) > COUNT * 0.4, both


@pytest.mark.parametrize("how", CRASHES)
@pytest.mark.parametrize("cpu", [0, 1])
def test_a_crash_on_either_cpu(how: str, cpu: int, start) -> None:
    guest = start(two(on_crash="preserve"), says=READY)
    assert "no CPU 2, there are 2" in command(guest, "crash 2")
    crash(guest, f"{how} {cpu}")
    eventually(lambda: "c" in guest.state() or None, 60, guest.state)
    if CRASHES[how]:
        guest.wait_console(rf"^ringway: crashed on vCPU {cpu}: (panic|page fault)", timeout=60)
        assert guest.console().count("crashed") == 1
    else:
        # Nothing can run on a stack that is used up: Xen itself says where that was.
        assert f"pv guest (d{guest.domid}v{cpu})" in run("xl", "dmesg")


def test_more_cpus_than_queues_idle(max_queues: Callable[[int], None], left: Host, right: Host, start) -> None:
    """Four CPUs, two queues: those without a queue sleep."""
    guest = Guest(
        "ringway", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG, options=["vcpus = 4"], memory=32
    )
    start(guest, says=READY)
    assert left.ping(right.address, 3).lost == 0
    before = numbers(guest, "show cpu")
    left.run("sleep", 2)
    after = numbers(guest, "show cpu")
    assert len([name for name in after if name.endswith(".frames")]) == 4
    for at in (2, 3):
        ran = after[f"cpu{at}.running_ns"] - before[f"cpu{at}.running_ns"]
        assert ran < 200_000_000, ran
    assert len(run("xl", "vcpu-list", guest.name).splitlines()) == 1 + 4
