"""Running a plan: waves, gates, records and what is not believed."""

from __future__ import annotations

import pytest

from events.catalog import Failure
from events.catalog.release import PhaseFailed
from events.catalog.service import ServiceReplaced
from events.kernel.errors import OutsideError, UserError
from events.manifest import Gate
from projections.converge.work import Verdict
from projections.engine.errors import COMPOSE_FAILED, engine_refused, engine_unreachable
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.scene import Scene, Spec, image_id, manifest_of

PORT = {"ports": [{"target": 80, "published": "8080", "protocol": "tcp"}]}


def failure_of(verdict: Verdict) -> Failure:
    assert verdict.failure is not None
    return verdict.failure


def ups(scene: Scene) -> list[str]:
    return [argument for name, argument in scene.engine.calls if name == "up"]


def test_services_that_wait_for_health_come_in_a_second_call(scene: Scene) -> None:
    scene.engine.world.lives[image_id("db:1")] = Life(healthy_after=4.0)
    manifest = manifest_of(web=Spec(waits_for={"db": "service_healthy"}), db=Spec(image="db:1"), a=Spec())
    assert scene.deploy(manifest).status == "completed"
    assert ups(scene) == ["a db", "web"]


def test_dependents_of_a_service_that_never_turns_healthy_are_not_touched(scene: Scene) -> None:
    scene.engine.world.lives[image_id("db:1")] = Life(unhealthy_after=1.0)
    manifest = manifest_of(web=Spec(waits_for={"db": "service_healthy"}), db=Spec(image="db:1"))
    verdict = scene.deploy(manifest)
    assert failure_of(verdict).service == "db"
    assert ups(scene) == ["db"]


def test_unchanged_dependency_must_be_healthy_before_its_dependent_changes(scene: Scene) -> None:
    scene.engine.world.lives[image_id("db:1")] = Life(healthy_after=0.1, unhealthy_after=50.0)
    first = manifest_of(web=Spec(waits_for={"db": "service_healthy"}), db=Spec(image="db:1"))
    scene.deploy(first)
    web = scene.engine.world.ids("web")
    scene.clock.advance(100)
    second = manifest_of(web=Spec(image="web:2", waits_for={"db": "service_healthy"}), db=Spec(image="db:1"))
    verdict = scene.deploy(second, first)
    assert (failure_of(verdict).code, failure_of(verdict).service) == ("container-unhealthy", "db")
    assert scene.engine.world.ids("web") == web


def test_restarts_of_an_unchanged_dependency_from_before_are_excused(scene: Scene) -> None:
    scene.engine.world.lives[image_id("db:1")] = Life(healthy_after=0.1)
    first = manifest_of(web=Spec(waits_for={"db": "service_healthy"}), db=Spec(image="db:1"))
    scene.deploy(first)
    restarted = Life(healthy_after=0.1, exits_after=0.0, restarts=True)
    scene.engine.world.named("hello-prod-db-1").life = restarted
    scene.engine.world.show_restarting_as_running = True
    scene.clock.advance(0.5)
    second = manifest_of(web=Spec(image="web:2", waits_for={"db": "service_healthy"}), db=Spec(image="db:1"))
    assert scene.deploy(second, first).status == "completed"


QUICK = Gate(settle_seconds=0.0, deadline_seconds=9.0)
LOOPS = Life(exits_after=0.0, exit_code=6, restarts=True)


def test_a_restart_before_the_first_look_at_a_new_container_is_not_excused(scene: Scene) -> None:
    scene.engine.world.lives[image_id("web:2")] = LOOPS
    scene.engine.world.show_restarting_as_running = True
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2", gate=QUICK)))
    assert failure_of(verdict).code == "container-restarting"


def test_nor_is_it_excused_after_a_crash_of_the_controller(scene: Scene) -> None:
    scene.engine.world.lives[image_id("web:2")] = LOOPS
    scene.engine.world.show_restarting_as_running = True

    def lose(name: str, _argument: str) -> None:
        if name == "inspect":
            raise engine_unreachable("simulated", "gone")

    scene.engine.before = lose
    manifest = manifest_of(web=Spec(image="web:2", gate=QUICK))
    work = scene.work(manifest)
    with pytest.raises(OutsideError, match="engine-unreachable"):
        scene.run(work)
    scene.engine.before = None
    verdict = scene.run(scene.work(manifest, release=work.release, started=True))
    assert failure_of(verdict).code == "container-restarting"


def test_compose_that_says_yes_and_does_nothing_is_not_believed(scene: Scene) -> None:
    scene.engine.world.ignores_up = True
    verdict = scene.deploy(manifest_of(web=Spec()))
    assert (failure_of(verdict).code, failure_of(verdict).service) == ("service-not-replaced", "web")
    assert "0 of 1" in failure_of(verdict).message


