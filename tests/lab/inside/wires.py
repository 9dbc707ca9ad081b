"""The lab's network: one generator, a sink for each flow, and two ways to reach the domUs.

Everything is a veth pair whose one end is in a namespace of its own:

    gen        e0, the wire to the domUs; e1, the wire that dom0 itself forwards from
    sink0 ...  one for the flow of each domU
    sinkd      the one of dom0's own flow

`bridged` joins gen and all first vifs in one bridge, all second vifs and sinks in another, as
vif-bridge does. `routed` gives every vif an address in dom0, which routes between it and the
wires, as vif-route does. Counting is left to the sinks' veth counters, whose packets are dropped
as soon as they arrive: a sink costs nothing that depends on what it is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dom0.shell import execute, run
from dom0.topology import add_bridge

LEFT, RIGHT = "left", "right"  # the bridges
DIRECT = "direct"  # dom0's own bridge, between e1 and sinkd
DIRECT_BRIDGED = "10.2.0.3/24"  # sinkd's address then
GENERATOR = "gen"
TABLE = 100  # dom0's routes for what comes from the generator
QUIET = {"net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 0}


@dataclass(frozen=True)
class End:
    """A namespace's device and dom0's end of its veth pair."""

    space: str
    device: str
    address: str  # with its length
    gateway: str | None
    mac: str

    @property
    def port(self) -> str:
        """The end in dom0."""
        return f"{self.space}-{self.device}"

    @property
    def ip(self) -> str:
        """The address without its length."""
        return self.address.partition("/")[0]

    @property
    def counter(self) -> str:
        """The file that counts what dom0 sent to this end."""
        return f"/sys/class/net/{self.port}/statistics/tx_packets"

    def run(self, *command: object, timeout: float = 60) -> str:
        """Run a command in the namespace."""
        return run("ip", "netns", "exec", self.space, *command, timeout=timeout)


def sink(number: int) -> End:
    """The sink of domU `number`'s flow (0 is the first)."""
    return End(f"sink{number}", "e0", f"10.1.{number}.2/24", f"10.1.{number}.1", f"02:00:01:00:{number:02x}:02")


