"""A backend that breaks the protocol loses its own vif, and has it again when it behaves."""

import re

import pytest
from dom0.guest import Guest
from dom0.ringway import idle_pages
from dom0.topology import Host
from support.bystanders import nothing_lost
from support.misbehaviour import MISBEHAVIOURS, Misbehaviour
from support.netback import CLOSED, CLOSING, Netback


def warnings(guest: Guest, start: int) -> list[str]:
    """Return what the router warned of since its console was this long."""
    return [line for line in guest.console()[start:].splitlines() if "WARN" in line]


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS, ids=lambda it: it.name)
def test_a_backend_that(misbehaviour: Misbehaviour, isolated: Guest, left: Host, right: Host) -> None:
    with Netback(isolated) as back, nothing_lost((left, right), (right, left)):
        back.connect()
        start = len(isolated.console())
        misbehaviour.act(back)
        if misbehaviour.says:
            back.close()
            (said,) = warnings(isolated, start)
            assert re.search(f"vif/2: {misbehaviour.says}; closing$", said), said
            back.connect()
        else:
            back.ping()
            assert back.front_key("state") not in (CLOSING, CLOSED)
        assert len(warnings(isolated, start)) == bool(misbehaviour.says), warnings(isolated, start)
    idle_pages(isolated)
