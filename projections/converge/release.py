"""A Release from its start to its verdict.

A run may be made again after a crash at any place: what the log shows as done is not repeated,
the engine is looked at anew, and the Release ends with one verdict. The verdict and the hold that follows
from a failure are one append. A host that does not answer gives no verdict: the error goes to the caller,
the Release stays as it is, and the next look takes it up again.

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
)
from events.catalog.service import JobCompleted, JobFailed
from events.kernel.errors import OutsideError, StagecraftError
from events.manifest import HostManifest, Manifest
from events.recorder import Recorder
from events.streams import StreamName, release_stream
from projections.converge.compensate import WayBack, combined, restore, stop_and_keep
from projections.converge.failures import FATAL, failure_of
from projections.converge.history import ReleaseHistory, release_history
from projections.converge.hosts import note_unknown, reach
from projections.converge.phases import run_phases
from projections.converge.plan import JobKey
from projections.converge.rollout import Rollout, changed_services
from projections.converge.site import Equipment, Site
from projections.converge.undertaking import Undertaking

VerdictStatus = Literal["completed", "failed", "rolled_back"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a Release ended."""

    status: VerdictStatus
    release: str
    failure: Failure | None = None  # None exactly when it completed


@dataclass(slots=True)
class ReleaseRun:
    """One call of `Converger.run_release`."""

    equipment: Equipment
    work: ReleaseWork
    recorder: Recorder
    made: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    jobs_done: set[JobKey] = field(default_factory=set[JobKey])

    async def run(self) -> Verdict:
        """The whole Release, or what a crash left of it."""
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
        self._tell(verdict.status.replace("_", " "), since=began)
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
        else:
            self._append(ReleaseStarted(release=work.release, digest=work.manifest.digest))
        failure = history.failure
        if failure is None:
            rollout = Rollout(undertaking=self._forward(), previous=work.previous)
            if "finalize" in history.completed:
                failure = await _again(rollout)
            else:
                failure = await run_phases(
                    {"rollout": rollout.roll_out, "finalize": rollout.finalize},
                    history=history,
                    stream=release_stream(work.release),
                    recorder=self.recorder,
                )
        if failure is not None:
            return await self._failed(failure)
        hosts = tuple(sorted(work.manifest.hosts))
        self._append(ReleaseCompleted(release=work.release, digest=work.manifest.digest, hosts=hosts))
        return Verdict(status="completed", release=work.release)

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
            jobs_done=self.jobs_done,
            made=self.made,
            going_back=work.kind in {"rollback", "revert"} and not work.brings_new,
            known=work.previous,
            stopped=work.stopped,
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
            jobs_done=self.jobs_done,
            made=self.made,
            going_back=True,
            known=previous,
            stopped=self.work.stopped,
            reason="restored",
        )

    def _touched(self) -> dict[str, frozenset[str]]:
        """By host, the services that this Release may have changed.

        A run that was killed may have changed one without recording it, so after a crash all that differ
        count; and those that reload their files always, because these may have been written when the
        exchange failed. Those that were not changed are found as they should be and left alone.
        """
        work, history = self.work, self._history()
        ends = self._job_ends()
        former = {} if work.previous is None else work.previous.hosts
        touched: dict[str, frozenset[str]] = {}
        for host in sorted({*work.manifest.hosts, *former} & set(self.equipment.engines)):
            names = set(history.touched(host)) | {end.service for end in ends if end.host == host}
            now, before = work.manifest.hosts.get(host), former.get(host)
            changed = set[str]() if now is None else set(changed_services(now, before))
            changed |= set[str]() if before is None else set(changed_services(before, now))
            names |= changed if work.started else {name for name in changed if _reloads(name, now, before)}
            touched[host] = frozenset(names)
        return touched

    async def _failed(self, failure: Failure) -> Verdict:
        work = self.work
        previous = work.previous
        if previous is None or previous.digest == work.manifest.digest:
            return await self._failed_for_good(failure, stop=previous is None)
        way = WayBack(undertaking=self._backward(previous), touched=self._touched())
        began = self.equipment.clock.monotonic()
        second = await restore(way)
        words = (
            "brought the former version back" if second is None else "did not bring the former version back"
        )
        self._tell(words, since=began)
        held = self._hold(previous, failure)
        touched = self._history().touched_everywhere
        if second is None:
            self._append(
                ReleaseRolledBack(
                    release=work.release,
                    digest=work.manifest.digest,
                    restored=previous.digest,
                    failure=failure,
                    touched=touched,
                ),
                held,
            )
            return Verdict(status="rolled_back", release=work.release, failure=failure)
        both = combined(failure, second)
        self._append(
            ReleaseFailed(release=work.release, digest=work.manifest.digest, failure=both, touched=touched),
            held,
        )
        return Verdict(status="failed", release=work.release, failure=both)

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
        self._append(
            ReleaseFailed(
                release=work.release,
                digest=work.manifest.digest,
                failure=failure,
                touched=self._history().touched_everywhere,
            )
        )
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

    def _append(self, *events: Event) -> None:
        self.recorder.append(self.work.stream, *events)


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


def _reloads(name: str, *contents: HostManifest | None) -> bool:
    """Whether the service is told of changed files by a signal, in one of these."""
    found = (one.services.get(name) for one in contents if one is not None)
    return any(one is not None and one.reload is not None for one in found)
