"""How the `ssh` program is called so that it goes where the controller goes, and trusts what it trusts.

A person's shell on a host, and a command there, are the business of the machine's own `ssh`: it knows
terminals, agents and hardware keys. All that it needs is said by options, from the same settings as the
controller's own connections; nobody's configuration is read, so that both end at the same machine. Keys of
hosts are checked strictly: one that may be taken at first use is taken by the controller's own connection
beforehand, which records it. No agent, display or port is forwarded, for a host that is taken over would
use them.
"""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.transport.ssh_settings import SshLogin, SshSettings

PROGRAM = "ssh"
FAILED = 255  # what it answers when it did not get there, and what a command there may answer, too

_ALWAYS = (
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=none",
    "UpdateHostKeys=no",
    "CheckHostIP=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
)


def ssh_argv(settings: SshSettings, command: Sequence[str], *, terminal: bool) -> list[str]:
    """The call that opens a shell there, or runs `command`, of which each argument arrives as it is.

    Without a `terminal` here nothing is asked, and the program there gets none.
    """
    argv = [PROGRAM, *_options(settings, settings.login, terminal=terminal)]
    if settings.jump is not None:
        argv += ["-o", f"ProxyCommand={_proxy(settings, settings.jump, terminal=terminal)}"]
    if command:
        argv.append("-t" if terminal else "-T")
    argv += ["--", settings.login.address]
    return [*argv, remote_words(command)] if command else argv


def remote_words(command: Sequence[str]) -> str:
    """The one text that an SSH server hands to a shell, which makes these words of it again.

    `exec` keeps the shell from taking a first word like `A=b` for anything but a program.
    """
    return f"exec {shlex.join(command)}"


def _options(settings: SshSettings, login: SshLogin, *, terminal: bool) -> list[str]:
    values = [
        *_ALWAYS,
        f"BatchMode={'no' if terminal else 'yes'}",
        f"ConnectTimeout={max(math.ceil(settings.connect_seconds), 1)}",
        f"UserKnownHostsFile={_in_file(str(settings.known_hosts))}",
    ]
    values += [f"IdentityFile={_in_file(str(one))}" for one in settings.identity_files]
    if settings.identity_files:
        values.append("IdentitiesOnly=yes")
    options = [word for value in values for word in ("-o", value)]
    return ["-F", "none", "-p", str(login.port), "-l", login.user, *options]


def _proxy(settings: SshSettings, jump: SshLogin, *, terminal: bool) -> str:
    """The command, for a shell, that leads through the jump host with the same keys on both ways."""
    inner = [PROGRAM, *_options(settings, jump, terminal=terminal)]
    return f"{_unexpanded(shlex.join(inner))} -W '[%h]:%p' -- {_unexpanded(shlex.quote(jump.address))}"


def _in_file(path: str) -> str:
    """A path as a value of an option, which is read as a line of a configuration is."""
    escaped = _unexpanded(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unexpanded(text: str) -> str:
    """`text` once `ssh` has replaced what begins with a percent sign."""
    return text.replace("%", "%%")
