"""What was changed on a container that still says it is right."""

from __future__ import annotations

import asyncio

import pytest

from events.catalog.drift import DriftDetected, DriftHealed, LeftAsMade
from events.manifest import Manifest
from projections.converge.altered import Closely
from projections.converge.heal import Terms
from tests.unit.projections.converge.scene import HOST, STREAM, Scene, Spec, identity_labels, manifest_of

MANIFEST = manifest_of(
    web=Spec(more={"mem_limit": "67108864", "environment": {"TOKEN": "hunter2"}, "restart": "always"}),
    db=Spec(image="db:1"),
)
WEB = "hello-prod-web-1"
DB = "hello-prod-db-1"


@pytest.fixture(autouse=True)
def deployed(scene: Scene) -> Manifest:
    scene.deploy(MANIFEST)
    scene.engine.calls.clear()
    return MANIFEST


def heal(scene: Scene, *, closely: Closely = None, **terms: object) -> bool:
    given = Terms(closely=closely, **terms)  # type: ignore[arg-type]  # names are literals below
    return asyncio.run(
        scene.converger.heal(MANIFEST, release="rel-1", recorder=scene.recorder(), terms=given)
    )


def drift_events(scene: Scene) -> list[DriftDetected | DriftHealed]:
    return [event for event in scene.events(STREAM) if isinstance(event, DriftDetected | DriftHealed)]


def made_by_hand(scene: Scene, name: str, **config: object) -> str:
    """A person puts a container in the place of another one, with the same labels; answers its id."""
    former = scene.engine.world.named(name)
    del scene.engine.world.containers[former.id]
    made = scene.engine.add(name, image=former.image, found=former.labels)
    one = scene.engine.world.containers[made]
    one.made = {**former.made, "Config": {**former.made["Config"], **config}}
    return made


def test_a_look_at_what_is_as_it_was_made_costs_one_call_a_container_and_appends_nothing(
    scene: Scene,
) -> None:
    head = scene.log.head()
    assert heal(scene) is False
    assert scene.log.head() == head
    assert [name for name, _ in scene.engine.calls] == ["containers", "makeup", "makeup"]


def test_only_named_services_are_inspected(scene: Scene) -> None:
    heal(scene, closely={"web"})
    web = scene.engine.world.named(WEB).id
    assert [call for call in scene.engine.calls if call[0] == "makeup"] == [("makeup", web)]


def test_a_changed_limit_is_found_told_by_field_and_made_anew_with_its_grace_period(scene: Scene) -> None:
    former = scene.engine.world.named(WEB).id
    scene.engine.update(WEB, Memory=33554432)
    assert heal(scene) is True
    calls = [call for call in scene.engine.calls if call[0] in {"stop", "remove", "up"}]
    assert calls == [("stop", former), ("remove", former), ("up", "web")]
    assert drift_events(scene) == [
        DriftDetected(host=HOST, services={"web": "mem_limit: 33554432 runs, 67108864 is wanted"}),
        DriftHealed(host=HOST, services=("web",)),
    ]
    assert heal(scene) is False


def test_a_restart_policy_counts_as_a_limit(scene: Scene) -> None:
    scene.engine.update(WEB, RestartPolicy={"Name": "no", "MaximumRetryCount": 0})
    assert heal(scene) is True
    assert drift_events(scene)[0] == DriftDetected(
        host=HOST, services={"web": "restart: no runs, always is wanted"}
    )


@pytest.mark.parametrize("networks", [(), ("hello-prod_default", "other")])
def test_networks_are_seen_in_the_listing_without_an_inspection(
    scene: Scene, networks: tuple[str, ...]
) -> None:
    scene.engine.world.named(DB).networks = networks
    assert heal(scene, closely=()) is True
    assert scene.engine.world.named(DB).networks == ("hello-prod_default",)
    assert scene.engine.count("makeup") == 1, "only to see that the new one is right"
    (detected, _) = drift_events(scene)
    found = " ".join(networks) or "nothing"
    assert detected == DriftDetected(
        host=HOST, services={"db": f"networks: {found} runs, hello-prod_default is wanted"}
    )


