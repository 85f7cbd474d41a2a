"""The kernel's tables of sockets."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from projections.transport.local_ports import bound_in, read_tables
from projections.transport.port import BoundPort

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"


def line(address: str, state: str = "0A") -> str:
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0 0 1 1 0 100"


@pytest.mark.parametrize(
    ("text", "protocol", "found"),
    [
        (line("0100007F:1F90"), "tcp", [BoundPort("tcp", "127.0.0.1", 8080)]),
        (line("00000000:0016"), "tcp", [BoundPort("tcp", "0.0.0.0", 22)]),  # noqa: S104
        (line("00000000000000000000000000000000:0050"), "tcp", [BoundPort("tcp", "::", 80)]),
        (line("00000000000000000000000001000000:0050"), "tcp", [BoundPort("tcp", "::1", 80)]),
        (line("B80D01200000000000000000030000AA:0050"), "tcp", [BoundPort("tcp", "2001:db8::aa00:3", 80)]),
        (line("0100007F:1F90", "01"), "tcp", []),  # a connection, not a listener
        (line("0100007F:0035", "07"), "udp", [BoundPort("udp", "127.0.0.1", 53)]),
        (HEAD, "tcp", []),
        ("", "tcp", []),
    ],
)
def test_a_line_says_which_port_is_held(text: str, protocol: str, found: list[BoundPort]) -> None:
    assert list(bound_in([text], protocol=protocol)) == found


def test_a_listener_of_this_machine_is_found_and_one_that_closed_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = BoundPort("tcp", "127.0.0.1", server.getsockname()[1])
        assert mine in read_tables()
    assert mine not in read_tables()


def test_a_kernel_without_ipv6_has_no_table_for_it(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(f"{HEAD}\n{line('0100007F:1F90')}\n")
    assert read_tables(tmp_path) == {BoundPort("tcp", "127.0.0.1", 8080)}
