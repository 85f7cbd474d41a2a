"""What must be so in the end of a story, whatever happened before."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from controller.decide.folding import fold
from controller.decide.state import EnvironmentState
from controller.holders import holder_of
from controller.locks import lock_file
from events.catalog.environment import EnvironmentHeld
from events.sqlite import SqliteEventLog
from events.streams import environment_stream
from projections.converge.fence import Mark, decode_mark
from projections.engine.simulated_world import COMPOSE_SERVICE, World, opened
from projections.kept import KeptContainers
from tests.crash.player import Stage
from tests.crash.prepared import image_id
from tests.crash.same_views import check_views
from tests.crash.stories import Story

VERDICTS = {"ReleaseCompleted", "ReleaseFailed", "ReleaseRolledBack", "ReleaseSuperseded"}


@dataclass(frozen=True, slots=True)
class End:
    """What is so when all is over."""

    stage: Stage
    state: EnvironmentState
    types: list[str]

    def requested(self) -> int:
        """How many Releases were ever asked for."""
        return len(self.state.releases)


def end_of(stage: Stage) -> End:
    """Read the log as it is now."""
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        stored = log.read()
        stream = environment_stream(stage.project, "prod")
        return End(stage, fold(log.read_stream(stream)), [one.type for one in stored])


def check(story: Story, stage: Stage, *, releases: int) -> None:
    """Every promise, whatever happened before. `releases`: how many must have been asked for."""
    end = end_of(stage)
    newest = list(end.state.releases.values())[-1]
    assert newest.status == story.status
    assert end.requested() == releases, "a Release was asked for twice, or never"
    with opened(stage.world) as world:
        check_containers(story, world)
        if story.told:
            check_told(story, stage, world)
        story.check_more(stage, world)
    check_log(stage, end)
    check_kept(stage)
    check_lock(stage)
    check_fence(stage)
    check_views(stage)


def check_kept(stage: Stage) -> None:
    """What the events name is there, whole, and nothing half-written beside it."""
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        verdicts = [json.loads(one.data) for one in log.read() if one.type in VERDICTS]
    named = {place for one in verdicts if (place := one.get("failure", {}).get("kept"))}
    kept = KeptContainers(stage.home.kept)
    assert {stage.home.root / place for place in named} <= set(kept.root.glob("*/*/*.json"))
    for one in verdicts:
        if one.get("failure", {}).get("container"):
            assert list(kept.of_release(str(one["release"]))), "nothing is kept of what failed"


def check_containers(story: Story, world: World) -> None:
    """Each service once, under its own name, in the version that it should have; nothing else."""
    services = Counter(one.labels[COMPOSE_SERVICE] for one in world.containers.values())
    assert services == dict.fromkeys(story.services, 1)
    if not story.services:
        assert (world.networks, world.volumes) == ({}, {})
        return
    assert {one.name for one in world.containers.values()} == {f"shop-prod-{one}-1" for one in story.services}
    (web,) = world.replicas("web")
    assert web.image_id == image_id(story.shows)
    assert [one.image_id for one in world.replicas("api")] == [image_id(one) for one in (story.api,) if one]
    now = max((one.started_at or 0.0) for one in world.containers.values()) + 3600
    for one in world.containers.values():
        down = story.stopped or one.labels[COMPOSE_SERVICE] in story.down
        assert world.moment(one, now).state == ("exited" if down else "running")


def check_told(story: Story, stage: Stage, world: World) -> None:
    """The container is the first there ever was, sees the file, and was told; twice over a crash at most."""
    (web,) = world.replicas("web")
    assert world.made == len(story.services)
    assert web.signals in (["SIGHUP"], ["SIGHUP", "SIGHUP"])
    (file,) = (stage.home.local / "apps" / stage.project / "prod/reload/web").glob("*/app.conf")
    assert file.read_text() == story.told


def check_log(stage: Stage, end: End) -> None:
    """Dense positions and versions, one verdict for each Release, one hold for each failure."""
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        stored = log.read()
        assert [one.position for one in stored] == list(range(1, len(stored) + 1))
        for stream in log.streams():
            versions = [one.version for one in log.read_stream(stream)]
            assert versions == list(range(1, len(versions) + 1))
    verdicts = Counter(_release_of(one.data) for one in stored if one.type in VERDICTS)
    assert verdicts == dict.fromkeys(end.state.releases, 1)
    assert max(Counter(_release_of(one.data) for one in stored if one.type == "ReleaseStarted").values()) == 1
    jobs = [one.data for one in stored if one.type == "JobCompleted"]
    assert len(jobs) == len(set(jobs)), "a job was recorded twice"
    held = [one for one in stored if one.type == EnvironmentHeld.__name__]
    asked = end.types.count("RollbackRequested") + end.types.count("ReleaseRolledBack")
    by_hand = sum(b"by hand" in one.data for one in held)
    assert len(held) - by_hand == asked, end.types
    phases = [(one.type, one.data, one.stream) for one in stored if one.type.startswith("Phase")]
    assert len(phases) == len(set(phases)), "a phase was recorded twice"


def _release_of(data: bytes) -> str:
    found: dict[str, Any] = json.loads(data)
    return str(found["release"])


def check_lock(stage: Stage) -> None:
    """Nobody holds it."""
    assert holder_of(lock_file(stage.home.run, str(stage.target))) is None


def check_fence(stage: Stage) -> None:
    """It is whole, ours, and not above the newest token."""
    path = stage.home.local / "apps" / stage.project / "prod" / "fence"
    mark = decode_mark(path.read_bytes())
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        newest = log.newest_token(str(stage.target))
        assert mark is not None
        assert mark == Mark(lineage=log.lineage, token=mark.token)
        assert 0 < mark.token <= newest
    leftovers = [one.name for one in path.parent.iterdir() if one.name.startswith(".fence")]
    assert len(leftovers) <= 1  # of a process that was killed while it wrote
