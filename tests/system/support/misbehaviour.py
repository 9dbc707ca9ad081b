"""What a backend does that it must not, and what the router says of it."""

from collections.abc import Callable
from dataclasses import dataclass

from support.netback import EXTRA_INFO, MORE_DATA, Netback, Ring, gso

GSO_PREFIX = 0x10
TOO_MANY_SLOTS = "receive: packet in too many slots"


@dataclass(frozen=True)
class Misbehaviour:
    """`act` is done to a connected vif; `says` is the only warning, after which it is closed. Without one,
    the vif stays."""

    name: str
    act: Callable[[Netback], None]
    says: str = ""


def receive(*sizes: int, offset: int = 0, flags: int = 0, id: int = 0) -> Callable[[Netback], None]:
    """Answer the next requests with these sizes, and ids that differ from theirs by `id`."""

    def act(back: Netback) -> None:
        queue = back.queues[0]
        for size in sizes:
            own, page = queue.take_posted()
            page[:64] = bytes(64)
            queue.answer_posted(own ^ id, size, offset=offset, flags=flags)
        queue.publish()

    return act


def receive_twice(back: Netback) -> None:
    """Answer a request, and again in place of the next one."""
    queue = back.queues[0]
    own, _ = queue.take_posted()
    queue.take_posted()
    queue.answer_posted(own, 60)
    queue.answer_posted(own, 60)
    queue.publish()


def extras(*infos: bytes) -> Callable[[Netback], None]:
    """A frame with these extra infos."""
    return lambda back: back.send(bytes(60), extras=infos) and None


def extra_behind_the_second(back: Netback) -> None:
    """Extra info belongs behind the first fragment."""
    receive(60, flags=MORE_DATA)(back)
    receive(60, flags=EXTRA_INFO)(back)


def jump(ring: str, by: int) -> Callable[[Netback], None]:
    """Claim that so many more responses are there, or fewer."""

    def act(back: Netback) -> None:
        words = getattr(back.queues[0], ring).words
        words[Ring.RSP_PROD] = (words[Ring.RSP_PROD] + by) % 2**32
        back.channels.notify(back.queues[0].ports[0])

    return act


def complete(status: int = 0, id: int | None = None, times: int = 1) -> Callable[[Netback], None]:
    """Answer what the router sent: with a status, with another id, more than once."""

    def act(back: Netback) -> None:
        queue = back.queues[0]
        sent = [back.provoke()[0].id for _ in range(times)]
        for _ in sent:
            queue.tx.answer((sent[0] if id is None else id) | (status & 0xFFFF) << 16)
        queue.publish()

    return act


def complete_posted(back: Netback) -> None:
    """Answer as sent what is a page of the receive ring."""
    back.provoke()
    queue = back.queues[0]
    own, _ = queue.take_posted()
    queue.tx.answer(own)
    queue.publish()


def half_a_packet(back: Netback) -> None:
    """The rest comes when others have sent a lot meanwhile."""
    receive(60, flags=MORE_DATA)(back)
    for _ in range(20):
        back.channels.wait(0.02)
    receive(60)(back)


def scribble(back: Netback) -> None:
    """Overwrite what belongs to the router, and all slots that aren't answered."""
    for ring, slot_words in ((back.queues[0].tx, 3), (back.queues[0].rx, 2)):
        for word in (Ring.REQ_PROD, Ring.RSP_EVENT):
            ring.words[word] ^= 0x8000_0000
        for index in range(ring.slots - ring.waiting if slot_words == 3 else 0):
            at = Ring.FIRST_SLOT + (ring.answered + index) % ring.slots * slot_words
            for word in range(at, at + slot_words):
                ring.words[word] = 0xFFFF_FFFF
        ring.words[Ring.REQ_PROD] ^= 0x8000_0000
    back.queues[0].publish()


def stand_still(back: Netback) -> None:
    """Take nothing of more than both rings hold, then all."""
    queue = back.queues[0]
    for _ in range(12):
        frames = [back.frame(bytes([0x45]) + bytes(19))] * min(30, queue.rx.waiting)
        back.send(*frames)
        back.channels.wait(0.02)


MISBEHAVIOURS = [
    Misbehaviour(
        "answers with another id",
        receive(60, id=1),
        r"receive: response \d+ in slot \d+ is to another request",
    ),
    Misbehaviour(
        "answers with an id that there is not",
        receive(60, id=0x8000),
        "receive: response .* another request",
    ),
    Misbehaviour("answers a request twice", receive_twice, "receive: response .* another request"),
    Misbehaviour(
        "delivers beyond the page",
        receive(1000, offset=4000),
        "receive: 1000 bytes at 4000 exceed the page",
    ),
    Misbehaviour(
        "delivers more than a page",
        receive(0x7FFF),
        "receive: 32767 bytes at 0 exceed the page",
    ),
    Misbehaviour(
        "announces large packets in the old way",
        receive(60, flags=GSO_PREFIX),
        "receive: invalid flags 0x10",
    ),
    Misbehaviour(
        "has extra info behind a later fragment",
        extra_behind_the_second,
        "receive: invalid flags 0x8",
    ),
    Misbehaviour("delivers a packet without end", receive(*[60] * 30, flags=MORE_DATA), TOO_MANY_SLOTS),
    Misbehaviour("has extra infos without end", extras(*[gso(1000, more=True)] * 20), TOO_MANY_SLOTS),
    Misbehaviour("has extra info of no type", extras(bytes(8)), "receive: bad extra info of type 0"),
    Misbehaviour("cuts into nothing", extras(gso(0)), "receive: bad extra info of type 1"),
    Misbehaviour("cuts what nobody knows", extras(gso(1000, kind=9)), "receive: bad extra info of type 1"),
    Misbehaviour("jumps ahead on the receive ring", jump("rx", 1000), "receive: ring index .* are possible"),
    Misbehaviour("goes back on the receive ring", jump("rx", -1000), "receive: ring index .* are possible"),
    Misbehaviour(
        "jumps ahead on the transmit ring",
        jump("tx", 1000),
        "transmit: ring index .* are possible",
    ),
    Misbehaviour("goes back on the transmit ring", jump("tx", -1000), "transmit: ring index .* are possible"),
    Misbehaviour("completes what wasn't sent", complete(id=0xFFFF), "transmit: response 65535 without a request"),
    Misbehaviour("completes twice", complete(times=2), r"transmit: response \d+ without a request"),
    Misbehaviour("completes what is posted", complete_posted, r"transmit: response \d+ without a request"),
    Misbehaviour("completes with a status of its own", complete(status=7), "transmit: unknown status 7"),
    Misbehaviour(
        "completes extra info that there was not",
        complete(status=1),
        "transmit: response without an extra info",
    ),
    Misbehaviour("fails to deliver", receive(-1, -2, -32768, 0)),
    Misbehaviour("delivers parts of headers", receive(1, 2, 13, 14, 15, 33)),
    Misbehaviour("has flags that nobody knows", receive(60, flags=0xFFE0)),
    Misbehaviour("fails to send", complete(status=-1)),
    Misbehaviour("delivers half a packet", half_a_packet),
    Misbehaviour("scribbles over the rings", scribble),
    Misbehaviour("stands still", stand_still),
]
