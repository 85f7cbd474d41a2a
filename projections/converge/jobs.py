"""One-shot services: run outside Compose's `up`, to their end, once for each hash that succeeded.

The log decides whether a job has to run; its container only tells how a run ended. So that a crash between
start and record neither runs a job twice nor loses its end, a run that no event speaks of is taken up
again: it is waited for, or its end is read. A container that was made and never started proves nothing
and is made anew.

The container goes when the job succeeded. When it failed it stays for a look, the newest only.
"""

from __future__ import annotations

from dataclasses import dataclass

from events.catalog import Failure, decode
from events.catalog.service import JobCompleted, JobFailed
from events.kernel.errors import OutsideError, StagecraftError
from events.kernel.process import PROCESS_TIMED_OUT
from events.manifest import Service
from events.recorder import Recorder
from projections.converge.failures import (
    CONTAINER_NOT_STARTED,
    FATAL,
    JOB_FAILED,
    JOB_TIMED_OUT,
    ServiceFailedError,
    failed_container,
    failure_of,
    last_lines,
    told_by_engine,
)
from projections.converge.hosts import look
from projections.converge.keeping import keep
from projections.converge.site import Site
from projections.engine.port import App, Container

JobEnd = JobCompleted | JobFailed
LOOK_SECONDS = 0.1  # between two looks whether one has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """A job that goes on."""

    name: str
    service: Service
    container: str
    until: float  # monotonic seconds: then it is stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRunner:
    """Runs the jobs of one Release on one host and records their ends."""

    site: Site
    app: App
    recorder: Recorder
    release: str

    async def run(self, name: str, service: Service) -> None:
        """Run a job to its end; raises what `begin` and `ended` raise."""
        run = await self.begin(name, service)
        while not await self.ended(run):
            await self.site.clock.sleep(LOOK_SECONDS)

    async def begin(self, name: str, service: Service) -> JobRun:
        """Start a job, or take up the run that a crash left.

        Raises ServiceFailedError for one that has failed in this Release, and what did not start.
        """
        recorded = recorded_ends(self.site)
        runs = [run for run in await self._runs(name) if run.service_hash == service.hash]
        known = [recorded[run.id] for run in runs if run.id in recorded]
        for end in known:
            if isinstance(end, JobFailed) and end.release == self.release:
                raise ServiceFailedError(end.failure)  # a crash came between it and the phase's end
        container = await self._taken_up(name, [run for run in runs if run.id not in recorded])
        if container is None:
            self.site.tell("run the job", service=name)
            with self.site.errors_here(name):
                container = await self._started(name)
        until = self.site.clock.monotonic() + service.gate.deadline_seconds
        return JobRun(name=name, service=service, container=container, until=until)

    async def ended(self, run: JobRun) -> bool:
        """Look once whether a job has ended, and record its end; one that takes too long is stopped.

        Appends JobCompleted or JobFailed; raises ServiceFailedError after the latter, with its failure.
        """
        container, name, service = run.container, run.name, run.service
        ended, failure = await self._end(run)
        if not ended:
            return False
        if failure is None:
            await self._succeeded(container, name, service)
        else:
            failure = await keep(self.site, failure, release=self.release)
            self._record_failure(container, name, service=service, failure=failure)
        await self._remove_former(name, recorded_ends(self.site), but=container)
        if failure is not None:
            raise ServiceFailedError(failure)
        return True

    async def _runs(self, name: str) -> list[Container]:
        """Our runs of a job that are still there."""
        found = await look(self.site)
        return [c for c in found if c.one_off and c.service == name and self.site.owner.owns(c)]

    async def _taken_up(self, name: str, unknown: list[Container]) -> str | None:
        """A run that a crash left without a record; one that never began is removed."""
        for run in unknown:
            if run.state != "created":
                self.site.tell("wait for the run that is there", service=name)
                return run.id
            await self.site.engine.remove(run.id)
        return None

    async def _started(self, name: str) -> str:
        try:
            return await self.site.engine.run_job(self.app, name)
        except OutsideError as error:
            if error.code in FATAL:
                raise
            raise told_by_engine(error, host=self.site.host, services=(name,)) from error

    async def _end(self, run: JobRun) -> tuple[bool, Failure | None]:
        """Whether the run is over, and why it failed: None when it ended with exit code 0."""
        engine, container, name = self.site.engine, run.container, run.name
        code, message = JOB_FAILED, "the job ended with exit code {code}"
        try:
            ended = await engine.wait(container, deadline_seconds=0)
        except OutsideError as error:
            if error.code in FATAL:
                raise
            if error.code != PROCESS_TIMED_OUT:
                return True, _located(error, self.site, name)
            if self.site.clock.monotonic() < run.until:
                return False, None
            await engine.stop(container)
            seconds = run.service.gate.deadline_seconds
            code, message, ended = JOB_TIMED_OUT, f"the job was stopped after {seconds:g} s", None
        detail = await engine.inspect(container)
        never_began = detail is not None and detail.container.state == "created"
        if ended == 0 and not never_began:
            return True, None
        if never_began:
            code, message = CONTAINER_NOT_STARTED, "the engine could not start the job"
        if detail is not None and detail.oom_killed:
            message += "; it used more memory than it may"
        return True, failed_container(
            code,
            message.format(code=ended),
            host=self.site.host,
            service=name,
            detail=detail,
            log_tail=await last_lines(engine, container),
        )

    async def _succeeded(self, container: str, name: str, service: Service) -> None:
        self.recorder.append(
            self.site.stream,
            JobCompleted(
                release=self.release,
                host=self.site.host,
                service=name,
                service_hash=service.hash,
                container=container,
                log_tail=await last_lines(self.site.engine, container),
            ),
        )
        await self.site.engine.remove(container)

    def _record_failure(self, container: str, name: str, *, service: Service, failure: Failure) -> None:
        self.recorder.append(
            self.site.stream,
            JobFailed(
                release=self.release,
                host=self.site.host,
                service=name,
                service_hash=service.hash,
                container=container,
                failure=failure,
            ),
        )

    async def _remove_former(self, name: str, recorded: dict[str, JobEnd], *, but: str) -> None:
        """Remove runs that ended before this one; a person's own `compose run` is in no event and stays."""
        for run in await self._runs(name):
            if run.id in recorded and run.id != but:
                await self.site.engine.remove(run.id)


