"""VLANs: Linux hosts with VLAN devices on both sides of a Ringway, tagged in any way or not at all."""

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from conftest import LEFT, RIGHT
from dom0.guest import Guest, Vif
from dom0.shell import execute, run
from dom0.topology import DEVICE, Host, Topology, set_offload
from offload import SIZES, datagrams
from packets import IPV4, VLAN, ethernet, udp4
from ringway import command, drops, eventually, grown, idle_pages, numbers, settle
from wire import Wire, transfer

CONFIG = """
hostname = "vlans"

[interface.left]
vif     = 0
address = ["10.0.0.1/24"]

[interface.left200]
parent  = "left"
vlan    = 200
address = ["10.0.200.1/24"]

[interface.provider]
parent   = "left"
vlan     = 7
protocol = "802.1ad"

[interface.customer]
parent  = "provider"
vlan    = 300
address = ["10.0.30.1/24"]
mtu     = 1496

[interface.right]
vif     = 1
address = ["10.0.1.1/24"]

[interface.right100]
parent  = "right"
vlan    = 100
address = ["10.0.100.1/24", "2001:db8:100::1/64"]

[interface.right100.advertise]
max_interval_s = 4
"""


@dataclass(frozen=True)
class Place:
    """A network that one of the two hosts is in: its device there, and addresses."""

    host: Host
    device: str
    net: str

    @property
    def gateway(self) -> str:
        return f"{self.net}.1"

    @property
    def there(self) -> Host:
        """The host as others in this network know it."""
        return replace(self.host, addresses=(f"{self.net}.2/24",))


LEFT_PLAIN = Place(LEFT, DEVICE, "10.0.0")
LEFT_200 = Place(LEFT, "v200", "10.0.200")
CUSTOMER = Place(LEFT, "v7.300", "10.0.30")
RIGHT_PLAIN = Place(RIGHT, DEVICE, "10.0.1")
RIGHT_100 = Place(RIGHT, "v100", "10.0.100")

PAIRS = {
    "untagged to tagged": (LEFT_PLAIN, RIGHT_100),
    "tagged to untagged": (LEFT_200, RIGHT_PLAIN),
    "one tag to another": (LEFT_200, RIGHT_100),
    "two tags to one": (CUSTOMER, RIGHT_100),
    "two tags to none": (CUSTOMER, RIGHT_PLAIN),
}


@pytest.fixture(autouse=True, scope="module")
def _devices(topology: Topology) -> Iterator[None]:
    """The hosts' VLAN devices."""
    add_vlan(LEFT, DEVICE, "v200", 200)
    add_vlan(LEFT, DEVICE, "v7", 7, "802.1ad")
    add_vlan(LEFT, "v7", "v7.300", 300)
    run("ip", "-n", LEFT.name, "link", "set", "v7.300", "mtu", 1496)
    add_vlan(RIGHT, DEVICE, "v100", 100)
    for place in (LEFT_200, CUSTOMER, RIGHT_100):
        run("ip", "-n", place.host.name, "address", "add", f"{place.net}.2/24", "dev", place.device)
    yield
    for host, device in ((LEFT, "v200"), (LEFT, "v7"), (RIGHT, "v100")):
        execute("ip", "-n", host.name, "link", "delete", device)
    for host in (LEFT, RIGHT):
        execute("ip", "-n", host.name, "route", "flush", "cache")


def add_vlan(host: Host, link: str, name: str, vid: int, protocol: str = "802.1Q") -> None:
    words = ("link", link, "name", name, "type", "vlan", "protocol", protocol, "id", vid)
    run("ip", "-n", host.name, "link", "add", *words)
    run("ip", "-n", host.name, "link", "set", name, "up")


@pytest.fixture
def vlans(share: Callable[..., Guest]) -> Guest:
    """A router with VLANs on both sides, shared by this file."""
    return share(Guest("vlans", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG))


@pytest.fixture
def pair(request: pytest.FixtureRequest, vlans: Guest) -> Iterator[tuple[Host, Host]]:
    """The two hosts, with routes to each other by the networks that are asked for."""
    with routes_between(*PAIRS[request.param]) as hosts:
        yield hosts


