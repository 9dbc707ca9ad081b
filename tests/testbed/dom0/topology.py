"""Bridges as dom0 has them, and network namespaces that play a tenant's hosts.

    left = Host("left", "xenbr0", ("10.0.0.2/24",), gateways=("10.0.0.1",))
    with Topology([left, right]):
        left.ping("10.0.1.2", count=3)
"""

import contextlib
import ctypes
import hashlib
import ipaddress
import json
import math
import re
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .shell import execute, run

DEVICE = "eth0"  # a host's only interface, as its namespace sees it
CLONE_NEWNET = 0x40000000
PATIENCE_S = 30  # a reply that takes longer is lost
SILENCE_S = 2  # no reply for so long means that there will be none

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Ping:
    """What `ping` counted."""

    sent: int
    received: int
    text: str

    @property
    def lost(self) -> int:
        """Requests without a reply."""
        return self.sent - self.received

    @property
    def answered(self) -> bool:
        """Returns `True` if there was any reply, be it to a request beyond those that count."""
        return " bytes from " in self.text


@dataclass(frozen=True)
class Host:
    """A namespace joined to a bridge by a veth pair."""

    name: str
    bridge: str
    addresses: Sequence[str] = ()
    gateways: Sequence[str] = ()
    mtu: int = 1500
    offload: bool = True

    @property
    def port(self) -> str:
        """The bridge's end of the veth pair."""
        return f"{self.name[:10]}-port"

    @property
    def mac(self) -> str:
        """The host's Ethernet address, the same in every run."""
        tail = hashlib.sha256(self.name.encode()).digest()[:4]
        return "02:00:" + ":".join(f"{byte:02x}" for byte in tail)

    @property
    def address(self) -> str:
        """The first address, without its length."""
        return self.addresses[0].partition("/")[0]

    def address_of(self, family: int) -> str:
        """The first address of a family (`socket.AF_INET`, `AF_INET6`), without its length."""
        mark = ":" if family == socket.AF_INET6 else "."
        return next(address for address in self.addresses if mark in address).partition("/")[0]

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be in the namespace while the block lasts (this thread only): what is opened or started
        there stays there. `ip netns exec` costs as much as two processes."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def run(self, *command: object, timeout: float = 60, check: bool = True) -> str:
        """Run a command in the namespace and return its output."""
        with self.inside():
            return run(*command, timeout=timeout, check=check)

    def execute(
        self, *command: object, timeout: float = 60, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace; its exit code and output, whatever they are."""
        with self.inside():
            return execute(*command, timeout=timeout, input=input)

    def popen(self, *command: object, **options) -> subprocess.Popen:
        """Start a command in the namespace."""
        with self.inside():
            return subprocess.Popen([str(word) for word in command], **options)

    @contextlib.contextmanager
    def background(self, *command: object, **options):
        """Run a command in the namespace while the block lasts (a server, a capture)."""
        process = self.popen(*command, **options)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def ping(self, target: str, count: int = 1, interval: float = 0.2, *options: object) -> Ping:
        """Ping a target; a lost reply is a result, not an error.

        Without `-w`, ping waits for the last reply only twice as long as one took so far, which is too
        short on a busy machine. With it, ping goes on sending until it has `count` replies or hears of
        an error; what counts are the replies to the first `count` requests.
        """
        deadline = math.ceil(count * interval + PATIENCE_S)
        words = ("ping", "-n", "-c", count, "-i", interval, "-w", deadline, *options, target)
        text = self.execute(*words, timeout=deadline + 30).stdout
        answered = {int(number) for number in re.findall(r" bytes from .* icmp_seq=(\d+) ", text)}
        return Ping(count, len(answered & set(range(1, count + 1))), text)

    def reach(self, target: str, *options: object, timeout: float = 60) -> None:
        """Ping a target until it answers; raises TimeoutError if it never does."""
        deadline = time.monotonic() + timeout
        while not (ping := self.ping(target, 1, 0.2, *options)).answered:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: no reply in {timeout} s:\n{ping.text}")
            time.sleep(0.1)

    def ping_unanswered(self, target: str, count: int = 2) -> bool:
        """Ping a target; returns `True` if none of the requests is answered within `SILENCE_S`."""
        text = self.execute("ping", "-n", "-q", "-c", count, "-i", 0.2, "-W", SILENCE_S, target).stdout
        assert f"{count} packets transmitted" in text, text
        return " 0 received" in text

    def counters(self) -> dict[str, int]:
        """Return the interface's counters: rx_packets, rx_bytes, tx_packets, tx_bytes, ..."""
        stats = json.loads(self.run("ip", "-s", "-j", "link", "show", DEVICE))
        both = stats[0]["stats64"]
        return {f"{way}_{key}": n for way in ("rx", "tx") for key, n in both[way].items()}

    def neighbors(self) -> str:
        """Return the ARP and ND table."""
        return self.run("ip", "neighbour")

    def forget(self) -> None:
        """Forget what the network said: neighbors, and path MTUs and redirects."""
        with self.inside():
            Path("/proc/sys/net/ipv4/route/flush").write_text("1")  # all that `ip` does here
            run("ip", "-6", "route", "flush", "cache")
            run("ip", "neighbour", "flush", "all")

    def up(self) -> None:
        """Make the namespace, its interface, addresses and default routes."""
        run("ip", "netns", "add", self.name)
        peer = ("peer", "name", DEVICE, "netns", self.name, "address", self.mac, "mtu", self.mtu)
        run("ip", "link", "add", self.port, "mtu", self.mtu, "type", "veth", *peer)
        batch = ["link set lo up", f"link set {DEVICE} up"]
        batch += [f"address add {a}{_nodad(a)} dev {DEVICE}" for a in self.addresses]
        batch += [f"route add default via {gateway}" for gateway in self.gateways]
        run("ip", "link", "set", self.port, "up", "master", self.bridge)
        with self.inside():
            run("ip", "-batch", "-", input="\n".join(batch) + "\n")
        if not self.offload:
            set_offload(self, False)

    def down(self) -> None:
        """End the namespace's processes, then remove it with its interface."""
        pids = execute("ip", "netns", "pids", self.name).stdout.split()
        if pids:
            execute("kill", "-9", *pids)
        execute("ip", "link", "delete", self.port)
        execute("ip", "netns", "delete", self.name)


class Topology:
    """Bridges and hosts that exist while the block lasts."""

    def __init__(self, hosts: Iterable[Host], bridges: Iterable[str] = ()) -> None:
        self.hosts = {host.name: host for host in hosts}
        wanted = [*bridges, *(host.bridge for host in self.hosts.values())]
        self.bridges = list(dict.fromkeys(wanted))

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def __enter__(self) -> "Topology":
        self._remove()
        try:
            for bridge in self.bridges:
                add_bridge(bridge)
            for host in self.hosts.values():
                host.up()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_error) -> None:
        self._remove()

    def _remove(self) -> None:
        for host in self.hosts.values():
            host.down()
        for bridge in self.bridges:
            execute("ip", "link", "delete", bridge)


