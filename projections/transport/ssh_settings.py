"""How one host is reached over SSH, said once: nothing else decides it.

Nobody's `~/.ssh/config` is read: it belongs to a person, a service has none, and two controllers would reach
two different machines by the same name. What a host needs stands in `controller.yml`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from events.kernel.errors import UserError, error_code

JUMP_HOST_BAD = error_code("jump-host-bad", "A jump host is not written as `user@host` or `user@host:port`.")

HostKeys = Literal["strict", "first-use"]
SSH_PORT = 22
ENGINE_SOCKET = PurePosixPath("/var/run/docker.sock")
ROOT = PurePosixPath("/var/lib/stagecraft")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class SshLogin:
    """An account at an SSH server."""

    address: str
    port: int = SSH_PORT
    user: str = "root"

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.user}@{host}" + (f":{self.port}" if self.port != SSH_PORT else "")

    @property
    def known_as(self) -> str:
        """The name that a file of known hosts has for it."""
        return self.address if self.port == SSH_PORT else f"[{self.address}]:{self.port}"

    @property
    def command(self) -> str:
        """What a person types to log in there."""
        return "ssh " + (f"-p {self.port} " if self.port != SSH_PORT else "") + f"{self.user}@{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """All that it takes to reach one host."""

    login: SshLogin
    known_hosts: Path  # OpenSSH's format; hashed names are read too
    host_keys: HostKeys = "strict"  # first-use: a key that is not known yet is taken and written down
    identity_files: tuple[Path, ...] = ()  # none: the agent's keys, then the usual files in ~/.ssh
    agent: str | None = None  # its socket, as SSH_AUTH_SOCK names it; None: no agent is asked
    connect_seconds: float = 10.0  # until logged in, the jump host included
    alive_seconds: float = 5.0  # without a sign of life it is asked for one; three times, then it is lost
    jump: SshLogin | None = None  # None: reached directly
    engine_socket: PurePosixPath = ENGINE_SOCKET
    root: PurePosixPath = ROOT


def jump_login(text: str) -> SshLogin:
    """`user@host[:port]`, an IPv6 address in brackets. Raises UserError `jump-host-bad`."""
    user, at, place = text.rpartition("@")
    if place.startswith("["):
        address, closed, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
        complete = bool(closed) and (not rest or (rest.startswith(":") and bool(port)))
    else:
        address, colon, port = place.partition(":")
        complete = not colon or bool(port)
    number = int(port) if port.isdecimal() else SSH_PORT if not port else 0
    if not (at and user and address and complete and 0 < number <= _LAST_PORT) or user.startswith("-"):
        raise UserError(
            JUMP_HOST_BAD,
            f"{text!r} names no jump host",
            next="write it as `user@host` or `user@host:port` at `ssh.jump` in controller.yml",
        )
    return SshLogin(address=address, port=number, user=user)
