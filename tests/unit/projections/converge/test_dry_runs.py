"""Compose's dry run, made once for hosts that are alike, and not again for what it has no part in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from events.manifest import Manifest
from projections.converge.harmless import Harmless
from tests.unit.projections.converge.hosts_scene import APPS, HostsScene, apps, over
from tests.unit.projections.converge.scene import Spec

FIRST, SECOND = apps("1"), apps("2")


@pytest.fixture
def scene(tmp_path: Path) -> HostsScene:
    made = HostsScene(root=tmp_path)
    made.release(FIRST)
    for engine in made.engines.values():
        engine.calls.clear()
    return made


def tried(scene: HostsScene) -> list[str]:
    """The hosts that a dry run was made on, sorted."""
    return [host for host in APPS if scene.engines[host].count("predict")]


def of_one_service(**more: object) -> Manifest:
    return over({host: {"web": Spec(image="web:2", more=dict(more))} for host in APPS})


def test_hosts_that_are_alike_have_one_dry_run(scene: HostsScene) -> None:
    assert scene.release(SECOND, FIRST).status == "completed"
    assert tried(scene) == ["app1"]
    assert scene.images() == ["web:2"] * 3


@pytest.mark.parametrize("differs", ["version", "network", "volume", "label", "state", "stranger"])
def test_a_host_that_differs_has_its_own(scene: HostsScene, differs: str) -> None:
    world = scene.engines["app2"].world
    web = world.named("hello-prod-web-1")
    match differs:
        case "version":
            world.identity = replace(world.identity, engine_version="29.1")
        case "network":
            world.networks["other"] = "hello-prod"
        case "volume":
            world.volumes["other"] = "hello-prod"
        case "label":
            web.labels = {**web.labels, "com.docker.compose.config-hash": "another"}
        case "state":
            web.stopped = "exited"
        case _:
            stranger = scene.engines["app2"].add("stranger", image="web:1")
            world.containers[stranger].labels = {"com.docker.compose.project": "hello-prod"}
    assert scene.release(SECOND, FIRST).status == "completed"
    assert tried(scene) == ["app1", "app2"]


def test_what_one_host_alone_would_lose_fails_before_anything_is_touched(scene: HostsScene) -> None:
    scene.engines["app3"].world.volume_question = "Recreate (data will be lost)?"
    verdict = scene.release(SECOND, FIRST)
    assert verdict.failure is not None
    assert (verdict.failure.code, verdict.failure.host) == ("volume-would-be-deleted", "app3")
    assert not {"up", "up_beside", "start", "stop", "remove"} & {call for _, call in scene.done}


@pytest.mark.parametrize(
    "more",
    [
        {"network_mode": "container:somebody"},
        {"networks": {"shared": None}},
    ],
)
def test_a_document_that_names_what_is_not_ours_is_tried_on_each_host(
    scene: HostsScene, more: dict[str, object]
) -> None:
    wanted = of_one_service(**more)
    if "networks" in more:
        for content in wanted.hosts.values():
            content.compose["networks"] = {"shared": {"name": "shared", "external": True}}
    scene.release(wanted, FIRST)
    assert tried(scene) == [*APPS]


def test_where_the_first_one_fails_another_host_is_tried(scene: HostsScene) -> None:
    scene.lose("app1", at="predict")
    verdict = scene.release(SECOND, FIRST)
    assert (verdict.status, scene.statuses["app1"]) == ("failed", "unknown")
    assert tried(scene)[:2] == ["app1", "app2"]


@pytest.fixture
def lasting(scene: HostsScene) -> HostsScene:
    """A process that has tried the document of `apps` once."""
    scene.process = scene.converger
    scene.release(SECOND, FIRST)
    assert tried(scene) == ["app1"]
    for engine in scene.engines.values():
        engine.calls.clear()
    return scene


def test_another_image_is_not_tried_again(lasting: HostsScene) -> None:
    assert lasting.release(FIRST, SECOND).status == "completed"
    assert tried(lasting) == []
    assert lasting.images() == ["web:1"] * 3


def test_one_that_differs_in_more_than_images_is_tried(lasting: HostsScene) -> None:
    assert lasting.release(of_one_service(environment={"COLOUR": "blue"}), SECOND).status == "completed"
    assert tried(lasting) == ["app1"]


def test_more_services_are_tried(lasting: HostsScene) -> None:
    more = over({host: {"web": Spec(image="web:2"), "db": Spec(image="db:1")} for host in APPS})
    assert lasting.release(more, SECOND).status == "completed"
    assert tried(lasting) == ["app1"]


@pytest.mark.parametrize("differs", ["version", "network", "volume"])
def test_an_engine_that_is_not_as_it_was_is_tried_again(lasting: HostsScene, differs: str) -> None:
    world = lasting.engines["app2"].world
    match differs:
        case "version":
            world.identity = replace(world.identity, engine_version="29.1")
        case "network":
            world.networks["other"] = "hello-prod"
        case _:
            world.volumes["other"] = "hello-prod"
    assert lasting.release(FIRST, SECOND).status == "completed"
    assert tried(lasting) == ["app2"]


def test_what_was_not_harmless_is_tried_again(scene: HostsScene) -> None:
    scene.process = scene.converger
    for host in APPS:
        scene.engines[host].world.volume_question = "Recreate (data will be lost)?"
    for _ in range(2):
        verdict = scene.release(SECOND, FIRST)
        assert verdict.failure is not None
        assert verdict.failure.code == "volume-would-be-deleted"
    assert scene.engines["app1"].count("predict") == 2


def test_only_so_many_are_remembered() -> None:
    harmless = Harmless(most=2)
    for key in ("one", "two", "three"):
        harmless.add(key)
    assert [key in harmless for key in ("one", "two", "three")] == [False, True, True]
