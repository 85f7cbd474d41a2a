"""Making the hosts of one Manifest agree with it: the steps that releases, compensation and healing share.

`observe` looks and plans, `ready` makes files and images ready and checks, `run` applies, `settle` looks
again and believes only what it sees. The three callers differ in what they record around these steps, in
which part of a plan they take, and in what follows from a failure; not in how a container is replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from events.kernel.errors import OutsideError, StagecraftError, Where, error_code
from events.manifest import HostManifest, Manifest
from events.recorder import Recorder
from projections.converge.apply import MOST_AT_ONCE, Applier
from projections.converge.backends import Seen, answering
from projections.converge.checks import check, check_prediction, prepare
from projections.converge.course import apply
from projections.converge.dry_runs import DryRuns
from projections.converge.exchange import Exchange
from projections.converge.failures import (
    CONTAINER_EXITED,
    ServiceFailedError,
    failed_container,
    last_lines,
)
from projections.converge.hostenv import Bound, bound_on, record
from projections.converge.hosts import show
from projections.converge.materialise import write_compose
from projections.converge.networks import renewing
from projections.converge.operations import HostPlan, Operation
from projections.converge.orphans import Place
from projections.converge.plan import JobKey, Question, first_told, plan
from projections.converge.site import Equipment, Site
from projections.converge.superseding import Newer
from projections.converge.switch import Switchboard
from projections.converge.untold import untold
from projections.converge.wiring import Terms, switchboard_of
from projections.engine.port import Container

NOT_AS_MANIFEST = error_code(
    "not-as-the-manifest-says",
    "After all was done, a last look found services that do not run as they should.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A host as it was seen, and what is to be done there."""

    site: Site
    content: HostManifest
    containers: tuple[Container, ...]
    plan: HostPlan
    bound: Bound  # what the host's env files say

    @property
    def starting(self) -> frozenset[str]:
        """Services that have not shown yet whether they are healthy, as after a heal that was killed."""
        ours = (one for one in self.containers if self.site.owner.owns(one) and not one.one_off)
        names = {one.service for one in ours if one.health == "starting"}
        return frozenset(
            name for name, service in self.content.services.items() if name in names and service.job is None
        )

    def only(self, services: frozenset[str]) -> Planned:
        """The same without the operations of other services."""
        return replace(self, plan=self.plan.only(services))


