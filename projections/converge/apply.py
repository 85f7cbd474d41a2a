"""Running a plan on one host: waves, gates and records, the same for releases, healing and compensation.

Within a wave: jobs first, then who is told of changed files by a signal, then what is stopped is started and
Compose brings up the rest in one call, then
the engine is looked at, the exchange is recorded, and the gate watches. The record comes before the gate,
so that a crash during the wait leaves no container unaccounted for; it is made after a failure too, because
a failed call may have exchanged some of its services.

Compose is never believed: after each call the containers must be there with the wanted hash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from events.kernel.errors import OutsideError, StagecraftError, Where, error_code
from events.manifest import Gate, HostManifest
from projections.converge.conflicts import replicas
from projections.converge.exchange import Exchange
from projections.converge.failures import (
    CONTAINER_NOT_STARTED,
    FATAL,
    PORT_TAKEN,
    ServiceFailedError,
    failed_container,
    last_lines,
    told_by_engine,
)
from projections.converge.gates import Watched, watch
from projections.converge.hosts import look
from projections.converge.jobs import JobRunner
from projections.converge.operations import UP_KINDS, HostPlan, Operation
from projections.converge.plan import JobKey
from projections.converge.reload import Reloader
from projections.converge.sharing import with_providers
from projections.converge.site import Site
from projections.converge.superseding import Rest
from projections.converge.waves import healthy_needs, waves
from projections.engine.port import App, Container

SERVICE_NOT_REPLACED = error_code(
    "service-not-replaced", "Compose reported success, and the engine does not show the containers asked for."
)

Replicas = dict[str, list[Container]]  # our containers by service, runs of jobs left out


@dataclass(slots=True, kw_only=True)
class Applier:
    """Runs plans for one Release on one host."""

    exchange: Exchange
    content: HostManifest
    app: App
    jobs_done: set[JobKey]  # succeeded in this Release; added to
    told: dict[str, int] = field(default_factory=dict[str, int])  # restarts before their signal, by container
    rest: Rest | None = None  # between two looks of a gate; what it raises ends the wait

    @property
    def site(self) -> Site:
        """Where it works."""
        return self.exchange.site

    async def apply(self, plan: HostPlan, *, also_gate: Collection[str] = ()) -> None:
        """Run everything but the removals that can wait until all is up.

        `also_gate` are services that the plan leaves alone and whose gate is still due. Raises
        ServiceFailedError for a container that failed, OutsideError or UserError for what did not start.
        """
        await self.exchange.remove(o for o in plan.of("remove") if o.clears_way)
        await self.exchange.stop(plan.of("stop"))
        due = {o.service: o for o in plan.of("run_job", "create", "replace", "start")}
        reloads = {o.service: o for o in plan.of("reload")}
        services = self.content.services
        names = {*due, *reloads, *also_gate, *healthy_needs(services, due)} - plan.resting
        for wave in waves(services, names):
            for name in wave:
                if name in due and due[name].kind == "run_job":
                    await self._run_job(name)
            for name in wave:
                if name in reloads:
                    await self._reload(reloads[name])
            await self._bring_up([due[name] for name in wave if name in due and due[name].kind != "run_job"])
            await self._gate([name for name in wave if services[name].job is None])

    async def gate(self, names: Collection[str]) -> None:
        """Watch services that this plan did not touch. Raises ServiceFailedError."""
        await self._gate(names)

    async def _run_job(self, name: str) -> None:
        exchange = self.exchange
        runner = JobRunner(site=self.site, app=self.app, recorder=exchange.recorder, release=exchange.release)
        service = self.content.services[name]
        await runner.run(name, service)
        self.jobs_done.add((self.site.host, name, service.hash))

    async def _reload(self, operation: Operation) -> None:
        """Write changed files in place and tell the containers; restarts from now on count."""
        self.site.tell(f"reload ({operation.reason})", service=operation.service)
        reloader = Reloader(exchange=self.exchange, content=self.content)
        for container in operation.containers:
            detail = await self.site.engine.inspect(container)
            self.told[container] = 0 if detail is None else detail.restart_count
        files = await reloader.write(operation.service, telling=operation.containers)
        await reloader.tell(operation, files)

    async def _bring_up(self, operations: Collection[Operation]) -> None:
        """Create, replace and start the containers of one wave; see the module for order and record."""
        if not operations:
            return
        before = await self._replicas()
        try:
            for operation in operations:
                await self._make_ready(operation)
            rising = [operation.service for operation in operations if operation.kind in UP_KINDS]
            if rising:
                await self.site.engine.up(
                    self.app, with_providers(self.content.compose.get("services", {}), rising)
                )
        except StagecraftError as error:
            if error.code in FATAL:
                raise
            after = await self._replicas()
            self._record_all(operations, before, after)
            names = tuple(operation.service for operation in operations)
            raise await self._explained(error, names, before=before, after=after) from error
        after = await self._replicas()
        self._record_all(operations, before, after)
        self._check_there(operations, after)

    async def _make_ready(self, operation: Operation) -> None:
        """Give its files their content, start what is stopped, take away what Compose cannot replace."""
        self.site.tell(f"{operation.kind} ({operation.reason})", service=operation.service)
        await Reloader(exchange=self.exchange, content=self.content).write(operation.service)
        with self.site.errors_here(operation.service):
            if operation.kind == "start":
                for container in operation.containers:
                    await self.site.engine.start(container)
            for container in operation.removes_first:
                if operation.stops_first:
                    await self.site.engine.stop(container)
                await self.site.engine.remove(container)

    async def _replicas(self) -> Replicas:
        found: Replicas = {}
        for container in await look(self.site):
            if self.site.owner.owns(container) and not container.one_off:
                found.setdefault(container.service or "", []).append(container)
        return found

    def _record_all(self, operations: Iterable[Operation], before: Replicas, after: Replicas) -> None:
        for operation in operations:
            name = operation.service
            old = {container.id for container in before.get(name, [])}
            new = {container.id for container in after.get(name, [])}
            running = {c.id for c in after.get(name, []) if c.state in {"running", "restarting"}}
            woken = set(operation.containers) & running if operation.kind == "start" else set[str]()
            gone, come = tuple(sorted(old - new)), tuple(sorted(new - old | woken))
            if gone or come:
                self.exchange.record(name, old=gone, new=come, reason=operation.reason)

    def _check_there(self, operations: Iterable[Operation], after: Replicas) -> None:
        for operation in operations:
            name = operation.service
            wanted = replicas(self.content.compose["services"][name])
            found = after.get(name, [])
            right = [c for c in found if c.service_hash == self.content.services[name].hash]
            if len(right) < wanted or len(found) > len(right):
                raise OutsideError(
                    SERVICE_NOT_REPLACED,
                    f"{len(right)} of {wanted} containers are there as the Manifest says",
                    where=Where(environment=self.site.environment, host=self.site.host, service=name),
                    next=f"look at them: `docker ps -a --filter label=com.docker.compose.service={name}`",
                )

    async def _explained(
        self, error: StagecraftError, names: tuple[str, ...], *, before: Replicas, after: Replicas
    ) -> StagecraftError:
        """The failed call in terms of the container that could not start, when one shows why."""
        if not isinstance(error, OutsideError):
            return error
        told = told_by_engine(error, host=self.site.host, services=names)
        if told.code == PORT_TAKEN:
            return told
        known = {container.id for group in before.values() for container in group}
        for name in names:
            for container in after.get(name, []):
                if container.id in known and container.state not in {"created", "exited"}:
                    continue
                detail = await self.site.engine.inspect(container.id)
                if detail is not None and detail.error:
                    return ServiceFailedError(
                        failed_container(
                            CONTAINER_NOT_STARTED,
                            "the engine could not start the container",
                            host=self.site.host,
                            service=name,
                            detail=detail,
                            log_tail=await last_lines(self.site.engine, container.id),
                        )
                    )
        return told

    async def _gate(self, names: Collection[str]) -> None:
        """Watch the containers of `names`. Raises ServiceFailedError and what `rest` raises."""
        if not names:
            return
        found = await self._replicas()
        watched = [
            Watched(
                host=self.site.host,
                service=name,
                containers=tuple(container.id for container in found.get(name, [])),
                gate=self._gate_of(name, found.get(name, [])),
                restarts=await self._excused(found.get(name, [])),
                told=frozenset(self.told),
            )
            for name in names
        ]
        self.site.tell(f"wait for {', '.join(names)}")
        verdict = await watch(self.site.engine, watched, clock=self.site.clock, rest=self.rest)
        if verdict.failure is not None:
            raise ServiceFailedError(verdict.failure)

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
