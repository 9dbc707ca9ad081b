"""A network backend of our own in dom0's user space, which speaks netif as it should, until told otherwise.

It is of another type than `vif`, so that Linux's xen-netback and xl's scripts leave it alone; to the guest,
which is told of it as the toolstack does, it is a vif like any other. It is also the only host of its
network: it answers ARP and pings, and keeps what else it is sent.

    with Netback(guest) as back:
        back.connect()
        back.serve(lambda: ping.poll() is not None)

Nothing happens but while one of its methods runs: who doesn't call `serve` is a backend that stands still.
"""

import itertools
import os
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from dom0.guest import Guest
from dom0.ringway import eventually
from dom0.xenstore import store
from support.packets import (
    ARP,
    ICMP,
    IPV4,
    REPLY,
    arp,
    echo4,
    ethernet,
    icmp,
    ipv4,
    mac_text,
    read_arp,
    read_ip,
)
from support.xen_libraries import PAGE, EventChannels, Grants

KIND = "ringway-test"
FEATURES = {
    "feature-rx-copy": "1",
    "feature-sg": "1",
    "feature-gso-tcpv4": "1",
    "feature-gso-tcpv6": "1",
    "feature-ipv6-csum-offload": "1",
    "feature-split-event-channels": "1",
}
INITIALISING, INIT_WAIT, CONNECTED, CLOSING, CLOSED = "1", "2", "4", "5", "6"
# Flags of netif.h that mean the same in both directions, status codes, and types of extra info.
MORE_DATA, EXTRA_INFO = 4, 8
OKAY, NULL = 0, 1
GSO = 1
EXTRA_MORE = 1
PATIENCE_S = 60
IDLE_S = 0.01


class Ring:
    """A shared ring of ring.h as its backend sees it: requests are taken, responses given."""

    REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT, FIRST_SLOT = 0, 1, 2, 3, 16

    def __init__(self, page: memoryview, slot_words: int, slots: int = 256) -> None:
        self.words = page.cast("I")
        self.slots = slots
        self._slot_words = slot_words
        self.taken = self.answered = self.words[self.RSP_PROD]

    @property
    def waiting(self) -> int:
        """Requests that weren't taken yet."""
        return (self.words[self.REQ_PROD] - self.taken) % 2**32

    def take(self) -> list[int] | None:
        """Take the next request; None if there isn't one."""
        if not self.waiting:
            return None
        at = self._slot(self.taken)
        self.taken = (self.taken + 1) % 2**32
        return list(self.words[at : at + self._slot_words])

    def answer(self, *words: int) -> None:
        """Write a response into the next slot."""
        at = self._slot(self.answered)
        for index, word in enumerate(words):
            self.words[at + index] = word & 0xFFFF_FFFF
        self.answered = (self.answered + 1) % 2**32

    def publish(self) -> None:
        """Show what was answered, and ask to be told of the next request."""
        self.words[self.RSP_PROD] = self.answered
        self.words[self.REQ_EVENT] = (self.taken + 1) % 2**32

    def _slot(self, index: int) -> int:
        return self.FIRST_SLOT + index % self.slots * self._slot_words


@dataclass(frozen=True)
class TxRequest:
    """netif_tx_request_t: a fragment that the guest sends."""

    reference: int
    offset: int
    flags: int
    id: int
    size: int

    @classmethod
    def of(cls, words: Sequence[int]) -> "TxRequest":
        """Read a slot."""
        return cls(words[0], words[1] & 0xFFFF, words[1] >> 16, words[2] & 0xFFFF, words[2] >> 16)


