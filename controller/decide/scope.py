"""The hosts of a Manifest that a person wants a Release for: some of them, by name or by role."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from collections.abc import Collection

    from events.manifest import Manifest

SCOPE_UNKNOWN = error_code("scope-unknown", "No host of the Manifest has that name, or has that role.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a person named; neither: all hosts."""

    hosts: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    def of(self, manifest: Manifest) -> tuple[str, ...]:
        """The hosts that it names, sorted; none where that is all of them.

        Raises UserError `scope-unknown`.
        """
        by_role: dict[str, set[str]] = {}
        for host, content in manifest.hosts.items():
            for service in content.services.values():
                by_role.setdefault(service.role, set()).add(host)
        _refuse_unknown("host", self.hosts, manifest.hosts.keys())
        _refuse_unknown("role", self.roles, by_role.keys())
        chosen = {*self.hosts, *(host for role in self.roles for host in by_role[role])}
        return () if chosen == manifest.hosts.keys() else tuple(sorted(chosen))


def _refuse_unknown(what: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=1)
            raise UserError(
                SCOPE_UNKNOWN,
                f"no {what} {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
                why=f"known {what}s: {', '.join(sorted(known))}",
                next=f"name one of them with --{what}, or leave it out for all hosts",
            )
