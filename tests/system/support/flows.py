"""Flows from the left host through a router, and the gateways on the right that they take."""

import os
import struct
from collections.abc import Callable, Sequence

from dom0.guest import Guest
from support.network import LEFT, RIGHT
from support.packets import IPV4, IPV6, ethernet, mac_text
from support.wire import Wire

FAMILIES = ("IPv4", "IPv6")
A, B, C = (f"02:00:00:00:0e:0{n}" for n in range(3))  # the gateways' MAC addresses
BATCH = 100  # frames that wait for each other, so that no queue on the way overflows

# A packet of a flow, made of data that it is known by.
Flow = Callable[[bytes], bytes]


def gateways_taken(
    router: Guest, flows: Sequence[Flow], copies: int = 1, silence: float | None = None
) -> dict[int, str]:
    """Send packets of each flow, and say to which gateway all of them went. All must arrive,
    unless it is said after how many seconds of `silence` no more are waited for."""
    token = os.urandom(12)
    found: dict[int, set[str]] = {}
    arrived = 0

    def note(frame: bytes) -> None:
        nonlocal arrived
        if token in frame:
            arrived += 1
            (flow,) = struct.unpack_from("!H", frame, frame.index(token) + len(token))
            found.setdefault(flow, set()).add(mac_text(frame[:6]))

    def all_of(sent: int) -> Callable[[bytes], bool]:
        def wanted(frame: bytes) -> bool:
            note(frame)
            return arrived >= sent

        return wanted

    packets = [flow(token + struct.pack("!H", number)) for number, flow in enumerate(flows)] * copies
    frames = [
        ethernet(router.vifs[0].mac, LEFT.mac, IPV6 if packet[0] >> 4 == 6 else IPV4, packet)
        for packet in packets
    ]
    with Wire(LEFT) as near, Wire(RIGHT) as far:
        for start in range(0, len(frames), BATCH):
            batch = frames[start : start + BATCH]
            near.send(*batch)
            if silence is None:
                far.until(all_of(start + len(batch)))
        if silence is not None:
            for frame in far.heard(silence):
                note(frame)
    assert all(len(taken) == 1 for taken in found.values()), "a flow is torn apart"
    return {flow: taken.pop() for flow, taken in found.items()}
