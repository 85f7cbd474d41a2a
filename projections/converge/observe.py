"""Asking the hosts now, for whoever wants no older answer: nothing is changed on them and nothing recorded.

The same plan as a heal makes, with every container inspected. What is shown as drift here is what a heal
would mend. A name that leads to another machine by now is unknown: what runs there is somebody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from events.kernel.errors import OutsideError, UserError
from events.manifest import Manifest
from projections.converge.abreast import abreast
from projections.converge.altered import Alteration, alterations
from projections.converge.failures import HOST_IS_ANOTHER_MACHINE, HOST_UNKNOWN
from projections.converge.heal import all_jobs
from projections.converge.hostenv import bound_on
from projections.converge.hosts import check_binding, look, observation
from projections.converge.operations import HostPlan
from projections.converge.orphans import Place
from projections.converge.plan import Question, plan
from projections.converge.site import Equipment, Site
from projections.converge.untold import untold
from projections.engine.port import Container
from projections.observed import HostObservation

HOST_SECONDS = 20.0  # for all that one host is asked


async def observe(
    equipment: Equipment,
    manifest: Manifest,
    *,
    stopped: Mapping[tuple[str, str], str] | None = None,
    kept: Collection[Place] = (),
    host_seconds: float = HOST_SECONDS,
) -> tuple[HostObservation, ...]:
    """Ask all hosts now, side by side, and write `observed.db`; nothing else is changed or recorded.

    Every container is inspected. `stopped` has, by host and service, the hash that a person stopped, `kept`
    what left the Manifest and waits for a person's word. All hosts are asked side by side, and one that has
    not answered after `host_seconds`, or not at all, is shown as unreachable, not raised. Raises UserError
    `host-not-supported`.
    """
    sites = {host: equipment.site(manifest, host) for host in manifest.hosts}

    async def ask(host: str) -> HostObservation:
        try:
            async with asyncio.timeout(host_seconds):
                return await _asked(sites[host], manifest, stopped=stopped or {}, kept=kept)
        except TimeoutError:
            return _silent(sites[host], f"it gave no answer within {host_seconds:g} s")

    seen, failed = await abreast(sites, ask)
    for error in failed.values():
        raise error  # after every host was asked, so that what the others answered is kept
    return tuple(seen.values())


async def _asked(
    site: Site, manifest: Manifest, *, stopped: Mapping[tuple[str, str], str], kept: Collection[Place]
) -> HostObservation:
    content, store = manifest.hosts[site.host], site.equipment.observed
    containers: list[Container] = []
    try:
        check_binding(site.equipment, site.host, await site.engine.identity())
        containers = await look(site)
        due = await due_now(site, manifest, containers, stopped=stopped, kept=kept)
    except OutsideError as error:
        if error.code not in HOST_UNKNOWN:
            raise
        another = error.code == HOST_IS_ANOTHER_MACHINE
        return _silent(site, error.message, answers=None if another else False)
    except UserError:
        due = Due(plan=HostPlan(host=site.host, operations=()), bound={})
    seen = observation(site, content, containers=containers, plan=due.plan)
    store.save(seen)
    return seen


def _silent(site: Site, reason: str, *, answers: bool | None = False) -> HostObservation:
    """Mark a host as unreachable, or as another one (None); what it answered last stays."""
    store = site.equipment.observed
    store.mark(site.environment, site.host, reachable=answers, reason=reason)
    return next(one for one in store.load(site.environment) if one.host == site.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a look at a host finds to be done, and by which answers."""

    plan: HostPlan
    bound: Mapping[str, str]  # keyed digests of the host's env files now
    altered: tuple[Alteration, ...] = ()


async def due_now(
    site: Site,
    manifest: Manifest,
    containers: Collection[Container],
    *,
    stopped: Mapping[tuple[str, str], str],
    kept: Collection[Place],
) -> Due:
    """The plan of a heal over `containers`, each of them inspected. Raises what `plan` raises."""
    content = manifest.hosts[site.host]
    bound = await bound_on(site, content)
    question = Question(
        host=site.host,
        owner=site.owner,
        compose_project=site.compose_project,
        succeeded_jobs=all_jobs(manifest),
        known_services=frozenset(content.services),
        bound=bound.services,
        untold=await untold(content, site.folder, files=site.files),
        lets_be=True,
        stopped=stopped,
        kept=kept,
    )
    first = plan(content, containers, question)
    found = await alterations(site, manifest, containers, closely=None, resting=first.resting)
    told = {one.container: str(one) for one in found}
    final = plan(content, containers, replace(question, altered=told)) if found else first
    return Due(plan=final, bound=bound.services, altered=found)
