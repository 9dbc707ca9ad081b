"""What a router has sent when it is through with all frames so far."""

import os
from collections.abc import Callable

from support.wire import Wire

TOKEN = 12  # bytes


def barrier(near: Wire, far: Wire, make: Callable[[bytes, int], bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return what arrives at both wires before the router is through with what `near` has sent.

    `make` makes a frame to the far side, of a token that is found again and a TTL. The first one is sent
    with a TTL of 1: the error about it comes behind all that the slow path has to do. The second one
    passes behind all that goes to the far side.
    """
    told, passed = os.urandom(TOKEN), os.urandom(TOKEN)
    near.send(make(told, 1))
    at_near = near.until(lambda frame: told in frame)[:-1]
    near.send(make(passed, 64))
    at_far = far.until(lambda frame: passed in frame)[:-1]
    return at_near + near.heard(), at_far + far.heard()
