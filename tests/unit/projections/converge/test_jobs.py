"""One-shot services."""

from __future__ import annotations

import asyncio

import pytest

from events.catalog.service import JobCompleted, JobFailed
from events.kernel.errors import OutsideError
from events.manifest import Gate, Job
from projections.converge.failures import ServiceFailedError
from projections.converge.jobs import JobRunner, remove_finished
from projections.converge.materialise import app_for
from projections.engine.errors import engine_unreachable
from projections.engine.simulated_world import ENDS_WELL, ONE_OFF, Life
from tests.unit.projections.converge.scene import (
    HOST,
    LINEAGE,
    STREAM,
    Scene,
    Spec,
    identity_labels,
    image_id,
    manifest_of,
)

GATE = Gate(settle_seconds=2.0, deadline_seconds=20.0)
MANIFEST = manifest_of(migrate=Spec(image="job:1", job=Job(), gate=GATE))
SERVICE = MANIFEST.hosts[HOST].services["migrate"]


def run(scene: Scene, *, release: str = "rel-1") -> None:
    app = app_for(MANIFEST, HOST, root=scene.root, lineage=LINEAGE)
    runner = JobRunner(site=scene.site, app=app, recorder=scene.recorder(), release=release)
    asyncio.run(runner.run("migrate", SERVICE))


def fails(scene: Scene, *, release: str = "rel-1") -> ServiceFailedError:
    with pytest.raises(ServiceFailedError) as raised:
        run(scene, release=release)
    return raised.value


def runs(scene: Scene) -> list[str]:
    return [one.id for one in scene.engine.world.containers.values() if one.labels.get(ONE_OFF) == "True"]


def left_behind(scene: Scene, *, life: Life = ENDS_WELL, started: bool = True) -> str:
    """A run of the job that a killed controller left."""
    found = {**identity_labels("hello", "prod", "migrate", service_hash=SERVICE.hash), ONE_OFF: "True"}
    return scene.engine.add(
        "hello-prod-migrate-run-x", image=image_id("job:1"), found=found, life=life, started=started
    )


def lives(scene: Scene, life: Life) -> None:
    scene.engine.world.lives[image_id("job:1")] = life


def test_success_is_recorded_and_its_container_goes(scene: Scene) -> None:
    lives(scene, Life(exits_after=3.0, log=("migrated",)))
    run(scene)
    (end,) = scene.events(STREAM)
    assert isinstance(end, JobCompleted)
    assert (end.release, end.host, end.service, end.service_hash) == ("rel-1", HOST, "migrate", SERVICE.hash)
    assert end.log_tail == ("migrated",)
    assert runs(scene) == []
    assert scene.engine.calls.index(("remove", end.container)) > scene.engine.calls.index(
        ("logs", end.container)
    )


def test_failure_is_recorded_and_its_container_stays(scene: Scene) -> None:
    lives(scene, Life(exits_after=1.0, exit_code=4, log=("no such table",)))
    error = fails(scene)
    (end,) = scene.events(STREAM)
    assert isinstance(end, JobFailed)
    assert end.failure == error.failure
    assert (end.failure.code, end.failure.exit_code, end.failure.cause) == ("job-failed", 4, "repository")
    assert end.failure.log_tail == ("no such table",)
    assert "no such table" in error.why
    assert runs(scene) == [end.container]


def test_only_the_newest_failure_is_kept(scene: Scene) -> None:
    lives(scene, Life(exits_after=0.0, exit_code=4))
    fails(scene, release="rel-1")
    fails(scene, release="rel-2")
    ends = [event for event in scene.events(STREAM) if isinstance(event, JobFailed)]
    assert runs(scene) == [ends[-1].container]
    lives(scene, ENDS_WELL)
    run(scene, release="rel-3")
    assert runs(scene) == []


def test_deadline_stops_it(scene: Scene) -> None:
    lives(scene, Life())
    error = fails(scene)
    assert error.code == "job-timed-out"
    assert scene.clock.monotonic() == pytest.approx(20.0)
    assert scene.engine.count("stop") == 1
    assert len(runs(scene)) == 1


