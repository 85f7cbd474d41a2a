"""One-shot services of a Release: when they run, and what their failure leaves alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from events.catalog.service import JobCompleted
from events.manifest import Job, WaitCondition
from projections.engine.simulated_world import ENDS_WELL, Life
from tests.unit.projections.converge.scene import (
    STREAM,
    Scene,
    Spec,
    image_id,
    manifest_of,
)

CRASHES = Life(exits_after=0.5, exit_code=3, log=("cannot open the database",))
JOB = Spec(image="job:1", job=Job())


def test_job_runs_once_for_its_hash_before_its_dependent(scene: Scene) -> None:
    scene.engine.world.lives[image_id("job:1")] = ENDS_WELL
    first = manifest_of(web=Spec(waits_for={"migrate": "service_completed_successfully"}), migrate=JOB)
    assert scene.deploy(first).status == "completed"
    order = [name for name, _ in scene.engine.calls if name in {"run_job", "up"}]
    assert order == ["run_job", "up"]
    second = manifest_of(
        web=Spec(image="web:2", waits_for={"migrate": "service_completed_successfully"}), migrate=JOB
    )
    assert scene.deploy(second, first).status == "completed"
    assert scene.engine.count("run_job") == 1
    assert sum(isinstance(e, JobCompleted) for e in scene.events(STREAM)) == 1


def test_failing_job_leaves_its_dependent_untouched(scene: Scene) -> None:
    needs: Mapping[str, WaitCondition] = {"migrate": "service_completed_successfully"}
    scene.engine.world.lives[image_id("job:1")] = ENDS_WELL
    first = manifest_of(web=Spec(waits_for=needs), migrate=JOB)
    scene.deploy(first)
    web = scene.engine.world.ids("web")
    scene.engine.world.lives[image_id("job:2")] = Life(exits_after=0.0, exit_code=4, log=("no such table",))
    second = manifest_of(
        web=Spec(image="web:2", waits_for=needs),
        migrate=Spec(image="job:2", job=Job()),
    )
    verdict = scene.deploy(second, first)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert (verdict.failure.code, verdict.failure.exit_code) == ("job-failed", 4)
    assert scene.engine.world.ids("web") == web
    assert "JobFailed" in scene.types(STREAM)
    assert scene.engine.count("run_job") == 2


@pytest.mark.parametrize(("on_rollback", "runs"), [(False, 2), (True, 3)])
def test_former_job_runs_again_on_the_way_back_only_when_it_asks(
    scene: Scene, *, on_rollback: bool, runs: int
) -> None:
    for ref in ("job:1", "job:2"):
        scene.engine.world.lives[image_id(ref)] = ENDS_WELL
    first = manifest_of(web=Spec(), migrate=Spec(image="job:1", job=Job(on_rollback=on_rollback)))
    scene.deploy(first)
    scene.engine.world.lives[image_id("web:2")] = CRASHES
    verdict = scene.deploy(
        manifest_of(web=Spec(image="web:2"), migrate=Spec(image="job:2", job=Job(on_rollback=on_rollback))),
        first,
    )
    assert verdict.status == "rolled_back"
    assert scene.engine.count("run_job") == runs


def test_rollback_runs_a_job_that_asks_for_it(scene: Scene) -> None:
    scene.engine.world.lives[image_id("job:1")] = ENDS_WELL
    first = manifest_of(web=Spec(), migrate=Spec(image="job:1", job=Job(on_rollback=True)))
    second = manifest_of(web=Spec(image="web:2"), migrate=Spec(image="job:1", job=Job(on_rollback=True)))
    scene.deploy(first)
    scene.deploy(second, first)
    assert scene.engine.count("run_job") == 1
    assert scene.deploy(first, second, kind="rollback").status == "completed"
    assert scene.engine.count("run_job") == 2


def test_a_job_that_others_wait_for_is_not_asked_whether_it_is_up(scene: Scene) -> None:
    scene.engine.world.lives[image_id("job:1")] = ENDS_WELL
    waits: Mapping[str, WaitCondition] = {"migrate": "service_completed_successfully"}
    made = manifest_of(migrate=JOB, web=Spec(waits_for=waits))
    assert scene.deploy(made).status == "completed"


def test_a_service_that_ends_well_at_once_is_told_how_to_be_a_job(scene: Scene) -> None:
    scene.engine.world.lives[image_id("web:1")] = ENDS_WELL
    verdict = scene.deploy(manifest_of(load=Spec(more={"restart": "no"})))
    assert verdict.failure is not None
    assert verdict.failure.code == "container-exited"
    assert "`services.load.job: {}`" in verdict.failure.next
