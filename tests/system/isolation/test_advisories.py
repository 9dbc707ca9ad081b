"""Xen's advisories about network frontends (https://xenbits.xen.org/xsa/), each with a backend that does what
one warns of. What can't be made to happen here is in the drivers' tests on the host, by the same names."""

import struct

from dom0.guest import Guest
from dom0.ringway import command, drops, eventually, idle_pages, pages
from dom0.topology import Host
from dom0.xenstore import store
from support.bystanders import nothing_lost
from support.flood import small_frames
from support.misbehaviour import receive
from support.netback import CLOSED, CLOSING, MORE_DATA, Netback, Ring
from support.packets import assert_forwarded, echo4, udp4
from support.wire import Wire

STORM = 20_000
ETHERNET = 14
SLOTS = 18  # that every backend must take of a packet, and Linux's netback takes


def test_xsa_391_and_332_an_event_storm(isolated: Guest, left: Host, right: Host) -> None:
    """Events that tell of nothing. The domain is busy with them, and does all its work beside."""
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        for _ in range(STORM // len(back.queues[0].ports)):
            for port in back.queues[0].ports:
                back.channels.notify(port)
        back.ping()
    idle_pages(isolated)


def test_xsa_392_nothing_is_queued_without_bound(isolated: Guest, left: Host, right: Host) -> None:
    """For a backend that takes nothing: its share of the pages, then frames are dropped."""
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        left.execute("ping", "-c", 1, "-W", 1, back.address)  # the router asks for its MAC address
        back.serve(lambda: not back.queues[0].tx.waiting)
        before = drops(isolated, "trouble").get("tx_full", 0)
        with small_frames(isolated, left, back.address):
            full = lambda: drops(isolated, "trouble").get("tx_full", 0) > before + 1000  # noqa: E731
            eventually(lambda: full() or None, 60, isolated.console)
            assert sum(account.sending + account.held for account in pages(isolated)) <= 2 * 256
        back.ping()
    idle_pages(isolated)


def test_xsa_396_pages_that_stay_mapped(isolated: Guest, left: Host, right: Host) -> None:
    """Of a backend that says it is done: they are never used for anything else until it lets go."""
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        old = [back.queues[0].references[ring] for ring in ("tx", "rx")]
        kept = back.keep()
        rings = [kept.page(reference) for reference in old]
        back.set("state", CLOSING)
        back.wait_front(CLOSED, CLOSING)
        back.set("state", CLOSED)
        back.wait_front("1")
        back.connect()
        assert "quarantined pages: 2\n" in command(isolated, "show vifs")
        assert not set(old) & set(back.queues[0].references.values())
        for ring in rings:
            ring[:] = b"\xff" * len(ring)
        back.ping()
        assert all(bytes(ring) == b"\xff" * len(ring) for ring in rings), "somebody uses it"
        kept.close()
        back.ping()
        assert "quarantined pages: 0\n" in command(isolated, "show vifs")
    idle_pages(isolated)


def test_xsa_403_nothing_else_is_in_shared_pages(isolated: Guest, left: Host, right: Host) -> None:
    """Rings are empty but for what is said in them (and XSA-216: bytes between fields too)."""
    with Netback(isolated) as back:
        for _ in range(2):  # the second time pages were used before
            back.offer()
            back.wait_front("4")
            back.attach()
            rx, tx = back.queues[0].rx, back.queues[0].tx
            posted = rx.words[Ring.REQ_PROD]
            assert 0 < posted <= rx.slots
            used = Ring.FIRST_SLOT + 2 * posted
            assert not any(rx.words[used:]) and not any(rx.words[4 : Ring.FIRST_SLOT])
            assert all(word >> 16 == 0 for word in rx.words[Ring.FIRST_SLOT : used : 2])
            assert not any(tx.words[Ring.FIRST_SLOT :]) and not any(tx.words[4 : Ring.FIRST_SLOT])
            back.set("state", "4")
            back.ping()
            back.set("state", CLOSING)
            back.wait_front(CLOSED, CLOSING)
            back.release()
            back.set("state", CLOSED)
            back.wait_front("1")


def test_xsa_405_an_error_in_the_middle_of_a_packet(isolated: Guest, left: Host, right: Host) -> None:
    """All of its pages are given back, each once."""
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        for sizes in ((60, -1, 60), (-1, 60, 60), (60, 60, -1), (0, 60, 0)):
            receive(*sizes[:2], flags=MORE_DATA)(back)
            receive(sizes[2])(back)
            back.ping()
    idle_pages(isolated)


def test_xsa_423_headers_in_parts(isolated: Guest, left: Host, right: Host) -> None:
    """Headers that are torn apart arrive whole, and at the router itself too. Linux's netback takes no frame
    of which not even the Ethernet header is in one slot: such a one from a vif of the same domain, which is
    passed on as it is, is lost, and does nothing else."""
    with Netback(isolated) as back, Wire(right) as wire, nothing_lost((left, right), (right, left)):
        back.connect()
        for fragment in (4, 13, ETHERNET, 15, 33, 34, 35):
            data = struct.pack("!I", fragment) * 3
            packet = udp4(back.address, right.address, data)
            back.send(back.frame(packet), fragment=fragment)
            if fragment >= ETHERNET:
                assert_forwarded(wire.until(lambda frame: frame.endswith(data))[-1], packet)  # noqa: B023
        back.send(back.frame(echo4(back.address, back.router, b"in parts")), fragment=5)
        back.serve(lambda: any(b"in parts" in frame for frame in back.received))
    idle_pages(isolated)


def test_xsa_432_many_tiny_slots(isolated: Guest, left: Host, right: Host) -> None:
    """As many as there may be, and one more: netback, which ends a vif for one slot too many, gets none of
    that."""
    with Netback(isolated) as back, Wire(right) as wire, nothing_lost((left, right), (right, left)):
        back.connect()
        for slots in (SLOTS, SLOTS + 1):
            for fragment in (3, ETHERNET, 75):
                data = bytes([slots, fragment]) + bytes(fragment * slots - 44)
                packet = udp4(back.address, right.address, data)
                back.send(back.frame(packet), fragment=fragment)
                if fragment >= ETHERNET:
                    assert_forwarded(wire.until(lambda frame: frame.endswith(data))[-1], packet)  # noqa: B023
    idle_pages(isolated)


def test_xsa_424_frames_for_a_vif_that_closes(isolated: Guest, left: Host, right: Host) -> None:
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        left.execute("ping", "-c", 1, "-W", 1, back.address)
        back.serve(lambda: not back.queues[0].tx.waiting)
        with small_frames(isolated, left, back.address):
            for state in (CLOSING, CLOSED):
                back.set("state", state)
                back.wait_front(CLOSING, CLOSED, "1")
                back.release()
                back.set("state", CLOSED)
                back.wait_front("1")
                back.connect()
    idle_pages(isolated)


def test_xsa_465_a_vif_that_is_removed_unconnected(isolated: Guest, left: Host, right: Host) -> None:
    """In each state that one can be in: before it is connected, after a fault, in the middle of closing."""

    def faulty(back: Netback) -> None:
        back.connect()
        receive(60, id=1)(back)
        back.wait_front(CLOSING)

    def closed(back: Netback) -> None:
        faulty(back)
        back.close()

    def gone(back: Netback) -> None:
        back.connect()
        store().remove(back.back)

    moments = (lambda _: None, Netback.offer, lambda back: back.set("state", CLOSING), faulty, closed, gone)
    with nothing_lost((left, right), (right, left)):
        for moment in moments:
            start = len(isolated.console())
            with Netback(isolated) as back:
                moment(back)
                command(isolated, "show version")  # it has seen all of that
            isolated.wait_console("vif 2 was removed$", 60, start)
        with Netback(isolated) as back:
            back.connect()
    idle_pages(isolated)
