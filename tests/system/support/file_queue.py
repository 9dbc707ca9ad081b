"""A plugin of pytest: which file of tests comes next is asked for, line by line.

`next?` goes to the standard error, the file's path below `tests/system` comes on the standard input;
an empty one ends the run. Both are taken here before pytest takes them for itself.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent

_answers = os.fdopen(os.dup(0))
_questions = os.fdopen(os.dup(2), "w")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Do what pytest's own loop does, with the tests of the files that are named."""
    if session.testsfailed:
        raise session.Interrupted(f"{session.testsfailed} errors while collecting")
    items = _given(session.items)
    item = next(items, None)
    while item is not None:
        following = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def _given(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    while name := _ask():
        yield from (item for item in items if item.path == TESTS / name)


def _ask() -> str:
    print("next?", file=_questions, flush=True)
    return _answers.readline().strip()
