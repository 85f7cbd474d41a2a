"""Looking at a project that somebody else started, to take it over as it runs.

Nothing on the host is changed here: the containers are inspected and compared with what the Manifest would
make. Whether what differs is taken over all the same is a person's decision, not this module's.

A one-shot service that ended well has run for this Manifest, so the next Release does not run it again.
"""

from __future__ import annotations

from dataclasses import dataclass

from events import labels
from events.manifest import HostManifest, Manifest, Service
from projections.converge.comparing import Comparer, comparer
from projections.converge.conflicts import COMPOSE_SERVICE, refuse_conflicts, replicas
from projections.converge.hostenv import Bound, bound_on
from projections.converge.hosts import look
from projections.converge.sameness import Difference
from projections.converge.site import Site
from projections.engine.port import Container

_RUNNING = frozenset({"running", "restarting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One service of the Manifest and the containers that are there for it."""

    host: str
    service: str
    service_hash: str
    job: bool
    containers: tuple[str, ...]  # ids, sorted
    ours: bool  # all of them are ours already
    differences: tuple[Difference, ...]
    host_env: str | None = None  # keyed digest of the host's env files that were compared with

    @property
    def same(self) -> bool:
        """Whether it is what the Manifest would make."""
        return not self.differences


async def compare(site: Site, manifest: Manifest) -> tuple[Compared, ...]:
    """Every service of the Manifest on one host, by name.

    Raises UserError `container-not-ours` where another environment works in the Compose project, and
    OutsideError `engine-unreachable`.
    """
    content = manifest.hosts[site.host]
    bound = await bound_on(site, content)
    present = [one for one in await look(site) if not one.one_off or site.owner.owns(one)]
    comparison = _Comparison(
        site=site,
        content=content,
        comparer=await comparer(site, manifest, present),
        bound=bound,
        present=present,
    )
    return await comparison.run()


@dataclass(slots=True, kw_only=True)
class _Comparison:
    site: Site
    content: HostManifest
    comparer: Comparer
    bound: Bound
    present: list[Container]

    async def run(self) -> tuple[Compared, ...]:
        strangers = [one for one in self.present if not self._may_be_taken(one)]
        refuse_conflicts(
            strangers,
            owner=self.site.owner,
            host=self.site.host,
            compose_project=self.site.compose_project,
            services=self.comparer.document["services"],
        )
        return tuple(
            [await self._service(name, service) for name, service in sorted(self.content.services.items())]
        )

    def _may_be_taken(self, one: Container) -> bool:
        """Ours, or nobody's by the labels: made by a person with Compose."""
        ours = {name for name in one.labels if name.startswith(labels.PREFIX)}
        return self.site.owner.owns(one) or not ours - {labels.RELOAD}

    async def _service(self, name: str, service: Service) -> Compared:
        found = [one for one in self.present if one.labels.get(COMPOSE_SERVICE) == name]
        told = [*self._number(name, service, found)]
        for one in found:
            told += self._state(service, one)
            told += await self._fields(name, service, one)
        return Compared(
            host=self.site.host,
            service=name,
            service_hash=service.hash,
            job=service.job is not None,
            containers=tuple(sorted(one.id for one in found)),
            ours=bool(found) and all(self.site.owner.owns(one) for one in found),
            differences=tuple(sorted(set(told), key=lambda one: (one.field, one.found))),
            host_env=self.bound.services.get(name),
        )

    def _number(self, name: str, service: Service, found: list[Container]) -> list[Difference]:
        wanted = 1 if service.job is not None else replicas(self.comparer.document["services"][name])
        if len(found) == wanted or (service.job is not None and found):
            return []
        return [Difference(field="containers", wanted=str(wanted), found=str(len(found)))]

    def _state(self, service: Service, one: Container) -> list[Difference]:
        wanted = {"exited"} if service.job is not None else _RUNNING
        if one.state in wanted:
            return []
        return [Difference(field="state", wanted=" or ".join(sorted(wanted)), found=one.state)]

    async def _fields(self, name: str, service: Service, one: Container) -> list[Difference]:
        engine = self.site.engine
        made, detail = await engine.makeup(one.id), await engine.inspect(one.id)
        if made is None or detail is None:
            return [Difference(field="containers", wanted="a container", found="one that has just gone")]
        told = list(await self.comparer.whole(name, made))
        if service.job is not None and detail.exit_code != 0:
            told.append(Difference(field="exit code", wanted="0", found=str(detail.exit_code)))
        if name in self.bound.faults:
            told.append(Difference(field="env_file", wanted="a file that can be read", found="none"))
        return told
