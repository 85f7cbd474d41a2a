"""Which containers went and which came: removing by id, and the record of every exchange on a host.

Everything that makes a container of ours disappear or appear passes here, so that each has its
`ServiceReplaced` and a container leads back to its Release.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from events.catalog import Failure, decode
from events.catalog.service import (
    ServiceReloaded,
    ServiceReplaced,
    ServiceStartedBeside,
    ServiceWithdrawn,
)
from events.kernel.errors import OutsideError, StagecraftError
from events.manifest import HostManifest, Reload
from events.recorder import Recorder
from events.rollout import Strategy
from events.streams import release_stream
from projections.converge.failures import ServiceFailedError
from projections.converge.hosts import look, show
from projections.converge.keeping import keep
from projections.converge.names import plan_tidy
from projections.converge.operations import HostPlan, Operation
from projections.converge.plan import plan_removal
from projections.converge.site import Site
from projections.engine.errors import ENGINE_REFUSED
from projections.engine.port import Container
from projections.engine.sweep import Remove, plan_sweep, sweep


@dataclass(slots=True, kw_only=True)
class Exchange:
    """The exchanges of one Release on one host."""

    site: Site
    recorder: Recorder
    release: str
    reason: str | None = None  # recorded in place of each operation's own: `restored`, `drift`
    made: set[str] = field(default_factory=set[str])  # ids this Release brought, ever
    keeps: bool = True  # what is left of containers that fail

    async def kept(self, error: StagecraftError) -> StagecraftError:
        """The error, after what is left of the container that failed was kept. Raises as `keep` does."""
        if self.keeps and isinstance(error, ServiceFailedError):
            error.failure = await keep(self.site, error.failure, release=self.release)
        return error

    def record(  # one argument for each field of the event
        self,
        service: str,
        *,
        old: tuple[str, ...],
        new: tuple[str, ...],
        reason: str,
        rollout: Strategy | None = None,
        because: tuple[str, ...] = (),
        seconds: float | None = None,
    ) -> None:
        """Append a `ServiceReplaced`."""
        self.made.update(new)
        self.recorder.append(
            release_stream(self.release),
            ServiceReplaced(
                host=self.site.host,
                service=service,
                old_ids=old,
                new_ids=new,
                reason=self.reason or reason,
                rollout=rollout,
                because=because,
                milliseconds=None if seconds is None else round(seconds * 1000),
            ),
        )

    def record_beside(self, service: str, *, old: tuple[str, ...], new: tuple[str, ...], reason: str) -> None:
        """Append a `ServiceStartedBeside`."""
        self.made.update(new)
        self.recorder.append(
            release_stream(self.release),
            ServiceStartedBeside(
                host=self.site.host,
                service=service,
                old_ids=old,
                new_ids=new,
                reason=self.reason or reason,
            ),
        )

    def record_withdrawal(self, service: str, containers: tuple[str, ...], *, failure: Failure) -> None:
        """Append a `ServiceWithdrawn`."""
        self.recorder.append(
            release_stream(self.release),
            ServiceWithdrawn(host=self.site.host, service=service, containers=containers, failure=failure),
        )

    def unproven(self, containers: Collection[str]) -> set[str]:
        """Those that no exchange of any Release ended with, and that were not taken over.

        Reads the log only where there are any to ask for.
        """
        asked = set(containers) - self.site.adopted.keys()
        return asked - self._named(ServiceReplaced, asked)

    def unannounced(self, containers: Collection[str]) -> set[str]:
        """Those that no `ServiceStartedBeside` of any Release names."""
        return set(containers) - self._named(ServiceStartedBeside, containers)

    def _named(
        self, kind: type[ServiceReplaced | ServiceStartedBeside], containers: Collection[str]
    ) -> set[str]:
        """The ids that events of a kind name as come."""
        if not containers:
            return set()
        events = (decode(one) for one in self.site.equipment.log.read(type_name=kind.__name__))
        return {id_ for event in events if isinstance(event, kind) for id_ in event.new_ids}

    def record_reload(
        self, operation: Operation, reload: Reload, *, told: tuple[str, ...], files: tuple[str, ...]
    ) -> None:
        """Append a `ServiceReloaded`."""
        self.recorder.append(
            release_stream(self.release),
            ServiceReloaded(
                host=self.site.host,
                service=operation.service,
                containers=told,
                signal=reload.signal,
                content=reload.content,
                files=files,
                reason=self.reason or operation.reason,
            ),
        )

    async def remove(self, operations: Iterable[Operation]) -> None:
        """Remove the containers of `remove` operations by id, each service recorded when it is done."""
        for operation in operations:
            self.site.tell(f"remove ({operation.reason})", service=operation.service)
            with self.site.errors_here(operation.service):
                for container in operation.containers:
                    await self.site.engine.remove(container)
            self.record(operation.service, old=operation.containers, new=(), reason=operation.reason)

    async def stop(self, operations: Iterable[Operation]) -> None:
        """Stop the containers of `stop` operations, each with its grace period; they are kept."""
        for operation in operations:
            self.site.tell(f"stop ({operation.reason})", service=operation.service)
            with self.site.errors_here(operation.service):
                for container in operation.containers:
                    await self.site.engine.stop(container)

    async def look_tidied(self, definitions: Mapping[str, Mapping[str, Any]]) -> list[Container]:
        """The containers, after what a killed process left half-made was put right and recorded.

        `definitions` are those of the services that are to run, jobs aside.
        """
        return await self._named_right(await self._swept(), definitions)

    async def _named_right(
        self, containers: list[Container], definitions: Mapping[str, Mapping[str, Any]]
    ) -> list[Container]:
        """The containers, after those that an exchange left under a number too high have their names.

        A name that somebody has outside of the Compose project is told of and no reason to fail.
        """
        site = self.site
        ours = {one.id for one in containers if site.owner.owns(one)} - site.adopted.keys()
        steps = plan_tidy(
            containers, ours=ours, compose_project=site.compose_project, definitions=definitions
        )
        for step in steps:
            site.tell(str(step))
            try:
                await site.engine.rename(step.id, step.to)
            except OutsideError as error:
                if error.code != ENGINE_REFUSED:
                    raise
                site.tell(f"{step.name} keeps its name: {error.why}")
        return await look(site) if steps else containers

    async def _swept(self) -> list[Container]:
        containers = await look(self.site)
        if not plan_sweep(containers, self.site.owner):
            return containers
        services = {container.id: container.service or "" for container in containers}
        with self.site.errors_here():
            done = await sweep(self.site.engine, self.site.compose_project, owner=self.site.owner)
        for step in done:
            self.site.tell(str(step))
            if isinstance(step, Remove):
                self.record(services.get(step.id, ""), old=(step.id,), new=(), reason="half-made")
        return await look(self.site)

    async def leave(self, services: frozenset[str] | None = None) -> int:
        """Take away what is ours on a host that the Manifest does not use; None: all of it.

        Answers how many services went.
        """
        plan = plan_removal(await look(self.site), host=self.site.host, owner=self.site.owner)
        chosen = plan if services is None else plan.only(services)
        await self.remove(chosen.operations)
        nothing = HostManifest(compose={}, services={})
        left = HostPlan(host=self.site.host, operations=())
        show(self.site, nothing, containers=await look(self.site), plan=left)
        return len(chosen.operations)
