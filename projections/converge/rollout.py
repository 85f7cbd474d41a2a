"""The two phases of a Release that work on hosts: `rollout` and `finalize`.

All hosts are looked at, made ready and checked before the first container of any is touched. `finalize`
looks again: only then orphans go, so that a Release that fails until there can be taken back without them.
Too many of them stay for a person's word (`orphans.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from events.kernel.errors import UserError, Where
from events.manifest import HostManifest, Manifest
from projections.converge.apply import Applier
from projections.converge.jobs import remove_finished
from projections.converge.operations import Operation
from projections.converge.orphans import Cap, Place, lasting, orphans_of
from projections.converge.phases import NO_OP
from projections.converge.plan import MANIFEST_EMPTY
from projections.converge.undertaking import Planned, Undertaking


@dataclass(slots=True, kw_only=True)
class Rollout:
    """Brings one Release's Manifest to its hosts."""

    undertaking: Undertaking
    previous: Manifest | None
    left_behind: tuple[Manifest, ...] = ()  # brought to hosts, some of it, since then
    cap: Cap = field(default_factory=Cap)  # on what it takes away
    kept: frozenset[Place] = frozenset()  # what left the Manifest and was not taken away; set by `finalize`
    seconds: dict[str, float] = field(default_factory=dict[str, float])  # by host, of the phase under way

    async def roll_out(self) -> str:
        """The phase `rollout`: everything checked first, then host after host. Answers what was done."""
        self._refuse_empty()
        hosts: list[tuple[Planned, Applier]] = []
        for host in sorted(self.undertaking.manifest.hosts):
            with self._taking(host):
                hosts.append(await self._ready(host))
        for planned, applier in hosts:
            site = planned.site
            with self._taking(site.host):
                also_gate = self._changed(site.host) | planned.starting
                await self.undertaking.run(planned, applier, also_gate=also_gate)
            site.tell_phase(
                "rollout", seconds=self.seconds.pop(site.host), detail=_done(list(planned.plan.changes))
            )
        operations = [operation for planned, _ in hosts for operation in planned.plan.changes]
        return _summary(operations)

    async def finalize(self) -> str:
        """The phase `finalize`: verified by another look, then what no longer belongs is removed."""
        settled: list[Planned] = []
        for host in sorted(self.undertaking.manifest.hosts):
            with self._taking(host):
                services = frozenset(self.undertaking.manifest.hosts[host].services)
                bystanders = services - self._changed(host)
                settled.append(await self.undertaking.settle(host, bystanders=bystanders))
        self._keep(settled)
        removed = 0
        for planned in settled:
            host = planned.site.host
            with self._taking(host):
                left = {service for place, service in self.kept if place == host}
                gone = await self.undertaking.prune(planned, but=left)
                await remove_finished(planned.site, jobs=_jobs(planned.content))
            removed += gone
            planned.site.tell_phase(
                "finalize", seconds=self.seconds.pop(host), detail=f"removed {gone}" if gone else "verified"
            )
        for host in sorted(self._left_hosts() - {place for place, _service in self.kept}):
            removed += await self.undertaking.exchange(host).leave()
        parts = [f"removed {removed} services that are no longer wanted"] if removed else []
        if self.kept:
            parts.append(f"kept {len(self.kept)} that are no longer wanted until a person confirms")
        return "; ".join(parts) or NO_OP

    def _keep(self, settled: Sequence[Planned]) -> None:
        """Keep what left the Manifest when that is more than may go; all of it or nothing."""
        going = set(lasting(self.previous, hosts=self._left_hosts()))
        for planned in settled:
            going |= orphans_of(planned.plan)
        stops = self.cap.stops(len(going), there=len(lasting(self.previous)))
        self.kept = self.undertaking.kept = frozenset(going) if stops else frozenset()
        if stops and settled:
            site, count = settled[0].site, len(going)
            names = ", ".join(f"{host}/{service}" for host, service in sorted(going))
            next_command = f"stagecraft prune --env {site.environment} --confirm {count}"
            site.tell(f"more left than goes at once: {names} run on until confirmed: {next_command}")

    @contextmanager
    def _taking(self, host: str) -> Generator[None]:
        """Count the block's time as this host's; told when its phase ends, so not for one that fails."""
        clock = self.undertaking.equipment.clock
        began = clock.monotonic()
        yield
        self.seconds[host] = self.seconds.get(host, 0.0) + clock.monotonic() - began

    def _refuse_empty(self) -> None:
        manifest = self.undertaking.manifest
        if not any(content.services for content in manifest.hosts.values()):
            raise UserError(
                MANIFEST_EMPTY,
                "the Manifest names no service at all, so nothing is changed",
                where=Where(environment=f"{manifest.project}/{manifest.environment}"),
                next="check the Compose file and the roles with `stagecraft config render`",
            )

    async def _ready(self, host: str) -> tuple[Planned, Applier]:
        planned = await self.undertaking.observe(host)
        for line in planned.plan.describe():
            planned.site.tell(line.removeprefix(f"{host}: "))
        with planned.site.errors_here():
            return await self.undertaking.ready(planned)

    def _changed(self, host: str) -> frozenset[str]:
        """The services that this Release brings, whether by this run or by one that crashed."""
        return changed_services(self.undertaking.manifest.hosts[host], _of(self.previous, host))

    def _left_hosts(self) -> set[str]:
        """Hosts that a former Manifest used and this one does not."""
        former = set[str]() if self.previous is None else set(self.previous.hosts)
        reached = {host for manifest in self.left_behind for host in manifest.hosts}
        former |= reached & set(self.undertaking.equipment.engines)
        return former - set(self.undertaking.manifest.hosts)


def _of(manifest: Manifest | None, host: str) -> HostManifest | None:
    return None if manifest is None else manifest.hosts.get(host)


def _jobs(content: HostManifest) -> frozenset[str]:
    return frozenset(name for name, service in content.services.items() if service.job is not None)


def changed_services(content: HostManifest, former: HostManifest | None) -> frozenset[str]:
    """The services, jobs aside, whose definition, or whose files, are not those in `former`."""
    known = {} if former is None else former.services
    return frozenset(
        name
        for name, service in content.services.items()
        if service.job is None and (name not in known or known[name].version != service.version)
    )


def _summary(operations: list[Operation]) -> str:
    """`replace web, run_job migrate`, or `no-op`."""
    done = [f"{operation.kind} {operation.service}" for operation in operations if operation.kind != "remove"]
    return ", ".join(done) or NO_OP


_DONE = {
    "create": "created",
    "replace": "replaced",
    "start": "started",
    "stop": "stopped",
    "reload": "reloaded",
    "run_job": "ran",
    "remove": "removed",
}


def _done(operations: list[Operation]) -> str:
    """`replaced web, ran migrate`; removals come later."""
    named: dict[str, list[str]] = {}
    for operation in operations:
        if operation.kind != "remove":
            named.setdefault(_DONE.get(operation.kind, operation.kind), []).append(operation.service)
    return ", ".join(f"{verb} {' '.join(services)}" for verb, services in named.items()) or NO_OP
