"""The verdict of a Release, with what has to be done before it can be given.

The verdict and the hold that follows from a failure are one append, and so are a completion and what waits
for a person's word. Nothing is held because of a failure that a newer request followed: that request has
said what is to be. Nor where a host was silent before anything was changed: the Manifest is not at fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from events.catalog import Event, Failure
from events.catalog.environment import EnvironmentHeld
from events.catalog.release import (
    ReleaseCompleted,
    ReleaseFailed,
    ReleaseRolledBack,
    ReleaseSuperseded,
)
from events.catalog.removal import PruneDeferred
from events.kernel.errors import StagecraftError
from events.log import Expect, VersionConflictError
from events.manifest import Manifest
from events.recorder import Recorder
from projections.converge.attendance import Attendance
from projections.converge.compensate import Ended, WayBack, combined, restore, stop_and_keep
from projections.converge.failures import HOST_UNKNOWN
from projections.converge.history import history_of, job_ends
from projections.converge.orphans import Place
from projections.converge.plan import JobKey
from projections.converge.site import Equipment
from projections.converge.superseding import Newer, SupersededError
from projections.converge.touched import Reach, touched
from projections.converge.undertaking import Undertaking
from projections.converge.verdicts import Course, Verdicts
from projections.converge.watched import watch_over
from projections.converge.wiring import Terms
from projections.converge.work import ReleaseWork, Verdict

_TRIES = 10  # of an append to a stream that others append to as well


class Tell(Protocol):
    """Tells whoever watches."""

    def __call__(self, words: str, *, since: float) -> None:
        """One line about the Release; `since` is when what it tells of began, monotonic."""
        ...


@dataclass(slots=True, kw_only=True)
class Ending:
    """How one Release ends."""

    equipment: Equipment
    work: ReleaseWork
    recorder: Recorder
    newer: Newer
    attendance: Attendance
    silent: Mapping[str, StagecraftError]  # hosts that did not answer when this run began
    made: dict[str, set[str]]  # by host: ids of this Release's containers
    jobs_done: set[JobKey]
    tell: Tell  # one line for whoever watches, and since when, monotonic
    traffic: Terms = field(default_factory=Terms)  # on which requests are moved

    def completed(self, kept: frozenset[Place]) -> Verdict:
        """One append with what waits for a person's word, so that nothing takes it away before.

        So it is with the watch over what it changed, which a crash must not lose.
        """
        work, services = self.work, tuple(sorted(f"{host}/{service}" for host, service in kept))
        hosts, left = self._course().completed(), tuple(sorted(self.attendance.left))
        deferred = [PruneDeferred(release=work.release, services=services, most=work.cap.most or 0)]
        completed = ReleaseCompleted(
            release=work.release,
            digest=work.manifest.digest,
            hosts=hosts,
            traffic=self.traffic.traffic.proof(),
        )
        changed = history_of(self.equipment.log, work.release).touched_everywhere
        watch = watch_over(work, changed, now=self.equipment.clock.now())
        self._append(*(deferred if kept else ()), completed, *(() if watch is None else (watch,)))
        return Verdict(
            status="completed", release=work.release, kept=services, without=left, traffic=completed.traffic
        )

    def superseded(self, by: str) -> Verdict:
        """What it changed stays as it is: the newer Release plans from there."""
        touched = history_of(self.equipment.log, self.work.release).touched_everywhere
        self._append(ReleaseSuperseded(release=self.work.release, by=by, touched=touched))
        return Verdict(status="superseded", release=self.work.release, by=by)

    def _touched(self) -> dict[str, frozenset[str]]:
        """By host, the services that this Release, or one that left them to it, may have changed."""
        work = self.work
        reach = Reach(
            manifest=work.manifest,
            previous=work.previous,
            left_behind=work.left_behind,
            taken_up=work.started,
        )
        jobs = [
            (end.host, end.service) for end in job_ends(self.equipment.log, work.stream, release=work.release)
        ]
        hosts = work.scope or self.equipment.engines
        return touched(reach, history_of(self.equipment.log, self.work.release), jobs=jobs, hosts=hosts)

    async def failed(self, failure: Failure) -> Verdict:
        """Take back what was changed, or do what the descriptor says instead, and say how it ended.

        Raises what is in `failures.FATAL`.
        """
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
            lost={*self.silent, *self.attendance.unknown},
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
        self.tell(words, since=began)
        held, hosts = self._hold(failure), course.taken_back(touched, ended)
        if second is None:
            rolled_back = ReleaseRolledBack(
                release=work.release,
                digest=work.manifest.digest,
                restored=work.leaves or previous.digest,
                failure=failure,
                touched=history_of(self.equipment.log, self.work.release).touched_everywhere,
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
        hosts = self._course(failure).as_it_is(history_of(self.equipment.log, self.work.release))
        failed = self._failure_event(failure, hosts).model_copy(update={"stays": True})
        if self.work.leaves is None or self.work.leaves == self.work.manifest.digest:
            self._append(failed)
        else:
            self._append_held(failed, self._hold(failure))
        return Verdict(status="failed", release=self.work.release, failure=failure)

    def _failed_and_left(self, failure: Failure, *, to: str) -> Verdict:
        """It failed, and a newer Release ended the wait for the former version: the rest is its business."""
        self.tell(f"leaves what it touched to {to}", since=self.equipment.clock.monotonic())
        return self._failed_as(
            failure, self._course(failure).as_it_is(history_of(self.equipment.log, self.work.release))
        )

    def _failure_event(self, failure: Failure, hosts: Verdicts) -> ReleaseFailed:
        return ReleaseFailed(
            release=self.work.release,
            digest=self.work.manifest.digest,
            failure=failure,
            touched=history_of(self.equipment.log, self.work.release).touched_everywhere,
            hosts=hosts,
        )

    async def _failed_for_good(self, failure: Failure, *, stop: bool) -> Verdict:
        """Nothing was deployed before, or the very same Manifest was: there is nothing to go back to."""
        touched, course = self._touched(), self._course(failure)
        if not stop:
            return self._failed_as(
                failure, course.as_it_is(history_of(self.equipment.log, self.work.release))
            )
        ended = await stop_and_keep(self._stopping(), touched)
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

    def _course(self, failure: Failure | None = None) -> Course:
        return Course(work=self.work, left=self.attendance.left, failure=failure)

    def _stopping(self) -> Undertaking:
        """What is needed to stop what was started."""
        return Undertaking(
            equipment=self.equipment,
            manifest=self.work.manifest,
            recorder=self.recorder,
            release=self.work.release,
            succeeded_jobs=frozenset(),
            traffic=self.traffic,
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
            traffic=self.traffic,
        )

    def _append(self, *events: Event, expected: int | Expect = Expect.ANY) -> None:
        self.recorder.append(self.work.stream, *events, expected=expected)
