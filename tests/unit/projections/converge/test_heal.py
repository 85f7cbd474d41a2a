"""Keeping what is deployed running."""

from __future__ import annotations

import asyncio

import pytest

from events import labels
from events.catalog.drift import DriftDetected, DriftHealed
from events.catalog.host import HostReached, HostUnreachable
from events.catalog.service import ServiceReplaced
from events.kernel.errors import OutsideError, UserError
from events.log import LOG_UNAVAILABLE
from events.manifest import Job, Manifest
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.scene import (
    HOST,
    HOST_STREAM,
    STREAM,
    Scene,
    Spec,
    another_machine,
    identity_labels,
    image_id,
    manifest_of,
)

MANIFEST = manifest_of(web=Spec(), db=Spec(image="db:1"), side=Spec(more={"network_mode": "service:web"}))


@pytest.fixture
def deployed(scene: Scene) -> Manifest:
    scene.deploy(MANIFEST)
    scene.engine.calls.clear()
    return MANIFEST


def drift_events(scene: Scene) -> list[DriftDetected | DriftHealed]:
    return [event for event in scene.events(STREAM) if isinstance(event, DriftDetected | DriftHealed)]


def test_idle_pass_lists_once_appends_nothing_and_starts_no_compose(scene: Scene, deployed: Manifest) -> None:
    head = scene.log.head()
    assert scene.heal(deployed) is False
    assert scene.log.head() == head
    assert [name for name, _ in scene.engine.calls] == ["containers"]


def test_stopped_container_is_started_and_keeps_its_id(scene: Scene, deployed: Manifest) -> None:
    before = scene.engine.world.ids("db")
    scene.engine.world.named("hello-prod-db-1").stopped = "exited"
    assert scene.heal(deployed) is True
    assert scene.engine.world.ids("db") == before
    assert scene.engine.count("up") == scene.engine.count("predict") == 0
    assert drift_events(scene) == [
        DriftDetected(host=HOST, services={"db": "stopped"}),
        DriftHealed(host=HOST, services=("db",)),
    ]
    (replaced,) = [event for event in scene.of_release("rel-1") if isinstance(event, ServiceReplaced)]
    assert (replaced.reason, list(replaced.new_ids), replaced.old_ids) == ("drift", before, ())


def test_missing_container_is_made_again_and_others_stay(scene: Scene, deployed: Manifest) -> None:
    web, db = scene.engine.world.ids("web"), scene.engine.world.ids("db")
    del scene.engine.world.containers[db[0]]
    assert scene.heal(deployed) is True
    assert scene.engine.world.ids("web") == web
    assert len(scene.engine.world.ids("db")) == 1
    assert [call for call in scene.engine.calls if call[0] == "up"] == [("up", "db")]
    assert drift_events(scene)[0] == DriftDetected(host=HOST, services={"db": "missing"})


def test_container_that_shares_anothers_namespace_is_brought_up_with_it(
    scene: Scene, deployed: Manifest
) -> None:
    web = scene.engine.world.ids("web")
    del scene.engine.world.containers[scene.engine.world.ids("side")[0]]
    assert scene.heal(deployed) is True
    assert [call for call in scene.engine.calls if call[0] == "up"] == [("up", "side web")]
    assert scene.engine.world.ids("web") == web


def test_edited_container_is_replaced_and_an_extra_one_of_ours_goes(scene: Scene, deployed: Manifest) -> None:
    scene.engine.world.named("hello-prod-db-1").labels[labels.SERVICE_HASH] = "edited"
    scene.engine.world.named("hello-prod-db-1").labels["com.docker.compose.config-hash"] = "edited"
    extra = scene.engine.add("extra", found=identity_labels("hello", "prod", "extra"))
    assert scene.heal(deployed) is True
    assert extra not in scene.engine.world.containers
    assert drift_events(scene)[0] == DriftDetected(host=HOST, services={"db": "changed", "extra": "orphan"})
    (seen,) = scene.observed.load("hello/prod")
    assert [service.name for service in seen.services] == ["db", "side", "web"]
    assert all(service.drift == () for service in seen.services)


def test_jobs_are_never_run_by_healing(scene: Scene) -> None:
    manifest = manifest_of(web=Spec(), migrate=Spec(image="job:1", job=Job(on_rollback=True)))
    scene.heal(manifest)
    assert scene.engine.count("run_job") == 0


def test_drift_that_cannot_be_mended_is_reported_once_and_raised_each_time(
    scene: Scene, deployed: Manifest
) -> None:
    scene.engine.world.lives[image_id("db:1")] = Life(exits_after=0.1, exit_code=5)
    scene.engine.world.named("hello-prod-db-1").life = Life(exits_after=0.1, exit_code=5)
    for _ in range(2):
        scene.clock.advance(10)
        with pytest.raises(UserError, match="container-exited"):
            scene.heal(deployed)
    assert drift_events(scene) == [DriftDetected(host=HOST, services={"db": "stopped"})]
    (seen,) = scene.observed.load("hello/prod")
    assert [service.drift for service in seen.services if service.name == "db"] == [("stopped",)]


def test_drift_that_a_person_mended_is_closed_at_the_next_look(scene: Scene, deployed: Manifest) -> None:
    scene.recorder().append(STREAM, DriftDetected(host=HOST, services={"web": "stopped"}))
    scene.recorder().append(STREAM, DriftDetected(host="n2", services={"db": "stopped"}))
    assert scene.heal(deployed) is False
    assert scene.heal(deployed) is False
    assert drift_events(scene)[2:] == [DriftHealed(host=HOST, services=("web",))]