@dataclass(slots=True, kw_only=True)
class Undertaking:
    """One Manifest brought to its hosts for one Release."""

    equipment: Equipment
    manifest: Manifest
    recorder: Recorder
    release: str
    succeeded_jobs: frozenset[JobKey]
    jobs_done: set[JobKey] = field(default_factory=set[JobKey])  # in this Release
    made: dict[str, set[str]] = field(default_factory=dict[str, set[str]])  # by host: ids, likewise
    going_back: bool = False
    newer: Newer | None = None  # ends its waits for health; None: nothing does
    known: Manifest | None = None  # what ran before: tells `missing` from `new`
    lets_be: bool = False  # what was adopted although it differs stays
    stopped: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    altered: dict[str, str] = field(default_factory=dict[str, str])  # by id; see `plan.Question`
    reason: str | None = None  # recorded in place of each operation's own
    parallel: int = MOST_AT_ONCE  # services that are worked on at once
    kept: frozenset[Place] = frozenset()  # what left the Manifest and waits for a person's word
    keeps: bool = True  # what is left of containers that fail
    dry_runs: DryRuns = field(default_factory=DryRuns)
    traffic: Terms = field(default_factory=Terms)
    board: Switchboard | None = field(init=False)  # None: no gateway passes anything on

    def __post_init__(self) -> None:
        self.board = switchboard_of(
            self.equipment,
            self.manifest,
            known=self.known,
            recorder=self.recorder,
            release=self.release,
            terms=self.traffic,
        )

    def site(self, host: str) -> Site:
        """The environment on a host. Raises UserError `host-not-supported`."""
        return self.equipment.site(self.manifest, host)

    def exchange(self, host: str) -> Exchange:
        """The record of what goes and comes on a host."""
        return Exchange(
            site=self.site(host),
            recorder=self.recorder,
            release=self.release,
            reason=self.reason,
            made=self.made.setdefault(host, set()),
            keeps=self.keeps,
        )

    async def observe(self, host: str) -> Planned:
        """Look at a host, put right what a killed run left, and plan.

        Raises what `plan` raises and OutsideError `engine-unreachable`.
        """
        site, content = self.site(host), self.manifest.hosts[host]
        lasting = {
            name: content.compose["services"][name]
            for name, service in content.services.items()
            if service.job is None
        }
        containers = await self.exchange(host).look_tidied(lasting)
        former = None if self.known is None else self.known.hosts.get(host)
        bound = await bound_on(site, content)
        question = Question(
            host=host,
            owner=site.owner,
            compose_project=site.compose_project,
            succeeded_jobs=self.succeeded_jobs | self.jobs_done,
            known_services=frozenset() if former is None else frozenset(former.services),
            going_back=self.going_back,
            rerun_jobs=frozenset(self.jobs_done),
            bound=bound.services,
            untold=await untold(content, site.folder, files=site.files),
            lets_be=self.lets_be,
            stopped=self.stopped,
            altered=self.altered,
            kept=self.kept,
            first_told=first_told(self.manifest, self.known),
        )
        return Planned(
            site=site,
            content=content,
            containers=tuple(containers),
            plan=plan(content, containers, question),
            bound=bound,
        )

    async def ready(self, planned: Planned, *, checked: bool = True) -> tuple[Planned, Applier]:
        """Make ready what the plan needs; with `checked` also refuse what would fail half-way.

        Answers the plan as it will run: a network that has to be made anew takes its services along.
        """
        site = planned.site
        app = await prepare(site, self.manifest, planned.plan, planned.bound)
        record(site, self.recorder, self.release, planned.bound)
        if checked:
            await check(site, app, planned.plan)
        prediction = await self.dry_runs.predict(site, app, planned.plan, containers=planned.containers)
        if checked:
            await check_prediction(site, prediction)
        ours = [one for one in planned.containers if site.owner.owns(one) and not one.one_off]
        final = replace(planned, plan=renewing(planned.plan, ours, prediction.removed_networks))
        return final, Applier(
            exchange=self.exchange(planned.site.host),
            content=planned.content,
            app=app,
            jobs_done=self.jobs_done,
            rest=None if self.newer is None else self.newer.rest,
            rest_live=None if self.newer is None else self.newer.rest_live,
            board=self.board,
            parallel=self.parallel,
        )

    async def run(self, planned: Planned, applier: Applier, *, also_gate: Collection[str] = ()) -> None:
        """Write `compose.yml` and apply; errors are those of `course.apply`.

        Raises SupersededError when a newer Release ends a wait for health.
        """
        site = planned.site
        await site.pass_fence()
        await write_compose(applier.app, self.manifest, host=site.host, root=site.root, files=site.files)
        with site.errors_here():
            await apply(applier, planned.plan, also_gate=also_gate)

    async def settle(
        self,
        host: str,
        *,
        services: frozenset[str] | None = None,
        bystanders: frozenset[str] = frozenset(),
    ) -> Planned:
        """Look again; what is left to do, removals aside, is a failure. `services` None: all of them.

        Of `bystanders`, which nobody wanted to change, what fell over meanwhile is brought back once first,
        as healing would: a person's hand on a neighbour says nothing about a new version, and a neighbour
        that does not bear it ends again.

        Raises ServiceFailedError for a container that ended meanwhile, else OutsideError
        `not-as-the-manifest-says`, and for a bystander what `run` raises.
        """
        planned = await self.observe(host)
        if fallen := bystanders & {operation.service for operation in _left(planned)}:
            planned.site.tell(f"fell over meanwhile: {', '.join(sorted(fallen))}")
            with planned.site.errors_here():
                chosen, applier = await self.ready(planned.only(fallen))
            await self.run(chosen, applier)
            planned = await self.observe(host)
        for operation in _left(planned):
            if services is None or operation.service in services:
                raise await self.exchange(host).kept(await _refusal(planned.site, operation))
        return planned

    async def reconcile(
        self,
        planned: Mapping[str, Planned],
        *,
        reason: str,
        keeps: Collection[str] = (),
        asks_all: bool = False,
        wary: bool = False,
    ) -> bool:
        """Have gateways do as deployed, by what hosts show; whether something had to be told.

        Of a host where something is left to do only those are passed on to that were before, and run.
        Raises as `Switchboard.reconcile`.
        """
        if self.board is None:
            return False
        seen = Seen(
            answering={
                host: answering(one.content, one.containers, owner=one.site.owner)
                for host, one in planned.items()
                if not _left(one)
            },
            running={
                host: frozenset(each.id for each in one.containers if each.state == "running")
                for host, one in planned.items()
                if _left(one)
            },
        )
        return await self.board.reconcile(seen, reason=reason, keeps=keeps, asks_all=asks_all, wary=wary)

    async def prune(
        self, planned: Planned, *, services: frozenset[str] | None = None, but: Collection[str] = ()
    ) -> int:
        """Remove what a plan has left to remove and show the host as it is then.

        `services` None: all that is left, `but` some. Answers how many services went.
        """
        removals = [o for o in planned.plan.of("remove") if o.service not in but]
        orphans = [o for o in removals if services is None or o.service in services]
        host = planned.site.host
        await self.exchange(host).remove(orphans)
        after = await self.observe(host) if orphans or but else planned
        show(after.site, after.content, containers=after.containers, plan=after.plan)
        return len(orphans)


def _left(planned: Planned) -> list[Operation]:
    return [operation for operation in planned.plan.repairs if operation.kind != "remove"]


async def _refusal(site: Site, operation: Operation) -> StagecraftError:
    """Why an operation that is still due is a failure."""
    for container in operation.containers if operation.kind == "start" else ():
        detail = await site.engine.inspect(container)
        code = "" if detail is None else f" with exit code {detail.exit_code}"
        return ServiceFailedError(
            failed_container(
                CONTAINER_EXITED,
                f"the container ended{code} after it had been up",
                host=site.host,
                service=operation.service,
                detail=detail,
                log_tail=await last_lines(site.engine, container),
            )
        )
    return OutsideError(
        NOT_AS_MANIFEST,
        f"a last look found that it does not run as the Manifest says: {operation.reason}",
        where=Where(environment=site.environment, host=site.host, service=operation.service),
        next=f"look at it: `docker ps -a --filter label=com.docker.compose.service={operation.service}`",
    )
