"""Keeping what is deployed running: compare, and mend what differs.

Level-triggered: each call looks, plans and, when the plan has something to bring back, applies it with the
steps of a Release. Nothing to do appends nothing and starts no Compose process. Jobs are never run here: a
job that did not succeed is a Release's business.

A drift is reported when it is first seen and when it is another one, not at every look in between: an open
`DriftDetected` with the same content is not repeated. A drift that is gone, by whoever's hand, is closed.
Where the terms do not say `heal` it is reported and left as it is.

A container is inspected only where the terms say so and while a drift of its service is open: an idle look is
one listing. What a replacement did not change is no drift: it is recorded, and not replaced for again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from events.catalog import Event
from events.catalog.drift import DriftDetected, DriftHealed, DriftPolicy, LeftAsMade
from events.kernel.errors import OutsideError, StagecraftError, UserError
from events.manifest import Manifest
from events.recorder import Recorder
from events.streams import environment_stream
from projections.converge.abreast import abreast
from projections.converge.altered import Alteration, Closely, alterations
from projections.converge.apply import MOST_AT_ONCE
from projections.converge.conflicts import CONTAINER_NOT_OURS
from projections.converge.drift_log import open_drift
from projections.converge.failures import FATAL, HOST_UNKNOWN
from projections.converge.hosts import is_known_reachable, look, note_unknown, reach, show
from projections.converge.operations import HostPlan
from projections.converge.orphans import Place
from projections.converge.plan import JobKey
from projections.converge.site import Equipment, Site
from projections.converge.superseding import Newer
from projections.converge.undertaking import Planned, Undertaking
from projections.converge.wiring import Terms as Traffic


def _nothing_more(_drift: DriftDetected) -> tuple[Event, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms what is deployed is kept."""

    policy: DriftPolicy = "heal"
    stopped: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """By host and service, the hash that a person stopped."""
    closely: Closely = ()
    """The services whose containers are inspected, beside those of a drift that is open; None: all."""
    kept: frozenset[Place] = frozenset()  # what left the Manifest and waits for a person's word
    parallel: int = MOST_AT_ONCE  # services that are worked on at once
    drained_hosts: frozenset[str] = frozenset()  # that people keep requests away from
    drained_services: frozenset[str] = frozenset()  # likewise
    consequence: Callable[[DriftDetected], tuple[Event, ...]] = field(default=_nothing_more)
    """What is recorded with a drift that was not there before, in the environment's stream."""


async def heal(
    equipment: Equipment, manifest: Manifest, *, release: str, recorder: Recorder, terms: Terms | None = None
) -> bool:
    """Mend every host as the terms say, side by side; True when something was mended.

    Appends DriftDetected, ServiceReplaced (in the stream of `release`) and DriftHealed, HostReached and
    HostUnreachable. Raises one host's error after all hosts were tried, that of a silent one last, and
    SupersededError when a Release that was asked for ends a wait for health: the drift stays open then.
    """
    stream = environment_stream(manifest.project, manifest.environment)
    given = terms or Terms()
    undertaking = Undertaking(
        equipment=equipment,
        manifest=manifest,
        recorder=recorder,
        release=release,
        succeeded_jobs=all_jobs(manifest),
        newer=Newer(log=equipment.log, stream=stream, clock=equipment.clock),
        known=manifest,
        lets_be=True,
        stopped=given.stopped,
        reason="drift",
        parallel=given.parallel,
        kept=given.kept,
        keeps=False,
        traffic=Traffic(drained_hosts=given.drained_hosts, drained_services=given.drained_services),
    )
    heals = {host: _HostHeal(undertaking=undertaking, host=host, terms=given) for host in manifest.hosts}
    mended, failed = await abreast(heals, lambda host: heals[host].run())
    routed = False
    if given.policy == "heal" and undertaking.board is not None:
        try:
            routed = await _routed(undertaking, heals, mended=mended, failed=failed)
        except StagecraftError as error:
            failed = {"": error, **failed}
    if failed:
        raise min(failed.values(), key=_weight)
    return routed or any(mended.values())


async def _routed(
    undertaking: Undertaking,
    heals: Mapping[str, _HostHeal],
    *,
    mended: Mapping[str, bool],
    failed: Mapping[str, StagecraftError],
) -> bool:
    """Have gateways do as deployed, by what each host showed last; whether something had to be told."""
    again = {host for host, done in mended.items() if done}
    again |= {host for host, error in failed.items() if error.code not in FATAL}
    if any(error.code in FATAL - HOST_UNKNOWN for error in failed.values()):
        return False
    looked, _ = await abreast(again, undertaking.observe)
    seen = {
        host: one.planned for host, one in heals.items() if one.planned is not None and host not in failed
    }
    kept = {service for _host, service in undertaking.kept}
    return await undertaking.reconcile({**seen, **looked}, reason="drift", keeps=kept, wary=True)


