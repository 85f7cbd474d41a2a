"""A host behind SSH: a real sshd of the test's own, on the loopback, with keys made on the spot.

It lets in the one who runs the tests, by their new key alone, and what it serves is this machine. It can be
ended, frozen and cut off from those who are logged in, and started again with another key.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import subprocess
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from projections.transport.ssh_settings import SshLogin, SshSettings
from tests.support.processes import free_port, wait_until
from tests.support.signing import SshPerson

SSHD = "/usr/sbin/sshd"
_READY_SECONDS = 30.0
_END_SECONDS = 10.0
_PRIVILEGES = Path("/run/sshd")  # which sshd of root wants to be there


@dataclass(slots=True, kw_only=True)
class SshHost:
    """A server, and what a client needs to be let in."""

    folder: Path
    port: int
    person: SshPerson
    host_key: SshPerson
    options: Mapping[str, str]
    server: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def known_hosts(self) -> Path:
        """The file with the server's key."""
        return self.folder / "known hosts"

    @property
    def settings(self) -> SshSettings:
        """How it is reached."""
        return SshSettings(
            login=SshLogin(address="127.0.0.1", port=self.port, user=getpass.getuser()),
            known_hosts=self.known_hosts,
            identity_files=(self.person.key,),
            connect_seconds=20.0,
        )

    def through(self, jump: SshHost) -> SshSettings:
        """How it is reached by way of another one, whose key is entered beside its own."""
        with self.known_hosts.open("a") as file:
            file.write(jump.known_hosts.read_text())
        with (jump.folder / "authorized_keys").open("a") as file:
            file.write(f"{self.person.public}\n")
        return replace(self.settings, jump=jump.settings.login)

    def know(self, key: SshPerson | None = None) -> None:
        """The server's own key, or that one, is the known one."""
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {(key or self.host_key).public}\n")

    def another_key(self) -> SshPerson:
        """Of nobody who serves here."""
        return SshPerson.create(self.folder / "another", "host")

    def start(self) -> None:
        """Start the server."""
        words = [word for name, value in self.options.items() for word in ("-o", f"{name}={value}")]
        with (self.folder / "sshd.log").open("ab") as log:
            server = self.server = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", "/dev/null", "-h", str(self.host_key.key), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(
            f"sshd, see {self.folder}/sshd.log",
            lambda: server.poll() is not None or _answers(self.port),
            seconds=_READY_SECONDS,
        )
        assert server.poll() is None, (self.folder / "sshd.log").read_text()

    def kill(self) -> None:
        """End the server and all that it started, at once."""
        server, self.server = self.server, None
        if server is None:
            return
        for pid in [*_family(server.pid)][::-1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        server.wait(_END_SECONDS)

    def cut(self) -> None:
        """End what serves those who are logged in; the server takes new ones.

        Whoever could tell of the end of a program goes before the program does.
        """
        assert self.server is not None
        for pid in [*_family(self.server.pid)][1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Generator[None]:
        """Connections are taken by the system, and nobody answers."""
        assert self.server is not None
        pids = [*_family(self.server.pid)]
        try:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):  # one that had just ended its work
                    os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@contextmanager
def ssh_host(folder: Path, **options: str) -> Generator[SshHost]:
    """A server for the time of the block, with further options; its files are in `folder`, which is made."""
    host_key = SshPerson.create(folder, "host")
    person = SshPerson.create(folder, "person")
    allowed = folder / "authorized_keys"
    allowed.write_text(f"{person.public}\n")
    if os.geteuid() == 0:
        _PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    host = SshHost(
        folder=folder,
        port=port,
        person=person,
        host_key=host_key,
        options={
            "ListenAddress": f"127.0.0.1:{port}",
            "AuthorizedKeysFile": f'"{allowed}"',
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "PidFile": "none",
            "StrictModes": "no",
            "Subsystem": "sftp internal-sftp",
            "UsePAM": "no",
            **options,
        },
    )
    host.know()
    try:
        host.start()
        yield host
    finally:
        host.kill()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
        return probe.recv(4) == b"SSH-"
    return False


def _family(pid: int) -> Iterator[int]:
    """A process and all below it, parents first."""
    yield pid
    with contextlib.suppress(OSError):  # it has ended meanwhile
        found = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        for child in " ".join(found).split():
            yield from _family(int(child))
