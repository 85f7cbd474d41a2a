"""Containers that are ours by the log alone: as if they carried our labels, and nothing else does."""

from __future__ import annotations

import asyncio

import pytest

from events import labels
from events.catalog.adoption import ServiceAdopted
from events.catalog.drift import DriftDetected
from events.catalog.service import ServiceReplaced
from events.kernel.errors import UserError
from events.manifest import Manifest
from projections.converge.work import Verdict
from tests.unit.projections.converge.scene import COMPOSE_PROJECT, HOST, STREAM, Scene, Spec, manifest_of

MANIFEST = manifest_of(web=Spec(), db=Spec(image="db:1"))


def by_hand(scene: Scene, *services: str) -> dict[str, str]:
    """A person starts these with Compose; answers the id of each."""
    scene.have("web:1", "web:2", "db:1")
    made: dict[str, str] = {}
    for name in services:
        found = {"com.docker.compose.project": COMPOSE_PROJECT, "com.docker.compose.service": name}
        image = scene.engine.world.images[f"{name}:1"]
        made[name] = scene.engine.add(f"{COMPOSE_PROJECT}-{name}-1", image=image, found=found)
    return made


def adopt(scene: Scene, ids: dict[str, str], *, differences: tuple[str, ...] = ()) -> None:
    for name, one in ids.items():
        event = ServiceAdopted(
            release="rel-1",
            host=HOST,
            service=name,
            service_hash=MANIFEST.hosts[HOST].services[name].hash,
            containers=(one,),
            differences=differences,
        )
        scene.recorder().append(STREAM, event)


def changed() -> Manifest:
    return manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1"))


def test_without_adoption_they_stand_in_the_way(scene: Scene) -> None:
    by_hand(scene, "web", "db")
    with pytest.raises(UserError) as caught:
        scene.heal(MANIFEST)
    assert caught.value.code == "container-not-ours"


def test_adopted_ones_are_as_they_should_be_and_a_look_appends_nothing(scene: Scene) -> None:
    ids = by_hand(scene, "web", "db")
    adopt(scene, ids)
    scene.heal(MANIFEST)
    head = scene.log.head()
    assert scene.heal(MANIFEST) is False
    assert scene.log.head() == head
    assert set(scene.engine.world.containers) == set(ids.values())
    assert scene.engine.count("up") == 0
    (seen,) = scene.observed.load("hello/prod")
    assert [(one.name, one.containers[0].id) for one in seen.services] == sorted(ids.items())


def test_a_stopped_one_is_started_again_by_its_id(scene: Scene) -> None:
    ids = by_hand(scene, "web", "db")
    adopt(scene, ids)
    scene.engine.world.containers[ids["db"]].stopped = "exited"
    assert scene.heal(MANIFEST) is True
    assert ("start", ids["db"]) in scene.engine.calls
    assert scene.engine.count("up") == 0


def test_a_release_replaces_the_changed_service_alone(scene: Scene) -> None:
    ids = by_hand(scene, "web", "db")
    adopt(scene, ids)
    verdict: Verdict = scene.deploy(changed(), MANIFEST)
    assert verdict.status == "completed"
    assert ids["web"] not in scene.engine.world.containers
    assert ids["db"] in scene.engine.world.containers
    replaced = [one for one in scene.of_release(verdict.release) if isinstance(one, ServiceReplaced)]
    assert [(one.service, one.old_ids) for one in replaced] == [("web", (ids["web"],))]


def test_what_differs_is_let_be_by_healing_and_replaced_by_a_release(scene: Scene) -> None:
    ids = by_hand(scene, "web", "db")
    adopt(scene, ids, differences=("environment",))
    scene.heal(MANIFEST)
    assert not [one for one in scene.events(STREAM) if isinstance(one, DriftDetected)]
    assert set(scene.engine.world.containers) == set(ids.values())
    assert scene.deploy(MANIFEST, MANIFEST).status == "completed"
    assert not set(scene.engine.world.containers) & set(ids.values())


def test_adoption_is_by_id_so_another_container_of_that_name_is_a_strangers(scene: Scene) -> None:
    ids = by_hand(scene, "web", "db")
    adopt(scene, {**ids, "web": "0" * 64})
    with pytest.raises(UserError) as caught:
        scene.heal(MANIFEST)
    assert caught.value.code == "container-not-ours"
    assert scene.engine.count("remove") == 0


def test_a_container_that_is_not_adopted_is_shown_as_it_is(scene: Scene) -> None:
    ids = by_hand(scene, "web", "db")
    adopt(scene, {"web": ids["web"]})
    site = scene.site
    found = {one.id: one for one in asyncio.run(site.containers())}
    assert site.owner.owns(found[ids["web"]])
    assert labels.PROJECT not in found[ids["db"]].labels
