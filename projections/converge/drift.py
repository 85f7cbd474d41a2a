"""What differs between what is deployed and what a host answers now, field by field; nothing is changed.

The operations that a heal would do, told from the other side: not what is to be done, but what was found and
what is wanted, which container, since when, and by whose hand as far as anybody can know. A host that does
not answer, or answers as another machine, has no rows: it is unknown, and nothing on it is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from events.kernel.errors import OutsideError, UserError
from events.manifest import Manifest
from projections.converge.altered import Alteration
from projections.converge.comparing import comparer
from projections.converge.conflicts import CONTAINER_NOT_OURS, owner_text, replicas
from projections.converge.drift_log import drifting_since
from projections.converge.failures import HOST_IS_ANOTHER_MACHINE, HOST_UNKNOWN
from projections.converge.hosts import check_binding, look
from projections.converge.observe import Due, due_now
from projections.converge.operations import AT_REST, Operation
from projections.converge.orphans import Place
from projections.converge.plan import FILES_CHANGED, HOST_ENV_CHANGED
from projections.converge.sameness import Difference
from projections.converge.site import Site
from projections.engine.port import Container

PERSON, ENGINE, UNKNOWN = "person", "engine", "unknown"
_ENGINES_DOING = frozenset({"restarting", "dead", "removing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that is not as deployed."""

    host: str
    service: str
    container: str  # id; empty: there is none
    field: str  # as in a Compose file, or `state`, `containers`, `service hash`
    wanted: str
    found: str
    owner: str  # whose hand it was: person, engine, unknown; of a foreign container what its labels say
    since: datetime | None  # when it was first reported; None: it was not yet


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDrift:
    """What one host answered."""

    host: str
    reachable: bool | None  # None: another machine answers under its name
    reason: str = ""  # why it is unknown
    rows: tuple[Row, ...] = ()


async def drift_of(
    site: Site, manifest: Manifest, *, stopped: Mapping[tuple[str, str], str], kept: Collection[Place] = ()
) -> HostDrift:
    """Ask one host. `stopped` has, by host and service, the hash that a person stopped.

    `kept` is what left the Manifest and waits for a person's word.
    """
    try:
        check_binding(site.equipment, site.host, await site.engine.identity())
        present = await look(site)
        try:
            due = await due_now(site, manifest, present, stopped=stopped, kept=kept)
        except UserError as error:
            if error.code != CONTAINER_NOT_OURS:
                raise
            rows: tuple[Row, ...] = (_foreign(site, error),)
        else:
            rows = await _Teller(site=site, manifest=manifest, present=present, due=due).rows()
    except OutsideError as error:
        if error.code not in HOST_UNKNOWN:
            raise
        reachable = None if error.code == HOST_IS_ANOTHER_MACHINE else False
        return HostDrift(host=site.host, reachable=reachable, reason=error.message)
    return HostDrift(host=site.host, reachable=True, rows=rows)


def _foreign(site: Site, error: UserError) -> Row:
    service = error.where.service or ""
    return Row(
        host=site.host,
        service=service,
        container="",
        field="containers",
        wanted="one of this environment",
        found=error.message,
        owner=error.why,
        since=drifting_since(site).get(service),
    )


@dataclass(slots=True, kw_only=True)
class _Teller:
    site: Site
    manifest: Manifest
    present: list[Container]
    due: Due

    async def rows(self) -> tuple[Row, ...]:
        since = drifting_since(self.site)
        told = [
            Row(
                host=self.site.host,
                service=operation.service,
                container=container,
                field=difference.field,
                wanted=difference.wanted,
                found=difference.found,
                owner=owner,
                since=since.get(operation.service),
            )
            for operation in self.due.plan.repairs
            for container, difference, owner in await self._of(operation)
        ]
        return tuple(sorted(told, key=lambda row: (row.service, row.container, row.field)))

    async def _of(self, operation: Operation) -> Iterable[tuple[str, Difference, str]]:
        """Container, difference and whose hand it was."""
        match operation.kind:
            case "create":
                return [("", self._missing(operation.service), UNKNOWN)]
            case "start":
                return [(one.id, _state(one, "running"), _who(one)) for one in self._named(operation)]
            case "stop":
                return [(one.id, _state(one, AT_REST), PERSON) for one in self._named(operation)]
            case "remove":
                return [
                    (one.id, _extra(operation), _origin(self.site, one)) for one in self._named(operation)
                ]
            case "reload":
                told = Difference(field="volumes", wanted="told of its files", found=FILES_CHANGED)
                return [(one, told, UNKNOWN) for one in operation.containers]
            case _:
                found = [await self._replaced(operation, one) for one in self._named(operation)]
                return [each for one in found for each in one]

    async def _replaced(self, operation: Operation, one: Container) -> list[tuple[str, Difference, str]]:
        alteration = self._alteration(one)
        if alteration is not None:
            return [(one.id, each, PERSON) for each in alteration.differences]
        if operation.reason == HOST_ENV_CHANGED:
            told = Difference(
                field="env_file", wanted="what the file of the host says now", found="what it said"
            )
            return [(one.id, told, PERSON)]
        if operation.reason == one.state:
            return [(one.id, _state(one, "running"), _who(one))]
        if operation.reason != "changed":
            return [
                (one.id, Difference(field="network_mode", wanted="another", found=operation.reason), UNKNOWN)
            ]
        made = await self.site.engine.makeup(one.id)
        compared = await comparer(self.site, self.manifest, self.present)
        found = () if made is None else await compared.whole(operation.service, made)
        other = Difference(
            field="service hash", wanted="the deployed one", found=(one.service_hash or "none")[:12]
        )
        return [(one.id, each, PERSON) for each in found or (other,)]

    def _alteration(self, one: Container) -> Alteration | None:
        return next((each for each in self.due.altered if each.container == one.id), None)

    def _named(self, operation: Operation) -> list[Container]:
        return [one for one in self.present if one.id in operation.containers]

    def _missing(self, service: str) -> Difference:
        content = self.manifest.hosts[self.site.host]
        wanted = replicas(content.compose["services"][service])
        there = sum(
            self.site.owner.owns(one) and one.service == service and not one.one_off for one in self.present
        )
        return Difference(field="containers", wanted=str(wanted), found=str(there))


def _state(one: Container, wanted: str) -> Difference:
    return Difference(field="state", wanted=wanted, found=one.state)


def _extra(operation: Operation) -> Difference:
    return Difference(field="containers", wanted="none", found=f"one more ({operation.reason})")


def _who(one: Container) -> str:
    """Whose hand a state shows: only a person pauses, only the engine restarts; an end tells nothing."""
    if one.state == "paused":
        return PERSON
    return ENGINE if one.state in _ENGINES_DOING else UNKNOWN


def _origin(site: Site, one: Container) -> str:
    """Who made an extra container: a person when no event names it."""
    if not site.equipment.births.named(site.equipment.log, [one.id]):
        return PERSON
    return UNKNOWN if site.owner.owns(one) else owner_text(one)
