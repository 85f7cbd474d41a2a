"""Which hosts a command is to ask, with what reaches each of them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from controller.host_checks import Asked
from controller.rebinding import HOST_NAME_UNKNOWN
from events.kernel.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.fleet import Fleet


def chosen_hosts(fleet: Fleet, names: Sequence[str]) -> list[Asked]:
    """The named hosts, else all, each once, in the registry's order. Raises UserError `host-name-unknown`."""
    entries = fleet.entries
    for name in names:
        if name not in entries:
            raise UserError(
                HOST_NAME_UNKNOWN,
                f"unknown host {name!r}",
                why=f"known hosts: {', '.join(entries)}",
                next=f"say where it is: network.static.hosts.{name}.address in controller.yml",
            )
    wanted = set(names) or set(entries)
    return [_asked(fleet, name) for name in entries if name in wanted]


def _asked(fleet: Fleet, name: str) -> Asked:
    entry = fleet.entries[name]
    if not fleet.has(name):
        return Asked(entry=entry, transport=None, engine=None, root=PurePosixPath(entry.root))
    reach = fleet.reach(name)
    return Asked(entry=entry, transport=reach.transport, engine=reach.engine, root=reach.root)