class Queue:
    """A pair of rings and their event channels."""

    def __init__(self, grants: Grants, channels: EventChannels, domain: int, keys: str) -> None:
        """`keys` is the path of their keys in xenstore."""
        number = lambda key: int(store().read(f"{keys}/{key}") or -1)  # noqa: E731
        self.grants, self._channels = grants, channels
        self.references = {"tx": number("tx-ring-ref"), "rx": number("rx-ring-ref")}
        self.tx = Ring(grants.page(self.references["tx"]), 3)
        self.rx = Ring(grants.page(self.references["rx"]), 2)
        names = ("event-channel-tx", "event-channel-rx")
        if number(names[0]) < 0:
            names = ("event-channel",)
        self.ports = [channels.bind(domain, number(name)) for name in names]

    def publish(self) -> None:
        """Show the guest all that was answered, with an event."""
        self.tx.publish()
        self.rx.publish()
        for port in self.ports:
            self._channels.notify(port)

    def close(self) -> None:
        """Close the event channels."""
        for port in self.ports:
            self._channels.unbind(port)

    def take_posted(self) -> tuple[int, memoryview]:
        """Return id and page of the next request for a frame."""
        words = self.rx.take()
        assert words is not None, "the guest has posted no page"
        return words[0] & 0xFFFF, self.grants.page(words[1])

    def answer_posted(self, id: int, size: int, *, offset: int = 0, flags: int = 0) -> None:
        """Write netif_rx_response_t; a negative size is an error."""
        self.rx.answer(id | offset << 16, flags | (size & 0xFFFF) << 16)

    def deliver(
        self, frame: bytes, *, flags: int = 0, fragment: int = PAGE, extras: Sequence[bytes] = ()
    ) -> list[memoryview]:
        """Give the guest a frame, in fragments of so many bytes, with extra infos. Returns its pages. It is
        there once it is published."""
        parts = [frame[at : at + fragment] for at in range(0, len(frame), fragment)]
        pages = []
        for number, part in enumerate(parts):
            id, page = self.take_posted()
            page[: len(part)] = part
            own = flags if number == 0 else 0
            own |= MORE_DATA if number + 1 < len(parts) else 0
            own |= EXTRA_INFO if number == 0 and extras else 0
            self.answer_posted(id, len(part), flags=own)
            pages.append(page)
            for extra in extras if number == 0 else ():
                self.take_posted()
                self.rx.answer(*struct.unpack("<II", extra))
        return pages

    def take_sent(self) -> tuple[bytes, list[TxRequest | None]] | None:
        """Take the next frame that the guest sends, and its requests: None for each extra info."""
        words = self.tx.take()
        if words is None:
            return None
        first = TxRequest.of(words)
        requests: list[TxRequest | None] = [first]
        more = bool(first.flags & EXTRA_INFO)
        while more:
            extra = self._rest()
            requests.append(None)
            more = bool(extra[0] >> 8 & EXTRA_MORE)
        fragments, last = [first], first
        while last.flags & MORE_DATA:
            last = TxRequest.of(self._rest())
            fragments.append(last)
        requests += fragments[1:]
        sizes = [first.size - sum(it.size for it in fragments[1:]), *(it.size for it in fragments[1:])]
        parts = zip(fragments, sizes, strict=True)
        read = (bytes(self.grants.page(it.reference)[it.offset : it.offset + size]) for it, size in parts)
        return b"".join(read), requests

    def _rest(self) -> list[int]:
        words = self.tx.take()
        assert words is not None, "the guest has shown a part of a packet"
        return words

    def complete(self, requests: Sequence[TxRequest | None]) -> None:
        """Answer the requests of a frame."""
        for request in requests:
            self.tx.answer(NULL << 16 if request is None else request.id | OKAY << 16)


class Control:
    """The control ring of netif.h; each request is refused."""

    NOT_SUPPORTED = 1

    def __init__(self, grants: Grants, channels: EventChannels, domain: int, keys: str) -> None:
        number = lambda key: int(store().read(f"{keys}/{key}") or -1)  # noqa: E731
        self._channels = channels
        self.ring = Ring(grants.page(number("ctrl-ring-ref")), 4, slots=128)
        self.port = channels.bind(domain, number("event-channel-ctrl"))

    def answer(self, *, id: int = 0, kind: int = 0, jump: int = 0) -> bool:
        """Answer the next request with an id, a type, and an index that are wrong by so much. Returns `False`
        if there isn't one."""
        words = self.ring.take()
        if words is None:
            return False
        own, asked = words[0] & 0xFFFF, words[0] >> 16
        self.ring.answer(own ^ id | (asked ^ kind) << 16, self.NOT_SUPPORTED, 0)
        self.ring.answered = (self.ring.answered + jump) % 2**32
        self.ring.publish()
        self._channels.notify(self.port)
        return True

    def close(self) -> None:
        """Close the event channel."""
        self._channels.unbind(self.port)