def test_out_of_memory_is_said(scene: Scene) -> None:
    lives(scene, Life(exits_after=0.0, exit_code=137, oom_killed=True))
    assert "memory" in fails(scene).message


def test_one_that_cannot_be_started_says_why(scene: Scene) -> None:
    lives(scene, Life(start_error="OCI runtime create failed: exec: no such file"))
    error = fails(scene)
    assert (error.code, error.failure.exit_code) == ("container-not-started", None)
    assert "no such file" in error.why


def test_a_run_that_is_still_going_is_waited_for_and_not_repeated(scene: Scene) -> None:
    left = left_behind(scene, life=Life(exits_after=5.0))
    run(scene)
    assert scene.engine.count("run_job") == 0
    (end,) = scene.events(STREAM)
    assert isinstance(end, JobCompleted)
    assert end.container == left


def test_a_run_that_ended_without_a_record_is_read(scene: Scene) -> None:
    left_behind(scene, life=Life(exits_after=0.0, exit_code=9))
    assert fails(scene).failure.exit_code == 9
    assert scene.engine.count("run_job") == 0


def test_a_run_that_never_began_is_made_anew(scene: Scene) -> None:
    lives(scene, ENDS_WELL)
    left = left_behind(scene, started=False)
    run(scene)
    assert scene.engine.count("run_job") == 1
    assert left not in scene.engine.world.containers


def test_the_failure_of_this_release_is_not_tried_again(scene: Scene) -> None:
    lives(scene, Life(exits_after=0.0, exit_code=4))
    first = fails(scene)
    assert fails(scene).failure == first.failure
    assert scene.engine.count("run_job") == 1
    assert scene.types(STREAM) == ["JobFailed"]


def test_a_persons_own_run_is_neither_taken_up_nor_removed_when_it_is_another_hash(scene: Scene) -> None:
    lives(scene, ENDS_WELL)
    found = {**identity_labels("hello", "prod", "migrate", service_hash="other"), ONE_OFF: "True"}
    own = scene.engine.add("by-hand", found=found)
    run(scene)
    assert runs(scene) == [own]


def test_what_compose_cannot_start_is_told_apart(scene: Scene) -> None:
    del scene.engine.world.images["job:1"]
    with pytest.raises(OutsideError, match="compose-failed") as raised:
        run(scene)
    assert raised.value.where.service == "migrate"
    assert scene.types(STREAM) == []


@pytest.mark.parametrize("call", ["run_job", "wait"])
def test_a_lost_engine_leaves_no_record(scene: Scene, call: str) -> None:
    def lose(name: str, _argument: str) -> None:
        if name == call:
            raise engine_unreachable("simulated", "gone")

    scene.engine.before = lose
    with pytest.raises(OutsideError, match="engine-unreachable"):
        run(scene)
    assert scene.types(STREAM) == []


def test_a_container_removed_meanwhile_is_an_outside_failure(scene: Scene) -> None:
    lives(scene, Life())

    def remove(name: str, argument: str) -> None:
        if name == "wait":
            scene.engine.world.containers.pop(argument)

    scene.engine.before = remove
    failure = fails(scene).failure
    assert (failure.code, failure.cause, failure.service) == ("engine-refused", "outside", "migrate")
    assert scene.types(STREAM) == ["JobFailed"]


def test_finished_runs_are_removed_by_what_the_log_says(scene: Scene) -> None:
    lives(scene, Life(exits_after=0.0, exit_code=4))
    fails(scene)
    unknown = left_behind(scene)
    asyncio.run(remove_finished(scene.site))
    assert len(runs(scene)) == 2
    asyncio.run(remove_finished(scene.site, jobs=frozenset({"migrate"})))
    assert len(runs(scene)) == 2
    asyncio.run(remove_finished(scene.site, jobs=frozenset()))
    assert runs(scene) == [unknown]