@contextlib.contextmanager
def routes_between(near: Place, far: Place) -> Iterator[tuple[Host, Host]]:
    """Have the hosts of two places reach each other by these while the block lasts."""
    routes = [(near, far), (far, near)]
    for here, there in routes:
        words = (f"{there.net}.0/24", "via", here.gateway, "dev", here.device, "src", f"{here.net}.2")
        run("ip", "-n", here.host.name, "route", "replace", *words)
    try:
        yield near.there, far.there
    finally:
        for here, there in routes:
            execute("ip", "-n", here.host.name, "route", "delete", f"{there.net}.0/24", "via", here.gateway)


@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_hosts_reach_each_other(pair: tuple[Host, Host], vlans: Guest, undamaged: None) -> None:
    near, far = pair
    before = {name: drops(vlans, name) for name in ("left", "right")}
    assert near.ping(far.address, 10, 0.05).lost == 0
    assert near.ping(far.address, 3, 0.1, "-s", 1400).lost == 0
    for source, sink in ((near, far), (far, near)):
        datagrams(source, sink, SIZES[:-2])  # those that fit the customer's link
    lost = [grown(before[name], drops(vlans, name)).keys() for name in before]
    assert not {"vlan", "truncated", "rx_error"} & set().union(*lost)
    idle_pages(vlans)


@pytest.mark.parametrize("offload", [True, False], ids=["offload on", "offload off"])
@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_tcp(pair: tuple[Host, Host], offload: bool, vlans: Guest, undamaged: None) -> None:
    """Large frames come from hosts without a tag, and are cut where they get one."""
    near, far = pair
    try:
        for host in pair:
            set_offload(host, offload)
        transfer(near, far, 4 << 20)
        transfer(far, near, 4 << 20)
    finally:
        for host in pair:
            set_offload(host, True)
    idle_pages(vlans)


def test_packets_count_on_the_vlan(vlans: Guest) -> None:
    before = numbers(vlans, "show counters")
    assert RIGHT.ping(RIGHT_100.gateway, 10, 0.05).lost == 0
    after = grown(before, numbers(vlans, "show counters"))
    assert after["interface.right100.rx.packets"] >= 10
    assert after["interface.right100.tx.packets"] >= 10
    assert after.get("interface.right.rx.packets", 0) < 10
    text = command(vlans, "show interfaces")
    assert "vlan 100 of right" in text and "vlan 7 (802.1ad) of left" in text, text


def test_ipv6_in_a_vlan(vlans: Guest) -> None:
    """The host configures itself by what is advertised in the VLAN."""
    settle(vlans)
    addresses = lambda: RIGHT.run("ip", "-6", "address", "show", "v100")  # noqa: E731
    eventually(lambda: "2001:db8:100:" in addresses() or None, 30, addresses)
    for target in ("2001:db8:100::1", "ff02::2%v100"):
        assert RIGHT.ping(target, 3, 0.2).lost == 0, target
    assert "2001:db8:100:" not in RIGHT.run("ip", "-6", "address", "show", DEVICE)


def tag(vid: int, kind: int, packet: bytes) -> bytes:
    """What follows the EtherType of a tag."""
    return struct.pack("!HH", vid, kind) + packet


def test_a_priority_tag_is_no_vlan(vlans: Guest, left: Host, right: Host) -> None:
    left.ping(right.address)
    data = os.urandom(20)
    packet = udp4(left.address, right.address, data)
    with Wire(left) as near, Wire(right) as far:
        near.send(ethernet(vlans.vifs[0].mac, left.mac, VLAN, tag(5 << 13, IPV4, packet)))
        assert far.until(lambda frame: data in frame)[-1][12:14] == struct.pack("!H", IPV4)


@pytest.mark.parametrize("vid", [1, 199, 4095])
def test_other_vlans_are_dropped(vid: int, vlans: Guest, left: Host, right: Host) -> None:
    before = drops(vlans, "left")
    packet = udp4(left.address, right.address, b"lost")
    frame = ethernet(vlans.vifs[0].mac, left.mac, VLAN, tag(vid, IPV4, packet))
    with Wire(left) as near:
        near.send(*[frame] * 5)
    dropped = lambda: grown(before, drops(vlans, "left")) or None  # noqa: E731
    assert eventually(dropped, 30, lambda: "no drops") == {"vlan": 5}
    idle_pages(vlans)
