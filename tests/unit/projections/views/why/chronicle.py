"""A log as a controller writes it: real decisions about real state, with causes, and the exchanges of a host.

What is played is what Git shows and what hosts do; every decision between them is the product's own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controller.decide.by_hand import decide_person
from controller.decide.deploy import Candidate, decide_git
from controller.decide.folding import fold
from controller.decide.hold import Stop, decide_expiry, decide_hold, decide_resume, decide_suspend
from controller.decide.rollback import RollbackTarget, decide_rollback, find_target
from controller.decide.state import EnvironmentState
from events.catalog import Event, Failure
from events.catalog.drift import DriftDetected, DriftHealed
from events.catalog.environment import EnvironmentHeld, ManifestRendered
from events.catalog.release import ReleaseCompleted, ReleaseRolledBack, ReleaseStarted, completed_on
from events.catalog.revision import EnvironmentLeftOut, RevisionObserved
from events.catalog.service import ServiceReloaded, ServiceReplaced
from events.envelope import CONTROLLER, SCHEDULE, Actor
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.streams import environment_stream, release_stream, repository_stream
from projections.views.why.answer import Answer
from projections.views.why.reading import why
from projections.views.why.subjects import Place, Shown
from projections.views.why.traces import TRACES
from tests.support.time import CountingIds, FakeClock
from tests.unit.projections.views.history import folded

AUTHOR = Actor(kind="git", id="act-author")
PERSON = Actor(kind="cli", id="act-person")
REPOSITORY = repository_stream("shop")
FAILURE = Failure(
    code="service-exited",
    message="web ended",
    cause="repository",
    service="web",
    exit_code=3,
    log_tail=("starting", "no such table"),
)


def commit(name: str) -> str:
    """A commit's id, made of a short name."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Chronicle:
    """Plays the days of `shop/prod`, or of another environment."""

    folder: Path  # for the view's file
    project: str = "shop"
    name: str = "prod"
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    clock: FakeClock = field(default_factory=FakeClock)
    ids: CountingIds = field(default_factory=CountingIds)
    tag: str | None = None  # under which commits are shown; None: by the branch `main`
    _containers: int = 0
    _running: dict[str, str] = field(default_factory=dict[str, str])  # container by service
    _hashes: dict[str, str] = field(default_factory=dict[str, str])  # of what runs

    @property
    def title(self) -> str:
        return f"{self.project}/{self.name}"

    @property
    def stream(self) -> Any:  # noqa: ANN401  # a stream's name
        return environment_stream(self.project, self.name)

    @property
    def state(self) -> EnvironmentState:
        return fold(self.log.read_stream(self.stream))

    def recorder(self, actor: Actor = CONTROLLER) -> Recorder:
        self.clock.advance(1)
        return Recorder(log=self.log, ids=self.ids, clock=self.clock, actor=actor)

    def append(self, *events: Event, actor: Actor = CONTROLLER, recorder: Recorder | None = None) -> None:
        if events:
            (recorder or self.recorder(actor)).append(self.stream, *events)

    def left_out(self, name: str) -> None:
        """The environment that the commit declares belongs to a branch of another repository."""
        event = EnvironmentLeftOut(
            ref="refs/heads/main",
            revision=commit(name),
            environment=self.title,
            owner="repository-2",
            owner_ref="refs/heads/other",
        )
        self.recorder(AUTHOR).append(REPOSITORY, event)

    def observed(
        self, name: str, *, affects: bool = True, declares: bool = True, wanted: bool | None = None
    ) -> Recorder:
        """The watched branch shows the commit of that name."""
        recorder = self.recorder(AUTHOR)
        event = RevisionObserved(
            ref="refs/heads/main" if self.tag is None else "refs/tags/1.x",
            tag=self.tag,
            revision=commit(name),
            previous=None,
            tree="t",
            author=AUTHOR.id,
            subject=f"change {name}",
            affected=(self.title,) if affects else (),
            declared=(self.title,) if declares else ("shop/other",),
            wanted=None if wanted is None else (self.title,) if wanted else (),
        )
        recorder.append(REPOSITORY, event)
        return recorder

    def rendered(
        self, name: str, *, recorder: Recorder, services: dict[str, str], tree: str = ""
    ) -> Candidate:
        """The commit renders to these services; a tree that is known is not rendered again.

        `tree` tells trees apart that render to the same.
        """
        inputs: dict[str, str | None] = {"compose.yaml": json.dumps([services, tree])}
        digest = "sha256:" + hashlib.sha256(json.dumps(services, sort_keys=True).encode()).hexdigest()
        revision = commit(name)
        if inputs not in [render.inputs for render in self.state.renders]:
            rendered = ManifestRendered(
                digest=digest,
                revision=revision,
                version=revision,
                render_key=digest,
                inputs=inputs,
                renderer="test",
                services={"local": services},
                images={},
            )
            self.append(rendered, recorder=recorder)
        return Candidate(digest=digest, services={"local": services}, revision=revision, version=revision)

    def merge(
        self, name: str, *, refused: Sequence[str] = (), tree: str = "", **services: str
    ) -> tuple[str, ...]:
        """Git shows a commit with these services; answers the types of what was decided."""
        recorder = self.observed(name)
        candidate = self.rendered(name, recorder=recorder, services=services, tree=tree)
        if refused:
            candidate = replace(candidate, refused=tuple(refused))
        return self.consider(candidate, recorder=recorder)

    def consider(self, candidate: Candidate, *, recorder: Recorder) -> tuple[str, ...]:
        decided = decide_git(self.state, candidate, release_id=self.ids.release_id(), now=self.clock.now())
        self.append(*decided, recorder=recorder)
        return tuple(type(one).__name__ for one in decided)

    def deploys(self, name: str, **services: str) -> str:
        """Git shows a commit and its Release completes."""
        self.merge(name, **services)
        return self.completes()

    def completes(self) -> str:
        """The oldest Release without a verdict reaches its Manifest, one container a service that differs."""
        release = self.state.unfinished[0]
        recorder = self.recorder()
        render = self.state.render_of(release.digest)
        assert render is not None
        self.append(ReleaseStarted(release=release.id, digest=release.digest), recorder=recorder)
        wanted = dict(render.services["local"])
        for service, value in wanted.items():
            if self._hashes.get(service) != value:
                self.exchange(release.id, service, "changed", recorder=recorder)
        for service in set(self._hashes) - set(wanted):
            self.removes(release.id, service, recorder=recorder)
        self._hashes = wanted
        self.append(
            ReleaseCompleted(
                release=release.id, digest=release.digest, hosts=completed_on(["local"], release.digest)
            ),
            recorder=recorder,
        )
        return release.id

    def exchange(self, release: str, service: str, reason: str, *, recorder: Recorder) -> str:
        """A container of a service comes for the one there was."""
        self._containers += 1
        made = hashlib.sha256(str(self._containers).encode()).hexdigest()
        old = (self._running[service],) if service in self._running else ()
        self._running[service] = made
        event = ServiceReplaced(host="local", service=service, old_ids=old, new_ids=(made,), reason=reason)
        recorder.append(release_stream(release), event)
        return made

    def reloads(self, release: str, service: str) -> None:
        """A Release tells what runs of a service of changed files."""
        event = ServiceReloaded(
            host="local",
            service=service,
            containers=(self._running[service],),
            signal="SIGHUP",
            content="sha256:1",
            files=("/etc/proxy.conf",),
            reason="mounted files changed",
        )
        self.recorder().append(release_stream(release), event)

    def removes(self, release: str, service: str, *, recorder: Recorder) -> None:
        """A service's container goes."""
        old = (self._running.pop(service),)
        event = ServiceReplaced(host="local", service=service, old_ids=old, new_ids=(), reason="orphan")
        recorder.append(release_stream(release), event)

    def container(self, service: str) -> str:
        """What runs of a service."""
        return self._running[service]

    def fails(self) -> str:
        """The oldest Release without a verdict fails at `web`, and the former version is brought back."""
        release, state = self.state.unfinished[0], self.state
        assert state.deployed_digest is not None
        recorder = self.recorder()
        self.append(ReleaseStarted(release=release.id, digest=release.digest), recorder=recorder)
        self.exchange(release.id, "web", "changed", recorder=recorder)
        self.exchange(release.id, "web", "restored", recorder=recorder)
        self.append(
            ReleaseRolledBack(
                release=release.id, digest=release.digest, restored=state.deployed_digest, failure=FAILURE
            ),
            EnvironmentHeld(
                target=state.deployed_digest,
                bad=(release.digest,),
                clears="fixed",
                reason=f"{release.id} failed: web ended",
            ),
            recorder=recorder,
        )
        return release.id

    def heals(self, service: str) -> str:
        """A container is gone by nobody we know, and healed."""
        deployed = self.state.deployed
        assert deployed is not None
        recorder = self.recorder()
        self._running.pop(service)
        self.append(DriftDetected(host="local", services={service: "missing"}), recorder=recorder)
        made = self.exchange(deployed, service, "drift", recorder=recorder)
        self.append(DriftHealed(host="local", services=(service,)), recorder=recorder)
        return made

    def person_deploys(self, name: str, **services: str) -> None:
        recorder = self.recorder(PERSON)
        candidate = self.rendered(name, recorder=recorder, services=services)
        decided = decide_person(self.state, candidate, release_id=self.ids.release_id())
        self.append(*decided, recorder=recorder)

    def rollback(self, target: RollbackTarget | None = None, *, reason: str = "") -> str:
        """A person rolls back, and it completes."""
        found = find_target(self.state, target or RollbackTarget(to_previous=True))
        decided = decide_rollback(self.state, found, release_id=self.ids.release_id(), reason=reason)
        self.append(*decided, actor=PERSON)
        return self.completes()

    def hold(self, reason: str, *, until: datetime | None = None) -> None:
        self.append(*decide_hold(self.state, reason=reason, until=until), actor=PERSON)

    def suspend(self, reason: str) -> None:
        self.append(*decide_suspend(self.state, reason=reason), actor=PERSON)

    def resume(self, ends: Stop | None = None) -> None:
        self.append(*decide_resume(self.state, reason="", ends=ends), actor=PERSON)

    def expire(self) -> None:
        """What was to end by now does."""
        self.append(*decide_expiry(self.state, now=self.clock.now()), actor=SCHEDULE)

    def later(self, **timespan: float) -> None:
        self.clock.advance(timedelta(**timespan).total_seconds())

    def why(self, word: str, *, environment: Place | None = None, shown: Sequence[Shown] = ()) -> Answer:
        """The answer, from the log and the view of it."""
        path = self.folder / f"views-{self.log.head()}.db"
        with folded(self.log, path, TRACES) as tables:
            return why(self.log, tables, word, environment=environment, shown=lambda: shown)
