"""An environment whose stream is made by hand, for tests of decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from controller.decide.folding import fold
from controller.decide.state import EnvironmentState
from events.catalog import Event, propose
from events.catalog.environment import DeployRequested, ManifestRendered
from events.catalog.release import ReleaseCompleted, ReleaseFailed, ReleaseStarted, completed_on
from events.catalog.watch import WatchBegun
from events.envelope import CONTROLLER, StoredEvent
from events.log import StreamAppend
from events.manifest import Manifest
from events.memory import MemoryEventLog
from events.streams import environment_stream
from tests.support.time import CountingIds, FakeClock
from tests.unit.projections.converge.scene import HOST


class Story:
    """An environment whose stream is made by hand."""

    def __init__(self) -> None:
        self.log, self.ids, self.clock = MemoryEventLog(), CountingIds(), FakeClock()

    def say(self, *events: Event) -> None:
        made = (propose(one, ids=self.ids, clock=self.clock, actor=CONTROLLER) for one in events)
        stream = environment_stream("hello", "prod")
        self.log.append([StreamAppend(stream=stream, events=tuple(made))])

    def deploy(
        self, manifest: Manifest, *, fails: bool = False, watched: float = 0.0, scope: tuple[str, ...] = ()
    ) -> str:
        """A Release of a Manifest; with `watched` what it changed is watched for so many seconds."""
        release, digest = self.ids.release_id(), manifest.digest
        self.say(
            ManifestRendered(
                digest=digest,
                revision="c1",
                version="c1",
                render_key=digest,
                inputs={},
                renderer="r",
                services=manifest.service_hashes(),
                images=manifest.images(),
            ),
            DeployRequested(
                release=release,
                digest=digest,
                version="c1",
                revision="c1",
                previous=self.state.deployed,
                trigger="git",
                scope=scope,
            ),
            ReleaseStarted(release=release, digest=digest),
        )
        if fails:
            failure = {"code": "x", "message": "no", "cause": "outside"}
            self.say(ReleaseFailed.model_validate({"release": release, "digest": digest, "failure": failure}))
            return release
        done: list[Event] = [
            ReleaseCompleted(release=release, digest=digest, hosts=completed_on([HOST], digest))
        ]
        if watched:
            until = self.clock.now() + timedelta(seconds=watched)
            done.append(WatchBegun(release=release, services=("web",), until=until))
        self.say(*done)
        return release

    def finish(self) -> None:
        """The Release that waits completes."""
        waits = self.state.active
        assert waits is not None
        ended = completed_on([HOST], waits.digest)
        self.say(
            ReleaseStarted(release=waits.id, digest=waits.digest),
            ReleaseCompleted(release=waits.id, digest=waits.digest, hosts=ended),
        )

    @property
    def state(self) -> EnvironmentState:
        stored: list[StoredEvent] = self.log.read()
        return fold(stored)

    def take(self, decide: Callable[[EnvironmentState], tuple[Event, ...]]) -> tuple[Event, ...]:
        """Decide on what is so now and append what was decided."""
        decided = decide(self.state)
        if decided:
            self.say(*decided)
        return decided
