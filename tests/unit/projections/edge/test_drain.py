"""Whose connections count, by the tables that a kernel shows."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

from projections.edge.drain import Peers, connections, open_in, peers_of
from projections.engine.port import Attachment, Container, ContainerDetail
from projections.transport.local import LocalTransport

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"


def line(peer: str, state: str, *, port: int = 8080) -> str:
    """A line of `/proc/net/tcp`, or of `tcp6` for an address of six."""
    digits = b"".join(
        int.from_bytes(ip_address(peer).packed[at : at + 4], "little").to_bytes(4, "big")
        for at in range(0, len(ip_address(peer).packed), 4)
    ).hex()
    own = "0" * len(digits)
    return (
        f"   0: {own}:{port:04X} {digits.upper()}:C350 {state} 00000000:00000000 00:00000000 00000000 0 0 1 1"
    )


def detail(*attachments: Attachment, pid: int = 7, container: str = "c" * 64) -> ContainerDetail:
    return ContainerDetail(
        container=Container(
            id=container, name="c", image="c", image_id="c", state="running", health="none", labels={}
        ),
        exit_code=0,
        restart_count=0,
        restart_policy="no",
        oom_killed=False,
        error="",
        health_check=False,
        health_checked=False,
        health_output="",
        health_failing_streak=0,
        health_budget_seconds=0.0,
        pid=pid,
        attachments=attachments,
    )


def end(network: str, address: str, *, gateway: str = "") -> Attachment:
    prefix = 64 if ":" in address else 16
    return Attachment(network=network, address=address, prefix=prefix, gateway=gateway)


GATEWAY = detail(end("front", "172.18.0.2"), end("front", "fd00::2"), end("other", "172.19.0.9"))
WEB = detail(
    end("back", "172.20.0.3", gateway="172.20.0.1"), end("front", "172.18.0.3", gateway="172.18.0.1")
)


def test_what_is_open_from_a_gateway_to_a_routed_port_counts() -> None:
    peers = peers_of(WEB, [GATEWAY], elsewhere=False)
    lines = [
        HEAD,
        line("172.18.0.2", "01"),
        line("172.18.0.2", "08"),
        line("::ffff:172.18.0.2", "01"),
        line("fd00::2", "01"),
        line("172.18.0.2", "04"),
        line("172.18.0.2", "03"),
    ]
    others = [
        line("172.18.0.2", "06"),
        line("172.18.0.2", "0A"),
        line("172.18.0.2", "05"),
        line("172.18.0.2", "01", port=9090),
        line("172.18.0.7", "01"),
        line("172.18.0.1", "01"),
        line("192.0.2.7", "01"),
        line("127.0.0.1", "01"),
        "",
        "nonsense",
    ]
    assert open_in([*lines, *others], ports={8080}, peers=peers) == 6
    assert open_in(others, ports={8080, 9090}, peers=peers) == 1
    assert open_in([], ports={8080}, peers=peers) == 0


def test_with_gateways_on_other_hosts_whoever_comes_from_outside_counts() -> None:
    peers = peers_of(WEB, [], elsewhere=True)
    lines = [line("192.0.2.7", "01"), line("172.18.0.1", "01"), line("2001:db8::7", "01")]
    others = [line("172.18.0.7", "01"), line("172.20.0.9", "01"), line("127.0.0.1", "01"), line("::1", "01")]
    assert open_in([*lines, *others], ports={8080}, peers=peers) == 3


def test_a_gateway_in_the_network_of_its_host_comes_as_the_networks_own() -> None:
    peers = peers_of(WEB, [detail()], elsewhere=False)
    assert peers == Peers(addresses=frozenset({ip_address("172.18.0.1"), ip_address("172.20.0.1")}))
    assert peers_of(WEB, [GATEWAY, GATEWAY], elsewhere=True).inside == (
        ip_network("172.20.0.0/16"),
        ip_network("172.18.0.0/16"),
    )


def test_a_process_counts_only_where_it_is_the_containers_own() -> None:
    transport, peers = LocalTransport(), Peers(addresses=frozenset({ip_address("127.0.0.1")}))
    group = Path("/proc/self/cgroup").read_text().strip()  # stands for a container's id
    own = replace(detail(pid=os.getpid(), container=group))

    async def run(one: ContainerDetail, port: int) -> int | None:
        return await connections(transport, one, ports=[port], peers=peers)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert asyncio.run(run(own, port)) == 0
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert asyncio.run(run(own, port)) == 1
            assert asyncio.run(run(detail(pid=os.getpid()), port)) is None
            assert asyncio.run(run(detail(pid=0), port)) == 0
            assert asyncio.run(run(detail(pid=2**22 + 1), port)) is None
