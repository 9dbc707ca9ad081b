"""thc-ipv6's attacks on the router and its links: afterwards it forwards as before."""

import pytest
from dom0.guest import Guest
from dom0.ringway import counters, eventually, idle_pages, key
from dom0.topology import DEVICE
from support.clients_network import BEHIND, NEAR, OWN

RECEIVED = "interface.near.rx.packets"

# Each runs for some seconds.
ATTACKS = {
    "fragments": ["atk6-fragmentation6", "-p", DEVICE, OWN[6]],
    "implementation": ["atk6-implementation6", "-p", DEVICE, OWN[6]],
    "exploits": ["atk6-exploit6", DEVICE, OWN[6]],
    **{f"denial {n}": ["atk6-denial6", DEVICE, OWN[6], n] for n in range(1, 8)},
    "neighbors that nobody is": ["atk6-ndpexhaust26", DEVICE, "2001:db8:81::/64"],
    "solicitations": ["atk6-flood_solicitate6", DEVICE, OWN[6]],
    "router solicitations": ["atk6-flood_rs6", DEVICE],
    "group reports": ["atk6-flood_mld6", DEVICE],
    "unreachables": ["atk6-flood_unreach6", DEVICE, OWN[6]],
}


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_do_not_stop_the_router(name: str, clients: Guest) -> None:
    """While they run it is up to the links who gets through; afterwards everybody does again."""
    before = counters(clients)[RECEIVED]
    attack = NEAR.execute("timeout", "-s", "INT", "-k", 5, 6, *ATTACKS[name], timeout=60)
    assert attack.returncode != 127, attack.stderr
    # It is an attack only if it comes.
    assert counters(clients)[RECEIVED] - before >= 5, (attack.stdout, attack.stderr)

    def forwards() -> bool | None:
        pings = [NEAR.ping(address, 3, 0.1) for address in (*BEHIND.values(), *OWN.values())]
        return True if all(ping.lost == 0 for ping in pings) else None

    eventually(forwards, 60, lambda: f"no way through:\n{clients.console()[-2000:]}")
    assert key(clients, "state") == "ready"
    idle_pages(clients)
