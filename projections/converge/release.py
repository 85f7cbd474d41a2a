"""A Release from its start to its verdict.

A run may be made again after a crash at any place: what the log shows as done is not repeated,
the engines are looked at anew, and the Release ends with one verdict (`ending.py`). Where this machine's own
engine does not answer there is no verdict: the error goes to the caller, the Release stays as it is, and the
next look takes it up again. Another host that is silent is a matter of policy (`attendance.py`).

A newer Release ends its waits for health (`superseding.py`): it is superseded then and takes nothing back,
for the newer one plans from what is there. What earlier Releases left behind in that way the later ones take
on: whichever completes brings it to its own Manifest, and one that fails takes it back with its own.

The caller holds the environment's lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from events.catalog import Failure
from events.catalog.release import ReleaseStarted
from events.catalog.service import JobCompleted
from events.kernel.errors import OutsideError, StagecraftError
from events.log import Expect
from events.recorder import Recorder
from events.streams import release_stream
from projections.converge.abreast import abreast
from projections.converge.attendance import Attendance
from projections.converge.ending import Ending
from projections.converge.failures import FATAL, HOST_UNKNOWN, failure_of
from projections.converge.history import ReleaseHistory, history_of, job_ends
from projections.converge.hosts import note_unknown, reach
from projections.converge.jobs import job_under_way
from projections.converge.phases import run_phases
from projections.converge.plan import JobKey
from projections.converge.rollout import Rollout
from projections.converge.schedule import canaries
from projections.converge.site import Equipment, Site
from projections.converge.superseding import Newer, SupersededError, goes_back
from projections.converge.traffic_record import Traffic, traffic_record_of
from projections.converge.undertaking import Undertaking
from projections.converge.wiring import Terms
from projections.converge.work import ReleaseWork, Verdict
from projections.traffic_words import traffic_words

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
    traffic: Traffic = field(init=False)

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
        asking = self.equipment.asking
        self.traffic = Traffic(
            record=traffic_record_of(self.equipment.log, work.release),
            asking=None if asking is None else asking(),
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
        finally:
            await self.traffic.end()
        words = verdict.status.replace("_", " ")
        self._tell(words if verdict.by is None else f"{words} by {verdict.by}", since=began)
        if verdict.traffic is not None:
            place = f"{self.work.manifest.project}/{self.work.manifest.environment}"
            self.equipment.progress(f"{place}: {traffic_words(verdict.traffic.model_dump())}")
        return verdict

    async def _reach(self) -> None:
        """See who answers. Raises what `reach` raises for this machine; others are silent from then on."""
        sites = {site.host: site for site in self._sites()}
        _, failed = await abreast(sites, lambda host: reach(sites[host], self.recorder))
        for host, error in failed.items():
            if error.code not in HOST_UNKNOWN or sites[host].transport.here:
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
        history = history_of(self.equipment.log, work.release)
        self.attendance = self._attendance(history)
        ending = self._ending()
        if work.started:
            self._remember(history)
            if (by := await self._needless(history)) is not None:
                return ending.superseded(by)
        else:
            started = ReleaseStarted(release=work.release, digest=work.manifest.digest)
            self.recorder.append(
                work.stream, started, expected=Expect.ANY if work.version is None else work.version
            )
        failure, rollout = history.failure, self._rollout()
        if failure is None:
            try:
                failure = await self._go_forward(history, rollout)
            except SupersededError as error:
                return ending.superseded(error.by)
        if failure is not None:
            return await ending.failed(failure)
        await self.traffic.end()
        return ending.completed(rollout.kept)

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

    def _rollout(self) -> Rollout:
        work = self.work
        return Rollout(
            undertaking=self._forward(),
            attendance=self.attendance,
            silent=self.silent,
            previous=work.previous,
            left_behind=work.left_behind,
            cap=work.cap,
            taken_up=work.started,
        )

    def _terms(self) -> Terms:
        """On which terms requests are moved."""
        return Terms(
            traffic=self.traffic,
            drained_hosts=self.work.drained_hosts,
            drained_services=self.work.drained_services,
            absent=self._absent,
            goes_on_without=self._goes_on_without,
        )

    def _absent(self) -> frozenset[str]:
        """The hosts that nobody can tell anything."""
        left = {host for host, one in self.attendance.left.items() if one.status != "failed"}
        return frozenset(left | self.silent.keys())

    def _goes_on_without(self, host: str, error: OutsideError) -> bool:
        """Whether it goes on without a gateway that is silent. Raises the error where it is this machine."""
        return host in self.attendance.hosts and self.attendance.failed({host: error}) is None

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
            if error.code not in HOST_UNKNOWN or sites[host].transport.here:
                raise error
        return None if any(running.values()) else by

    def _sites(self) -> list[Site]:
        """The hosts of the Manifest that this controller knows; an unknown one fails in `rollout`."""
        known = [host for host in self.work.worked_on if host in self.equipment.engines]
        return [self.equipment.site(self.work.manifest, host) for host in known]

    def _remember(self, history: ReleaseHistory) -> None:
        """Take over what the interrupted run did."""
        for one in history.replaced:
            self.made.setdefault(one.host, set()).update(one.new_ids)
        for begun in history.beside:
            self.made.setdefault(begun.host, set()).update(begun.new_ids)
        for end in job_ends(self.equipment.log, self.work.stream, release=self.work.release):
            if isinstance(end, JobCompleted):
                self.jobs_done.add((end.host, end.service, end.service_hash))

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
            traffic=self._terms(),
        )

    def _ending(self) -> Ending:
        return Ending(
            equipment=self.equipment,
            work=self.work,
            recorder=self.recorder,
            newer=self.newer,
            attendance=self.attendance,
            silent=self.silent,
            made=self.made,
            jobs_done=self.jobs_done,
            tell=self._tell,
            traffic=self._terms(),
        )


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
