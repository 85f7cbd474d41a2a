"""The two phases of a Release that work on hosts: `rollout` and `finalize`.

All hosts are looked at, made ready and checked, side by side, before the first container of any is touched.
Then they get the Manifest step by step (`schedule.py`); those that fall out take no part in later steps, and
`attendance.py` says when that ends the Release. `finalize` looks at each host again: only then orphans go, so
that a Release that fails until there can be taken back without them. Too many of them stay for a person's
word (`orphans.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from events.catalog import Failure
from events.kernel.errors import StagecraftError, UserError, Where
from events.manifest import HostManifest, Manifest
from projections.converge.abreast import abreast
from projections.converge.apply import Applier
from projections.converge.attendance import Attendance
from projections.converge.handover import Draining, drain_all
from projections.converge.jobs import remove_finished
from projections.converge.operations import AT_REST, HostPlan, Operation
from projections.converge.orphans import Cap, Place, lasting, orphans_of
from projections.converge.phases import NO_OP
from projections.converge.plan import MANIFEST_EMPTY
from projections.converge.schedule import Step, steps_of
from projections.converge.undertaking import Planned, Undertaking
from projections.engine.port import Container

Ready = Mapping[str, tuple[Planned, Applier]]  # by host


@dataclass(slots=True, kw_only=True)
class Rollout:
    """Brings one Release's Manifest to its hosts."""

    undertaking: Undertaking
    attendance: Attendance
    previous: Manifest | None
    silent: Mapping[str, StagecraftError] = field(default_factory=dict[str, StagecraftError])
    """Hosts that did not answer when the Release was begun, or taken up again."""
    left_behind: tuple[Manifest, ...] = ()  # brought to hosts, some of it, since then
    cap: Cap = field(default_factory=Cap)  # on what it takes away
    taken_up: bool = False  # a run before this one began it
    kept: frozenset[Place] = frozenset()  # what left the Manifest and was not taken away; set by `finalize`
    entered: set[str] = field(default_factory=set[str])  # hosts that a step was begun on
    seconds: dict[str, float] = field(default_factory=dict[str, float])  # by host, of the phase under way
    gateway_moves: bool = False  # a gateway is made, or made anew

    async def roll_out(self) -> str | Failure:
        """The phase `rollout`: everything checked first, then step after step. Answers what was done."""
        self._refuse_empty()
        asked = [host for host in self.attendance.present if host not in self.silent]
        ready, failed = await abreast(asked, self._ready)
        if (failure := self.attendance.not_ready({**self.silent, **failed})) is not None:
            return failure
        self.gateway_moves = any(self._moves_gateway(planned) for planned, _ in ready.values())
        for step in self._steps(ready):
            if (failure := await self._take(step, ready)) is not None:
                return failure
        brought = [ready[host][0].plan for host in self.attendance.present]
        return self._without(_summary([operation for plan in brought for operation in plan.changes]))

    def _steps(self, ready: Ready) -> Iterable[Step]:
        """The steps over the hosts that are ready."""
        contents = {host: self.undertaking.manifest.hosts[host] for host in self.attendance.hosts}
        due = {host: _due(planned) | self._also_gated(planned) for host, (planned, _) in ready.items()}
        return steps_of(contents, due, self.attendance.conduct)

    async def _take(self, step: Step, ready: Ready) -> Failure | None:
        """One step on the hosts that still take part; why the Release fails, None when it goes on."""
        present = [host for host in step.hosts if host in self.attendance.present]

        async def bring(host: str) -> None:
            planned, applier = ready[host]
            with self._taking(host):
                chosen, also_gate = planned, self._also_gated(planned)
                if host not in step.whole:
                    chosen = _narrowed(planned, step.services[host], first=host not in self.entered)
                    also_gate &= step.services[host]
                self.entered.add(host)
                await self.undertaking.run(chosen, applier, also_gate=also_gate)
            done = _done(list(chosen.plan.changes))
            planned.site.tell_phase("rollout", seconds=self.seconds.pop(host), detail=done)

        _, failed = await abreast(present, bring)
        return self.attendance.failed(failed) if failed else None

    async def finalize(self) -> str | Failure:
        """The phase `finalize`: verified by another look, then what no longer belongs is removed."""
        settled, failed = await abreast(self.attendance.present, self._settle)
        if failed and (failure := self.attendance.failed(failed)) is not None:
            return failure
        self._keep(list(settled.values()))
        await self._route(settled)
        gone, failed = await abreast(settled, lambda host: self._prune(settled[host]))
        if failed and (failure := self.attendance.failed(failed)) is not None:
            return failure
        removed = sum(gone.values()) + await self._leave()
        parts = [f"removed {removed} services that are no longer wanted"] if removed else []
        if self.kept:
            parts.append(f"kept {len(self.kept)} that are no longer wanted until a person confirms")
        return self._without("; ".join(parts) or NO_OP)

    def _moves_gateway(self, planned: Planned) -> bool:
        """Whether a plan changes the gateway of its host."""
        routing = self.undertaking.manifest.routing
        service = None if routing is None else routing.gateway.service
        return any(one.service == service for one in planned.plan.changes)

    async def _route(self, settled: Mapping[str, Planned]) -> None:
        """See to it that gateways do as deployed, and that what leaves lets go of its connections."""
        board = self.undertaking.board
        if board is None:
            return
        await self.undertaking.reconcile(
            settled,
            reason="routes",
            keeps={service for _host, service in self.kept},
            asks_all=self.gateway_moves or self.taken_up,
        )
        since = board.clock.monotonic()
        await drain_all(
            Draining(board=board, host=host, service=name, containers=containers, since=since)
            for host, planned in settled.items()
            for name, containers in self._leaving(planned).items()
        )

    def _leaving(self, planned: Planned) -> dict[str, tuple[Container, ...]]:
        """By service, the containers of a host that go and had requests before."""
        board, host = self.undertaking.board, planned.site.host
        going = {
            one.service: one.containers
            for one in planned.plan.of("remove")
            if board is not None and host in board.before.all_hosts(one.service)
        }
        there = {one.id: one for one in planned.containers if one.state == "running"}
        return {name: tuple(there[one] for one in ids if one in there) for name, ids in going.items()}

    async def _settle(self, host: str) -> Planned:
        """Look at a host again."""
        with self._taking(host):
            services = frozenset(self.undertaking.manifest.hosts[host].services)
            return await self.undertaking.settle(host, bystanders=services - self._changed(host))

    async def _prune(self, planned: Planned) -> int:
        """Take away what no longer belongs on a host; answers how many services went."""
        host = planned.site.host
        with self._taking(host):
            left = {service for place, service in self.kept if place == host}
            gone = await self.undertaking.prune(planned, but=left)
            await remove_finished(planned.site, jobs=_jobs(planned.content))
        detail = f"removed {gone}" if gone else "verified"
        planned.site.tell_phase("finalize", seconds=self.seconds.pop(host), detail=detail)
        return gone

    async def _leave(self) -> int:
        """Leave the hosts that the Manifest does not use any more; answers how many services went.

        One that is silent is left as it is: that it is gone for good may be why nobody wants it any more.
        """
        kept = {place for place, _service in self.kept}
        hosts = self._left_hosts() - kept - self.attendance.left.keys()
        gone, failed = await abreast(hosts, lambda host: self.undertaking.exchange(host).leave())
        for host, error in failed.items():
            self.attendance.gone(self.undertaking.site(host), error)
        return sum(gone.values())

    def _without(self, done: str) -> str:
        """What was done, and without whom."""
        words = [f"{host} {one.status}" for host, one in sorted(self.attendance.left.items())]
        return "; ".join([done, *words])

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
        """Look at a host, plan, and make all ready there."""
        with self._taking(host):
            return await self._made_ready(host)

    async def _made_ready(self, host: str) -> tuple[Planned, Applier]:
        planned = await self.undertaking.observe(host)
        for line in planned.plan.describe():
            planned.site.tell(line.removeprefix(f"{host}: "))
        with planned.site.errors_here():
            return await self.undertaking.ready(planned)

    def _changed(self, host: str) -> frozenset[str]:
        """The services that this Release brings, whether by this run or by one that crashed."""
        return changed_services(self.undertaking.manifest.hosts[host], _of(self.previous, host))

    def _also_gated(self, planned: Planned) -> frozenset[str]:
        """The services that wait for their gate whatever the plan does with them."""
        return self._changed(planned.site.host) | planned.starting

    def _left_hosts(self) -> set[str]:
        """Hosts that a former Manifest used and this one does not; none for a Release of some hosts."""
        if set(self.attendance.hosts) != set(self.undertaking.manifest.hosts):
            return set()
        former = set[str]() if self.previous is None else set(self.previous.hosts)
        reached = {host for manifest in self.left_behind for host in manifest.hosts}
        former |= reached & set(self.undertaking.equipment.engines)
        return former - set(self.undertaking.manifest.hosts)


def _due(planned: Planned) -> frozenset[str]:
    """The services of the Manifest that a plan changes."""
    return frozenset(one.service for one in planned.plan.changes) & planned.content.services.keys()


def _narrowed(planned: Planned, services: Collection[str], *, first: bool) -> Planned:
    """The part of a plan for some services, with all that rests, so that nobody waits for it.

    What left the Manifest and is in somebody's way goes with the first part.
    """
    wanted = planned.content.services
    chosen = tuple(
        one
        for one in planned.plan.operations
        if one.service in services or one.reason == AT_REST or (first and one.service not in wanted)
    )
    return replace(planned, plan=HostPlan(host=planned.site.host, operations=chosen))


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
    return ", ".join(dict.fromkeys(done)) or NO_OP


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