class Netback:
    """The backend of a vif that lasts for the block, and the host behind it."""

    _macs = itertools.count(1)

    def __init__(self, guest: Guest, index: int = 2) -> None:
        self.guest, self.index = guest, index
        self.address, self.router = "10.0.2.2", "10.0.2.1"
        tail = f"{next(self._macs):04x}"
        self.router_mac = f"00:16:3e:ff:{tail[:2]}:{tail[2:]}"
        self.mac = f"02:00:00:ff:{tail[:2]}:{tail[2:]}"
        assert guest.domid is not None
        self.domid = guest.domid
        self.front = f"/local/domain/{self.domid}/device/vif/{index}"
        self.back = f"/local/domain/0/backend/{KIND}/{self.domid}/{index}"
        self.features: dict[str, str] = dict(FEATURES)
        self.queues: list[Queue] = []
        self.received: deque[bytes] = deque(maxlen=10_000)
        self.grants = Grants(self.domid)
        self.channels = EventChannels()
        self.control: Control | None = None

    def __enter__(self) -> "Netback":
        self.create()
        return self

    def __exit__(self, *_error) -> None:
        self.remove()

    def set(self, key: str, value: str) -> None:
        """Write a key of the backend."""
        store().write(f"{self.back}/{key}", value)

    def front_key(self, key: str) -> str | None:
        """Read a key of the guest."""
        return store().read(f"{self.front}/{key}")

    def create(self) -> None:
        """Do the toolstack's part: both directories."""
        self.create_backend()
        self._create_frontend()

    def create_backend(self) -> None:
        """Make the backend's directory."""
        store().give(self.back, 0, self.domid)
        # Never Initialising: dom0's kernel would look for a driver.
        self.set("state", CLOSED)
        for key, value in (("frontend", self.front), ("frontend-id", self.domid), ("online", 1)):
            self.set(key, str(value))

    def _create_frontend(self) -> None:
        store().give(self.front, self.domid, 0)
        front = {"mac": self.router_mac, "handle": self.index, "backend-id": 0, "state": INITIALISING}
        for key, value in [*front.items(), ("backend", self.back)]:
            store().write(f"{self.front}/{key}", str(value))

    def remove(self) -> None:
        """Undo that, with what was mapped."""
        self.set("online", "0")
        store().remove(self.front)
        self.release()
        self.grants.close()
        self.channels.close()
        store().remove(self.back)

    def offer(self) -> None:
        """Say what this backend takes, and that it is ready."""
        for key, value in self.features.items():
            self.set(key, value)
        self.set("state", INIT_WAIT)

    def attach(self) -> None:
        """Map the rings of a guest that is connected."""
        several = self.front_key("multi-queue-num-queues")
        folders = [f"{self.front}/queue-{n}" for n in range(int(several))] if several else [self.front]
        self.queues = [Queue(self.grants, self.channels, self.domid, folder) for folder in folders]
        if self.front_key("ctrl-ring-ref"):
            self.control = Control(self.grants, self.channels, self.domid, self.front)

    def connect(self) -> None:
        """Go through all states until both ends are connected and the guest answers."""
        self.offer()
        self.wait_front(CONNECTED)
        self.attach()
        self.set("state", CONNECTED)
        self.ping()

    def wait_front(self, *states: str) -> None:
        """Wait until the guest is in one of these states."""
        reached = lambda: self.front_key("state") in states or None  # noqa: E731
        eventually(reached, PATIENCE_S, lambda: f"state {states}; console:\n{self.guest.console()}")

    def release(self) -> None:
        """Let go of everything that the guest shared."""
        self._close_channels()
        self.grants.unmap()

    def keep(self) -> Grants:
        """Let go of the event channels only, and return what stays mapped."""
        self._close_channels()
        kept, self.grants = self.grants, Grants(self.domid)
        return kept

    def _close_channels(self) -> None:
        for queue in self.queues:
            queue.close()
        self.queues = []
        self.control = self.control and self.control.close()

    def close(self) -> None:
        """Follow the guest, which closes, and be done."""
        self.wait_front(CLOSING, CLOSED)
        self.set("state", CLOSING)
        self.release()
        self.set("state", CLOSED)
        self.wait_front(CLOSED)

    def step(self) -> None:
        """Do all there is to do, or wait a moment for an event."""
        if not any(self._work(queue) for queue in self.queues):
            self.channels.wait(IDLE_S)

    def serve(self, until: Callable[[], object], what: str = "") -> None:
        """Be a good backend until something is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not in {PATIENCE_S} s: {what}; console:\n{self.guest.console()}")
            self.step()

    def provoke(self) -> list[TxRequest]:
        """Have the router send a frame, and return its requests, which nobody has answered."""
        self.send(self.frame(echo4(self.address, self.router, b"provoked")))
        queue = self.queues[0]
        deadline = time.monotonic() + PATIENCE_S
        while (sent := queue.take_sent()) is None:
            assert time.monotonic() < deadline, f"nothing is sent; console:\n{self.guest.console()}"
            self.channels.wait(IDLE_S)
        return [request for request in sent[1] if request is not None]

    def ping(self) -> None:
        """Ask the router until it answers."""
        token = os.urandom(12)
        answered = lambda: any(token in frame for frame in self.received)  # noqa: E731
        deadline = time.monotonic() + PATIENCE_S
        while not answered():
            assert time.monotonic() < deadline, f"no answer; console:\n{self.guest.console()}"
            self.send(self.frame(echo4(self.address, self.router, token)))
            again = time.monotonic() + 0.5
            self.serve(lambda: answered() or time.monotonic() > again)  # noqa: B023

    def frame(self, packet: bytes, source: str | None = None) -> bytes:
        """Return a frame from this host to the router with an IPv4 packet."""
        return ethernet(self.router_mac, source or self.mac, IPV4, packet)

    def send(self, *frames: bytes, queue: int = 0, **how) -> list[list[memoryview]]:
        """Give the guest frames, all at once; `how` as `Queue.deliver` takes it. Returns the pages of each."""
        pages = [self.queues[queue].deliver(frame, **how) for frame in frames]
        self.queues[queue].publish()
        return pages

    def _work(self, queue: Queue) -> bool:
        worked = False
        while (sent := queue.take_sent()) is not None:
            frame, requests = sent
            queue.complete(requests)
            self._answer(queue, frame)
            worked = True
        queue.tx.publish()
        if worked:
            queue.publish()
        return worked

    def _answer(self, queue: Queue, frame: bytes) -> None:
        asked = read_arp(frame)
        if not queue.rx.waiting:
            return
        if asked is not None:
            if asked.operation != REPLY and asked.target == self.address:
                reply = arp(REPLY, self.mac, self.address, asked.sender, asked.sender_mac)
                queue.deliver(ethernet(asked.sender_mac, self.mac, ARP, reply))
            return
        self.received.append(frame)
        ip = read_ip(frame)
        if ip and ip.protocol == ICMP and ip.payload[0] == 8 and ip.destination == self.address:
            reply = ipv4(self.address, ip.source, icmp(0, 0, ip.payload[4:]), protocol=ICMP)
            queue.deliver(ethernet(mac_text(frame[6:12]), self.mac, IPV4, reply))


def serve_until_told(guest: Guest) -> NoReturn:
    """Be a good backend of a guest's vif 2, for a process of its own that ends by a signal."""
    back = Netback(guest)
    back.create()
    back.connect()
    while True:
        back.step()


def forget(guest: Guest, index: int = 2) -> None:
    """Remove a vif whose backend's process has ended."""
    store().remove(f"/local/domain/{guest.domid}/device/vif/{index}")
    store().remove(f"/local/domain/0/backend/{KIND}/{guest.domid}/{index}")


def gso(size: int, *, kind: int = 1, more: bool = False) -> bytes:
    """Return the extra info of a large packet that is to be cut into so many bytes."""
    return struct.pack("<BBHBBH", GSO, EXTRA_MORE if more else 0, size, kind, 0, 0)
