"""Programs that others wrote, from Debian, as clients of the router: what each makes of it."""

import json
import re
import subprocess

import pytest
from dom0.guest import Guest
from dom0.topology import DEVICE
from support.clients_network import BEHIND, MTU, NEAR, OWN

families = pytest.mark.parametrize("family", [4, 6])


def values(text: str) -> dict[str, list[str]]:
    """Read rdisc6's lines of a name and a value; a name may come more than once."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^ *([A-Z][^:]*?) *: +(.*?) *$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_rdisc6_hears_what_is_configured(clients: Guest) -> None:
    text = NEAR.run("rdisc6", "-1", "-w", 30_000, DEVICE)
    mac = clients.vifs[0].mac
    expected = {
        "Stateful address conf.": ["No"],
        "Stateful other conf.": ["No"],
        "Router preference": ["high"],
        "Router lifetime": ["1200 (0x000004b0) seconds"],
        "Source link-layer address": [mac.upper()],
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
    expected = {
        "AdvManagedFlag off;", "AdvDefaultLifetime 1200;", "AdvDefaultPreference high;",
        "AdvSourceLLAddress on;", "AdvLinkMTU 1480;", "prefix 2001:db8:80::/64",
        "AdvValidLifetime 86400;", "AdvPreferredLifetime 14400;", "AdvOnLink on;", "AdvAutonomous on;",
        "route 2001:db8:99::/48", "AdvRouteLifetime 600;", "RDNSS 2001:db8:80::53",
        "AdvRDNSSLifetime 900;", "DNSSL example.org",
    }  # fmt: skip
    with NEAR.background("radvdump", stdout=subprocess.PIPE, text=True) as dump:
        lines: list[str] = []
        # It writes to a pipe at once, and ends only when it is told to.
        while missing := {word for word in expected if not any(word in line for line in lines)}:
            line = dump.stdout.readline()
            assert line, f"no {missing} in:\n{''.join(lines)}"
            lines.append(line)


def test_ndisc6_finds_what_is_on_the_link(clients: Guest) -> None:
    text = NEAR.run("ndisc6", "-1", "-w", 30_000, OWN[6], DEVICE)
    assert f"Target link-layer address: {clients.vifs[0].mac.upper()}" in text, text
    other = NEAR.execute("ndisc6", "-1", "-r", 2, "2001:db8:81::1", DEVICE)
    assert other.returncode == 2 and "No response" in other.stdout, other.stdout


@families
def test_tracepath_finds_the_small_link(family: int, clients: Guest) -> None:
    text = NEAR.run("tracepath", "-n", BEHIND[family])
    assert re.search(rf" {OWN[family]} .*pmtu {MTU}", text), text
    assert f"Resume: pmtu {MTU} hops 2 back 2" in text, text


# Left alone, it gives a probe up after three times as long as another one took.
TRACEROUTE = ["traceroute", "-n", "-w", "30,0,0"]
TRACERS = {
    "traceroute, UDP": (4, TRACEROUTE),
    "traceroute, ICMP": (4, [*TRACEROUTE, "-I"]),
    "traceroute, TCP": (4, [*TRACEROUTE, "-T"]),
    "traceroute, UDP over IPv6": (6, [*TRACEROUTE, "-6"]),
    "traceroute, ICMP over IPv6": (6, [*TRACEROUTE, "-6", "-I"]),
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
