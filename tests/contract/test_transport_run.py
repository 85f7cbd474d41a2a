"""What every host does with a program, a connection and a question about itself."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from events.kernel.process import PROCESS_NOT_STARTED, PROCESS_TIMED_OUT
from projections.transport.port import BoundPort, Ran
from tests.contract.hosts import SECONDS, Adapter
from tests.support.processes import wait_until

HOSTILE = (
    "",
    "two words",
    "$(touch gone) `id` $HOME ${HOME}",
    'it\'s "quoted"',
    "a\nb\tc\r",
    "-rf",
    "~/*?[!a]",
    "a\\b;c&d|e>f<g#h",
    "ünïcödé ✓",
)


def run(host: Adapter, *argv: str, stdin: bytes = b"", most: int = 1 << 20, seconds: float = SECONDS) -> Ran:
    return asyncio.run(host.transport.run(argv, seconds=seconds, stdin=stdin, most=most))


@pytest.mark.parametrize("argument", HOSTILE)
def test_an_argument_arrives_as_it_is(host: Adapter, argument: str) -> None:
    assert run(host, "printf", "%s.", argument, "end").stdout == f"{argument}.end.".encode()


def test_a_program_that_fails_says_how_and_on_both_streams(host: Adapter) -> None:
    assert run(host, "sh", "-c", "echo said; echo cried >&2; exit 7") == Ran(
        code=7, stdout=b"said\n", stderr=b"cried\n"
    )


def test_a_program_that_is_not_there_is_no_success(host: Adapter) -> None:
    try:
        assert run(host, "/nowhere/at/all").code == 127
    except OutsideError as error:
        assert error.code == PROCESS_NOT_STARTED  # noqa: PT017  # the other of the two answers


def test_a_signal_counts_as_shells_count_it(host: Adapter) -> None:
    assert run(host, "sh", "-c", "kill -KILL $$").code == 137


def test_input_arrives_whole_and_ends(host: Adapter) -> None:
    given = os.urandom(300_000)
    assert run(host, "cat", stdin=given).stdout == given


def test_a_program_may_leave_its_input_unread(host: Adapter) -> None:
    assert run(host, "true", stdin=b"x" * 3_000_000).code == 0


def test_output_beyond_what_is_wanted_is_thrown_away_and_the_program_ends_well(host: Adapter) -> None:
    ran = run(host, "sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 3", most=10)
    assert ran == Ran(code=3, stdout=bytes(10), stderr=bytes(10))


def test_a_program_that_takes_too_long_is_ended_there(host: Adapter) -> None:
    pid = host.here / "pid"
    with pytest.raises(OutsideError) as caught:
        run(host, "sh", "-c", 'echo $$ > "$1"; exec sleep 600', "sh", f"{host.root}/pid", seconds=3)
    assert caught.value.code == PROCESS_TIMED_OUT
    number = int(pid.read_text())
    wait_until("the program to end", lambda: not Path(f"/proc/{number}").exists(), seconds=SECONDS)


def test_many_programs_may_run_at_a_time(host: Adapter) -> None:
    async def many() -> list[Ran]:
        asked = [host.transport.run(["printf", "%s", str(number)], seconds=SECONDS) for number in range(12)]
        return await asyncio.gather(*asked)

    assert [ran.stdout for ran in asyncio.run(many())] == [str(number).encode() for number in range(12)]


def test_a_connection_from_the_host_carries_bytes_both_ways(host: Adapter) -> None:
    async def echo() -> bytes:
        server = await asyncio.start_server(_echoed, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = await host.transport.dial("127.0.0.1", port, seconds=SECONDS)
        try:
            await connection.write(b"there and back")
            return await connection.read(100)
        finally:
            connection.close()
            server.close()

    assert asyncio.run(echo()) == b"there and back"


async def _echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(100))
    await writer.drain()
    writer.close()


def test_a_port_that_nobody_serves_is_an_error_of_the_system(host: Adapter) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(host.transport.dial("127.0.0.1", port, seconds=SECONDS))


def test_ports_that_are_held_are_seen(host: Adapter) -> None:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("0.0.0.0", 0))  # noqa: S104  # which of the two addresses is told is the point
        held = asyncio.run(host.transport.bound_ports())
        assert BoundPort("tcp", "127.0.0.1", tcp.getsockname()[1]) in held
        assert BoundPort("udp", "0.0.0.0", udp.getsockname()[1]) in held  # noqa: S104  # as above


def test_the_machine_says_its_id(host: Adapter) -> None:
    known = Path("/etc/machine-id")
    assert asyncio.run(host.transport.machine()) == (known.read_text().strip() if known.exists() else "")


def test_it_works_from_one_loop_after_the_other_and_after_it_was_closed(host: Adapter) -> None:
    assert run(host, "true").code == 0
    host.transport.close()
    assert run(host, "true").code == 0