def test_container_of_another_log_is_reported_once_and_never_touched(
    scene: Scene, deployed: Manifest
) -> None:
    one = scene.engine.world.named("hello-prod-db-1")
    one.labels[labels.LOG] = "lineage-2"
    for _ in range(2):
        with pytest.raises(UserError, match="container-not-ours"):
            scene.heal(deployed)
    assert {name for name, _ in scene.engine.calls} == {"containers"}
    (event,) = drift_events(scene)
    assert isinstance(event, DriftDetected)
    assert set(event.services) == {"db"}


def test_unreachable_host_is_recorded_once_and_so_is_its_return(scene: Scene, deployed: Manifest) -> None:
    scene.engine.world.reachable = False
    for _ in range(3):
        with pytest.raises(OutsideError, match="engine-unreachable"):
            scene.heal(deployed)
    (seen,) = scene.observed.load("hello/prod")
    assert seen.reachable is False
    assert "connection refused" in seen.reason
    assert len(seen.services) == 3
    scene.engine.world.reachable = True
    for _ in range(2):
        assert scene.heal(deployed) is False
    assert [type(event) for event in scene.events(HOST_STREAM)] == [HostReached, HostUnreachable, HostReached]
    (seen,) = scene.observed.load("hello/prod")
    assert (seen.reachable, seen.reason) == (True, "")


def test_another_machine_with_nothing_on_it_is_not_filled(scene: Scene, deployed: Manifest) -> None:
    scene.engine.world.identity = another_machine()
    scene.engine.world.containers.clear()
    with pytest.raises(OutsideError, match="host-is-another-machine") as raised:
        scene.heal(deployed)
    assert "engine-2" in raised.value.why
    assert scene.engine.count("up") == 0
    assert drift_events(scene) == []
    (seen,) = scene.observed.load("hello/prod")
    assert seen.reachable is None


def test_half_made_container_of_a_killed_run_is_swept_and_recorded(scene: Scene, deployed: Manifest) -> None:
    name = f"{'a' * 12}_hello-prod-db-1"
    found = identity_labels("hello", "prod", "db", service_hash=deployed.hosts[HOST].services["db"].hash)
    half = scene.engine.add(name, found=found, started=False)
    assert scene.heal(deployed) is False
    assert half not in scene.engine.world.containers
    (replaced,) = [event for event in scene.of_release("rel-1") if isinstance(event, ServiceReplaced)]
    assert (replaced.service, replaced.old_ids) == ("db", (half,))


def test_container_that_took_a_place_and_not_its_name_is_renamed(scene: Scene, deployed: Manifest) -> None:
    scene.engine.world.named("hello-prod-db-1").name = f"{'a' * 12}_hello-prod-db-1"
    head = scene.log.head()
    assert scene.heal(deployed) is False
    assert ("rename", "hello-prod-db-1") in scene.engine.calls
    assert scene.log.head() == head


def test_all_hosts_are_tried_and_the_first_error_is_raised(scene: Scene, deployed: Manifest) -> None:
    two = deployed.model_copy(update={"hosts": {"a-host": deployed.hosts[HOST], HOST: deployed.hosts[HOST]}})
    scene.engine.world.named("hello-prod-db-1").stopped = "exited"
    with pytest.raises(UserError, match="host-not-supported"):
        scene.heal(two)
    assert scene.engine.world.named("hello-prod-db-1").stopped is None


def test_a_log_that_cannot_be_written_ends_the_pass_at_once(scene: Scene, deployed: Manifest) -> None:
    scene.engine.world.named("hello-prod-db-1").stopped = "exited"

    def close(name: str, _argument: str) -> None:
        if name == "identity":
            scene.log.close()

    scene.engine.before = close
    with pytest.raises(OutsideError) as raised:
        scene.heal(deployed)
    assert raised.value.code == LOG_UNAVAILABLE
    assert scene.engine.count("start") == 0


def test_observe_asks_and_records_nothing(scene: Scene, deployed: Manifest) -> None:
    scene.engine.world.named("hello-prod-db-1").stopped = "exited"
    head = scene.log.head()
    (seen,) = asyncio.run(scene.converger.observe(deployed))
    assert {service.name: service.drift for service in seen.services} == {
        "db": ("stopped",),
        "side": (),
        "web": (),
    }
    assert scene.observed.load("hello/prod") == (seen,)
    assert scene.log.head() == head
    assert scene.engine.count("start") == 0


def test_observe_shows_an_unreachable_host_and_does_not_raise(scene: Scene, deployed: Manifest) -> None:
    scene.engine.world.reachable = False
    (seen,) = asyncio.run(scene.converger.observe(deployed))
    assert seen.reachable is False
    assert len(seen.services) == 3


def test_observe_shows_what_it_can_beside_a_container_of_somebody_else(
    scene: Scene, deployed: Manifest
) -> None:
    scene.engine.world.named("hello-prod-db-1").labels[labels.LOG] = "lineage-2"
    (seen,) = asyncio.run(scene.converger.observe(deployed))
    assert seen.reachable is True
    assert [len(service.containers) for service in seen.services] == [0, 1, 1]


def test_observe_passes_on_what_is_no_silence(scene: Scene, deployed: Manifest) -> None:
    def refuse(_name: str, _argument: str) -> None:
        raise OutsideError("engine-refused", "no")

    scene.engine.before = refuse
    with pytest.raises(OutsideError, match="engine-refused"):
        asyncio.run(scene.converger.observe(deployed))