def _located(error: StagecraftError, site: Site, service: str) -> Failure:
    return failure_of(error).model_copy(update={"host": site.host, "service": service})


def recorded_ends(site: Site) -> dict[str, JobEnd]:
    """How the runs of this environment's jobs ended, by container id."""
    ends: dict[str, JobEnd] = {}
    for stored in site.equipment.log.read_stream(site.stream):
        event = decode(stored)
        if isinstance(event, JobCompleted | JobFailed):
            ends[event.container] = event
    return ends


async def job_under_way(site: Site) -> bool:
    """Whether a run of ours that no event speaks of goes on."""
    found = [run for run in await look(site) if run.one_off and site.owner.owns(run)]
    going_on = [run for run in found if run.state in {"running", "restarting", "paused"}]
    recorded = recorded_ends(site) if going_on else {}
    return any(run.id not in recorded for run in going_on)


async def remove_finished(site: Site, *, jobs: frozenset[str] | None = None) -> None:
    """Remove runs that succeeded and were left by a crash; with `jobs` also failed ones of other services."""
    found = [run for run in await look(site) if run.one_off and site.owner.owns(run)]
    if not found:
        return
    recorded = recorded_ends(site)
    for run in found:
        end = recorded.get(run.id)
        unwanted = end is not None and jobs is not None and run.service not in jobs
        if isinstance(end, JobCompleted) or unwanted:
            await site.engine.remove(run.id)
