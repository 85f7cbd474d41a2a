"""Keeping what is deployed running: compare, and mend what differs.

Level-triggered: each call looks, plans and, when the plan has something to bring back, applies it with the
steps of a Release. Nothing to do appends nothing and starts no Compose process. Jobs are never run here: a
job that did not succeed is a Release's business.

A drift is reported when it is first seen and when it is another one, not at every look in between: an open
`DriftDetected` with the same content is not repeated. A drift that is gone, by whoever's hand, is closed.
"""

from __future__ import annotations

import asyncio

from events.catalog import decode
from events.catalog.environment import DriftDetected, DriftHealed
from events.kernel.errors import OutsideError, StagecraftError, UserError
from events.manifest import HostManifest, Manifest
from events.recorder import Recorder
from events.streams import environment_stream
from projections.converge.conflicts import CONTAINER_NOT_OURS
from projections.converge.failures import FATAL, HOST_UNKNOWN
from projections.converge.hostenv import bind
from projections.converge.hosts import (
    is_known_reachable,
    look,
    note_unknown,
    observation,
    reach,
    show,
)
from projections.converge.operations import HostPlan
from projections.converge.plan import JobKey, Question, plan
from projections.converge.site import Equipment, Site
from projections.converge.superseding import Newer
from projections.converge.undertaking import Planned, Undertaking
from projections.converge.untold import untold
from projections.observed import HostObservation


async def heal(equipment: Equipment, manifest: Manifest, *, release: str, recorder: Recorder) -> bool:
    """Mend every host; True when something had to be mended.

    Appends DriftDetected, ServiceReplaced (in the stream of `release`) and DriftHealed, HostReached and
    HostUnreachable. Raises the first host's error after all hosts were tried; the log's errors at once, and
    SupersededError when a Release that was asked for ends a wait for health: the drift stays open then.
    """
    stream = environment_stream(manifest.project, manifest.environment)
    undertaking = Undertaking(
        equipment=equipment,
        manifest=manifest,
        recorder=recorder,
        release=release,
        succeeded_jobs=_all_jobs(manifest),
        newer=Newer(log=equipment.log, stream=stream, clock=equipment.clock),
        known=manifest,
        lets_be=True,
        reason="drift",
    )
    mended, first = False, None
    for host in sorted(manifest.hosts):
        try:
            mended = await _heal_host(undertaking, host) or mended
        except StagecraftError as error:
            if error.code in FATAL - HOST_UNKNOWN:
                raise
            first = first or error
    if first is not None:
        raise first
    return mended


async def _heal_host(undertaking: Undertaking, host: str) -> bool:
    site = undertaking.site(host)
    try:
        if not is_known_reachable(site):
            await reach(site, undertaking.recorder)
        planned = await _observed(undertaking, host)
        drift = _drift(planned.plan)
        if not drift:
            _close(site, undertaking.recorder)
            return False
        await reach(site, undertaking.recorder)  # who answers, before anything is changed
        _open(site, undertaking.recorder, drift)
        await _mend(undertaking, planned)
    except OutsideError as error:
        note_unknown(site, undertaking.recorder, error)
        raise
    _close(site, undertaking.recorder)
    return True


async def _observed(undertaking: Undertaking, host: str) -> Planned:
    """Look, plan and show; a container of somebody else in our place is a drift that a person must mend."""
    try:
        planned = await undertaking.observe(host)
    except UserError as error:
        if error.code == CONTAINER_NOT_OURS:
            site = undertaking.site(host)
            _open(site, undertaking.recorder, {error.where.service or "": error.message})
        raise
    show(planned.site, planned.content, containers=planned.containers, plan=planned.plan)
    return planned


async def _mend(undertaking: Undertaking, planned: Planned) -> None:
    host = planned.site.host
    for line in planned.plan.describe():
        planned.site.tell(f"drift: {line.removeprefix(f'{host}: ')}")
    with planned.site.errors_here():
        planned, applier = await undertaking.ready(planned)
    await undertaking.run(planned, applier)
    await undertaking.prune(await undertaking.settle(host))


def _drift(plan: HostPlan) -> dict[str, str]:
    """What differs, by service."""
    return {operation.service: operation.reason for operation in plan.repairs}


def _open(site: Site, recorder: Recorder, drift: dict[str, str]) -> None:
    """Report a drift unless the same one is open."""
    found = _open_drift(site)
    if found is None or found.services != drift:
        recorder.append(site.stream, DriftDetected(host=site.host, services=drift))


def _close(site: Site, recorder: Recorder) -> None:
    """Report the end of an open drift; nothing when none is open."""
    found = _open_drift(site)
    if found is not None:
        services = tuple(sorted(found.services))
        recorder.append(site.stream, DriftHealed(host=site.host, services=services))


def _open_drift(site: Site) -> DriftDetected | None:
    """The newest drift of this host that no `DriftHealed` followed."""
    log = site.equipment.log
    events = [
        stored
        for name in (DriftDetected.__name__, DriftHealed.__name__)
        for stored in log.read(stream=site.stream, type_name=name)
    ]
    for stored in sorted(events, key=lambda one: one.version, reverse=True):
        event = decode(stored)
        if isinstance(event, DriftDetected | DriftHealed) and event.host == site.host:
            return event if isinstance(event, DriftDetected) else None
    return None


def _all_jobs(manifest: Manifest) -> frozenset[JobKey]:
    return frozenset(
        (host, name, service.hash)
        for host, content in manifest.hosts.items()
        for name, service in content.services.items()
        if service.job is not None
    )


async def observe(equipment: Equipment, manifest: Manifest) -> tuple[HostObservation, ...]:
    """Ask every host now and write `observed.db`; nothing else is changed or recorded.

    A host that does not answer is shown as unreachable, not raised. Raises UserError `host-not-supported`.
    """
    return tuple(
        [
            await _asked(equipment.site(manifest, host), content)
            for host, content in sorted(manifest.hosts.items())
        ]
    )


async def _asked(site: Site, content: HostManifest) -> HostObservation:
    store = site.equipment.observed
    try:
        containers = await look(site)
    except OutsideError as error:
        if error.code not in HOST_UNKNOWN:
            raise
        store.mark(site.environment, site.host, reachable=False, reason=error.message)
        return next(one for one in store.load(site.environment) if one.host == site.host)
    bound = await asyncio.to_thread(bind, content, key=site.equipment.binding_key)
    question = Question(
        host=site.host,
        owner=site.owner,
        compose_project=site.compose_project,
        bound=bound.services,
        untold=await asyncio.to_thread(untold, content, site.folder),
        lets_be=True,
    )
    try:
        due = plan(content, containers, question)
    except UserError:
        due = HostPlan(host=site.host, operations=())
    seen = observation(site, content, containers=containers, plan=due)
    store.save(seen)
    return seen
