"""Commands, typed on the console or written to xenstore."""

import pytest
from dom0.guest import Guest
from dom0.ringway import command, eventually, key
from dom0.topology import Host

PROMPT = "tenant-a> "


def type_line(guest: Guest, keys: str) -> str:
    """Type on the console and return what it shows up to the next prompt."""
    start = len(guest.console())
    guest.console_write(keys)
    shown = lambda: guest.console()[start:]  # noqa: E731
    whole = lambda: "\n" in shown() and shown().endswith(PROMPT)  # noqa: E731
    return eventually(lambda: shown() if whole() else None, 60, guest.console)


def test_typed_command(router: Guest) -> None:
    shown = type_line(router, "show interfaces\r")
    assert "10.0.0.1/24" in shown and "10.0.1.1/24" in shown


def test_unknown_command(router: Guest) -> None:
    assert 'unknown command "sho-me"' in type_line(router, "sho-me\r")
    assert 'unknown command "sho-me"' in command(router, "sho-me")


@pytest.mark.parametrize(
    "keys",
    ["show versip\x7fon\r", "sh\tver\t\r", "show ver\x1b[Dsi\x1b[Con\r", "junk\x15show version\r"],
    ids=["backspace", "tab", "arrows", "kill line"],
)
def test_line_is_edited(keys: str, router: Guest) -> None:
    assert "tenant-a: ringway" in type_line(router, keys)


def test_history(router: Guest) -> None:
    type_line(router, "show version\r")
    assert "tenant-a: ringway" in type_line(router, "\x1b[A\r")


def test_help_lists_what_works(router: Guest) -> None:
    text = command(router, "help")
    for line in ("show interfaces", "show routes", "show neighbors", "show counters", "show vifs",
                 "show cpu", "show memory", "show version"):  # fmt: skip
        assert line in text, text
        said = command(router, line)
        assert said and "unknown command" not in said, said


def test_shortened_and_ambiguous(router: Guest) -> None:
    assert command(router, "sh rou") == command(router, "show routes")
    assert "takes no" in command(router, "show version now")
    assert "ambiguous" in command(router, "show v")
    assert "incomplete" in command(router, "show")


@pytest.mark.parametrize("line", ["x" * 1000, "\x00\x01\x02", "show \u00fcberall", "show " * 100])
def test_odd_commands_do_no_harm(line: str, router: Guest, left: Host) -> None:
    assert command(router, line)
    assert left.ping("10.0.0.1", 2, 0.05).lost == 0


def test_long_lines_typed_do_no_harm(router: Guest, left: Host) -> None:
    router.console_write("y" * 2000 + "\x1b[Z\x1bO\xff\t\t\x15\r")
    assert "tenant-a: ringway" in type_line(router, "\x15show version\r")
    assert left.ping("10.0.0.1", 2, 0.05).lost == 0


def test_same_command_twice(router: Guest) -> None:
    assert command(router, "show version") == command(router, "show version") != ""
    assert key(router, "command") == ""
