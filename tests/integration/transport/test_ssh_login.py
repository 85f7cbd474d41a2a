"""Being let in by a host, or not: keys of hosts, keys of people, jump hosts, and hosts that do not answer."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from projections.transport.port import (
    HOST_KEY_CHANGED,
    HOST_KEY_UNKNOWN,
    HOST_LOGIN_REFUSED,
    HOST_SILENT,
    HOST_UNREACHABLE,
)
from projections.transport.ssh import SshTransport
from projections.transport.ssh_loop import SshLoop
from projections.transport.ssh_settings import SshLogin, SshSettings
from tests.contract.hosts import SECONDS, reached
from tests.support.host_ssh import SshHost, ssh_host
from tests.support.processes import free_port
from tests.support.signing import SshPerson


@pytest.fixture
def server(tmp_path: Path) -> Generator[SshHost]:
    with ssh_host(tmp_path / "sshd") as host:
        yield host


def logged_in(settings: SshSettings) -> str:
    """The name of who was let in."""
    with reached(settings) as transport:
        return asyncio.run(transport.run(["id", "-un"], seconds=SECONDS)).stdout.decode().strip()


def refused(settings: SshSettings) -> OutsideError:
    with reached(settings) as transport, pytest.raises(OutsideError) as caught:
        asyncio.run(transport.open())
    assert caught.value.code in HOST_SILENT
    assert caught.value.where.host == "h1"
    assert caught.value.next
    return caught.value


def test_a_known_host_lets_us_in(server: SshHost) -> None:
    assert logged_in(server.settings) == server.settings.login.user


def test_a_name_may_be_known_by_its_hash(server: SshHost) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", server.known_hosts], check=True, capture_output=True)
    assert "127.0.0.1" not in server.known_hosts.read_text()
    assert logged_in(server.settings)
    server.know(server.another_key())
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", server.known_hosts], check=True, capture_output=True)
    assert refused(server.settings).code == HOST_KEY_CHANGED


def test_an_authority_may_vouch_for_a_host(server: SshHost, tmp_path: Path) -> None:
    authority = SshPerson.create(tmp_path / "authority", "ca")
    public = server.host_key.key.with_suffix(".pub")
    sign = ["ssh-keygen", "-q", "-s", str(authority.key), "-h", "-I", "h1", "-n", "127.0.0.1", str(public)]
    subprocess.run(sign, check=True)
    server.kill()
    server.options = {**server.options, "HostCertificate": f'"{server.folder / "host-cert.pub"}"'}
    server.start()
    server.known_hosts.write_text(f"@cert-authority [127.0.0.1]:{server.port} {authority.public}\n")
    assert logged_in(server.settings)


@pytest.mark.parametrize("keys", ["strict", "first-use"])
def test_a_changed_key_is_never_taken(server: SshHost, keys: str) -> None:
    other = server.another_key()
    server.know(other)
    before = server.known_hosts.read_text()
    settings = replace(server.settings, host_keys="strict" if keys == "strict" else "first-use")
    error = refused(settings)
    assert error.code == HOST_KEY_CHANGED
    assert server.host_key.fingerprint in error.why
    assert other.fingerprint in error.why
    assert f"ssh-keygen -f '{server.known_hosts}' -R '[127.0.0.1]:{server.port}'" in error.next
    assert server.known_hosts.read_text() == before


def test_a_key_of_another_kind_is_a_changed_one(server: SshHost, tmp_path: Path) -> None:
    other = SshPerson.create(tmp_path / "other", "host", kind="ecdsa")
    server.know(other)
    error = refused(server.settings)
    assert error.code == HOST_KEY_CHANGED
    assert server.host_key.fingerprint in error.why
    assert other.fingerprint in error.why


def test_a_revoked_key_is_not_taken(server: SshHost) -> None:
    with server.known_hosts.open("a") as file:
        file.write(f"@revoked * {server.host_key.public}\n")
    assert refused(server.settings).code == HOST_KEY_CHANGED


@pytest.mark.parametrize("file", ["none", "empty"])
def test_a_strict_one_takes_no_key_on_trust(server: SshHost, file: str) -> None:
    if file == "none":
        server.known_hosts.unlink()
    else:
        server.known_hosts.write_text("")
    error = refused(server.settings)
    assert error.code == HOST_KEY_UNKNOWN
    assert server.host_key.fingerprint in error.why
    assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> '{server.known_hosts}'" in error.next
    assert not server.known_hosts.exists() or server.known_hosts.read_text() == ""


def test_at_first_use_a_key_is_written_down_and_told_once(server: SshHost, tmp_path: Path) -> None:
    known_hosts = tmp_path / "keys" / "known hosts"
    settings = replace(server.settings, known_hosts=known_hosts, host_keys="first-use")
    told: list[tuple[str, str]] = []
    loop = SshLoop()
    for _ in range(2):
        transport = SshTransport(
            "h1", settings, loop=loop, on_first_key=lambda host, key: told.append((host, key))
        )
        asyncio.run(transport.open())
        transport.close()
    loop.close()
    assert told == [("h1", server.host_key.fingerprint)]
    assert known_hosts.read_text() == f"[127.0.0.1]:{server.port} {server.host_key.public}\n"
    assert logged_in(replace(settings, host_keys="strict"))


def test_a_host_behind_another_port_of_a_known_address_is_another_host(server: SshHost) -> None:
    known = f"127.0.0.1 {server.another_key().public}"
    server.known_hosts.write_text(known)
    assert refused(server.settings).code == HOST_KEY_UNKNOWN
    assert logged_in(replace(server.settings, host_keys="first-use"))
    assert server.known_hosts.read_text().splitlines() == [
        known,
        f"[127.0.0.1]:{server.port} {server.host_key.public}",
    ]


def test_a_key_that_cannot_be_written_down_is_not_taken(server: SshHost, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = replace(server.settings, known_hosts=tmp_path / "file" / "x", host_keys="first-use")
    assert refused(settings).code == HOST_KEY_UNKNOWN


def test_a_user_whom_the_host_does_not_know_is_refused(server: SshHost) -> None:
    login = replace(server.settings.login, user="nobody-here")
    error = refused(replace(server.settings, login=login))
    assert error.code == HOST_LOGIN_REFUSED
    assert str(server.person.key) in error.why
    assert f"ssh -i {server.person.key}" in error.next


def test_a_key_that_the_host_does_not_know_is_refused(server: SshHost, tmp_path: Path) -> None:
    stranger = SshPerson.create(tmp_path / "stranger", "key")
    assert refused(replace(server.settings, identity_files=(stranger.key,))).code == HOST_LOGIN_REFUSED


def test_a_key_file_that_cannot_be_used_is_named(server: SshHost, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    error = refused(replace(server.settings, identity_files=(missing,)))
    assert error.code == HOST_LOGIN_REFUSED
    assert str(missing) in error.why


def test_an_agent_may_hold_the_key(server: SshHost, tmp_path: Path) -> None:
    socket = tmp_path / "a"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + SECONDS
        while not socket.exists():
            assert time.monotonic() < deadline
        subprocess.run(
            ["ssh-add", "-q", server.person.key],
            check=True,
            env={"SSH_AUTH_SOCK": str(socket), "PATH": "/usr/bin"},
        )
        assert logged_in(replace(server.settings, identity_files=(), agent=str(socket)))
        assert refused(replace(server.settings, identity_files=())).code == HOST_LOGIN_REFUSED
    finally:
        agent.terminate()
        agent.wait(SECONDS)


def test_nobody_listening_is_an_unreachable_host(server: SshHost) -> None:
    login = replace(server.settings.login, port=free_port())
    assert refused(replace(server.settings, login=login)).code == HOST_UNREACHABLE


def test_a_name_that_leads_nowhere_is_an_unreachable_host(server: SshHost) -> None:
    login = SshLogin(address="no-such-host.invalid")
    assert refused(replace(server.settings, login=login)).code == HOST_UNREACHABLE


def test_a_server_that_takes_connections_and_says_nothing_ends_with_the_deadline(server: SshHost) -> None:
    with server.frozen():
        began = time.monotonic()
        error = refused(replace(server.settings, connect_seconds=1.0))
    assert error.code == HOST_UNREACHABLE
    assert "1 s" in error.why
    assert time.monotonic() - began < SECONDS


def test_a_host_is_reached_by_way_of_another(server: SshHost, tmp_path: Path) -> None:
    with ssh_host(tmp_path / "jump") as jump:
        settings = server.through(jump)
        assert logged_in(settings)
        jump.kill()
        error = refused(settings)
        assert error.code == HOST_UNREACHABLE
        assert str(jump.port) in error.message


def test_the_key_of_a_jump_host_counts_too(server: SshHost, tmp_path: Path) -> None:
    with ssh_host(tmp_path / "jump") as jump:
        jump.know(jump.another_key())
        error = refused(server.through(jump))
    assert error.code == HOST_KEY_CHANGED
    assert str(jump.port) in error.message
