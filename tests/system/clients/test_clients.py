"""Programs that others wrote, from Debian, as clients of the router: what each makes of it."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest, Vif
from dom0.ringway import counters, eventually, idle_pages, key, settle
from dom0.topology import DEVICE, Host, Topology

NEAR = Host("near", "xennear", ("10.80.0.2/24", "2001:db8:80::2/64"), ("10.80.0.1", "2001:db8:80::1"))
FAR = Host("far", "xenfar", ("10.80.1.2/24", "2001:db8:81::2/64"), ("10.80.1.1", "2001:db8:81::1"))
OWN = {4: "10.80.0.1", 6: "2001:db8:80::1"}
BEHIND = {4: "10.80.1.2", 6: "2001:db8:81::2"}
STATIONS = ("00:16:3e:00:c1:00", "00:16:3e:00:c1:01")
MTU = 1280
RECEIVED = "interface.near.rx.packets"

CONFIG = f"""
hostname = "clients"

[interface.near]
vif     = 0
address = ["10.80.0.1/24", "2001:db8:80::1/64"]

[interface.near.advertise]
max_interval_s = 4
lifetime_s     = 1200
mtu            = 1480
preference     = "high"
dns            = ["2001:db8:80::53"]
dns_lifetime_s = 900
dns_search     = ["example.org"]

[[interface.near.advertise.prefix]]
prefix = "2001:db8:80::/64"
valid_lifetime_s     = 86400
preferred_lifetime_s = 14400

[[interface.near.advertise.route]]
prefix     = "2001:db8:99::/48"
lifetime_s = 600

[interface.far]
vif     = 1
address = ["10.80.1.1/24", "2001:db8:81::1/64"]
mtu     = {MTU}
"""

families = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    with Topology([NEAR, FAR]) as made:
        for host in made.hosts.values():
            # A traceroute asks for more port unreachables than Linux tells in a second.
            host.run("sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        yield


@pytest.fixture
def clients(hosts: None, share: Callable[..., Guest]) -> Guest:
    """A router whose far link is small, and which advertises itself on the near one."""
    # The same stations each time: hosts that heard of a router by its address look for it there.
    vifs = [Vif(host.bridge, station) for host, station in ((NEAR, STATIONS[0]), (FAR, STATIONS[1]))]
    guest = share(Guest("clients", vifs, config=CONFIG))
    settle(guest)
    assert_forwards()
    return guest


def assert_forwards() -> None:
    """Both families cross, both ways."""
    for family in (4, 6):
        assert NEAR.ping(BEHIND[family], 3, 0.1, "-W", 10).lost == 0
    assert FAR.ping("2001:db8:80::2", 3, 0.1, "-W", 10).lost == 0


def values(text: str) -> dict[str, list[str]]:
    """Read rdisc6's lines of a name and a value; a name may come more than once."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^ *([A-Z][^:]*?) *: +(.*?) *$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_rdisc6_hears_what_is_configured(clients: Guest) -> None:
    text = NEAR.run("rdisc6", "-1", "-w", 5000, DEVICE)
    station = clients.vifs[0].mac
    expected = {
        "Stateful address conf.": ["No"],
        "Stateful other conf.": ["No"],
        "Router preference": ["high"],
        "Router lifetime": ["1200 (0x000004b0) seconds"],
        "Source link-layer address": [station.upper()],
        "MTU": ["1480 bytes (valid)"],
        "Prefix": ["2001:db8:80::/64"],
        "On-link": ["Yes"],
        "Autonomous address conf.": ["Yes"],
        "Valid time": ["86400 (0x00015180) seconds"],
        "Pref. time": ["14400 (0x00003840) seconds"],
        "Route": ["2001:db8:99::/48"],
        "Route lifetime": ["600 (0x00000258) seconds"],
        "Recursive DNS server": ["2001:db8:80::53"],
        "DNS server lifetime": ["900 (0x00000384) seconds"],
        "DNS search list": ["example.org"],
    }
    found = values(text)
    assert {name: found.get(name) for name in expected} == expected, text
    assert re.search(r"from fe80::", text)


def test_radvdump_reads_the_same(clients: Guest) -> None:
    """It waits for an advertisement, and writes the radvd configuration that would send it."""
    text = NEAR.execute("timeout", 12, "radvdump").stdout
    for line in (
        "AdvManagedFlag off;", "AdvDefaultLifetime 1200;", "AdvDefaultPreference high;",
        "AdvSourceLLAddress on;", "AdvLinkMTU 1480;", "prefix 2001:db8:80::/64",
        "AdvValidLifetime 86400;", "AdvPreferredLifetime 14400;", "AdvOnLink on;", "AdvAutonomous on;",
        "route 2001:db8:99::/48", "AdvRouteLifetime 600;", "RDNSS 2001:db8:80::53",
        "AdvRDNSSLifetime 900;", "DNSSL example.org",
    ):  # fmt: skip
        assert line in text, f"no {line!r} in:\n{text}"


