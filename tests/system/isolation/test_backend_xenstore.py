"""What a backend writes to xenstore, and doesn't: states out of order, keys missing, late or senseless."""

import pytest
from dom0.guest import Guest
from dom0.ringway import command, idle_pages
from dom0.topology import Host
from dom0.xenstore import store
from support.bystanders import nothing_lost
from support.netback import CLOSED, CLOSING, CONNECTED, FEATURES, INIT_WAIT, INITIALISING, Netback

# Nothing that a state says, or states that say nothing about a connection.
MEANINGLESS = ("banana", "", "99", "-1", "4" * 2000, "4\x01", "7", "8")
ENDS = {CLOSING: "Closing", CLOSED: "Closed", INIT_WAIT: "InitWait", "3": "Initialised"}
HUGE = "9" * 2000  # xenstored takes 2048 bytes


def seen(guest: Guest) -> None:
    """Wait until the router has seen all that was written before: events come in their order."""
    command(guest, "show version")


def test_states_that_mean_nothing(isolated: Guest, left: Host, right: Host) -> None:
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        start = len(isolated.console())
        for state in MEANINGLESS:
            back.set("state", state)
            seen(isolated)
            assert back.front_key("state") == CONNECTED, state
        back.set("state", CONNECTED)
        back.ping()
        assert isolated.console()[start:] == ""
    idle_pages(isolated)


@pytest.mark.parametrize("state", ENDS, ids=ENDS.get)
def test_a_state_that_ends_the_connection(state: str, isolated: Guest, left: Host, right: Host) -> None:
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        start = len(isolated.console())
        back.set("state", state)
        isolated.wait_console(f"vif/2: backend is {ENDS[state]}$", 60, start)
        back.release()
        back.set("state", CLOSED)
        back.wait_front(INITIALISING)
        back.connect()
    idle_pages(isolated)


def test_states_in_no_order(isolated: Guest, left: Host, right: Host) -> None:
    """More than anybody follows. When it is over, the backend is connected to as any other."""
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        for number in range(200):
            back.set("state", "2445672316"[number % 10])
        back.set("state", CLOSED)
        back.connect()
    idle_pages(isolated)


def test_a_directory_that_vanishes(isolated: Guest, left: Host, right: Host) -> None:
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        start = len(isolated.console())
        store().remove(back.back)
        isolated.wait_console("vif/2: the backend vanished; closing$", 60, start)
        back.wait_front(CLOSED)
        back.release()
        back.create_backend()
        back.connect()
    idle_pages(isolated)


def test_a_directory_that_comes_late(isolated: Guest, left: Host, right: Host) -> None:
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        store().remove(back.back)
        seen(isolated)
        back.create_backend()
        back.connect()
    idle_pages(isolated)


def test_a_mac_that_comes_late(isolated: Guest, left: Host, right: Host) -> None:
    """With what tools leave around a value."""
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        store().remove(f"{back.front}/mac")
        start = len(isolated.console())
        back.offer()
        isolated.wait_console("vif/2: .*mac", 60, start)
        store().write(f"{back.front}/mac", f" {back.router_mac}\n")
        back.connect()
    idle_pages(isolated)


def test_no_feature_at_all(isolated: Guest, left: Host, right: Host) -> None:
    """netif.h demands one of them. That it is missing is said once, however often it is tried."""
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.features = {}
        start = len(isolated.console())
        back.offer()
        lacks = "vif/2: the backend lacks feature-rx-copy$"
        isolated.wait_console(lacks, 60, start)
        back.set("state", CLOSED)
        back.offer()
        back.features = dict(FEATURES)
        back.connect()
        assert isolated.console()[start:].count("lacks feature-rx-copy") == 1
    idle_pages(isolated)


@pytest.mark.parametrize("value", [HUGE, "-1", "yes", "\x00", "18446744073709551617"], ids=lambda it: it[:8])
def test_features_that_make_no_sense(value: str, isolated: Guest, left: Host, right: Host) -> None:
    """Those that aren't needed count as missing."""
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.features = {key: value for key in FEATURES} | {"multi-queue-max-queues": value}
        back.features |= {f"feature-{number}": value for number in range(20)} | {"feature-rx-copy": "1"}
        back.connect()
        assert len(back.queues) == 1 and len(back.queues[0].ports) == 1
    idle_pages(isolated)
