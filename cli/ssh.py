"""`stagecraft ssh`: a shell or a command on a host, by the ways and with the trust of the controller."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings, with_settings
from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.fleet import Fleet
    from controller.host_registry import Roles
    from projections.transport.ssh_settings import SshSettings

SEVERAL_HOSTS = error_code(
    "several-hosts", "A shell can be opened on one host alone, and a role has several."
)
HERE_ALREADY = error_code("here-already", "A shell was asked for on the machine that it was asked from.")


@with_settings("env")
def ssh(
    settings: Settings,
    *,
    name: Annotated[str, typer.Argument(metavar="HOST|ROLE", help="A host, or a role of an environment.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="CMD", help="A program and its arguments, after `--`; a shell without it."),
    ] = None,
) -> int:
    """Open a shell on a host, or run a command there and answer with its exit code.

    The machine's own `ssh` is used, with address, user, keys and known hosts as the controller has them,
    nobody's configuration, and no agent forwarded. Each argument of a command arrives as it is; for a pipe
    or a variable of the host: `-- sh -c 'df -h | tail -1'`. On the hosts of a role it runs on one after the
    other, without input, each line behind its host and masked; on one host streams pass as they are.

    Exit codes: those of the command, of several hosts the first that is not 0; 255 when `ssh` did not get
    there, in its own words; without either, 1 no such host, or a shell on several hosts or on this one;
    2 what the host has to answer first is missing.
    """
    import asyncio

    from cli.in_turn import run_in_turn
    from controller.bootstrap import LOCAL_HOST, open_fleet
    from controller.ssh_program import ssh_argv

    words = command or []
    with open_fleet(settings.home, say=settings.console.progress) as fleet:
        hosts = _hosts(settings, fleet, name)
        if not words and len(hosts) > 1:
            raise UserError(
                SEVERAL_HOSTS,
                f"{name} is a role of several hosts: {', '.join(hosts)}",
                next=f"stagecraft ssh {hosts[0]}, or add a command: stagecraft ssh {name} -- CMD",
            )
        if not words and hosts == [LOCAL_HOST]:
            raise UserError(
                HERE_ALREADY,
                "`local` is this machine: you have a shell on it",
                next=f"a command runs here: stagecraft ssh {name} -- CMD",
            )
        terminal = len(hosts) == 1 and all(one.isatty() for one in (sys.stdin, sys.stdout, sys.stderr))
        calls: dict[str, list[str]] = {}
        for host in hosts:
            way = asyncio.run(_way(fleet, host))
            calls[host] = words if way is None else ssh_argv(way, words, terminal=terminal)
    if len(hosts) == 1:
        return _alone(calls[hosts[0]])
    return asyncio.run(run_in_turn(settings.console, calls))


def _hosts(settings: Settings, fleet: Fleet, name: str) -> list[str]:
    """The hosts that are meant. Raises what `hosts_named` raises."""
    from controller.bootstrap import open_log
    from controller.host_uses import host_roles
    from controller.named_hosts import hosts_named
    from controller.states import States
    from events.blobs import FileBlobStore

    with open_log(settings.home) as log:
        nowhere: Roles = {}
        roles = nowhere if log is None else host_roles(log, States(), FileBlobStore(settings.home.blobs))
    return hosts_named(name, entries=fleet.entries, roles=roles, environment=settings.environment)


async def _way(fleet: Fleet, host: str) -> SshSettings | None:
    """How to get to a host; None: it is this machine.

    Where keys are taken at first use, ours is the connection that takes it, and records it. Raises
    OutsideError with a code in `HOST_SILENT`.
    """
    reach = fleet.reach(host)
    if reach.ssh is not None and reach.ssh.host_keys == "first-use":
        await reach.transport.open()
    return reach.ssh


def _alone(argv: Sequence[str]) -> int:
    """Run it with our own streams and answer its exit code."""
    from cli.in_turn import BY_SIGNAL, not_started

    try:
        code = subprocess.run(argv, check=False).returncode
    except OSError as error:
        raise not_started(argv[0], error) from error
    return code if code >= 0 else BY_SIGNAL - code
