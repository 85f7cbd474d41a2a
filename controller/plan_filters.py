"""Showing a part of a plan: by service, role, host and step, with what the kept steps need.

Within one filter the names add up, of several filters all have to agree. A deploy that is kept keeps the
images made for it and the jobs it waits for; steps of other services go, and nothing points to them. A
filter only shows less: it decides nothing about what a deploy does.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from controller.steps import PlanPhase
    from events.manifest import Manifest

SERVICE_UNKNOWN = error_code("service-unknown", "The project has no service of this name.")
ROLE_UNKNOWN = error_code("role-unknown", "No service of the plan has this role.")
HOST_NOT_IN_PLAN = error_code("host-not-in-plan", "The plan does nothing on a host of this name.")
PHASE_UNKNOWN = error_code("phase-unknown", "No step of the plan begins like this.")

_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is to be shown; an empty one lets everything pass."""

    services: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()  # beginnings of ids

    def as_json(self) -> dict[str, list[str]]:
        """The object that `plan --format json` prints."""
        return {
            "services": list(self.services),
            "roles": list(self.roles),
            "hosts": list(self.hosts),
            "phases": list(self.phases),
        }

    @property
    def is_empty(self) -> bool:
        """Whether all is shown."""
        return not (self.services or self.roles or self.hosts or self.phases)

    def keeps(self, host: str, service: str, role: str) -> bool:
        """Whether a service on a host passes; steps aside."""
        return (
            (not self.services or service in self.services)
            and (not self.roles or role in self.roles)
            and (not self.hosts or host in self.hosts)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of a plan is shown."""

    phases: tuple[PlanPhase, ...]
    pairs: frozenset[tuple[str, str]]  # (host, service)


def view(phases: Sequence[PlanPhase], filters: Filters, *, wanted: Manifest, before: Manifest | None) -> View:
    """The steps and services that pass `filters`, with what they need.

    Raises UserError `service-unknown`, `role-unknown`, `host-not-in-plan` or `phase-unknown`.
    """
    roles = {**_roles(before), **_roles(wanted)}
    _check(filters, phases, roles)
    chosen = {pair for pair, role in roles.items() if filters.keeps(*pair, role)}
    named = [step for step in phases if step.id.startswith(filters.phases or "")]
    if filters.phases:
        chosen &= {pair for step in named for pair in step.pairs}
    working = [step for step in named if step.kind in ("deploy", "migrate")]
    served = chosen & {pair for step in working for pair in step.pairs}
    needed = served | _jobs_for(served, wanted)
    shown = [
        step.narrowed(chosen | needed)
        for step in phases
        if step.pairs & (chosen if step in named else set[tuple[str, str]]())
        or (step.kind in ("build", "migrate") and step.pairs & needed)
    ]
    ids = {step.id for step in shown}
    kept = tuple(
        replace(step, depends_on=tuple(one for one in step.depends_on if one in ids)) for step in shown
    )
    return View(phases=kept, pairs=frozenset(chosen | needed))


def _roles(manifest: Manifest | None) -> dict[tuple[str, str], str]:
    hosts = {} if manifest is None else manifest.hosts
    return {
        (host, name): service.role
        for host, content in hosts.items()
        for name, service in content.services.items()
    }


def _jobs_for(chosen: Iterable[tuple[str, str]], wanted: Manifest) -> set[tuple[str, str]]:
    """The jobs that the chosen services wait for, directly or through other jobs."""
    found: set[tuple[str, str]] = set()
    waiting = list(chosen)
    while waiting:
        host, name = waiting.pop()
        content = wanted.hosts.get(host)
        service = None if content is None else content.services.get(name)
        if content is None or service is None:
            continue
        for other in service.waits_for:
            known = content.services.get(other)
            if known is not None and known.job is not None and (host, other) not in found:
                found.add((host, other))
                waiting.append((host, other))
    return found


def _check(filters: Filters, phases: Iterable[PlanPhase], roles: Mapping[tuple[str, str], str]) -> None:
    ids = [step.id for step in phases]
    _refuse(filters.services, {name for _host, name in roles}, what="service", code=SERVICE_UNKNOWN)
    _refuse(filters.roles, set(roles.values()), what="role", code=ROLE_UNKNOWN)
    _refuse(filters.hosts, {host for host, _name in roles}, what="host", code=HOST_NOT_IN_PLAN)
    _refuse(
        filters.phases,
        ids,
        what="phase",
        code=PHASE_UNKNOWN,
        fits=lambda prefix: any(one.startswith(prefix) for one in ids),
    )


def _refuse(
    names: Iterable[str],
    known: Collection[str],
    *,
    what: str,
    code: str,
    fits: Callable[[str], bool] | None = None,
) -> None:
    for name in names:
        if fits(name) if fits is not None else name in known:
            continue
        listed = sorted(known)
        written = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
        near = difflib.get_close_matches(name[:_LONGEST_NAME], listed, n=1)
        raise UserError(
            code,
            f"no {what} {written!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
            why=f"known {what}s: {', '.join(listed)}",
            next=f"name some of them with --{what}s A,B",
        )
