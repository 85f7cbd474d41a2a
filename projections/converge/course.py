"""Running a plan on one host from its first wave to its last verdict, for releases, healing, compensation.

A service is begun as soon as what it waits for has its verdict (`waves.py`), up to a number of services at
once; what is begun together is a wave. Within a wave: jobs are started first, then who is told of changed
files by a signal, then what is stopped is started and Compose brings up in one call what is new or replaced
in its place, then the engine is looked at, the exchange is recorded, and what is replaced side by side is
begun (`beside.py`). Then the gates watch it, beside those of earlier waves. Old containers of those side by
side go when their whole wave has passed, so a wave that fails takes none of them along; where another service
waits for one of them, as soon as that one has passed, so that who begins then meets the new one alone.

What a gateway passes requests on to gets them when it has passed, and who waits for it begins after that.
Old containers that let go of their connections meanwhile keep nobody waiting but the end of the course, and
until they have gone the gates go on watching the new ones, so that the requests can still go back.

All that changes something is done by one hand, one thing after the other: two calls of Compose for one
project would race for its networks, and the same verdicts in the same order always lead to the same work.
Only waits are shared: one loop looks at all containers and jobs that are waited for. (A task for each service
was dropped for that reason.)

The first failure ends all beginnings. Gates under way are not waited for any more, new containers beside old
ones go again, and jobs, which nobody can take back, go on to their ends within their deadlines before the
failure is handed on. So it is when a newer Release ends the wait, but that what was changed stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from events.kernel.errors import StagecraftError
from projections.converge.apply import Applier
from projections.converge.backends import answering
from projections.converge.beside import SideBySide
from projections.converge.failures import FATAL, ServiceFailedError
from projections.converge.gates import SAMPLE_SECONDS, GateWatch
from projections.converge.hosts import look
from projections.converge.jobs import JobRun
from projections.converge.operations import UP_KINDS, HostPlan, Operation
from projections.converge.sharing import shared_with
from projections.converge.superseding import SupersededError
from projections.converge.waves import Order, healthy_needs, order_of


async def apply(applier: Applier, plan: HostPlan, *, also_gate: Collection[str] = ()) -> None:
    """Run everything but the removals that can wait until all is up.

    `also_gate` are services that the plan leaves alone and whose gate is still due. Raises
    ServiceFailedError for a container that failed, OutsideError or UserError for what did not start, and
    what the applier's `rest` raises.
    """
    await applier.exchange.remove(o for o in plan.of("remove") if o.clears_way)
    await applier.exchange.stop(plan.of("stop"))
    await _Course(applier=applier, plan=plan, also_gate=also_gate).run()


@dataclass(slots=True, kw_only=True)
class _Wave:
    """Services that were begun together and last."""

    services: tuple[str, ...]
    side: SideBySide
    taken: set[str] = field(default_factory=set[str])  # not side by side, and get their requests


@dataclass(slots=True, kw_only=True)
class _Course:
    """One plan on its way, from the first wave to the last verdict."""

    applier: Applier
    plan: HostPlan
    also_gate: Collection[str]
    due: Mapping[str, Operation] = field(init=False)
    reloads: Mapping[str, Operation] = field(init=False)
    order: Order = field(init=False)
    watching: GateWatch = field(init=False)
    begun: set[str] = field(default_factory=set[str])
    passed: set[str] = field(default_factory=set[str])
    jobs: list[JobRun] = field(default_factory=list[JobRun])  # under way
    waves: list[_Wave] = field(default_factory=list[_Wave])  # not over

    def __post_init__(self) -> None:
        plan, services = self.plan, self.applier.content.services
        self.due = {o.service: o for o in plan.of("run_job", "create", "replace", "start")}
        self.reloads = {o.service: o for o in plan.of("reload")}
        worked = {*self.due, *self.reloads, *self.also_gate}
        definitions = self.applier.content.compose.get("services", {})
        rising = [o.service for o in self.due.values() if o.kind in UP_KINDS]
        self.order = order_of(
            services,
            {*worked, *healthy_needs(services, self.due)} - plan.resting,
            shared={name: [*({*shared_with(definitions[name])} & {*rising})] for name in rising},
            ranked=worked,
        )
        site = self.applier.site
        self.watching = GateWatch(engine=site.engine, clock=site.clock)

    async def run(self) -> None:
        """All of it. Raises as `apply` does, after what was begun was brought to an end."""
        try:
            while len(self.passed) < len(self.order.after) or self.waves:
                await self._begin(self._next())
                if not await self._look():
                    await self._rest()
        except SupersededError:
            await self._finish_jobs()
            raise
        except StagecraftError as error:
            for wave in self.waves:
                await wave.side.withdraw(error)
            if error.code not in FATAL:
                await self._finish_jobs()
            raise
        finally:
            await self.watching.close()

    def _next(self) -> tuple[str, ...]:
        """What can begin now."""
        working = {*self.due, *self.reloads}
        most = self.applier.parallel - len((self.begun - self.passed) & working)
        passed = self.passed - self._soaking
        found = self.order.next(
            begun=self.begun, passed=passed, most=most, free=self.order.after.keys() - working
        )
        if not found and self.begun == self.passed and not self.waves:
            raise AssertionError("nothing goes on, and nothing can begin")
        return found

    async def _begin(self, names: Sequence[str]) -> None:
        """Begin a wave."""
        if not names:
            return
        applier, services = self.applier, self.applier.content.services
        self.begun.update(names)
        for name in names:
            if name in self.due and self.due[name].kind == "run_job":
                self.jobs.append(await applier.jobs().begin(name, services[name]))
        for name in names:
            if name in self.reloads:
                await applier.reload(self.reloads[name])
        rising = [self.due[name] for name in names if name in self.due and self.due[name].kind != "run_job"]
        in_place = [operation for operation in rising if not operation.beside]
        if applier.board is not None:
            going = [one.service for one in in_place if one.kind == "replace"]
            await applier.board.mind_gap(applier.site.host, going)
        await applier.bring_up(in_place)
        beside = [operation for operation in rising if operation.beside]
        side = SideBySide(
            exchange=applier.exchange,
            content=applier.content,
            app=applier.app,
            operations=beside,
            board=applier.board,
        )
        lasting = tuple(name for name in names if services[name].job is None)
        self.passed |= set(names) - set(lasting) - {run.name for run in self.jobs}  # a job that is not due
        self.waves.append(_Wave(services=lasting, side=side))
        for operation in beside:
            await applier.make_ready(operation)
        await side.begin()
        if lasting:
            self.watching.add(await applier.watched(lasting, only=side.new))

    async def _look(self) -> bool:
        """Look at all that goes on; whether something has its verdict. Raises ServiceFailedError."""
        before = len(self.passed)
        for run in tuple(self.jobs):
            await self._look_at_job(run)
        passed, failure = await self.watching.look()
        if failure is not None:
            raise await self.applier.failed(failure)
        self.passed |= passed
        for wave in tuple(self.waves):
            await self._let_go(wave)
        return len(self.passed) > before

    async def _look_at_job(self, run: JobRun) -> None:
        try:
            ended = await self.applier.jobs().ended(run)
        except StagecraftError as error:
            if error.code not in FATAL:
                self.jobs.remove(run)  # it is over
            raise
        if ended:
            self.jobs.remove(run)
            self.passed.add(run.name)
            self.applier.jobs_done.add((self.applier.site.host, run.name, run.service.hash))

    @property
    def _soaking(self) -> frozenset[str]:
        """Services that have passed and do not get all their requests yet."""
        return frozenset[str]().union(*(wave.side.handovers.soaking for wave in self.waves))

    async def _let_go(self, wave: _Wave) -> None:
        """The old containers of what has passed: all when the wave has, else of what others wait for."""
        whole = self.passed.issuperset(wave.services)
        ready = [
            name
            for name in wave.services
            if whole or (name in self.passed and self.order.awaited(name, passed=self.passed))
        ]
        await self._take(wave)
        await wave.side.take_over(ready)
        await wave.side.retire()
        if whole and wave.side.settled:
            self.waves.remove(wave)
            await self.watching.release(wave.services)

    async def _take(self, wave: _Wave) -> None:
        """Requests for what has passed and stands beside nobody."""
        beside = {operation.service for operation in wave.side.operations}
        due = (self.passed & set(wave.services)) - beside - wave.taken
        wave.taken |= due
        board, site = self.applier.board, self.applier.site
        if board is not None and (
            routed := [name for name in sorted(due) if board.passes_on(site.host, name)]
        ):
            up = answering(self.applier.content, await look(site), owner=site.owner)
            await board.take(site.host, {name: up[name] for name in routed})

    async def _rest(self) -> None:
        """Until the next look.

        A newer Release may end a wait for health here, not one for a job. When nothing but connections of
        old containers is waited for, only one that goes back does: what is new is live.
        """
        rest = self.applier.rest if self.watching.under_way else None
        if not self.jobs and len(self.passed) == len(self.order.after):
            rest = self.applier.rest_live
        await (rest or self.applier.site.clock.sleep)(self.watching.pause_seconds)

    async def _finish_jobs(self) -> None:
        """Wait for the jobs under way to their ends; how they end is recorded and changes nothing here."""
        while self.jobs:
            for run in tuple(self.jobs):
                try:
                    await self._look_at_job(run)
                except ServiceFailedError as error:
                    self.applier.site.tell(f"it failed as well: {error.message}", service=run.name)
            if self.jobs:
                await self.applier.site.clock.sleep(SAMPLE_SECONDS)
