"""What a router has sent when it is through with all frames so far."""

import os
from collections.abc import Callable

from support.wire import Wire

TOKEN = 12  # bytes

# A frame made of a token that is found again in what comes of it.
Mark = Callable[[bytes], bytes]


def barrier(near: Wire, far: Wire, echo: Mark, passing: Mark) -> tuple[list[bytes], list[bytes]]:
    """Return what arrives at both wires before the router is through with what `near` has sent.

    `echo` asks the router itself: its answer, which no limit holds back, comes behind all that the slow
    path has to do. `passing` then goes to the far side behind all that goes there.
    """
    answered, passed = os.urandom(TOKEN), os.urandom(TOKEN)
    near.send(echo(answered))
    at_near = near.until(lambda frame: answered in frame)[:-1]
    near.send(passing(passed))
    at_far = far.until(lambda frame: passed in frame)[:-1]
    return at_near + near.heard(), at_far + far.heard()
