"""The course of a plan: who begins when, how many at once, and what one failure means for the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from events.catalog.service import JobCompleted, JobFailed, ServiceWithdrawn
from events.kernel.errors import OutsideError
from events.manifest import Gate, Job, Manifest, WaitCondition
from projections.converge.work import ReleaseWork, Verdict
from projections.engine.errors import engine_unreachable
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.scene import IN_PLACE, STREAM, Scene, Spec, image_id, manifest_of

SLOW, QUICK = "slow:1", "quick:1"
AT_ONCE = Gate(settle_seconds=0.0, deadline_seconds=60.0)


def after(*names: str) -> dict[str, WaitCondition]:
    return dict.fromkeys(names, "service_healthy")


def lives(scene: Scene) -> None:
    """An image that is healthy after half a minute, and one that is at once."""
    scene.have(SLOW, QUICK, "job:1", "bad:1")
    scene.engine.world.lives[image_id(SLOW)] = Life(healthy_after=30.0)
    scene.engine.world.lives[image_id(QUICK)] = Life(healthy_after=1.0)


def chains(**more: Spec) -> Manifest:
    """Two chains that have nothing to do with each other."""
    return manifest_of(
        trees=(),
        a1=Spec(image=QUICK),
        a2=Spec(image=QUICK, waits_for=after("a1")),
        b1=Spec(image=SLOW),
        b2=Spec(image=QUICK, waits_for=after("b1")),
        **more,
    )


def run(scene: Scene, manifest: Manifest, previous: Manifest | None = None, *, parallel: int = 10) -> Verdict:
    return scene.run(scene.work(manifest, previous, parallel=parallel))


def started(scene: Scene) -> dict[str, float]:
    """When each service began to run."""
    return {
        one.labels["stagecraft.service"]: one.started_at or 0.0
        for one in scene.engine.world.containers.values()
    }


def calls(scene: Scene, *names: str) -> list[str]:
    return [f"{name} {about}" for name, about in scene.engine.calls if name in names]


def test_a_chain_does_not_wait_for_another_one(scene: Scene) -> None:
    lives(scene)
    assert run(scene, chains()).status == "completed"
    assert calls(scene, "up") == ["up a1 b1", "up a2", "up b2"]
    began = started(scene)
    assert began["a2"] < 3.0
    assert began["b2"] >= 30.0


def test_one_at_a_time_is_one_after_the_other_in_order(scene: Scene) -> None:
    lives(scene)
    assert run(scene, chains(), parallel=1).status == "completed"
    assert calls(scene, "up") == ["up a1", "up a2", "up b1", "up b2"]


def test_a_place_that_is_free_is_taken_at_once(scene: Scene) -> None:
    lives(scene)
    specs = {name: Spec(image=SLOW if name == "a" else QUICK) for name in "abcd"}
    assert run(scene, manifest_of(trees=(), **specs), parallel=2).status == "completed"
    assert calls(scene, "up") == ["up a b", "up c", "up d"]
    assert started(scene)["d"] < 5.0


def test_the_same_verdicts_lead_to_the_same_calls(tmp_path_factory: pytest.TempPathFactory) -> None:
    found: list[list[tuple[str, str]]] = []
    for _ in range(2):
        scene = Scene(root=tmp_path_factory.mktemp("scene"))
        lives(scene)
        scene.have("web:1")
        run(scene, chains(migrate=Spec(image=QUICK, job=Job())), parallel=3)
        found.append(scene.engine.calls)
    assert found[0] == found[1]


def test_jobs_that_wait_for_nobody_run_side_by_side(scene: Scene) -> None:
    lives(scene)
    scene.engine.world.lives[image_id("job:1")] = Life(exits_after=10.0)
    jobs = {
        name: Spec(image="job:1", job=Job(), gate=AT_ONCE, more={"environment": {"X": name}})
        for name in ("j1", "j2", "j3")
    }
    began = scene.clock.monotonic()
    assert run(scene, manifest_of(trees=(), web=Spec(image=QUICK), **jobs), parallel=4).status == "completed"
    assert scene.clock.monotonic() - began < 15.0
    assert sum(isinstance(one, JobCompleted) for one in scene.events(STREAM)) == 3
    again = Scene(root=scene.root / "again")
    lives(again)
    again.engine.world.lives[image_id("job:1")] = Life(exits_after=10.0)
    run(again, manifest_of(trees=(), web=Spec(image=QUICK), **jobs), parallel=1)
    assert again.clock.monotonic() >= 30.0


def test_roles_order_what_says_nothing(scene: Scene) -> None:
    lives(scene)
    manifest = manifest_of(
        edge=Spec(image=QUICK, role="gateway"), web=Spec(image=QUICK), db=Spec(image=QUICK, role="db")
    )
    assert run(scene, manifest).status == "completed"
    assert calls(scene, "up") == ["up db", "up web", "up edge"]


def test_the_first_failure_ends_all_beginnings_and_no_wait_is_waited_out(scene: Scene) -> None:
    lives(scene)
    scene.engine.world.lives[image_id("bad:1")] = Life(exits_after=2.0, exit_code=3)
    verdict = run(scene, chains(c=Spec(image="bad:1")))
    assert verdict.failure is not None
    assert (verdict.status, verdict.failure.service) == ("failed", "c")
    assert scene.clock.monotonic() < 5.0, "the slow one was not waited for"
    assert calls(scene, "up") == ["up a1 b1 c", "up a2"]


def test_new_ones_of_all_waves_go_again_and_what_was_exchanged_comes_back(scene: Scene) -> None:
    lives(scene)
    scene.have("quick:2", "bad:2")
    for name, life in {
        "quick:2": Life(healthy_after=1.0),
        "bad:2": Life(exits_after=9.0, exit_code=3),
    }.items():
        scene.engine.world.lives[image_id(name)] = life
    former = manifest_of(
        a1=Spec(image=QUICK), a2=Spec(image=QUICK, waits_for=after("a1")), c=Spec(image=QUICK)
    )
    wanted = manifest_of(
        a1=Spec(image="quick:2"),
        a2=Spec(image="quick:2", waits_for=after("a1"), more=IN_PLACE),
        c=Spec(image="bad:2", gate=Gate(settle_seconds=20.0, deadline_seconds=60.0)),
    )
    assert run(scene, former).status == "completed"
    kept = scene.engine.world.ids("c")
    verdict = run(scene, wanted, former)
    assert verdict.status == "rolled_back"
    withdrawn = [one for one in scene.of_release(verdict.release) if isinstance(one, ServiceWithdrawn)]
    assert [one.service for one in withdrawn] == ["c"], "a1 had been exchanged for the one that waited for it"
    assert scene.engine.world.ids("c") == kept
    assert {one.image for one in scene.engine.world.containers.values()} == {image_id(QUICK)}


def test_a_job_that_runs_when_another_service_fails_goes_on_to_its_end(scene: Scene) -> None:
    lives(scene)
    scene.engine.world.lives[image_id("bad:1")] = Life(exits_after=1.0, exit_code=3)
    scene.engine.world.lives[image_id("job:1")] = Life(exits_after=10.0)
    verdict = run(scene, manifest_of(c=Spec(image="bad:1"), j=Spec(image="job:1", job=Job(), gate=AT_ONCE)))
    assert verdict.failure is not None
    assert verdict.failure.service == "c"
    assert [one.service for one in scene.events(STREAM) if isinstance(one, JobCompleted)] == ["j"]
    assert scene.clock.monotonic() >= 10.0


def test_of_two_failures_the_first_is_the_reason_and_both_are_on_record(scene: Scene) -> None:
    lives(scene)
    scene.engine.world.lives[image_id("bad:1")] = Life(exits_after=1.0, exit_code=3)
    scene.engine.world.lives[image_id("job:1")] = Life(exits_after=100_000.0)
    verdict = run(scene, manifest_of(c=Spec(image="bad:1"), j=Spec(image="job:1", job=Job(), gate=AT_ONCE)))
    assert verdict.failure is not None
    assert verdict.failure.service == "c"
    (failed,) = [one for one in scene.events(STREAM) if isinstance(one, JobFailed)]
    assert failed.failure.code == "job-timed-out"
    assert scene.clock.monotonic() < 100.0


def test_an_engine_that_is_lost_ends_everything_at_once(scene: Scene) -> None:
    lives(scene)
    work: ReleaseWork = scene.work(chains(), parallel=10)
    scene.engine.before = losing_at(scene, inspections=5)
    with pytest.raises(OutsideError, match="engine-unreachable"):
        scene.run(work)
    scene.engine.before = None
    again = scene.work(work.manifest, release=work.release, started=True)
    assert scene.run(again).status == "completed"
    assert sorted(started(scene)) == ["a1", "a2", "b1", "b2"]


def losing_at(scene: Scene, *, inspections: int) -> Callable[[str, str], None]:
    """The engine is gone when so many containers have been looked at."""

    def before(name: str, _argument: str) -> None:
        if name == "inspect" and scene.engine.count("inspect") > inspections:
            raise engine_unreachable("simulated", "gone")

    return before
