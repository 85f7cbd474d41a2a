"""Which hosts a person means by a name: a host, or a role of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.host_registry import HostEntry, Roles

NO_SUCH_HOST = error_code("no-such-host", "Neither a host nor a role of that name is known.")
ROLE_AMBIGUOUS = error_code("role-ambiguous", "Several environments have a role of that name.")
NO_WAY_TO_HOST = error_code("no-way-to-host", "A host is named, and nobody says where it is.")


def hosts_named(
    name: str, *, entries: Mapping[str, HostEntry], roles: Roles, environment: str | None
) -> list[str]:
    """The host of that name, else the hosts of the role, sorted.

    `environment` is `<project>/<name>` or `<name>`; None: whichever has the role. Raises UserError
    `no-such-host`, `role-ambiguous`, `no-way-to-host`.
    """
    if name in entries:
        found = [name]
    else:
        by_environment = _with_role(name, roles, environment)
        if len(by_environment) > 1:
            raise UserError(
                ROLE_AMBIGUOUS,
                f"several environments have a role {name!r}: {', '.join(sorted(by_environment))}",
                next="name one with --env",
            )
        if not by_environment:
            every = sorted({role for of_host in roles.values() for some in of_host.values() for role in some})
            raise UserError(
                NO_SUCH_HOST,
                f"neither a host nor a role {name!r} is known",
                why=f"known hosts: {', '.join(sorted(entries))}; known roles: {', '.join(every) or 'none'}",
                next="stagecraft hosts list",
            )
        found = sorted(*by_environment.values())
    for host in found:
        if host not in entries or not entries[host].reachable:
            raise UserError(
                NO_WAY_TO_HOST,
                f"nobody says where the host {host} is",
                next="list it at `network.static.hosts` in controller.yml",
            )
    return found


def _with_role(role: str, roles: Roles, environment: str | None) -> dict[str, set[str]]:
    """The hosts that have it, by environment."""
    found: dict[str, set[str]] = {}
    for host, of_host in roles.items():
        for title, some in of_host.items():
            if role in some and environment in {None, title, title.partition("/")[2]}:
                found.setdefault(title, set()).add(host)
    return found