def add_bridge(name: str) -> None:
    """Make a bridge that forwards at once and says nothing itself."""
    quiet = ("stp_state", 0, "forward_delay", 0, "mcast_snooping", 0)
    run("ip", "link", "add", name, "type", "bridge", *quiet)
    run("ip", "link", "set", name, "up")


def set_offload(host: Host, on: bool) -> None:
    """Turn checksum and segmentation offload of a host's interface on or off.

    On, frames between Linux hosts carry blank checksums and may be longer than the MTU.
    """
    state = "on" if on else "off"
    features = [word for name in ("tx", "rx", "sg", "tso", "gso") for word in (name, state)]
    # As it is at first: with it, what arrives in segments would be seen as one large frame.
    features += ["gro", "off"]
    host.run("ethtool", "-K", DEVICE, *features)
    run("ethtool", "-K", host.port, *features)


def set_vif_offload(vif: str, on: bool) -> None:
    """The same for dom0's end of a vif, as in `vif3.0`."""
    state = "on" if on else "off"
    run("ethtool", "-K", vif, "tx", state, "tso", state, "gso", state, "gro", state)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _nodad(address: str) -> str:
    """IPv6 addresses are used at once: nobody else has them here."""
    return " nodad" if ipaddress.ip_interface(address).version == 6 else ""
