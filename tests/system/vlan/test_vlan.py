"""VLANs: Linux hosts with VLAN devices on both sides of a Ringway, tagged in any way or not at all."""

import os
import struct
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import command, drops, eventually, grown, idle_pages, numbers, settle
from dom0.topology import DEVICE, Host, set_offload
from support.network import RIGHT
from support.offload import SIZES, datagrams
from support.packets import IPV4, VLAN, ethernet, udp4
from support.vlan_network import CONFIG, CUSTOMER, LEFT_200, LEFT_PLAIN, RIGHT_100, RIGHT_PLAIN, routes_between
from support.wire import Wire, transfer

PAIRS = {
    "untagged to tagged": (LEFT_PLAIN, RIGHT_100),
    "tagged to untagged": (LEFT_200, RIGHT_PLAIN),
    "one tag to another": (LEFT_200, RIGHT_100),
    "two tags to one": (CUSTOMER, RIGHT_100),
    "two tags to none": (CUSTOMER, RIGHT_PLAIN),
}


@pytest.fixture
def vlans(share: Callable[..., Guest]) -> Guest:
    """A router with VLANs on both sides, shared by this file."""
    return share(Guest("vlans", [Vif("xenbr0"), Vif("xenbr1")], config=CONFIG))


@pytest.fixture
def pair(request: pytest.FixtureRequest, vlans: Guest) -> Iterator[tuple[Host, Host]]:
    """The two hosts, with routes to each other by the networks that are asked for."""
    with routes_between(*PAIRS[request.param]) as hosts:
        yield hosts


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
    usable = lambda text: "2001:db8:100:" in text and "tentative" not in text  # noqa: E731
    eventually(lambda: usable(addresses()) or None, 60, addresses)
    for target in ("2001:db8:100::1", "ff02::2%v100"):
        assert RIGHT.ping(target, 3, 0.2).lost == 0, target
    assert "2001:db8:100:" not in RIGHT.run("ip", "-6", "address", "show", DEVICE)


def tag(vid: int, kind: int, packet: bytes) -> bytes:
    """What follows the EtherType of a tag."""
    return struct.pack("!HH", vid, kind) + packet


def test_a_priority_tag_is_no_vlan(vlans: Guest, left: Host, right: Host) -> None:
    left.reach(right.address)
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
    dropped = lambda: grown(before, drops(vlans, "left"))  # noqa: E731
    eventually(lambda: sum(dropped().values()) >= 5 or None, 30, lambda: f"dropped: {dropped()}")
    assert dropped() == {"vlan": 5}
    idle_pages(vlans)
