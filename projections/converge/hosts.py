"""Whether a host answers, whether it is the host it was, and what it showed.

A host that does not answer is unknown, never empty: looking at it raises, and whoever catches that decides
nothing about it. Its stream gets one `HostUnreachable` when it stops answering and one `HostReached` when
it answers for the first time or again; in between nothing, however often it is looked at.

The first `HostReached` binds the name to a machine and an engine, until a person says otherwise
(`HostRebound`). Another one behind the same name may hold
nothing of ours, and "create what is missing" would be wrong there, so it is refused before anything is
planned. Who answers is asked before each undertaking that may change something, not at an idle look.
"""

from __future__ import annotations

from collections.abc import Iterable

from events.catalog import decode
from events.catalog.host import HostReached, HostRebound, HostUnreachable
from events.envelope import StoredEvent
from events.kernel.errors import OutsideError, Where
from events.manifest import HostManifest
from events.recorder import Recorder
from events.streams import host_stream
from projections.converge.failures import HOST_IS_ANOTHER_MACHINE, HOST_UNKNOWN
from projections.converge.operations import HostPlan
from projections.converge.site import Equipment, Site
from projections.engine.port import Container, EngineIdentity
from projections.observed import HostObservation, ObservedContainer, ObservedService


async def reach(site: Site, recorder: Recorder) -> None:
    """Make sure that the host answers and is the one its name is bound to, recording a change of either.

    Raises OutsideError `engine-unreachable` or `host-is-another-machine` after recording it.
    """
    try:
        identity = await site.engine.identity()
        check_binding(site.equipment, site.host, identity)
    except OutsideError as error:
        note_unknown(site, recorder, error)
        raise
    if _last_said(site.equipment, site.host) is not HostReached:
        recorder.append(
            host_stream(site.host),
            HostReached(
                host=site.host,
                machine=identity.machine,
                engine=identity.engine,
                engine_version=identity.engine_version,
                api_version=identity.api_version,
            ),
        )


def is_known_reachable(site: Site) -> bool:
    """Whether the log says that the host answers, so that a further answer is no news."""
    return _last_said(site.equipment, site.host) is HostReached


def note_unknown(site: Site, recorder: Recorder, error: OutsideError) -> None:
    """Record once that a host is unknown, and show it; any other error leaves no trace here."""
    if error.code not in HOST_UNKNOWN:
        return
    reason = f"{error.message}: {error.why}" if error.why else error.message
    answers = None if error.code == HOST_IS_ANOTHER_MACHINE else False
    site.equipment.observed.mark(site.environment, site.host, reachable=answers, reason=reason)
    if _last_said(site.equipment, site.host) is not HostUnreachable:
        recorder.append(host_stream(site.host), HostUnreachable(host=site.host, reason=reason))


def _last_said(equipment: Equipment, host: str) -> type[HostReached | HostUnreachable] | None:
    """The kind of the newest event about the host's reachability."""
    for stored in reversed(equipment.log.read_stream(host_stream(host))):
        event = decode(stored)
        if isinstance(event, HostReached | HostUnreachable):
            return type(event)
    return None


def binding(stored: Iterable[StoredEvent]) -> HostReached | HostRebound | None:
    """The event of a host's stream that says which machine and engine its name means; None before any."""
    bound: HostReached | HostRebound | None = None
    for one in stored:
        event = decode(one)
        if isinstance(event, HostRebound) or (bound is None and isinstance(event, HostReached)):
            bound = event
    return bound


def check_binding(equipment: Equipment, host: str, identity: EngineIdentity) -> None:
    """Raise OutsideError `host-is-another-machine` when the host's name means another one."""
    bound = binding(equipment.log.read_stream(host_stream(host)))
    if bound is None or (bound.machine, bound.engine) == (identity.machine, identity.engine):
        return
    raise OutsideError(
        HOST_IS_ANOTHER_MACHINE,
        f"the host {host} is not the machine and engine it was at first",
        where=Where(host=host),
        why=f"bound to machine {bound.machine}, engine {bound.engine}; "
        f"now machine {identity.machine}, engine {identity.engine} answers",
        next=f"if it was set up anew: stagecraft hosts rebind {host} --reason TEXT; "
        "else start the engine that was there, or use another --home for this machine",
    )


async def look(site: Site) -> list[Container]:
    """The containers of the app's Compose project, stopped ones too.

    Raises OutsideError `engine-unreachable`.
    """
    try:
        return await site.containers(site.compose_project)
    except OutsideError as error:
        if error.code in HOST_UNKNOWN:
            error.where = Where(environment=site.environment, host=site.host)
        raise


def show(
    site: Site, content: HostManifest | None, *, containers: Iterable[Container], plan: HostPlan
) -> None:
    """Write what the host answered to `observed.db`, with the operations that are still due as drift."""
    site.equipment.observed.save(observation(site, content, containers=containers, plan=plan))


def observation(
    site: Site, content: HostManifest | None, *, containers: Iterable[Container], plan: HostPlan
) -> HostObservation:
    """What the host answered: each service of the Manifest, jobs aside, and each that should not be there."""
    wanted = {} if content is None else {n: s for n, s in content.services.items() if s.job is None}
    found: dict[str, list[Container]] = {}
    for one in containers:
        if site.owner.owns(one) and not one.one_off:
            found.setdefault(one.service or "", []).append(one)
    drift: dict[str, list[str]] = {}
    for operation in plan.repairs:
        drift.setdefault(operation.service, []).append(operation.reason)
    services: list[ObservedService] = []
    for name in sorted({*wanted, *found}):
        present = found.get(name, [])
        services.append(
            ObservedService(
                name=name,
                image=wanted[name].image.ref if name in wanted else present[0].image,
                containers=tuple(
                    ObservedContainer(id=c.id, state=c.state, health=c.health, version=c.service_hash or "")
                    for c in present
                ),
                drift=tuple(drift.get(name, ())),
            )
        )
    return HostObservation(
        environment=site.environment,
        host=site.host,
        reachable=True,
        services=tuple(services),
        at=site.clock.now(),
    )
