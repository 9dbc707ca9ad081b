"""What was checked is what leaves, whatever the domain that it came from writes to its pages meanwhile.

The link that it leaves by belongs to another domain, a Linux that is the backend of vif 1 and bridges it to
`right`. Between two vifs of one domain it is that domain's own doing: see decision 9.

With one emulated CPU hardly a page is rewritten in the middle of a burst: `image/data-plane/tests/checked_headers.rs`
has that between every two accesses.
"""

import os
import random
import struct
import time
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif, linux_guest
from dom0.ringway import idle_pages
from dom0.topology import Host
from dom0.xenstore import store
from support.bystanders import nothing_lost
from support.isolation_network import CONFIG
from support.netback import Netback
from support.packets import ARP, IPV4, REPLY, UDP, arp, assert_forwarded, ethernet, mac, read_arp, udp4
from support.wire import Wire

DRIVER = "driver"
STRANGER, STRANGER_MAC = "10.0.1.77", "02:00:00:00:00:77"
FORGED_MAC = "66:66:66:66:66:66"
CHECKED = 64  # bytes of each frame
BURSTS, FRAMES = 60, 150  # what is sent at once is less than a ring
LONGEST_S = 0.004  # in which a slow machine's router forwards about a burst


@pytest.fixture(scope="module")
def driver(topology: object, share: Callable[..., Guest]) -> Iterator[None]:
    """A domain whose netback serves vifs, each in a bridge with `xenbr1`."""
    share(linux_guest(DRIVER, [Vif("xenbr1")], "bridge"), says="linux: ready")


@pytest.fixture
def apart(driver: None, share: Callable[..., Guest], left: Host, right: Host) -> Guest:
    """A router whose vif 1 has its backend in the driver domain."""
    vifs = [Vif("xenbr0"), Vif("br0", options=[f"backend={DRIVER}"])]
    guest = share(Guest("apart", vifs, config=CONFIG), says="vif/0: connected")
    backend = store().read(f"/local/domain/{guest.domid}/device/vif/1/backend")
    # What a script would say there.
    store().write(f"{backend}/hotplug-status", "connected")
    left.reach(right.address)
    return guest


def forgery(packet: bytes, to: str) -> bytes:
    """Return what the first bytes of a frame with this packet are replaced with: a source MAC address, a TTL and
    a destination of the forger's choice. It would get `to` where it is to be seen."""
    header = bytearray(packet[: CHECKED - 14])
    header[8] = 255
    header[16:20] = bytes([10, 0, 0, 2])
    return mac(to) + mac(FORGED_MAC) + struct.pack("!H", 0x0800) + bytes(header)


def test_while_a_neighbor_is_asked_for(apart: Guest, right: Host) -> None:
    """The frame waits in its page until the ARP reply is there: as long as a forger wants."""
    with Netback(apart) as back, Wire(right) as wire:
        back.connect()
        packet = udp4(back.address, STRANGER, os.urandom(1000))
        (pages,) = back.send(back.frame(packet))
        asks = lambda frame: (asked := read_arp(frame)) and asked.target == STRANGER  # noqa: E731
        asked = read_arp(wire.until(asks)[-1])
        pages[0][:CHECKED] = forgery(packet, STRANGER_MAC)
        reply = arp(REPLY, STRANGER_MAC, STRANGER, asked.sender, asked.sender_mac)
        wire.send(ethernet(asked.sender_mac, STRANGER_MAC, ARP, reply))
        frame = wire.until(lambda frame: frame.endswith(packet[-500:]))[-1]
        assert_forwarded(frame, packet)
        assert frame[:12] == mac(STRANGER_MAC) + mac(asked.sender_mac)
    idle_pages(apart)


@pytest.mark.parametrize("size", [18, 1400])
def test_while_frames_are_forwarded(size: int, apart: Guest, left: Host, right: Host) -> None:
    """At some moment while the router is at it: what it has read by then leaves as it was checked, and the
    rest is wrong and dropped. The sleep has Xen run the router, and stop it in the middle of a burst."""
    own = mac(right.mac) + mac(apart.vifs[1].mac)
    whole = 0
    with Netback(apart) as back, Wire(right) as wire, nothing_lost((left, right)):
        back.connect()
        left.reach(right.address)
        for burst in range(BURSTS):
            packets = [
                udp4(back.address, right.address, struct.pack("!HH", burst, n) * (size // 4))
                for n in range(FRAMES)
            ]
            rewritten = [forgery(packet, right.mac) for packet in packets]
            pages = back.send(*(back.frame(packet) for packet in packets))
            time.sleep(random.uniform(0, LONGEST_S))
            for (page,), forged in zip(pages, rewritten, strict=True):
                page[: len(forged)] = forged
            last = os.urandom(12)
            back.send(back.frame(udp4(back.address, right.address, last)))
            for frame in wire.until(lambda frame: frame.endswith(last))[:-1]:  # noqa: B023
                if frame[12:14] == struct.pack("!H", IPV4) and frame[23] == UDP:
                    assert_forwarded(frame, packets[struct.unpack_from("!H", frame, 44)[0]])
                    assert frame[:12] == own, frame.hex()
                    whole += 1
            back.step()
    assert whole > FRAMES, "hardly any frame was read while it was right"
    idle_pages(apart)


def test_headers_in_parts_leave_whole(apart: Guest, left: Host, right: Host) -> None:
    """For another domain they are copied, into as few slots as they fit (XSA-423, XSA-432)."""
    with Netback(apart) as back, Wire(right) as wire, nothing_lost((left, right)):
        back.connect()
        left.reach(right.address)
        for fragment in (3, 4, 13, 14, 15, 33, 34, 35):
            data = struct.pack("!I", fragment) * 3
            packet = udp4(back.address, right.address, data)
            back.send(back.frame(packet), fragment=fragment)
            assert_forwarded(wire.until(lambda frame: frame.endswith(data))[-1], packet)  # noqa: B023
    idle_pages(apart)
