"""The way back, where it is not the usual one."""

from __future__ import annotations

import asyncio

import pytest

from events.catalog.service import ServiceReplaced
from events.kernel.errors import OutsideError
from events.manifest import Job, Manifest, WaitCondition
from projections.converge.converger import Converger
from projections.converge.work import ReleaseWork
from projections.engine.errors import engine_refused, engine_unreachable
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import ENDS_WELL, Life
from tests.unit.projections.converge.scene import HOST, IN_PLACE, STREAM, Scene, Spec, image_id, manifest_of

BAD = Life(exits_after=0.5, exit_code=3)


class TwoHosts:
    """The scene with a second host and engine."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.second = SimulatedEngine(clock=scene.clock)
        self.second.world.images.update(scene.engine.world.images)

    def deploy(self, manifest: Manifest, previous: Manifest | None = None) -> tuple[str, str]:
        equipment = self.scene.equipment
        converger = Converger(
            log=equipment.log,
            blobs=equipment.blobs,
            engines={HOST: self.scene.engine, "n2": self.second},
            roots={HOST: self.scene.root / "local", "n2": self.scene.root / "n2"},
            observed=equipment.observed,
            clock=equipment.clock,
        )
        work: ReleaseWork = self.scene.work(manifest, previous)
        verdict = asyncio.run(converger.run_release(work, recorder=self.scene.recorder()))
        return verdict.status, verdict.release


@pytest.fixture
def two(scene: Scene) -> TwoHosts:
    return TwoHosts(scene)


def on(**hosts: Manifest) -> Manifest:
    first = next(iter(hosts.values()))
    return first.model_copy(
        update={"hosts": {name.replace("_", ""): manifest.hosts[HOST] for name, manifest in hosts.items()}}
    )


def test_a_host_that_left_the_manifest_is_emptied_at_the_end(two: TwoHosts) -> None:
    both = on(local=manifest_of(web=Spec()), n2=manifest_of(db=Spec(image="db:1")))
    assert two.deploy(both)[0] == "completed"
    assert len(two.second.world.ids("db")) == 1
    assert two.deploy(on(local=manifest_of(web=Spec())), both)[0] == "completed"
    assert two.second.world.containers == {}
    seen = {one.host: one.services for one in two.scene.observed.load("hello/prod")}
    assert seen["n2"] == ()


def test_a_host_that_only_the_failed_manifest_used_is_emptied_again(two: TwoHosts) -> None:
    first = on(local=manifest_of(web=Spec()))
    two.deploy(first)
    two.second.world.lives[image_id("web:2")] = BAD
    both = on(local=manifest_of(web=Spec()), n2=manifest_of(web=Spec(image="web:2")))
    status, release = two.deploy(both, first)
    assert status == "rolled_back"
    assert two.second.world.containers == {}
    replaced = [e for e in two.scene.of_release(release) if isinstance(e, ServiceReplaced)]
    assert [(e.host, e.reason) for e in replaced] == [("n2", "new"), ("n2", "restored")]


def test_engine_lost_on_the_way_back_gives_no_verdict_and_the_next_run_goes_on(scene: Scene) -> None:
    first, second = manifest_of(web=Spec(more=IN_PLACE)), manifest_of(web=Spec(image="web:2", more=IN_PLACE))
    scene.deploy(first)
    scene.engine.world.lives[image_id("web:2")] = BAD
    times = [0]

    def lose(name: str, _argument: str) -> None:
        times[0] += name == "up"
        if times[0] == 2:
            raise engine_unreachable("simulated", "gone")

    scene.engine.before = lose
    work = scene.work(second, first)
    with pytest.raises(OutsideError, match="engine-unreachable"):
        scene.run(work)
    assert scene.types(STREAM)[-1] == "ReleaseStarted"
    scene.engine.before = None
    verdict = scene.run(scene.work(second, first, release=work.release, started=True))
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.exit_code == 3
    assert scene.types(f"release/{work.release}").count("PhaseFailed") == 1


def test_what_was_not_touched_is_not_touched_on_the_way_back(scene: Scene) -> None:
    first = manifest_of(web=Spec(), db=Spec(image="db:1"))
    scene.deploy(first)
    scene.engine.world.lives[image_id("web:2")] = BAD

    def stop_by_hand(name: str, _argument: str) -> None:
        if name == "up_beside":
            scene.engine.world.named("hello-prod-db-1").stopped = "exited"

    scene.engine.before = stop_by_hand
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1")), first)
    assert verdict.status == "rolled_back"
    assert scene.engine.count("start") == 0


def test_the_way_back_asks_compose_nothing(scene: Scene) -> None:
    first = manifest_of(web=Spec(more=IN_PLACE))
    scene.deploy(first)
    scene.engine.world.lives[image_id("web:2")] = BAD

    def ask(name: str, _argument: str) -> None:
        if name == "up":
            scene.engine.world.volume_question = "Recreate (data will be lost)?"

    scene.engine.before = ask
    second = manifest_of(web=Spec(image="web:2", more=IN_PLACE))
    assert scene.deploy(second, first).status == "rolled_back"


def test_a_job_that_asks_for_rollbacks_runs_once_in_a_rollback_that_was_interrupted(scene: Scene) -> None:
    scene.engine.world.lives[image_id("job:1")] = ENDS_WELL
    job = Spec(image="job:1", job=Job(on_rollback=True))
    needs: dict[str, WaitCondition] = {"migrate": "service_completed_successfully"}
    first = manifest_of(web=Spec(waits_for=needs), migrate=job)
    second = manifest_of(web=Spec(image="web:2", waits_for=needs), migrate=job)
    scene.deploy(first)
    scene.deploy(second, first)

    def lose(name: str, _argument: str) -> None:
        if name == "up_beside":
            raise engine_unreachable("simulated", "gone")

    scene.engine.before = lose
    work = scene.work(first, second, kind="rollback")
    with pytest.raises(OutsideError, match="engine-unreachable"):
        scene.run(work)
    scene.engine.before = None
    again = scene.work(first, second, kind="rollback", release=work.release, started=True)
    assert scene.run(again).status == "completed"
    assert scene.engine.count("run_job") == 2


@pytest.mark.parametrize("lost", [True, False])
def test_stopping_after_a_failed_first_release_may_fail_too(scene: Scene, *, lost: bool) -> None:
    scene.engine.world.lives[image_id("web:2")] = BAD

    def fail(name: str, _argument: str) -> None:
        if name == "stop":
            raise (
                engine_unreachable("simulated", "gone")
                if lost
                else engine_refused("stop", "it does not stop")
            )

    scene.engine.before = fail
    work = scene.work(manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1")))
    if lost:
        with pytest.raises(OutsideError, match="engine-unreachable"):
            scene.run(work)
        assert scene.types(STREAM) == ["ReleaseStarted"]
        return
    verdict = scene.run(work)
    assert verdict.failure is not None
    assert "did not stop" in verdict.failure.message
    assert verdict.failure.exit_code == 3
    assert scene.types(STREAM) == ["ReleaseStarted", "ReleaseFailed"]
