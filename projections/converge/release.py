"""A Release from its start to its verdict.

A run may be made again after a crash at any place: what the log shows as done is not repeated,
the engine is looked at anew, and the Release ends with one verdict. The verdict and the hold that follows
from a failure are one append. A host that does not answer gives no verdict: the error goes to the caller,
the Release stays as it is, and the next look takes it up again.

A newer Release ends its waits for health (`superseding.py`): it is superseded then and takes nothing back,
for the newer one plans from what is there. What earlier Releases left behind in that way the later ones take
on: whichever completes brings it to its own Manifest, and one that fails takes it back with its own. Nothing
is held because of a failure that a newer request followed: that request has said what is to be.

The caller holds the environment's lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from events.catalog import Event, Failure, decode
from events.catalog.environment import EnvironmentHeld
from events.catalog.release import (
    ReleaseCompleted,
    ReleaseFailed,
    ReleaseKind,
    ReleaseRolledBack,
    ReleaseStarted,
    ReleaseSuperseded,
)
from events.catalog.removal import PruneDeferred
from events.catalog.service import JobCompleted, JobFailed
from events.kernel.errors import OutsideError, StagecraftError
from events.log import Expect, VersionConflictError
from events.manifest import Manifest
from events.recorder import Recorder
from events.streams import StreamName, release_stream
from projections.converge.apply import MOST_AT_ONCE
from projections.converge.compensate import WayBack, combined, restore, stop_and_keep
from projections.converge.failures import FATAL, failure_of
from projections.converge.history import ReleaseHistory, release_history
from projections.converge.hosts import note_unknown, reach
from projections.converge.jobs import job_under_way
from projections.converge.orphans import Cap, Place
from projections.converge.phases import run_phases
from projections.converge.plan import JobKey
from projections.converge.rollout import Rollout
from projections.converge.site import Equipment, Site
from projections.converge.superseding import Newer, SupersededError, goes_back
from projections.converge.touched import Reach, touched
from projections.converge.undertaking import Undertaking

VerdictStatus = Literal["completed", "failed", "rolled_back", "superseded"]

_TRIES = 10  # of an append to a stream that others append to as well


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseWork:
    """A Release that was decided, with what the environment's stream says about it."""

    release: str
    kind: ReleaseKind
    manifest: Manifest
    previous: Manifest | None  # what is deployed; None: nothing yet
    stream: StreamName  # the environment's
    brings_new: bool = False  # a revert whose Manifest never ran here: its jobs are those of a deploy
    started: bool = False  # a run before this one began it and did not end it
    succeeded_jobs: frozenset[JobKey] = frozenset()  # (host, service, service hash)
    held_bad: frozenset[str] = frozenset()  # Manifests that a standing hold keeps out
    stopped: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """By host and service, the hash that a person stopped."""
    held_by_person: bool = False  # a person holds the environment, and not at this Manifest
    left_behind: tuple[Manifest, ...] = ()  # of Releases since then that neither completed nor took back
    version: int | None = None  # of the stream when the work was made out; None: whatever it is now
    parallel: int = MOST_AT_ONCE  # services that are worked on at once
    cap: Cap = field(default_factory=Cap)  # on what it takes away


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a Release ended."""

    status: VerdictStatus
    release: str
    failure: Failure | None = None  # None unless it failed
    by: str | None = None  # the newer Release that superseded it
    kept: tuple[str, ...] = ()  # `host/service` of what left the Manifest and waits for a person's word


@dataclass(slots=True)
class ReleaseRun:
    """One call of `Converger.run_release`."""

    equipment: Equipment
    work: ReleaseWork
    recorder: Recorder
    made: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    jobs_done: set[JobKey] = field(default_factory=set[JobKey])
    newer: Newer = field(init=False)

    def __post_init__(self) -> None:
        work = self.work
        leaves = work.previous is None or work.previous.digest != work.manifest.digest
        self.newer = Newer(
            log=self.equipment.log,
            stream=work.stream,
            clock=self.equipment.clock,
            release=work.release,
            digest=work.manifest.digest,
            goes_back=leaves and self._goes_back,
        )

    @property
    def _goes_back(self) -> bool:
        return goes_back(self.work.kind, brings_new=self.work.brings_new)

    async def run(self) -> Verdict:
        """The whole Release, or what a crash left of it.

        Raises VersionConflictError, having done nothing, when the stream moved on before it was begun.
        """
        try:
            began = self.equipment.clock.monotonic()
            for site in self._sites():
                await reach(site, self.recorder)
            verdict = await self._run()
        except OutsideError as error:
            for site in self._sites():
                if error.where.host in {None, site.host}:
                    note_unknown(site, self.recorder, error)
            raise
        words = verdict.status.replace("_", " ")
        self._tell(words if verdict.by is None else f"{words} by {verdict.by}", since=began)
        return verdict

    def _tell(self, words: str, *, since: float) -> None:
        """One line about the whole Release for whoever watches."""
        manifest = self.work.manifest
        seconds = self.equipment.clock.monotonic() - since
        place = f"{manifest.project}/{manifest.environment}"
        self.equipment.progress(f"{place}: {self.work.release} {words} after {seconds:.1f} s")

    async def _run(self) -> Verdict:
        work = self.work
        history = self._history()
        if work.started:
            self._remember(history)
            if (by := await self._needless(history)) is not None:
                return self._superseded(by)
        else:
            started = ReleaseStarted(release=work.release, digest=work.manifest.digest)
            self._append(started, expected=Expect.ANY if work.version is None else work.version)
        failure, rollout = history.failure, self._rollout()
        if failure is None:
            try:
                failure = await self._go_forward(history, rollout)
            except SupersededError as error:
                return self._superseded(error.by)
        if failure is not None:
            return await self._failed(failure)
        return self._completed(rollout.kept)

    def _completed(self, kept: frozenset[Place]) -> Verdict:
        """One append with what waits for a person's word, so that nothing takes it away before."""
        work, services = self.work, tuple(sorted(f"{host}/{service}" for host, service in kept))
        hosts = tuple(sorted(work.manifest.hosts))
        deferred = [PruneDeferred(release=work.release, services=services, most=work.cap.most or 0)]
        completed = ReleaseCompleted(release=work.release, digest=work.manifest.digest, hosts=hosts)
        self._append(*(deferred if kept else ()), completed)
        return Verdict(status="completed", release=work.release, kept=services)

    def _rollout(self) -> Rollout:
        work = self.work
        return Rollout(
            undertaking=self._forward(),
            previous=work.previous,
            left_behind=work.left_behind,
            cap=work.cap,
        )

    async def _go_forward(self, history: ReleaseHistory, rollout: Rollout) -> Failure | None:
        """All phases that are left. Raises SupersededError when a newer Release ended a wait for health."""
        work = self.work
        if "finalize" in history.completed:
            return await _again(rollout)
        return await run_phases(
            {"rollout": rollout.roll_out, "finalize": rollout.finalize},
            history=history,
            stream=release_stream(work.release),
            recorder=self.recorder,
        )

    async def _needless(self, history: ReleaseHistory) -> str | None:
        """The newer Release that makes it needless to take this one up again; None: it goes on.

        It goes on when it had failed or was done, because the verdict is due, and while a job of its runs.
        """
        by = self.newer.ends_wait()
        if by is None or history.failure is not None or "finalize" in history.completed:
            return None
        for site in self._sites():
            if await job_under_way(site):
                return None
        return by

    def _superseded(self, by: str) -> Verdict:
        """What it changed stays as it is: the newer Release plans from there."""
        touched = self._history().touched_everywhere
        self._append(ReleaseSuperseded(release=self.work.release, by=by, touched=touched))
        return Verdict(status="superseded", release=self.work.release, by=by)

    def _sites(self) -> list[Site]:
        """The hosts of the Manifest that this controller knows; an unknown one fails in `rollout`."""
        known = [host for host in sorted(self.work.manifest.hosts) if host in self.equipment.engines]
        return [self.equipment.site(self.work.manifest, host) for host in known]

    def _history(self) -> ReleaseHistory:
        return release_history(self.equipment.log.read_stream(release_stream(self.work.release)))

    def _remember(self, history: ReleaseHistory) -> None:
        """Take over what the interrupted run did."""
        for one in history.replaced:
            self.made.setdefault(one.host, set()).update(one.new_ids)
        for begun in history.beside:
            self.made.setdefault(begun.host, set()).update(begun.new_ids)
        for end in self._job_ends():
            if isinstance(end, JobCompleted):
                self.jobs_done.add((end.host, end.service, end.service_hash))

    def _job_ends(self) -> list[JobCompleted | JobFailed]:
        """The job runs of this Release."""
        events = (decode(stored) for stored in self.equipment.log.read_stream(self.work.stream))
        ends = [event for event in events if isinstance(event, JobCompleted | JobFailed)]
        return [end for end in ends if end.release == self.work.release]

    def _forward(self) -> Undertaking:
        work = self.work
        return Undertaking(
            equipment=self.equipment,
            manifest=work.manifest,
            recorder=self.recorder,
            release=work.release,
            succeeded_jobs=work.succeeded_jobs,
            newer=self.newer,
            jobs_done=self.jobs_done,
            made=self.made,
            going_back=self._goes_back,
            known=work.previous,
            stopped=work.stopped,
            parallel=work.parallel,
        )

    def _backward(self, previous: Manifest) -> Undertaking:
        """The way back: the former jobs have run, those that ask for it run again."""
        jobs = frozenset(
            (host, name, service.hash)
            for host, content in previous.hosts.items()
            for name, service in content.services.items()
            if service.job is not None
        )
        return Undertaking(
            equipment=self.equipment,
            manifest=previous,
            recorder=self.recorder,
            release=self.work.release,
            succeeded_jobs=jobs,
            newer=self.newer,
            jobs_done=self.jobs_done,
            made=self.made,
            going_back=True,
            known=previous,
            stopped=self.work.stopped,
            reason="restored",
            parallel=self.work.parallel,
        )

    def _touched(self) -> dict[str, frozenset[str]]:
        """By host, the services that this Release, or one that left them to it, may have changed."""
        work = self.work
        reach = Reach(
            manifest=work.manifest,
            previous=work.previous,
            left_behind=work.left_behind,
            taken_up=work.started,
        )
        jobs = [(end.host, end.service) for end in self._job_ends()]
        return touched(reach, self._history(), jobs=jobs, hosts=self.equipment.engines)

    async def _failed(self, failure: Failure) -> Verdict:
        work = self.work
        previous = work.previous
        if previous is None or previous.digest == work.manifest.digest:
            return await self._failed_for_good(failure, stop=previous is None)
        way = WayBack(undertaking=self._backward(previous), touched=self._touched())
        began = self.equipment.clock.monotonic()
        try:
            second = await restore(way)
        except SupersededError as error:
            return self._failed_and_left(failure, to=error.by)
        words = (
            "brought the former version back" if second is None else "did not bring the former version back"
        )
        self._tell(words, since=began)
        held = self._hold(previous, failure)
        if second is None:
            rolled_back = ReleaseRolledBack(
                release=work.release,
                digest=work.manifest.digest,
                restored=previous.digest,
                failure=failure,
                touched=self._history().touched_everywhere,
            )
            self._append_held(rolled_back, held)
            return Verdict(status="rolled_back", release=work.release, failure=failure)
        both = combined(failure, second)
        self._append_held(self._failure_event(both), held)
        return Verdict(status="failed", release=work.release, failure=both)

    def _failed_and_left(self, failure: Failure, *, to: str) -> Verdict:
        """It failed, and a newer Release ended the wait for the former version: the rest is its business."""
        self._tell(f"leaves what it touched to {to}", since=self.equipment.clock.monotonic())
        self._append(self._failure_event(failure))
        return Verdict(status="failed", release=self.work.release, failure=failure)

    def _failure_event(self, failure: Failure) -> ReleaseFailed:
        return ReleaseFailed(
            release=self.work.release,
            digest=self.work.manifest.digest,
            failure=failure,
            touched=self._history().touched_everywhere,
        )

    async def _failed_for_good(self, failure: Failure, *, stop: bool) -> Verdict:
        """Nothing was deployed before, or the very same Manifest was: there is nothing to go back to."""
        work = self.work
        if stop:
            try:
                await stop_and_keep(self.equipment, work.manifest, self._touched())
            except StagecraftError as error:
                if error.code in FATAL:
                    raise
                failure = combined(failure, error)
        self._append(self._failure_event(failure))
        return Verdict(status="failed", release=work.release, failure=failure)

    def _hold(self, previous: Manifest, failure: Failure) -> EnvironmentHeld:
        """Git must not bring back what failed; what runs again is never held to be bad.

        The hold takes the place of the standing one, so a person's stays one that only people end.
        """
        work = self.work
        bad = ({work.manifest.digest} | work.held_bad) - {previous.digest}
        return EnvironmentHeld(
            target=previous.digest,
            bad=tuple(sorted(bad)),
            clears="manual" if work.held_by_person else "fixed",
            reason=f"{work.release} failed: {failure.message}",
        )

    def _append_held(self, verdict: Event, held: EnvironmentHeld) -> None:
        """Append the verdict with its hold, or alone when something newer was asked for by then."""
        for left in reversed(range(_TRIES)):
            stands = self.newer.stands()
            try:
                self._append(verdict, *(() if stands else (held,)), expected=self.newer.version)
            except VersionConflictError:
                if not left:
                    raise
            else:
                return

    def _append(self, *events: Event, expected: int | Expect = Expect.ANY) -> None:
        self.recorder.append(self.work.stream, *events, expected=expected)


async def _again(rollout: Rollout) -> Failure | None:
    """Bring about what the run before this one had brought about: much may have happened since it ended.

    Where nothing has, this looks and changes nothing. The phases are on record already.
    """
    try:
        await rollout.roll_out()
        await rollout.finalize()
    except StagecraftError as error:
        if error.code in FATAL:
            raise
        return failure_of(error)
    return None