def test_a_container_made_by_hand_with_our_labels_is_compared_whole_and_shows_no_value(scene: Scene) -> None:
    made = made_by_hand(scene, WEB, Env=["TOKEN=another-secret", "DEBUG=1"])
    assert heal(scene) is True
    assert made not in scene.engine.world.containers
    detected = drift_events(scene)[0]
    assert isinstance(detected, DriftDetected)
    assert detected.services["web"].startswith("made by hand: environment: +DEBUG ~TOKEN runs")
    assert "secret" not in str(detected)
    assert "hunter2" not in str(detected)
    assert heal(scene) is False


def test_a_container_that_no_event_names_and_that_is_right_stays(scene: Scene) -> None:
    made = made_by_hand(scene, WEB)
    assert heal(scene) is False, drift_events(scene)
    assert made in scene.engine.world.containers


def test_what_was_changed_stays_reported_until_it_is_seen_to_be_gone(scene: Scene) -> None:
    scene.engine.update(WEB, Memory=1)
    assert heal(scene, policy="report") is False
    assert heal(scene, policy="report", closely=()) is False
    assert [type(event).__name__ for event in drift_events(scene)] == ["DriftDetected"]
    assert [call for call in scene.engine.calls if call[0] in {"stop", "remove", "up"}] == []
    (seen,) = scene.observed.load("hello/prod")
    assert [one.drift for one in seen.services if one.name == "web"] == [
        ("mem_limit: 1 runs, 67108864 is wanted",)
    ]
    scene.engine.update(WEB, Memory=67108864)
    assert heal(scene, policy="report", closely=()) is False
    assert drift_events(scene)[-1] == DriftHealed(host=HOST, services=("web",))


def test_what_is_recorded_with_a_drift_is_recorded_once(scene: Scene) -> None:
    asked: list[DriftDetected] = []

    def consequence(drift: DriftDetected) -> tuple[DriftHealed, ...]:
        asked.append(drift)
        return ()

    scene.engine.world.named(WEB).stopped = "exited"
    for _ in range(3):
        heal(scene, policy="hold", consequence=consequence)
    assert [one.policy for one in asked] == ["hold"]


def test_a_difference_that_the_engine_makes_itself_is_replaced_for_once_only(scene: Scene) -> None:
    """As where the engine rounds a limit, or lacks support for it."""

    def rounds(call: str, argument: str) -> None:
        del argument
        if call == "up-done":
            scene.engine.update(WEB, Memory=60000000)

    scene.engine.update(WEB, Memory=60000000)
    scene.engine.before = rounds
    assert heal(scene) is True
    web = MANIFEST.hosts[HOST].services["web"]
    left = LeftAsMade(service="web", service_hash=web.hash, fields=("mem_limit",))
    assert drift_events(scene)[-1] == DriftHealed(host=HOST, services=("web",), left=(left,))
    assert heal(scene) is False
    scene.engine.update(WEB, NanoCpus=1)
    assert heal(scene) is True, "another field is compared as before"


def test_a_stopped_service_is_not_compared(scene: Scene) -> None:
    scene.engine.update(WEB, Memory=1)
    one = scene.engine.world.named(WEB)
    one.stopped = "exited"
    assert heal(scene, stopped={(HOST, "web"): MANIFEST.hosts[HOST].services["web"].hash}) is False


def test_a_surplus_container_with_our_labels_goes(scene: Scene) -> None:
    found = identity_labels("hello", "prod", "web", service_hash=MANIFEST.hosts[HOST].services["web"].hash)
    extra = scene.engine.add("hello-prod-web-9", image=scene.engine.world.named(WEB).image, found=found)
    assert heal(scene, closely=()) is True
    assert extra not in scene.engine.world.containers


def test_what_was_stopped_and_off_its_network_is_healed_by_one_look(scene: Scene) -> None:
    one = scene.engine.world.named(WEB)
    one.stopped, one.networks = "exited", ()
    assert heal(scene) is True
    (after,) = scene.engine.world.replicas("web")
    assert after.networks
    assert drift_events(scene)[-1] == DriftHealed(host=HOST, services=("web",))
    assert heal(scene) is False, "the first look had left something"
