"""One environment's stream, written event by event, for tests of decisions."""

from __future__ import annotations

from datetime import timedelta

from controller.decide.by_hand import decide_person
from controller.decide.deploy import Candidate, decide_git
from controller.decide.folding import fold
from controller.decide.rollback import RollbackTarget, decide_rollback, find_target
from controller.decide.state import EnvironmentState
from events.catalog import Event, Failure, FailureCause, propose
from events.catalog.environment import (
    DeployRequested,
    EnvironmentHeld,
    ManifestRendered,
    RevertDetected,
    RollbackRequested,
)
from events.catalog.release import (
    ReleaseCompleted,
    ReleaseFailed,
    ReleaseRolledBack,
    ReleaseStarted,
    ReleaseSuperseded,
    completed_on,
)
from events.envelope import CONTROLLER, StoredEvent
from events.streams import environment_stream
from tests.support.time import CountingIds, FakeClock

STREAM = environment_stream("hello", "prod")
REQUESTS = (DeployRequested, RevertDetected, RollbackRequested)


def failure(cause: FailureCause = "repository", code: str = "service-exited") -> Failure:
    return Failure(code=code, message="it went wrong", cause=cause)


class Story:
    """Plays the controller: renders, looks, runs Releases, and keeps the stream."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ids = CountingIds()
        self.stored: list[StoredEvent] = []
        self._folded = EnvironmentState()

    @property
    def state(self) -> EnvironmentState:
        """Folded as far as it was before, so that a long story is not folded from its beginning each time."""
        self._folded = fold(self.stored[self._folded.version :], self._folded)
        return self._folded

    @property
    def types(self) -> list[str]:
        return [one.type for one in self.stored]

    def append(self, *events: Event) -> None:
        for event in events:
            proposed = propose(event, ids=self.ids, clock=self.clock, actor=CONTROLLER)
            position = len(self.stored) + 1
            self.stored.append(
                StoredEvent(
                    position=position,
                    stream=STREAM,
                    version=position,
                    id=proposed.id,
                    type=proposed.type,
                    schema=proposed.schema,
                    time=proposed.time,
                    actor=proposed.actor,
                    correlation=proposed.correlation,
                    causation=proposed.causation,
                    data=proposed.data,
                )
            )
            self.clock.advance(1)

    def rendered(self, revision: str, **services: str) -> Candidate:
        """Record the render of a commit; the digest follows from the services, as in life."""
        digest = "sha256:" + "-".join(f"{name}={value}" for name, value in sorted(services.items()))
        if self.state.render_of(digest) is None:
            self.append(
                ManifestRendered(
                    digest=digest,
                    revision=revision,
                    version=revision,
                    render_key=f"key-{revision}",
                    inputs={"stagecraft.yml": revision},
                    renderer="test",
                    services={"local": services},
                    images={},
                )
            )
        return Candidate(digest=digest, services={"local": services}, revision=revision, version=revision)

    def look(self, revision: str, **services: str) -> tuple[str, ...]:
        """Git shows these services; answers the types of the events that were decided."""
        return self.look_at(self.rendered(revision, **services))

    def look_at(self, candidate: Candidate) -> tuple[str, ...]:
        decided = decide_git(self.state, candidate, release_id=self.ids.release_id(), now=self.clock.now())
        self.append(*decided)
        return tuple(type(one).__name__ for one in decided)

    def person_deploys(self, revision: str, **services: str) -> tuple[str, ...]:
        candidate = self.rendered(revision, **services)
        decided = decide_person(self.state, candidate, release_id=self.ids.release_id())
        self.append(*decided)
        return tuple(type(one).__name__ for one in decided)

    def person_rolls_back(self, target: RollbackTarget | None = None) -> None:
        found = find_target(self.state, target or RollbackTarget(to_previous=True))
        self.append(*decide_rollback(self.state, found, release_id=self.ids.release_id(), reason=""))

    def begins(self) -> str:
        """A controller begins to work on the active Release."""
        release, digest = self._active()
        self.append(ReleaseStarted(release=release, digest=digest))
        return release

    def makes_way(self, release: str) -> None:
        """The wait of a Release that was begun ends for the active one."""
        self.append(ReleaseSuperseded(release=release, by=self._active()[0]))

    def completes(self) -> str:
        """The active Release reaches its Manifest."""
        release = self._active()
        self.append(
            ReleaseStarted(release=release[0], digest=release[1]),
            ReleaseCompleted(
                release=release[0], digest=release[1], hosts=completed_on(["local"], release[1])
            ),
        )
        return release[0]

    def rolls_back(self, cause: FailureCause = "repository") -> str:
        """The active Release fails and the former Manifest is brought back, with the controller's hold."""
        release, digest = self._active()
        state = self.state
        assert state.deployed_digest is not None
        bad = {digest} | (frozenset[str]() if state.hold is None else state.hold.bad)
        self.append(
            ReleaseStarted(release=release, digest=digest),
            ReleaseRolledBack(
                release=release, digest=digest, restored=state.deployed_digest, failure=failure(cause)
            ),
            EnvironmentHeld(
                target=state.deployed_digest,
                bad=tuple(sorted(bad - {state.deployed_digest})),
                clears="fixed",
                reason="it failed",
            ),
        )
        return release

    def fails(self, cause: FailureCause = "repository") -> str:
        """The active Release fails with nothing to go back to."""
        release, digest = self._active()
        self.append(
            ReleaseStarted(release=release, digest=digest),
            ReleaseFailed(release=release, digest=digest, failure=failure(cause)),
        )
        return release

    def deploys(self, revision: str, **services: str) -> str:
        """Git shows these services and their Release completes."""
        self.look(revision, **services)
        return self.completes()

    def later(self, **timespan: float) -> None:
        self.clock.advance(timedelta(**timespan).total_seconds())

    def _active(self) -> tuple[str, str]:
        active = self.state.active
        assert active is not None
        return active.id, active.digest