def _weight(error: StagecraftError) -> int:
    """What matters most comes first: no right to go on, then what was tried in vain, then silence."""
    if error.code in HOST_UNKNOWN:
        return 2
    return 0 if error.code in FATAL else 1


@dataclass(slots=True, kw_only=True)
class _HostHeal:
    """One look at one host, and what follows."""

    undertaking: Undertaking
    host: str
    terms: Terms
    planned: Planned | None = None  # as it was seen last; None: it was not

    @property
    def _site(self) -> Site:
        return self.undertaking.site(self.host)

    async def run(self) -> bool:
        site, recorder = self._site, self.undertaking.recorder
        try:
            if not is_known_reachable(site):
                await reach(site, recorder)
            reported = open_drift(site)
            planned = await self._observed(reported)
            found = await self._altered(planned, reported)
            if found:
                self.undertaking.altered |= {one.container: str(one) for one in found}
                planned = await self._observed(reported)
            drift = _drift(planned.plan)
            if not drift:
                self._close(reported)
                return False
            if self.terms.policy != "heal":
                self._open(reported, drift)
                return False
            await reach(site, recorder)  # who answers, before anything is changed
            reported = self._open(reported, drift)
            await _mend(self.undertaking, planned)
            await self._mend_started(planned)
            self._close(reported, left=await self._left(found))
        except OutsideError as error:
            note_unknown(site, recorder, error)
            raise
        return True

    async def _observed(self, reported: DriftDetected | None) -> Planned:
        """Look, plan and show; a container of somebody else in our place is a drift for a person."""
        try:
            planned = await self.undertaking.observe(self.host)
        except UserError as error:
            if error.code == CONTAINER_NOT_OURS:
                self._open(reported, {error.where.service or "": error.message})
            raise
        show(planned.site, planned.content, containers=planned.containers, plan=planned.plan)
        self.planned = planned
        return planned

    async def _altered(self, planned: Planned, reported: DriftDetected | None) -> tuple[Alteration, ...]:
        """What was changed on containers that say they are right, but for what the engine makes so.

        A drift that is open is looked at closely each time, so that its end is seen and not assumed.
        """
        closely = self.terms.closely
        if closely is not None and reported is not None:
            closely = {*closely, *reported.services}
        return await alterations(
            planned.site,
            self.undertaking.manifest,
            planned.containers,
            closely=closely,
            resting=planned.plan.resting,
        )

    async def _mend_started(self, planned: Planned) -> None:
        """What was started as it stood may show only now, while it runs, that it is off its networks."""
        if not planned.plan.of("start"):
            return
        containers = await look(self._site)
        found = await alterations(
            self._site,
            self.undertaking.manifest,
            containers,
            closely=frozenset(),
            resting=planned.plan.resting,
        )
        if found:
            self.undertaking.altered |= {one.container: str(one) for one in found}
            await _mend(self.undertaking, await self.undertaking.observe(self.host))

    async def _left(self, found: tuple[Alteration, ...]) -> tuple[LeftAsMade, ...]:
        """The fields in which services that were just made anew differ all the same."""
        if not found:
            return ()
        again = await alterations(
            self._site,
            self.undertaking.manifest,
            await look(self._site),
            closely={one.service for one in found},
        )
        services = self.undertaking.manifest.hosts[self.host].services
        fields: dict[str, set[str]] = {}
        for one in again:
            fields.setdefault(one.service, set()).update(each.field for each in one.differences)
        return tuple(
            LeftAsMade(service=name, service_hash=services[name].hash, fields=tuple(sorted(names)))
            for name, names in sorted(fields.items())
        )

    def _open(self, reported: DriftDetected | None, drift: dict[str, str]) -> DriftDetected:
        """Report a drift unless the same one is open."""
        detected = DriftDetected(host=self.host, services=drift, policy=self.terms.policy)
        if reported is None or reported != detected:
            events = (detected, *self.terms.consequence(detected))
            self.undertaking.recorder.append(self._site.stream, *events)
        return detected

    def _close(self, reported: DriftDetected | None, *, left: tuple[LeftAsMade, ...] = ()) -> None:
        """Report the end of an open drift; nothing when none is open."""
        if reported is not None:
            services = tuple(sorted(reported.services))
            healed = DriftHealed(host=self.host, services=services, left=left)
            self.undertaking.recorder.append(self._site.stream, healed)


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


def all_jobs(manifest: Manifest) -> frozenset[JobKey]:
    """All jobs of a Manifest, which count as done where only what runs matters."""
    return frozenset(
        (host, name, service.hash)
        for host, content in manifest.hosts.items()
        for name, service in content.services.items()
        if service.job is not None
    )