def test_port_taken_in_between_is_told_by_the_engines_words_and_recorded(scene: Scene) -> None:
    def take(name: str, _argument: str) -> None:
        if name == "predict":
            other = scene.engine.add("somebody")
            scene.engine.world.containers[other].ports = held

    first = manifest_of(web=Spec(more=PORT))
    scene.deploy(first)
    held = scene.engine.world.named("hello-prod-web-1").ports
    scene.engine.before = take
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2", more=PORT)), first)
    failure = failure_of(verdict)
    assert (failure.code, failure.cause) == ("compensation-failed", "outside")
    assert "port is already allocated" in failure.why
    replaced = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceReplaced)]
    assert replaced[0].reason == "changed"
    assert replaced[0].old_ids


def test_bad_command_is_the_repositorys_fault(scene: Scene) -> None:
    words = "OCI runtime create failed: exec: no such file or directory"
    scene.engine.world.lives[image_id("web:2")] = Life(start_error=words)
    failure = failure_of(scene.deploy(manifest_of(web=Spec(image="web:2"))))
    assert (failure.code, failure.cause, failure.service) == ("container-not-started", "repository", "web")
    assert failure.why == words


def test_words_that_nobody_knows_are_read_from_the_container(scene: Scene) -> None:
    scene.engine.world.lives[image_id("web:2")] = Life(
        start_error="cannot mount the moon", log=("last words",)
    )
    failure = failure_of(scene.deploy(manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1"))))
    assert (failure.code, failure.service) == ("container-not-started", "web")
    assert failure.why == "cannot mount the moon"
    assert failure.log_tail == ("last words",)


def test_a_failure_that_no_container_explains_stays_as_compose_told_it(scene: Scene) -> None:
    def refuse(name: str, _argument: str) -> None:
        if name == "up_beside":
            raise OutsideError(COMPOSE_FAILED, "Compose could not", why="network pool is empty")

    first = manifest_of(web=Spec())
    scene.deploy(first)
    scene.engine.before = refuse
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2")), first)
    assert verdict.status == "rolled_back"
    failure = failure_of(verdict)
    assert (failure.code, failure.cause, failure.why) == (
        "compose-failed",
        "outside",
        "network pool is empty",
    )
    assert failure.host == "local"


def test_stopped_container_that_cannot_be_started_is_a_failure_with_the_engines_words(scene: Scene) -> None:
    manifest = manifest_of(web=Spec())
    scene.deploy(manifest)
    scene.engine.world.named("hello-prod-web-1").stopped = "exited"

    def refuse(name: str, _argument: str) -> None:
        if name == "start":
            raise engine_refused("start it", "Bind for 0.0.0.0:80 failed: port is already allocated")

    scene.engine.before = refuse
    with pytest.raises(OutsideError, match="port-taken"):
        scene.heal(manifest)


def test_paused_container_is_taken_away_and_made_again(scene: Scene) -> None:
    manifest = manifest_of(web=Spec())
    scene.deploy(manifest)
    old = scene.engine.world.ids("web")
    scene.engine.world.named("hello-prod-web-1").stopped = "paused"
    assert scene.heal(manifest) is True
    assert scene.engine.world.ids("web") != old


def test_surplus_replica_goes_by_id_and_the_rest_stays(scene: Scene) -> None:
    manifest = manifest_of(web=Spec(more={"scale": 2}))
    scene.deploy(manifest)
    ids = scene.engine.world.ids("web")
    one = scene.engine.world.containers[ids[0]]
    extra = scene.engine.add("hello-prod-web-3", image=one.image, found=one.labels)
    assert scene.heal(manifest) is True
    assert scene.engine.world.ids("web") == ids
    assert extra not in scene.engine.world.containers


def test_a_document_that_compose_refuses_only_when_it_matters_is_the_repositorys_fault(scene: Scene) -> None:
    def refuse(name: str, _argument: str) -> None:
        if name == "up":
            raise UserError("compose-refused", "Compose does not accept it", why="additional property")

    scene.engine.before = refuse
    failure = failure_of(scene.deploy(manifest_of(web=Spec())))
    assert (failure.code, failure.cause, failure.why) == (
        "compose-refused",
        "repository",
        "additional property",
    )


def test_a_taken_port_is_seen_by_its_holder_whatever_the_engines_words(scene: Scene) -> None:
    called: list[str] = []

    def take(name: str, _argument: str) -> None:
        called.append(name)
        if name == "inspect" and called.count(name) == 1:  # the engine has refused to start it
            other = scene.engine.add("somebody")
            scene.engine.world.containers[other].ports = held

    first = manifest_of(web=Spec(more=PORT))
    scene.deploy(first)
    held = scene.engine.world.named("hello-prod-web-1").ports
    scene.engine.world.lives[image_id("web:2")] = Life(start_error="der Anschluss ist schon vergeben")
    scene.engine.before = take
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2", more=PORT)), first)
    failed = [e for e in scene.of_release(verdict.release) if isinstance(e, PhaseFailed)]
    assert (failed[0].failure.code, failed[0].failure.cause) == ("port-taken", "outside")
