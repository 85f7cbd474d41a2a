"""What is left when the way to a host breaks, and how it is found again."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from events.blobs import MemoryBlobStore
from events.kernel.errors import OutsideError
from events.manifest import FileEntry, FileTree
from projections.transport.port import HOST_PORT_HELD, HOST_SILENT, HOST_UNREACHABLE
from projections.transport.ssh import SshTransport
from projections.transport.ssh_connection import HOST_SESSION_REFUSED
from projections.transport.ssh_sftp import HOST_SFTP_MISSING
from tests.contract.hosts import SECONDS, reached
from tests.support.host_ssh import SshHost, ssh_host
from tests.support.processes import free_port, wait_until


@pytest.fixture
def server(tmp_path: Path) -> Generator[SshHost]:
    with ssh_host(tmp_path / "sshd") as host:
        yield host


@pytest.fixture
def transport(server: SshHost) -> Generator[SshTransport]:
    with reached(server.settings) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "host").mkdir()
    return tmp_path / "host"


class Slow(MemoryBlobStore):
    """Does something in the middle of an upload: when the second blob is asked for."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens
        self._asked = 0

    def get(self, digest: str) -> bytes:
        self._asked += 1
        if self._asked == 2:
            self._happens()
        return super().get(digest)


def tree_in(blobs: MemoryBlobStore) -> FileTree:
    """More than goes into one round."""
    entries = [
        FileEntry(path=f"d/{number}", executable=False, blob=blobs.put(os.urandom(50_000)))
        for number in range(40)
    ]
    return FileTree(entries=tuple(entries))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def silence(work: Callable[[], Awaitable[object]]) -> OutsideError:
    async def waited() -> None:
        async with asyncio.timeout(SECONDS):
            await work()

    with pytest.raises(OutsideError) as caught:
        asyncio.run(waited())
    assert caught.value.code in HOST_SILENT
    return caught.value


def test_many_calls_go_over_one_connection(transport: SshTransport, folder: Path) -> None:
    async def many() -> None:
        for _ in range(3):
            await transport.open()
            await asyncio.gather(
                transport.run(["true"], seconds=SECONDS),
                transport.files.missing([PurePath(folder)]),
                transport.files.read(PurePath(folder / "none"), most=1),
                transport.machine(),
                transport.bound_ports(),
            )

    asyncio.run(many())
    asyncio.run(many())
    assert transport.connections_made == 1


def test_those_who_ask_at_the_same_time_share_the_attempt(transport: SshTransport) -> None:
    async def many() -> None:
        await asyncio.gather(*(transport.open() for _ in range(20)))

    asyncio.run(many())
    assert transport.connections_made == 1


def test_threads_with_loops_of_their_own_share_it_too(transport: SshTransport) -> None:
    codes: list[int] = []

    def ask() -> None:
        codes.append(asyncio.run(transport.run(["true"], seconds=SECONDS)).code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert codes == [0] * 4
    assert transport.connections_made == 1


def test_a_connection_that_broke_is_made_anew_by_the_next_call(
    server: SshHost, transport: SshTransport, folder: Path
) -> None:
    for call in range(3):
        asyncio.run(transport.files.write(PurePath(folder / "file"), str(call).encode(), mode=0o644))
        server.cut()
    assert (folder / "file").read_text() == "2"
    assert transport.connections_made == 3


def test_a_server_that_is_killed_in_the_middle_of_an_upload_leaves_no_half(
    server: SshHost, transport: SshTransport, folder: Path
) -> None:
    blobs = Slow(server.kill)
    tree = tree_in(blobs)
    place = PurePath(folder / "files" / "1")
    error = silence(lambda: transport.files.put_tree(place, tree, blobs=blobs))
    assert error.code == HOST_UNREACHABLE
    left = names(folder / "files")
    assert left
    assert all(name.startswith(".1.") for name in left)
    server.start()
    asyncio.run(transport.files.put_tree(place, tree, blobs=blobs))
    assert names(folder / "files") == ["1"]
    assert len(list((folder / "files/1/d").iterdir())) == 40


def test_an_upload_that_was_cut_is_done_again_at_once(
    server: SshHost, transport: SshTransport, folder: Path
) -> None:
    blobs = Slow(server.cut)
    tree = tree_in(blobs)
    asyncio.run(transport.files.put_tree(PurePath(folder / "files" / "1"), tree, blobs=blobs))
    assert names(folder / "files") == ["1"]
    assert transport.connections_made == 2


def test_a_program_is_not_run_twice_when_its_connection_breaks(
    server: SshHost, transport: SshTransport, folder: Path
) -> None:
    async def cut() -> None:
        started = folder / "started"
        argv = ["sh", "-c", 'echo x >> "$1"; sleep 600', "sh", str(started)]
        running = asyncio.create_task(transport.run(argv, seconds=SECONDS))
        await asyncio.to_thread(wait_until, "the program", started.exists, seconds=SECONDS)
        server.cut()
        await running

    assert silence(cut).code == HOST_UNREACHABLE
    assert (folder / "started").read_text() == "x\n"


def test_a_host_that_freezes_is_noticed_long_before_the_deadline(server: SshHost) -> None:
    # Three signs of life are missed, and then a new login is waited for.
    with reached(replace(server.settings, alive_seconds=0.5, connect_seconds=4.0)) as transport:
        asyncio.run(transport.open())
        with server.frozen():
            error = silence(lambda: transport.run(["true"], seconds=600))
        assert error.code == HOST_UNREACHABLE
        assert asyncio.run(transport.run(["true"], seconds=SECONDS)).code == 0


def test_a_server_without_files_is_told_what_it_lacks(tmp_path: Path) -> None:
    options = {"Subsystem": "nothing /bin/false"}
    with ssh_host(tmp_path / "sshd", **options) as server, reached(server.settings) as transport:
        assert asyncio.run(transport.run(["true"], seconds=SECONDS)).code == 0
        with pytest.raises(OutsideError) as caught:
            asyncio.run(transport.files.missing([PurePath("/")]))
    assert caught.value.code == HOST_SFTP_MISSING
    assert "Subsystem sftp internal-sftp" in caught.value.next


def test_a_server_that_opens_no_session_says_so(tmp_path: Path) -> None:
    with (
        ssh_host(tmp_path / "sshd", MaxSessions="0") as server,
        reached(server.settings) as transport,
        pytest.raises(OutsideError) as caught,
    ):
        asyncio.run(transport.run(["true"], seconds=SECONDS))
    assert caught.value.code == HOST_SESSION_REFUSED


def test_a_registry_here_is_reached_there_and_again_after_a_break(
    server: SshHost, transport: SshTransport
) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as registry:
        to = registry.getsockname()[1]
        for _ in range(2):
            for _ in range(2):
                asyncio.run(transport.offer_registry(port, host="127.0.0.1", to=to))
            with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as pull:
                registry.settimeout(SECONDS)
                taken, _ = registry.accept()
                with taken:
                    pull.sendall(b"pull")
                    assert taken.recv(4) == b"pull"
            server.cut()
            asyncio.run(transport.files.missing([PurePath("/")]))  # finds that out


def test_a_port_of_the_host_that_is_held_cannot_be_given_to_a_registry(transport: SshTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held, pytest.raises(OutsideError) as caught:
        asyncio.run(transport.offer_registry(held.getsockname()[1], host="127.0.0.1", to=1))
    assert caught.value.code == HOST_PORT_HELD
