"""Who has which address: answers, questions and what is kept of them (RFC 826, RFC 1122)."""

import os

import pytest
from dom0.guest import Guest
from dom0.ringway import command, grown, drops
from dom0.shell import run
from dom0.topology import DEVICE, Host
from support.packets import ARP, BROADCAST, IPV4, REPLY, REQUEST, arp, ethernet, read_arp, read_ip, udp4
from support.wire import Wire

MAC_1 = "02:00:00:00:01:01"
MAC_2 = "02:00:00:00:01:02"


def test_answers_for_its_own_addresses_only(router: Guest, left: Host) -> None:
    """Not for its other interface's, not for hosts', and not for itself to an unknown network."""
    router_mac = router.vifs[0].mac
    others = ("10.0.1.1", "10.0.1.2", "10.0.0.77", left.address, "10.0.0.255", "192.0.2.1")

    def ask(address: str) -> bytes:
        return ethernet(BROADCAST, left.mac, ARP, arp(REQUEST, left.mac, left.address, address))

    with Wire(left) as wire:
        wire.send(*map(ask, others), ask("10.0.0.1"))
        heard = wire.until(lambda frame: (found := read_arp(frame)) and found.operation == REPLY)
    replies = [found for found in map(read_arp, heard) if found and found.operation == REPLY]
    assert [(reply.sender, reply.sender_mac) for reply in replies] == [("10.0.0.1", router_mac)]
    assert (replies[0].destination, replies[0].target) == (left.mac, left.address)


def test_answers_a_probe(router: Guest, left: Host) -> None:
    """A host that asks before it takes the address (RFC 5227) learns that it is taken."""
    probe = ethernet(BROADCAST, left.mac, ARP, arp(REQUEST, left.mac, "0.0.0.0", "10.0.0.1"))
    with Wire(left) as wire:
        wire.send(probe)
        wire.until(lambda frame: (found := read_arp(frame)) and found.sender == "10.0.0.1")


def test_answers_hosts_of_other_networks(router: Guest, left: Host) -> None:
    """Linux asks in the name of the packet's source, which may be an address of another link."""
    question = arp(REQUEST, MAC_1, "192.168.7.7", "10.0.0.1")
    with Wire(left) as wire:
        wire.send(ethernet(BROADCAST, MAC_1, ARP, question))
        wire.until(lambda frame: (found := read_arp(frame)) and found.destination == MAC_1)
    assert "192.168.7.7" not in command(router, "show neighbors")


@pytest.mark.parametrize(("name", "address"), [("left", "10.0.0.1"), ("right", "10.0.1.1")])
def test_arping(name: str, address: str, router: Guest, left: Host, right: Host) -> None:
    host = left if name == "left" else right
    text = host.run("arping", "-C", 1, "-c", 1, "-W", 30, "-i", DEVICE, address)
    assert router.vifs[0 if name == "left" else 1].mac in text
    assert " 0% unanswered" in text, text


def test_first_packet_to_a_new_host_waits_and_passes(router: Guest, left: Host, right: Host) -> None:
    run("ip", "-n", right.name, "address", "add", "10.0.1.66/24", "dev", DEVICE)
    try:
        ping = left.ping("10.0.1.66", 3, 0.05)
        assert ping.lost == 0, ping.text
        lines = command(router, "show neighbors").splitlines()
        entry = next(line for line in lines if line.startswith("10.0.1.66 "))
        assert right.mac in entry and "reachable" in entry
    finally:
        run("ip", "-n", right.name, "address", "delete", "10.0.1.66/24", "dev", DEVICE)


def test_asks_for_a_silent_neighbor_and_gives_up(router: Guest, left: Host, right: Host) -> None:
    before = drops(router, "left")
    with Wire(right) as wire:
        text = left.run("ping", "-n", "-c", 1, "-W", 30, "10.0.1.200", check=False)
        assert "From 10.0.0.1 icmp_seq=1 Destination Host Unreachable" in text, text
        asked = [found for found in map(read_arp, wire.heard()) if found and found.target == "10.0.1.200"]
    assert len(asked) >= 2
    for question in asked:
        assert (question.operation, question.destination) == (REQUEST, BROADCAST)
        assert (question.sender, question.sender_mac) == ("10.0.1.1", router.vifs[1].mac)
    assert grown(before, drops(router, "left")) == {"neighbor_unreachable": 1}


def test_follows_a_neighbor_that_moves(router: Guest, left: Host, right: Host) -> None:
    """An answer or an announcement from another MAC address counts at once, asked for or not."""
    address = "10.0.1.120"
    with Wire(left) as near, Wire(right) as far:

        def arrives_at() -> str:
            token = os.urandom(12)
            packet = udp4(left.address, address, token)
            near.send(ethernet(router.vifs[0].mac, left.mac, IPV4, packet))

            def asked(frame: bytes) -> bool:
                found = read_arp(frame)
                return token in frame or bool(found and found.target == address)

            frame = far.until(asked)[-1]
            if token not in frame:
                reply = arp(REPLY, MAC_1, address, "10.0.1.1", router.vifs[1].mac)
                far.send(ethernet(router.vifs[1].mac, MAC_1, ARP, reply))
                frame = far.until(lambda frame: token in frame)[-1]
            return read_ip(frame).destination_mac

        assert arrives_at() == MAC_1
        assert arrives_at() == MAC_1
        moved = arp(REQUEST, MAC_2, address, address)
        far.send(ethernet(BROADCAST, MAC_2, ARP, moved))
        right.reach("10.0.1.1")  # what the router answers after the announcement
        assert arrives_at() == MAC_2


def test_many_unknown_neighbors(router: Guest, left: Host, right: Host) -> None:
    """A scan of the network keeps nobody from being found."""
    frames = [udp4(left.address, f"10.0.1.{n}", b"scan") for n in range(3, 255)]
    with Wire(left) as near:
        near.send(*(ethernet(router.vifs[0].mac, left.mac, IPV4, packet) for packet in frames))
    run("ip", "-n", right.name, "address", "add", "10.0.1.67/24", "dev", DEVICE)
    try:
        left.reach("10.0.1.67")
        assert left.ping("10.0.1.67", 5, 0.05).lost == 0
    finally:
        run("ip", "-n", right.name, "address", "delete", "10.0.1.67/24", "dev", DEVICE)
