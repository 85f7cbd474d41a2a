"""What a person asks of one service that is deployed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from events.catalog.service import ServiceReplaced
from events.kernel.errors import UserError
from events.manifest import Manifest
from projections.converge.heal import Terms
from projections.converge.steering import Steering, Wish
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.scene import HOST, STREAM, Scene, Spec, image_id, manifest_of

WEB = Spec(more={"deploy": {"replicas": 2}})
DB = Spec(image="db:1")
SIDE = Spec(image="db:2", more={"network_mode": "service:db"})
MANIFEST = manifest_of(web=WEB, db=DB, side=SIDE)


def down(manifest: Manifest, *services: str) -> dict[tuple[str, str], str]:
    return {(HOST, name): manifest.hosts[HOST].services[name].hash for name in services}


@pytest.fixture(autouse=True)
def deployed(scene: Scene) -> Manifest:
    scene.deploy(MANIFEST)
    scene.engine.calls.clear()
    return MANIFEST


def steer(scene: Scene, wish: Wish, service: str, *stopped: str, manifest: Manifest = MANIFEST) -> None:
    steering = Steering(
        wish=wish, service=service, manifest=manifest, release="rel-1", stopped=down(manifest, *stopped)
    )
    asyncio.run(scene.converger.steer(steering, recorder=scene.recorder()))


def heal(scene: Scene, *stopped: str) -> bool:
    return asyncio.run(
        scene.converger.heal(
            MANIFEST,
            release="rel-1",
            recorder=scene.recorder(),
            terms=Terms(stopped=down(MANIFEST, *stopped), closely=None),
        )
    )


def states(scene: Scene, service: str) -> list[str]:
    world, now = scene.engine.world, scene.clock.monotonic()
    return [world.moment(one, now).state for one in world.replicas(service)]


def changing(scene: Scene) -> list[tuple[str, str]]:
    return [call for call in scene.engine.calls if call[0] in {"stop", "start", "remove", "up"}]


def test_a_stopped_service_stays_down_and_no_look_reports_it(scene: Scene) -> None:
    before = scene.engine.world.ids("web")
    steer(scene, "stop", "web", "web")
    assert states(scene, "web") == ["exited", "exited"]
    assert states(scene, "db") == ["running"]
    head = scene.log.head()
    assert heal(scene, "web") is False
    assert scene.log.head() == head
    assert (states(scene, "web"), scene.engine.world.ids("web")) == (["exited", "exited"], before)
    (seen,) = scene.observed.load("hello/prod")
    assert all(service.drift == () for service in seen.services)


def test_what_somebody_starts_by_hand_is_stopped_again_as_drift(scene: Scene) -> None:
    steer(scene, "stop", "db", "db", "side")
    scene.engine.world.named("hello-prod-db-1").stopped = None
    assert heal(scene, "db", "side") is True
    assert states(scene, "db") == ["exited"]
    assert scene.types(STREAM)[-2:] == ["DriftDetected", "DriftHealed"]


def test_a_stop_that_was_cut_off_is_finished_by_the_next_heal(scene: Scene) -> None:
    assert heal(scene, "web") is True
    assert states(scene, "web") == ["exited", "exited"]


def test_a_removed_container_of_a_stopped_service_is_not_made_again(scene: Scene) -> None:
    steer(scene, "stop", "web", "web")
    del scene.engine.world.containers[scene.engine.world.ids("web")[0]]
    assert heal(scene, "web") is False
    assert states(scene, "web") == ["exited"]


def test_start_brings_back_what_is_stopped_and_what_is_gone(scene: Scene) -> None:
    steer(scene, "stop", "web", "web")
    kept, gone = scene.engine.world.ids("web")
    del scene.engine.world.containers[gone]
    steer(scene, "start", "web")
    assert states(scene, "web") == ["running", "running"]
    assert kept in scene.engine.world.ids("web")
    (replaced,) = [one for one in scene.of_release("rel-1") if isinstance(one, ServiceReplaced)]
    assert replaced.reason == "started"
    assert set(replaced.new_ids) == set(scene.engine.world.ids("web")) - {kept}


def test_start_of_what_runs_changes_nothing(scene: Scene) -> None:
    steer(scene, "start", "web")
    assert changing(scene) == []


def test_start_waits_for_the_gate_and_says_why_it_does_not_come_up(scene: Scene) -> None:
    steer(scene, "stop", "web", "web")
    for one in scene.engine.world.replicas("web"):
        one.life = Life(exits_after=0.3, exit_code=7, log=("no disk",))
    with pytest.raises(UserError, match="container-exited"):
        steer(scene, "start", "web")


def test_restart_takes_one_replica_after_the_other_and_keeps_their_ids(scene: Scene) -> None:
    first, second = scene.engine.world.ids("web")
    scene.clock.advance(100)
    began = scene.clock.monotonic()
    steer(scene, "restart", "web")
    assert changing(scene) == [("stop", first), ("start", first), ("stop", second), ("start", second)]
    one, two = scene.engine.world.replicas("web")
    assert one.started_at is not None
    assert two.started_at is not None
    assert one.started_at >= began
    assert two.started_at - one.started_at >= 2.0, "the gate comes before the next one's turn"


def test_restart_takes_along_who_lives_in_the_service(scene: Scene) -> None:
    (db,), (side,) = scene.engine.world.ids("db"), scene.engine.world.ids("side")
    steer(scene, "restart", "db")
    assert changing(scene) == [("stop", db), ("start", db), ("stop", side), ("start", side)]


def test_restart_of_what_is_missing_brings_it_up(scene: Scene) -> None:
    (db,) = scene.engine.world.ids("db")
    del scene.engine.world.containers[db]
    steer(scene, "restart", "db")
    assert states(scene, "db") == ["running"]


def test_a_release_that_leaves_a_stopped_service_alone_leaves_it_down(
    scene: Scene, deployed: Manifest
) -> None:
    steer(scene, "stop", "web", "web")
    newer = manifest_of(web=WEB, db=Spec(image="db:2"), side=SIDE)
    verdict = scene.deploy(newer, deployed, stopped=down(deployed, "web"))
    assert verdict.status == "completed"
    assert states(scene, "web") == ["exited", "exited"]
    assert scene.engine.world.named("hello-prod-db-1").image == image_id("db:2")


def test_a_release_that_changes_a_stopped_service_brings_it_up(scene: Scene, deployed: Manifest) -> None:
    steer(scene, "stop", "web", "web")
    newer = manifest_of(web=replace(WEB, image="web:2"), db=DB, side=SIDE)
    assert scene.deploy(newer, deployed, stopped=down(deployed, "web")).status == "completed"
    assert states(scene, "web") == ["running", "running"]


def test_a_release_that_fails_leaves_a_stopped_service_as_it_was(scene: Scene, deployed: Manifest) -> None:
    steer(scene, "stop", "web", "web")
    scene.engine.world.lives[image_id("web:2")] = Life(exits_after=0.1, exit_code=3)
    newer = manifest_of(web=replace(WEB, image="web:2"), db=DB, side=SIDE)
    assert scene.deploy(newer, deployed, stopped=down(deployed, "web")).status == "rolled_back"
    assert states(scene, "web") in (["exited", "exited"], [])
    assert heal(scene, "web") is False
