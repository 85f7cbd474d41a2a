"""A Git server over SSH: a real sshd of the test's own, with keys made on the spot.

It listens on the loopback unless told otherwise, and serves what this machine's file system has, to the one
who runs the tests, by their new key alone.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import free_port, wait_until
from tests.support.signing import SshPerson

SSHD = "/usr/sbin/sshd"
_READY_SECONDS = 30.0
_END_SECONDS = 10.0
_PRIVILEGES = Path("/run/sshd")  # which sshd of root wants to be there


@dataclass(frozen=True, slots=True, kw_only=True)
class SshGitHost:
    """What a client needs to be let in."""

    port: int
    identity_file: Path
    known_hosts: Path
    folder: Path
    address: str = "127.0.0.1"

    def url(self, repository: Path) -> str:
        """The address of a repository of this machine through the server."""
        return f"ssh://{getpass.getuser()}@{self.address}:{self.port}{repository}"

    def entry(self, repository: Path) -> str:
        """The keys of an entry of `controller.yml`."""
        login = f"identity_file: {self.identity_file}, known_hosts: {self.known_hosts}"
        return f"url: '{self.url(repository)}', ssh: {{{login}}}"

    def change_key(self) -> None:
        """From now on another key is the known one, so that the server shows a changed one."""
        other = SshPerson.create(self.folder / "other", "host")
        self.known_hosts.write_text(f"[{self.address}]:{self.port} {other.public}\n")

    def forget_key(self) -> None:
        """No key of the server is known."""
        self.known_hosts.write_text("")

    def knows(self) -> None:
        """The server's own key is the known one."""
        key = (self.folder / "host.pub").read_text()
        self.known_hosts.write_text(f"[{self.address}]:{self.port} {key}")


@contextmanager
def ssh_git_host(
    folder: Path,
    *,
    address: str = "127.0.0.1",
    person: SshPerson | None = None,
    prefix: Sequence[str] = (),
) -> Generator[SshGitHost]:
    """A server for the time of the block; its files are in `folder`, which is made.

    It lets `person` in, or somebody new; `prefix` are words before its command.
    """
    host_key = SshPerson.create(folder, "host").key
    person = person or SshPerson.create(folder, "deploy key")
    allowed = folder / "authorized_keys"
    allowed.write_text(f"{person.public}\n")
    if os.geteuid() == 0:
        _PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    options = {
        "ListenAddress": f"{address}:{port}",
        "AuthorizedKeysFile": f'"{allowed}"',
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    with (folder / "sshd.log").open("wb") as log:
        server = subprocess.Popen(
            [*prefix, SSHD, "-D", "-e", "-f", "/dev/null", "-h", str(host_key), *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(
            f"sshd, see {folder}/sshd.log",
            lambda: server.poll() is not None or _answers(address, port),
            seconds=_READY_SECONDS,
        )
        assert server.poll() is None, (folder / "sshd.log").read_text()
        host = SshGitHost(
            port=port,
            identity_file=person.key,
            known_hosts=folder / "known hosts",
            folder=folder,
            address=address,
        )
        host.knows()
        yield host
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_END_SECONDS)
        if server.poll() is None:
            server.kill()
            server.wait(_END_SECONDS)


def _answers(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1) as probe:
        return probe.recv(4) == b"SSH-"
    return False
