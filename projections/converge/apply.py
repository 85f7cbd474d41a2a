"""The hands of a plan on one host: bringing services up, telling and watching them, with their records.

In which order is `course.py`'s business. The record comes before the gate, so that a crash during the wait
leaves no container unaccounted for; it is made after a failure too, because a failed call may have exchanged
some of its services.

Compose is never believed: after each call the containers must be there with the wanted hash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from events.catalog import Failure
from events.kernel.errors import StagecraftError
from events.manifest import Gate, HostManifest
from projections.converge.exchange import Exchange
from projections.converge.failures import FATAL, ServiceFailedError
from projections.converge.gates import Watched, watch
from projections.converge.jobs import JobRunner
from projections.converge.operations import UP_KINDS, Operation
from projections.converge.plan import JobKey
from projections.converge.presence import UP, Replicas, check_there, explained, replicas_there
from projections.converge.reload import Reloader
from projections.converge.sharing import with_providers
from projections.converge.site import Site
from projections.converge.strategy import OF_THE_IMAGE, has_anonymous_volume
from projections.converge.superseding import Rest
from projections.converge.switch import Switchboard
from projections.engine.port import App, Container

MOST_AT_ONCE = 10
"""Services that are worked on at once unless an environment says otherwise."""


@dataclass(slots=True, kw_only=True)
class Applier:
    """Runs plans for one Release on one host."""

    exchange: Exchange
    content: HostManifest
    app: App
    jobs_done: set[JobKey]  # succeeded in this Release; added to
    told: dict[str, int] = field(default_factory=dict[str, int])  # restarts before their signal, by container
    rest: Rest | None = None  # between two looks of a gate; what it raises ends the wait
    rest_live: Rest | None = None  # likewise, when all that is new has passed and gets requests
    board: Switchboard | None = None  # None: no gateway passes anything on
    parallel: int = MOST_AT_ONCE  # services that are worked on at once

    @property
    def site(self) -> Site:
        """Where it works."""
        return self.exchange.site

    async def gate(self, names: Collection[str]) -> None:
        """Watch services that this plan did not touch. Raises ServiceFailedError."""
        await self._gate(names, only={})

    def jobs(self) -> JobRunner:
        """Whoever runs jobs here."""
        exchange = self.exchange
        return JobRunner(site=self.site, app=self.app, recorder=exchange.recorder, release=exchange.release)

    async def reload(self, operation: Operation) -> None:
        """Write changed files in place and tell the containers; restarts from now on count."""
        self.site.tell(f"reload ({operation.reason})", service=operation.service)
        reloader = Reloader(exchange=self.exchange, content=self.content)
        for container in operation.containers:
            detail = await self.site.engine.inspect(container)
            self.told[container] = 0 if detail is None else detail.restart_count
        files = await reloader.write(operation.service, telling=operation.containers)
        await reloader.tell(operation, files)

    async def bring_up(self, operations: Collection[Operation]) -> None:
        """Create, replace and start the containers of one wave; see the module for order and record."""
        if not operations:
            return
        site, began = self.site, self.site.clock.monotonic()
        before = await replicas_there(site)
        try:
            for operation in operations:
                await self.make_ready(operation)
            rising = [operation.service for operation in operations if operation.kind in UP_KINDS]
            if rising:
                await site.engine.up(
                    self.app, with_providers(self.content.compose.get("services", {}), rising)
                )
        except StagecraftError as error:
            if error.code in FATAL:
                raise
            after = await replicas_there(site)
            self._record_all(operations, before, after, began=began)
            names = tuple(operation.service for operation in operations)
            told = await explained(site, error, self.app, names=names, before=before, after=after)
            raise await self.exchange.kept(told) from error
        after = await replicas_there(site)
        self._record_all(operations, before, after, began=began)
        check_there(site, self.content, [operation.service for operation in operations], after)

    async def make_ready(self, operation: Operation) -> None:
        """Give its files their content, start what is stopped, take away what Compose cannot replace."""
        self.site.tell(f"{operation.kind} ({operation.reason})", service=operation.service)
        await Reloader(exchange=self.exchange, content=self.content).write(operation.service)
        with self.site.errors_here(operation.service):
            if operation.kind == "start":
                for container in operation.containers:
                    await self.site.engine.start(container)
            for container in () if operation.beside else operation.removes_first:
                if operation.stops_first:
                    await self.site.engine.stop(container)
                await self.site.engine.remove(container)

    def _record_all(
        self, operations: Iterable[Operation], before: Replicas, after: Replicas, *, began: float
    ) -> None:
        seconds = self.site.clock.monotonic() - began
        for operation in operations:
            name = operation.service
            old = {container.id for container in before.get(name, ())}
            new = {container.id for container in after.get(name, ())}
            running = {c.id for c in after.get(name, ()) if c.state in UP}
            woken = set(operation.containers) & running if operation.kind == "start" else set[str]()
            gone, come = tuple(sorted(old - new)), tuple(sorted(new - old | woken))
            if gone or come:
                exchanged = operation.kind == "replace"
                arrived = [one for one in after.get(name, ()) if one.id in come]
                self.exchange.record(
                    name,
                    old=gone,
                    new=come,
                    reason=operation.reason,
                    rollout="stop-first" if exchanged else None,
                    because=operation.because or self._forbidden_by(name, arrived),
                    seconds=seconds if exchanged else None,
                )

    def _forbidden_by(self, name: str, arrived: Iterable[Container]) -> tuple[str, ...]:
        """What forbids to exchange new containers side by side and shows on them alone."""
        word = self.content.services[name].rollout
        return (OF_THE_IMAGE,) if word is None and any(map(has_anonymous_volume, arrived)) else ()

    async def _gate(self, names: Collection[str], *, only: Replicas) -> None:
        """Watch the containers of `names`. Raises ServiceFailedError and what `rest` raises."""
        if not names:
            return
        watched = await self.watched(names, only=only)
        verdict = await watch(self.site.engine, watched, clock=self.site.clock, rest=self.rest)
        if verdict.failure is not None:
            raise await self.failed(verdict.failure)

    async def failed(self, failure: Failure) -> StagecraftError:
        """The error for a container that did not pass its gate."""
        return await self.exchange.kept(ServiceFailedError(failure))

    async def watched(self, names: Collection[str], *, only: Replicas) -> list[Watched]:
        """What there is to watch of `names`; of a service in `only` those containers."""
        found = {**await replicas_there(self.site), **only}
        self.site.tell(f"wait for {', '.join(names)}")
        return [
            Watched(
                host=self.site.host,
                service=name,
                containers=tuple(container.id for container in found.get(name, ())),
                gate=self._gate_of(name, found.get(name, ())),
                restarts=await self._excused(found.get(name, ())),
                told=frozenset(self.told),
            )
            for name in names
        ]

    def _gate_of(self, name: str, containers: Iterable[Container]) -> Gate:
        """What this Release brought is watched on; what stayed, or came back, had its watch before."""
        gate, ours = self.content.services[name].gate, self.exchange.made | self.told.keys()
        brought = self.exchange.reason is None and any(one.id in ours for one in containers)
        return gate if brought else gate.model_copy(update={"watch": None})

    async def _excused(self, containers: Iterable[Container]) -> dict[str, int]:
        """Restarts from before this Release, or before its signal: those of containers it did not make."""
        counts: dict[str, int] = {}
        for container in containers:
            if container.id in self.told:
                counts[container.id] = self.told[container.id]
            elif container.id not in self.exchange.made:
                detail = await self.site.engine.inspect(container.id)
                counts[container.id] = 0 if detail is None else detail.restart_count
        return counts
