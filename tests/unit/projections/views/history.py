"""Writes the history of environments into a log, one sentence a method, for tests of views and commands."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from events.catalog import Event, Failure
from events.catalog.drift import BreakerClosed, BreakerOpened
from events.catalog.environment import (
    DeployDeferred,
    DeployRequested,
    DeploySkipped,
    EnvironmentHeld,
    EnvironmentResumed,
    EnvironmentSuspended,
    HoldCleared,
    ManifestRendered,
    RenderFailed,
    RevertDetected,
    RollbackRequested,
)
from events.catalog.release import (
    PhaseCompleted,
    PhaseFailed,
    PhaseSkipped,
    PhaseStarted,
    ReleaseCompleted,
    ReleaseFailed,
    ReleaseRolledBack,
    ReleaseStarted,
    ReleaseSuperseded,
    TrafficProof,
    completed_on,
)
from events.catalog.revision import RevisionObserved
from events.catalog.running import ServiceStarted, ServiceStopped
from events.catalog.service import JobCompleted, ServiceReplaced
from events.envelope import Actor
from events.log import EventLog
from events.manifest import ImagePin
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.streams import environment_stream, release_stream, repository_stream
from projections.runner import View, catch_up
from projections.view_store import ViewStore
from tests.support.time import CountingIds, FakeClock

PERSON = Actor(kind="cli", id="act-1")
FAILURE = Failure(code="service-exited", message="web exited", cause="repository", service="web", exit_code=3)


def digest(name: str) -> str:
    """A digest made of a short name: `sha256:` and the name padded with zeros."""
    return f"sha256:{name.encode().hex():0<64}"


class History:
    """Appends what would have happened; the clock moves a second with each event."""

    def __init__(
        self, log: EventLog | None = None, *, project: str = "shop", environment: str = "prod"
    ) -> None:
        self.log: EventLog = MemoryEventLog() if log is None else log
        self.clock = FakeClock()
        self.ids = CountingIds()
        self.actor = PERSON
        self.project = project
        self.environment = environment

    def append(self, stream: str, *events: Event) -> None:
        """Append events by a person, all at once."""
        recorder = Recorder(log=self.log, ids=self.ids, clock=self.clock, actor=self.actor)
        named = {"environment": environment_stream(self.project, self.environment)}
        recorder.append(named.get(stream) or release_stream(stream), *events)
        self.clock.advance(1)

    def observed(self, revision: str, *affected: str) -> None:
        event = RevisionObserved(
            ref="refs/heads/main",
            revision=revision,
            previous=None,
            tree="t",
            author="act-2",
            subject="a change",
            affected=affected,
        )
        recorder = Recorder(log=self.log, ids=self.ids, clock=self.clock, actor=self.actor)
        recorder.append(repository_stream("shop"), event)
        self.clock.advance(1)

    def ended(self, verdict: ReleaseCompleted | ReleaseFailed | ReleaseRolledBack) -> None:
        """A verdict as it is given."""
        self.append("environment", verdict)

    def rendered(self, name: str, *, revision: str = "c1", **services: str) -> None:
        """A Manifest `name` with `service=hash` pairs on the host `local`."""
        self.append(
            "environment",
            ManifestRendered(
                digest=digest(name),
                revision=revision,
                version=revision,
                render_key="k",
                inputs={},
                renderer="r",
                services={"local": services or {"web": "h1"}},
                images={
                    service: ImagePin(ref=f"{service}:1", pin=digest(service), pin_kind="repo-digest")
                    for service in services or {"web": "h1"}
                },
            ),
        )

    def breaker_opened(self) -> None:
        until = self.clock.now() + timedelta(minutes=5)
        self.append("environment", BreakerOpened(attempts=5, until=until, reason="it ends"))

    def breaker_closed(self) -> None:
        self.append("environment", BreakerClosed(reason="cool-down"))

    def render_failed(self, revision: str) -> None:
        self.append("environment", RenderFailed(revision=revision, failure=FAILURE))

    def requested(
        self,
        name: str,
        *,
        revision: str | None = "c1",
        by_person: bool = False,
        previous: str | None = None,
        retry_of: str | None = None,
        scope: tuple[str, ...] = (),
    ) -> str:
        release = self.ids.release_id()
        self.append(
            "environment",
            DeployRequested(
                release=release,
                digest=digest(name),
                version=revision or name,
                revision=revision,
                previous=previous,
                trigger="person" if by_person else "git",
                retry_of=retry_of,
                scope=scope,
            ),
        )
        return release

    def reverted(self, name: str, *, revision: str, previous: str | None, reverts: str | None) -> str:
        release = self.ids.release_id()
        self.append(
            "environment",
            RevertDetected(
                release=release,
                digest=digest(name),
                version=name,
                revision=revision,
                previous=previous,
                reverts=reverts,
            ),
        )
        return release

    def rollback(self, name: str, *, target: str, previous: str | None) -> str:
        release = self.ids.release_id()
        self.append(
            "environment",
            RollbackRequested(
                release=release,
                digest=digest(name),
                version=name,
                revision="c0",
                previous=previous,
                target=target,
                reverts=previous,
                reason="it was slow",
            ),
        )
        return release

    def started(self, release: str, name: str = "a") -> None:
        self.append("environment", ReleaseStarted(release=release, digest=digest(name)))

    def completed(self, release: str, name: str = "a", *, traffic: TrafficProof | None = None) -> None:
        self.append(
            "environment",
            ReleaseCompleted(
                release=release,
                digest=digest(name),
                hosts=completed_on(["local"], digest(name)),
                traffic=traffic,
            ),
        )

    def failed(self, release: str, name: str = "a") -> None:
        self.append("environment", ReleaseFailed(release=release, digest=digest(name), failure=FAILURE))

    def rolled_back(self, release: str, name: str, *, restored: str) -> None:
        self.append(
            "environment",
            ReleaseRolledBack(
                release=release, digest=digest(name), restored=digest(restored), failure=FAILURE
            ),
        )

    def superseded(self, release: str, *, by: str) -> None:
        self.append("environment", ReleaseSuperseded(release=release, by=by))

    def deployed(
        self,
        name: str,
        *,
        revision: str = "c1",
        previous: str | None = None,
        traffic: TrafficProof | None = None,
        **services: str,
    ) -> str:
        """Rendered, requested, started and completed; `services` have these hashes."""
        self.rendered(name, revision=revision, **services)
        release = self.requested(name, revision=revision, previous=previous)
        self.started(release, name)
        self.completed(release, name, traffic=traffic)
        return release

    def skipped(self, name: str, *, revision: str | None) -> None:
        self.append(
            "environment",
            DeploySkipped(reason="already-deployed", digest=digest(name), revision=revision),
        )

    def deferred(self, name: str, *, revision: str | None) -> None:
        self.append("environment", DeployDeferred(rule="held", digest=digest(name), revision=revision))

    def held(self, name: str, *bad: str) -> None:
        self.append(
            "environment",
            EnvironmentHeld(
                target=digest(name),
                bad=tuple(digest(one) for one in bad),
                clears="fixed" if bad else "manual",
                reason="it was slow",
            ),
        )

    def cleared(self, reason: str, *, revision: str | None = None) -> None:
        self.append("environment", HoldCleared.model_validate({"reason": reason, "revision": revision}))

    def suspended(self) -> None:
        self.append("environment", EnvironmentSuspended(reason="moving"))

    def resumed(self) -> None:
        self.append("environment", EnvironmentResumed())

    def stopped(self, service: str, service_hash: str, *, reason: str = "moving") -> None:
        self.append(
            "environment", ServiceStopped(service=service, hashes={"local": service_hash}, reason=reason)
        )

    def started_again(self, service: str) -> None:
        self.append("environment", ServiceStarted(service=service))

    def job_completed(self, release: str, service: str, service_hash: str) -> None:
        self.append(
            "environment",
            JobCompleted(
                release=release, host="local", service=service, service_hash=service_hash, container="c" * 64
            ),
        )

    def replaced(self, release: str, service: str, *, new: str) -> None:
        self.append(
            release,
            ServiceReplaced(host="local", service=service, old_ids=(), new_ids=(new,), reason="new"),
        )

    def phase_started(self, release: str, phase: str) -> None:
        self.append(release, PhaseStarted.model_validate({"phase": phase}))

    def phase_completed(self, release: str, phase: str, detail: str = "no-op") -> None:
        self.append(release, PhaseCompleted.model_validate({"phase": phase, "detail": detail}))

    def phase_failed(self, release: str, phase: str) -> None:
        self.append(release, PhaseFailed.model_validate({"phase": phase, "failure": FAILURE}))

    def phase_skipped(self, release: str, phase: str, reason: str) -> None:
        self.append(release, PhaseSkipped.model_validate({"phase": phase, "reason": reason}))


@contextmanager
def folded(log: EventLog, path: Path, *views: View) -> Generator[sqlite3.Connection]:
    """The tables of `views` at the log's head."""
    store = ViewStore(path, lineage=log.lineage)
    try:
        for view in views:
            catch_up(log, store, view)
        with store.reading() as tables:
            yield tables
    finally:
        store.close()


def rows(tables: sqlite3.Connection, views: Sequence[View]) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the tables of `views`, in one order."""
    names = [name for view in views for name in view.tables]
    return {
        name: sorted((tuple(row) for row in tables.execute(f'SELECT * FROM "{name}"')), key=repr)  # noqa: S608  # names are ours
        for name in names
    }
