"""How Git reaches a repository over SSH: without questions, and only a server whose key is known.

A key that is unknown or changed is refused and never learned, whatever the configuration of the user says.
An operator may name a key and a file of host keys for each repository, as deploy keys want it; then no other
key is offered and no other file counts. Otherwise the user's own configuration and agent say so, or
`GIT_SSH_COMMAND` of the controller's environment, which is the operator's as `controller.yml` is.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_VARIABLE: Final = "GIT_SSH_COMMAND"
_OPTIONS: Final = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ConnectTimeout=15",
    "ServerAliveInterval=15",  # seconds; a server that is gone is noticed after three of them
    "ServerAliveCountMax=3",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAccess:
    """What an operator says of one repository; None: as the user's own configuration says."""

    identity_file: Path | None = None
    known_hosts: Path | None = None

    def command(self) -> str:
        """The value of `GIT_SSH_COMMAND`, which Git gives to a shell."""
        words = ["ssh", *(word for option in _OPTIONS for word in ("-o", option))]
        if self.identity_file is not None:
            words += ["-i", _literal(self.identity_file), "-o", "IdentitiesOnly=yes"]
        if self.known_hosts is not None:
            words += ["-o", f'UserKnownHostsFile="{_literal(self.known_hosts)}"']
            words += ["-o", "GlobalKnownHostsFile=/dev/null"]
        return shlex.join(words)

    def variables(self) -> dict[str, str]:
        """What Git is given beside what it has where nobody says anything."""
        return {} if self == SshAccess() else {_VARIABLE: self.command()}

    @property
    def known_hosts_shown(self) -> str:
        """The file of host keys, for people."""
        return "~/.ssh/known_hosts" if self.known_hosts is None else str(self.known_hosts)


AS_THE_USER: Final = SshAccess()


def ssh_command() -> str:
    """The command where no entry of `controller.yml` says anything."""
    return os.environ.get(_VARIABLE) or AS_THE_USER.command()


def _literal(path: Path) -> str:
    """A path as SSH takes it: `%` begins a token there."""
    return str(path).replace("%", "%%")