def test_ndisc6_finds_what_is_on_the_link(clients: Guest) -> None:
    text = NEAR.run("ndisc6", "-1", "-w", 5000, OWN[6], DEVICE)
    assert f"Target link-layer address: {clients.vifs[0].mac.upper()}" in text, text
    other = NEAR.execute("ndisc6", "-1", "-r", 2, "2001:db8:81::1", DEVICE)
    assert other.returncode == 2 and "No response" in other.stdout, other.stdout


@families
def test_tracepath_finds_the_small_link(family: int, clients: Guest) -> None:
    text = NEAR.run("tracepath", "-n", BEHIND[family])
    assert re.search(rf" {OWN[family]} .*pmtu {MTU}", text), text
    assert f"Resume: pmtu {MTU} hops 2 back 2" in text, text


TRACERS = {
    "traceroute, UDP": (4, ["traceroute", "-n"]),
    "traceroute, ICMP": (4, ["traceroute", "-n", "-I"]),
    "traceroute, TCP": (4, ["traceroute", "-n", "-T"]),
    "traceroute, UDP over IPv6": (6, ["traceroute", "-6", "-n"]),
    "traceroute, ICMP over IPv6": (6, ["traceroute", "-6", "-n", "-I"]),
    "rltraceroute6": (6, ["rltraceroute6", "-n"]),
    "tcptraceroute6": (6, ["tcptraceroute6", "-n"]),
}


@pytest.mark.parametrize("name", TRACERS)
def test_tracers_show_both_hops(name: str, clients: Guest) -> None:
    family, words = TRACERS[name]
    text = NEAR.run(*words, BEHIND[family])
    assert re.search(rf"^ 1  {OWN[family]}  ", text, re.MULTILINE), text
    assert re.search(rf"^ 2  {BEHIND[family]}  ", text, re.MULTILINE), text


def test_trace6_shows_both_hops(clients: Guest) -> None:
    text = NEAR.run("timeout", 60, "atk6-trace6", DEVICE, BEHIND[6])
    assert f"1: {OWN[6]}" in text and f"2: {BEHIND[6]}" in text, text


@families
def test_mtr_loses_nothing(family: int, clients: Guest) -> None:
    text = NEAR.run("mtr", f"-{family}", "-n", "-r", "-c", 10, "-i", 0.2, "-j", BEHIND[family])
    hubs = json.loads(text)["report"]["hubs"]
    assert [hub["host"] for hub in hubs] == [OWN[family], BEHIND[family]], text
    assert [hub["Loss%"] for hub in hubs] == [0.0, 0.0], text


@pytest.mark.parametrize("protocol", ["--icmp", "--udp"])
def test_nping_traces(protocol: str, clients: Guest) -> None:
    words = ["nping", protocol, "--tr", "-c", 2, "--delay", "500ms", BEHIND[4]]
    # Once in many runs nping itself begins with a TTL of 2, and there is no first hop to see.
    texts = [NEAR.run(*words)]
    while " ttl=1 " not in texts[-1] and len(texts) < 3:
        texts.append(NEAR.run(*words))
    assert re.search(rf"RCVD .* ICMP \[{OWN[4]} > {NEAR.address} TTL=0 during transit", texts[-1]), texts
    assert re.search(rf"RCVD .* ICMP \[{BEHIND[4]} > {NEAR.address} ", texts[-1]), texts


def test_nping_asks_the_router(clients: Guest) -> None:
    arp = NEAR.run("nping", "--arp", "-c", 3, "--delay", "200ms", OWN[4])
    assert arp.count(f"ARP reply {OWN[4]} is at {clients.vifs[0].mac.upper()}") == 3, arp
    tcp = NEAR.run("nping", "--tcp", "-p", 9, "-c", 3, "--delay", "200ms", OWN[4])
    assert len(re.findall(rf"RCVD .* TCP {OWN[4]}:9 > .* RA ", tcp)) == 3, tcp
    udp = NEAR.run("nping", "--udp", "-p", 9, "-c", 3, "--delay", "200ms", OWN[4])
    assert udp.count("Port unreachable (type=3/code=3)") == 3, udp


def test_alive6_finds_the_router(clients: Guest) -> None:
    """By its answer to a ping of all nodes, and by its errors about unknown options."""
    assert f"Alive: {OWN[6]} [" in NEAR.run("atk6-alive6", DEVICE)
    for option in ("dst", "hop"):
        text = NEAR.run("atk6-alive6", "-e", option, DEVICE, OWN[6], check=False)
        assert f"Alive: {OWN[6]} [" in text, text


# thc-ipv6's attacks on a router. Each runs for some seconds, against the router or its links.
ATTACKS = {
    "fragments": ["atk6-fragmentation6", "-p", DEVICE, OWN[6]],
    "implementation": ["atk6-implementation6", "-p", DEVICE, OWN[6]],
    "exploits": ["atk6-exploit6", DEVICE, OWN[6]],
    **{f"denial {n}": ["atk6-denial6", DEVICE, OWN[6], n] for n in range(1, 8)},
    "neighbours that nobody is": ["atk6-ndpexhaust26", DEVICE, "2001:db8:81::/64"],
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
