"""Real traffic: TCP and UDP in both directions, with and without offload, small frames and big."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from dom0.guest import Guest
from dom0.ringway import drops, grown, idle_pages
from dom0.topology import Host, set_offload, set_vif_offload
from support.wire import transfer

SIZE = 8 << 20
TCP_BYTES = 16 << 20
PORT = 5201
LOST_HERE = {"tx_full", "no_buffer", "rx_error", "punt_full"}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_iperf(protocol: str, reverse: bool, router: Guest, left: Host, right: Host) -> None:
    before = {name: drops(router, name) for name in ("left", "right")}
    sink = left if reverse else right
    overflowed = receive_errors(sink)
    words = ["iperf3", "-c", right.address, "-J", *(["-R"] if reverse else [])]
    words += ["-n", "500K", "-u", "-b", "2M", "-l", 1400] if protocol == "udp" else ["-n", TCP_BYTES]
    with right.background("iperf3", "-s", "-1", "-p", PORT):
        wait_for_listener(right)
        result = json.loads(left.run(*words, timeout=180))
    assert "error" not in result, result["error"]
    if protocol == "tcp":
        assert result["end"]["sum_received"]["bytes"] > 1 << 20  # what it got until the sender was through
    else:
        total = result["end"]["sum"]
        assert total["packets"] > 50
        # A host that is not run for a while drops at its socket; the router drops nothing.
        assert total["lost_packets"] <= receive_errors(sink) - overflowed
        for name, drop in before.items():
            assert not LOST_HERE & set(grown(drop, drops(router, name)))
    idle_pages(router)


@pytest.mark.parametrize("way", ["to right", "to left"])
@pytest.mark.parametrize("offload", ["offload", "no offload"])
def test_file_arrives_unchanged(
    offload: str, way: str, router: Guest, offloads: Callable[[bool], None], left: Host, right: Host
) -> None:
    """With offload the hosts leave checksums blank: the router must hand that on."""
    offloads(offload == "offload")
    source, sink = (left, right) if way == "to right" else (right, left)
    transfer(source, sink, SIZE)
    idle_pages(router)


def test_one_side_with_offload(
    router: Guest, offloads: Callable[[bool], None], left: Host, right: Host
) -> None:
    offloads(True)
    set_offload(right, False)
    transfer(left, right, SIZE // 4)
    transfer(right, left, SIZE // 4)


@pytest.fixture
def offloads(router: Guest, left: Host, right: Host) -> Iterator[Callable[[bool], None]]:
    """Return a function that turns offload of hosts and vifs on or off, on again at the end."""

    def turn(on: bool) -> None:
        for host in (left, right):
            set_offload(host, on)
        for index in range(2):
            set_vif_offload(router.vif_name(index), on)

    yield turn
    turn(True)


def receive_errors(host: Host) -> int:
    """Return how many datagrams found no room at their sockets so far."""
    return json.loads(host.run("nstat", "-a", "-s", "-z", "-j"))["kernel"]["UdpRcvbufErrors"]


def wait_for_listener(host: Host) -> None:
    """Wait until the server listens; a connection to try it would be its only one."""
    for _ in range(600):
        if f":{PORT}" in host.run("ss", "-ltn"):
            return
        time.sleep(0.1)
    raise TimeoutError("iperf3 does not listen")
