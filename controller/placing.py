"""Which hosts run which services and roles of an environment, by the log and the Manifests it names.

What is deployed counts, and what a Release under way will run: a service that it brings to another host is
found there as soon as it appears.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.recorded import recorded_manifest
from events.kernel.errors import OutsideError, UserError, error_code

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.decide.state import EnvironmentState
    from controller.home import Home
    from controller.targets import Target

HOST_NOT_OURS = error_code(
    "host-not-in-environment", "No host of that name runs anything of the environment."
)
ROLE_UNKNOWN = error_code("role-not-in-environment", "The environment has no role of that name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Services and roles by host."""

    services: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """`{role: hosts}`."""

    @property
    def every_service(self) -> frozenset[str]:
        """The services of all hosts."""
        return frozenset[str]().union(*self.services.values())

    def chosen(
        self, target: Target, *, host: str | None, role: str | None, reached: Collection[str]
    ) -> tuple[str, ...]:
        """The hosts to ask, sorted: one by name, those of a role, or all that should run something.

        `reached` are the hosts that can be asked at all; where the log names none, as before anything was
        deployed, it is all of them. Raises UserError `host-not-in-environment`, `role-not-in-environment`.
        """
        known = sorted(self.services) or sorted(reached)
        if role is not None and role not in self.roles:
            raise UserError(
                ROLE_UNKNOWN,
                f"{target} has no role {role!r}",
                why=f"known roles: {', '.join(sorted(self.roles)) or 'none'}",
                next=f"stagecraft status --env {target}",
            )
        if host is not None and host not in known and host not in reached:
            raise UserError(
                HOST_NOT_OURS,
                f"unknown host {host!r}",
                why=f"known hosts: {', '.join(sorted({*known, *reached}))}",
                next=f"stagecraft status --env {target}",
            )
        return self.hosts(host=host, role=role) or tuple(known)

    def hosts(self, *, host: str | None, role: str | None) -> tuple[str, ...]:
        """The same by what is placed now, sorted; none where nothing is."""
        if host is not None:
            return (host,)
        return tuple(sorted(self.services if role is None else self.roles.get(role, ())))


def placement_of(home: Home, state: EnvironmentState) -> Placement:
    """Where the services and roles of an environment run.

    Of a Manifest whose bytes cannot be read the log knows the services, and not their roles.
    """
    services: dict[str, set[str]] = {}
    roles: dict[str, set[str]] = {}
    active = None if state.active is None else state.active.digest
    for digest in {state.deployed_digest, state.git.digest, active} - {None}:
        try:
            manifest = recorded_manifest(home, digest)
        except OutsideError:
            manifest = None
        render = state.render_of(digest) if digest is not None else None
        for host, names in () if render is None else render.services.items():
            services.setdefault(host, set()).update(names)
        for host, content in () if manifest is None else manifest.hosts.items():
            services.setdefault(host, set()).update(content.services)
            for one in content.services.values():
                roles.setdefault(one.role, set()).add(host)
    return Placement(
        services={host: frozenset(names) for host, names in services.items()},
        roles={role: frozenset(hosts) for role, hosts in roles.items()},
    )
