"""Frames of several slots: vifs with an MTU of 9000, and one of 1500 beside them."""

import os
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import command, drops, grown, idle_pages
from dom0.shell import run
from dom0.topology import Host, Topology
from support.wire import transfer, udp_socket

BIG = 9000
ONE = Host("jumbo1", "xenjumbo1", ("10.90.1.2/24",), ("10.90.1.1",), mtu=BIG)
TWO = Host("jumbo2", "xenjumbo2", ("10.90.2.2/24",), ("10.90.2.1",), mtu=BIG)
SMALL = Host("jumbo3", "xenjumbo3", ("10.90.3.2/24",), ("10.90.3.1",))
HOSTS = (ONE, TWO, SMALL)

CONFIG = "".join(
    f'[interface.net{n}]\nvif = {n - 1}\naddress = ["10.90.{n}.1/24"]\n' for n in (1, 2, 3)
)


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    with Topology(HOSTS):
        yield


@pytest.fixture
def jumbo(hosts: None, share: Callable[..., Guest]) -> Guest:
    """A router between two networks of 9000 bytes and one of 1500."""
    vifs = [Vif(host.bridge, options=[f"mtu={host.mtu}"]) for host in HOSTS]
    guest = share(Guest("jumbo", vifs, config=CONFIG))
    for index, host in enumerate(HOSTS):
        run("ip", "link", "set", guest.vif_name(index), "mtu", host.mtu)
    for host in HOSTS:
        run("ip", "-n", host.name, "route", "flush", "cache")
    return guest


def test_router_knows_the_mtu(jumbo: Guest) -> None:
    lines = command(jumbo, "show interfaces").splitlines()
    column = lines[0].split().index("MTU")
    assert [line.split()[0] for line in lines[1:]] == ["net1", "net2", "net3"]
    assert all(str(host.mtu) in line.split() for host, line in zip(HOSTS, lines[1:], strict=True)), column


@pytest.mark.parametrize("size", [1473, 4040, 4096, 8000, 8972])
def test_big_pings_pass(size: int, jumbo: Guest) -> None:
    assert ONE.ping(TWO.address, 5, 0.05, "-M", "do", "-s", size).lost == 0
    idle_pages(jumbo)


@pytest.mark.parametrize("size", [4096, 8972])
def test_router_answers_big_pings(size: int, jumbo: Guest) -> None:
    assert ONE.ping("10.90.1.1", 3, 0.05, "-M", "do", "-s", size).lost == 0


def test_datagrams_arrive_unchanged(jumbo: Guest) -> None:
    with udp_socket(ONE) as source, udp_socket(TWO) as sink:
        for size in (1473, 4054, 4055, 4096, 8150, 8972):
            data = os.urandom(size)
            source.sendto(data, sink.getsockname())
            assert sink.recv(10000) == data


def test_file_arrives_unchanged(jumbo: Guest) -> None:
    transfer(ONE, TWO, 8 << 20)
    transfer(TWO, ONE, 8 << 20)
    idle_pages(jumbo)


def test_too_big_for_the_small_side(jumbo: Guest) -> None:
    before = drops(jumbo, "net1")
    text = ONE.run("ping", "-n", "-c", 1, "-W", 30, "-M", "do", "-s", 8000, SMALL.address, check=False)
    assert "Frag needed and DF set (mtu = 1500)" in text, text
    assert grown(before, drops(jumbo, "net1")) == {"too_big": 1}


def test_fragmented_for_the_small_side(jumbo: Guest) -> None:
    assert ONE.ping(SMALL.address, 3, 0.1, "-M", "dont", "-s", 8000).lost == 0
    transfer(ONE, SMALL, 1 << 20)
    idle_pages(jumbo)