class Wires:
    """The network for some domUs, while the block lasts.

    `cpu` is where dom0 does its part of forwarding, `far` the CPU of generator and sinks
    (the same one, where they share it).
    """

    def __init__(self, network: str, flows: int, cpu: int = 0, far: int = 0) -> None:
        self.network = network
        self.bridged = network == "bridged"
        self.cpu, self.far = cpu, far
        left = "10.0.255.254/16" if self.bridged else "10.4.0.2/24"
        self.gen = End(GENERATOR, "e0", left, None if self.bridged else "10.4.0.1", "02:00:00:00:00:01")
        self.direct = End(GENERATOR, "e1", "10.2.0.2/24", None, "02:00:00:00:00:02")
        self.sinks = [sink(number) for number in range(flows)]
        self.direct_sink = End("sinkd", "e0", "10.3.0.2/24", "10.3.0.1", "02:00:01:00:ff:02")

    def __enter__(self) -> "Wires":
        self._remove()
        for key, value in QUIET.items():
            run("sysctl", "-qw", f"{key}={value}")
        for name in (LEFT, RIGHT, DIRECT):
            add_bridge(name)
            run("ip", "link", "set", name, "type", "bridge", "ageing_time", 360_000)
        for end in (self.gen, self.direct, *self.sinks, self.direct_sink):
            self._add(end)
        if self.bridged:
            self._plug(LEFT, self.gen)
            self._plug(RIGHT, *self.sinks)
        else:
            forward(True)
            run("ip", "address", "add", "10.4.0.1/24", "dev", self.gen.port)
            run("ip", "rule", "add", "iif", self.gen.port, "lookup", TABLE)
            for number, end in enumerate(self.sinks):
                run("ip", "address", "add", f"10.1.{number}.1/24", "dev", end.port)
        return self

    def __exit__(self, *_error) -> None:
        self._remove()

    def extra(self, number: int) -> str:
        """What domU `number` is told on its command line: addresses and routes."""
        if self.bridged:
            # A sink's network is one of 10.1.0.0/16's; its gateway is the domU.
            return f"ip=0:10.0.{number}.1/16 ip=1:10.1.{number}.1/24"
        own = f"ip=0:10.0.{number}.1/24 ip=1:10.5.{number}.1/24"
        return f"{own} route=10.1.{number}.0/24,10.5.{number}.254 route=10.4.0.0/24,10.0.{number}.254"

    def bridges(self) -> tuple[str, str]:
        """Where the two vifs of a domU are plugged in, for its hotplug script."""
        return (LEFT, RIGHT) if self.bridged else ("none", "none")

    def connect(self, number: int, vifs: Sequence[str]) -> None:
        """Give dom0's and the generator's routes through a domU that is up; `vifs` as dom0 names them."""
        if self.bridged:
            self.gen.run("ip", "route", "replace", f"10.1.{number}.2", "via", f"10.0.{number}.1")
        else:
            for vif, net in zip(vifs, (0, 5), strict=True):
                run("ip", "address", "add", f"10.{net}.{number}.254/24", "dev", vif)
            run("ip", "route", "replace", f"10.1.{number}.0/24", "via", f"10.0.{number}.1", "dev", vifs[0], "table", TABLE)

    def direct_routed(self) -> None:
        """dom0 routes from e1 to its own sink."""
        forward(True)
        for end in (self.direct, self.direct_sink):
            run("ip", "link", "set", end.port, "nomaster")
        execute("ip", "-n", self.direct_sink.space, "address", "delete", DIRECT_BRIDGED, "dev", self.direct_sink.device)
        run("ip", "address", "replace", "10.2.0.1/24", "dev", self.direct.port)
        run("ip", "address", "replace", "10.3.0.1/24", "dev", self.direct_sink.port)
        self.direct.run("ip", "route", "replace", "10.3.0.0/24", "via", "10.2.0.1")

    def direct_bridged(self) -> None:
        """dom0 bridges from e1 to its own sink, whose network then is e1's."""
        self._plug(DIRECT, self.direct, self.direct_sink)
        self.direct_sink.run("ip", "address", "add", DIRECT_BRIDGED, "dev", self.direct_sink.device)

    def mac_of(self, port: str) -> str:
        """The address of a device of dom0."""
        with open(f"/sys/class/net/{port}/address") as file:
            return file.read().strip()

    def drop_at_sinks(self) -> None:
        """Let sinks drop UDP as it arrives."""
        for end in (*self.sinks, self.direct_sink):
            _drop_udp(end.device, "ip", "netns", "exec", end.space)

    def drop_here(self, port: str) -> None:
        """Let dom0's end of a wire be the sink of what comes in there."""
        _drop_udp(port)

    def _add(self, end: End) -> None:
        execute("ip", "netns", "add", end.space)
        peer = ("peer", "name", end.device, "netns", end.space, "address", end.mac)
        run("ip", "link", "add", end.port, "type", "veth", *peer)
        lines = ["link set lo up", f"link set {end.device} up", f"address add {end.address} dev {end.device}"]
        lines += [f"route add default via {end.gateway}"] if end.gateway else []
        run("ip", "-n", end.space, "-batch", "-", input="\n".join(lines) + "\n")
        run("ip", "link", "set", end.port, "up")
        if self.far != self.cpu:
            # What a veth delivers is handled on the CPU that sent it, unless it is told otherwise.
            _steer(f"/sys/class/net/{end.port}", self.cpu)
            end.run("sh", "-c", f"echo {1 << self.far:x} > /sys/class/net/{end.device}/queues/rx-0/rps_cpus")

    def _plug(self, bridge: str, *ends: End) -> None:
        for end in ends:
            run("ip", "link", "set", end.port, "master", bridge)

    def _remove(self) -> None:
        while execute("ip", "rule", "del", "lookup", TABLE).returncode == 0:
            pass
        execute("ip", "route", "flush", "table", TABLE)
        for end in (self.gen, self.direct, *self.sinks, self.direct_sink):
            execute("ip", "link", "delete", end.port)
            execute("ip", "netns", "delete", end.space)
        for bridge in (LEFT, RIGHT, DIRECT):
            execute("ip", "link", "delete", bridge)
        forward(False)


def _drop_udp(device: str, *prefix: str) -> None:
    run(*prefix, "tc", "qdisc", "add", "dev", device, "clsact")
    match = ("protocol", "ip", "u32", "match", "ip", "protocol", 17, "0xff")
    run(*prefix, "tc", "filter", "add", "dev", device, "ingress", *match, "action", "drop")


def forward(on: bool) -> None:
    """Let dom0 route, or not."""
    run("sysctl", "-qw", f"net.ipv4.ip_forward={int(on)}")


def _steer(device: str, cpu: int) -> None:
    with open(f"{device}/queues/rx-0/rps_cpus", "w") as file:
        file.write(f"{1 << cpu:x}")
