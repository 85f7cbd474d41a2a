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
from dataclasses import dataclass, field, replace

from events.catalog import Event, Failure, decode
from events.catalog.environment import EnvironmentHeld
from events.catalog.release import (
    ReleaseCompleted,
    ReleaseFailed,
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
from events.streams import release_stream
from projections.converge.abreast import abreast
from projections.converge.attendance import Attendance
from projections.converge.compensate import Ended, WayBack, combined, restore, stop_and_keep
from projections.converge.failures import FATAL, HOST_UNKNOWN, failure_of
from projections.converge.history import ReleaseHistory, release_history
from projections.converge.hosts import note_unknown, reach
from projections.converge.jobs import job_under_way
from projections.converge.orphans import Place
from projections.converge.phases import run_phases
from projections.converge.plan import JobKey
from projections.converge.rollout import Rollout
from projections.converge.schedule import canaries
from projections.converge.site import Equipment, Site
from projections.converge.superseding import Newer, SupersededError, goes_back
from projections.converge.touched import Reach, touched
from projections.converge.undertaking import Undertaking
from projections.converge.verdicts import Course, Verdicts
from projections.converge.work import ReleaseWork, Verdict

_TRIES = 10  # of an append to a stream that others append to as well


@dataclass(slots=True)
class ReleaseRun:
    """One call of `Converger.run_release`."""

    equipment: Equipment
    work: ReleaseWork
    recorder: Recorder
    made: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    jobs_done: set[JobKey] = field(default_factory=set[JobKey])
    silent: Mapping[str, StagecraftError] = field(default_factory=dict[str, StagecraftError])  # by host
    attendance: Attendance = field(init=False)
    newer: Newer = field(init=False)

    def __post_init__(self) -> None:
        work = self.work
        leaves = work.leaves != work.manifest.digest
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
            await self._reach()
            verdict = await self._run()
        except OutsideError as error:
            for site in self._sites():
                if error.where.host in {None, site.host}:
                    note_unknown(site, self.recorder, error)
            raise
        words = verdict.status.replace("_", " ")
        self._tell(words if verdict.by is None else f"{words} by {verdict.by}", since=began)
        return verdict

    async def _reach(self) -> None:
        """See who answers. Raises what `reach` raises for this machine; others are silent from then on."""
        sites = {site.host: site for site in self._sites()}
        _, failed = await abreast(sites, lambda host: reach(sites[host], self.recorder))
        for host, error in failed.items():
            if error.code not in HOST_UNKNOWN or sites[host].is_here:
                if len(sites) > 1:
                    error.where = replace(error.where, host=host)
                raise error
        self.silent = failed

    def _tell(self, words: str, *, since: float) -> None:
        """One line about the whole Release for whoever watches."""
        manifest = self.work.manifest
        seconds = self.equipment.clock.monotonic() - since
        place = f"{manifest.project}/{manifest.environment}"
        self.equipment.progress(f"{place}: {self.work.release} {words} after {seconds:.1f} s")

    async def _run(self) -> Verdict:
        work = self.work
        history = self._history()
        self.attendance = self._attendance(history)
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
        hosts, left = self._course().completed(), tuple(sorted(self.attendance.left))
        deferred = [PruneDeferred(release=work.release, services=services, most=work.cap.most or 0)]
        completed = ReleaseCompleted(release=work.release, digest=work.manifest.digest, hosts=hosts)
        self._append(*(deferred if kept else ()), completed)
        return Verdict(status="completed", release=work.release, kept=services, without=left)

    def _attendance(self, history: ReleaseHistory) -> Attendance:
        """Who takes part, as far as the record says."""
        work = self.work
        chosen = {host: work.manifest.hosts[host] for host in work.worked_on}
        return Attendance(
            hosts=work.worked_on,
            sites={site.host: site for site in self._sites()},
            recorder=self.recorder,
            stream=release_stream(work.release),
            conduct=work.hosts,
            goes_on=work.on_failure == "continue",
            canaries=canaries(chosen, work.hosts),
            owes=self._owes,
            touched=history.hosts_touched,
            left={one.host: one for one in history.left_out},
        )

    def _owes(self, host: str) -> bool:
        """Whether a one-shot of this Release has not succeeded on a host yet."""
        work = self.work
        for name, service in work.manifest.hosts[host].services.items():
            key = (host, name, service.hash)
            again = service.job is not None and service.job.on_rollback and self._goes_back
            done = self.jobs_done if again else work.succeeded_jobs | self.jobs_done
            if service.job is not None and key not in done:
                return True
        return False

    def _course(self, failure: Failure | None = None) -> Course:
        return Course(work=self.work, left=self.attendance.left, failure=failure)

    def _rollout(self) -> Rollout:
        work = self.work
        return Rollout(
            undertaking=self._forward(),
            attendance=self.attendance,
            silent=self.silent,
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
        sites = {site.host: site for site in self._sites() if site.host not in self.silent}
        running, failed = await abreast(sites, lambda host: job_under_way(sites[host]))
        for host, error in failed.items():
            if error.code not in HOST_UNKNOWN or sites[host].is_here:
                raise error
        return None if any(running.values()) else by

    def _superseded(self, by: str) -> Verdict:
        """What it changed stays as it is: the newer Release plans from there."""
        touched = self._history().touched_everywhere
        self._append(ReleaseSuperseded(release=self.work.release, by=by, touched=touched))
        return Verdict(status="superseded", release=self.work.release, by=by)

    def _sites(self) -> list[Site]:
        """The hosts of the Manifest that this controller knows; an unknown one fails in `rollout`."""
        known = [host for host in self.work.worked_on if host in self.equipment.engines]
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
        hosts = work.scope or self.equipment.engines
        return touched(reach, self._history(), jobs=jobs, hosts=hosts)

    async def _failed(self, failure: Failure) -> Verdict:
        work, touched = self.work, self._touched()
        previous, course = work.previous, self._course(failure)
        if failure.code in HOST_UNKNOWN and not any(touched.values()):
            return self._failed_as(failure, course.taken_back({}, Ended()))  # before anything was touched
        if work.on_failure == "hold":
            return self._failed_and_stays(failure)
        if previous is None or work.leaves == work.manifest.digest:
            return await self._failed_for_good(failure, stop=previous is None)
        way = WayBack(
            undertaking=self._backward(previous),
            touched=touched,
            max_parallel=work.hosts.max_parallel,
            lost=[host for host, one in self.attendance.left.items() if one.status == "unknown"],
        )
        began = self.equipment.clock.monotonic()
        try:
            ended = await restore(way)
        except SupersededError as error:
            return self._failed_and_left(failure, to=error.by)
        second = ended.error
        words = (
            "brought the former version back" if second is None else "did not bring the former version back"
        )
        self._tell(words, since=began)
        held, hosts = self._hold(failure), course.taken_back(touched, ended)
        if second is None:
            rolled_back = ReleaseRolledBack(
                release=work.release,
                digest=work.manifest.digest,
                restored=work.leaves or previous.digest,
                failure=failure,
                touched=self._history().touched_everywhere,
                hosts=hosts,
            )
            self._append_held(rolled_back, held)
            return Verdict(status="rolled_back", release=work.release, failure=failure)
        both = combined(failure, second)
        self._append_held(self._failure_event(both, hosts), held)
        return Verdict(status="failed", release=work.release, failure=both)

    def _failed_as(self, failure: Failure, hosts: Verdicts) -> Verdict:
        """It failed, and nothing is held for it."""
        self._append(self._failure_event(failure, hosts))
        return Verdict(status="failed", release=self.work.release, failure=failure)

    def _failed_and_stays(self, failure: Failure) -> Verdict:
        """It failed, and each host stays as it is: what is deployed is held, and a person decides."""
        hosts = self._course(failure).as_it_is(self._history())
        failed = self._failure_event(failure, hosts).model_copy(update={"stays": True})
        if self.work.leaves is None or self.work.leaves == self.work.manifest.digest:
            self._append(failed)
        else:
            self._append_held(failed, self._hold(failure))
        return Verdict(status="failed", release=self.work.release, failure=failure)

    def _failed_and_left(self, failure: Failure, *, to: str) -> Verdict:
        """It failed, and a newer Release ended the wait for the former version: the rest is its business."""
        self._tell(f"leaves what it touched to {to}", since=self.equipment.clock.monotonic())
        return self._failed_as(failure, self._course(failure).as_it_is(self._history()))

    def _failure_event(self, failure: Failure, hosts: Verdicts) -> ReleaseFailed:
        return ReleaseFailed(
            release=self.work.release,
            digest=self.work.manifest.digest,
            failure=failure,
            touched=self._history().touched_everywhere,
            hosts=hosts,
        )

    async def _failed_for_good(self, failure: Failure, *, stop: bool) -> Verdict:
        """Nothing was deployed before, or the very same Manifest was: there is nothing to go back to."""
        work, touched, course = self.work, self._touched(), self._course(failure)
        if not stop:
            return self._failed_as(failure, course.as_it_is(self._history()))
        ended = await stop_and_keep(self.equipment, work.manifest, touched)
        if (error := ended.error) is not None:
            failure = combined(failure, error)
        return self._failed_as(failure, course.stopped(touched, ended))

    def _hold(self, failure: Failure) -> EnvironmentHeld:
        """Git must not bring back what failed; what runs again is never held to be bad.

        The hold takes the place of the standing one, so a person's stays one that only people end.
        """
        work = self.work
        target = work.leaves or work.manifest.digest
        bad = ({work.manifest.digest} | work.held_bad) - {target}
        return EnvironmentHeld(
            target=target,
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
        for phase in (rollout.roll_out, rollout.finalize):
            if isinstance(ended := await phase(), Failure):
                return ended
    except StagecraftError as error:
        if error.code in FATAL:
            raise
        return failure_of(error)
    return None
