"""Old images: what is kept, what goes, and whose is never touched."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.decide.rollback import RollbackTarget
from controller.retention import OldImages, forget_old_images, old_images
from events.catalog import decode
from events.catalog.host import ImagesForgotten
from events.manifest import ImagePin, kept_image_name
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository

PROJECT = "project: {name: shop}\nimages: {keep: 2}\nenvironments: {prod: {}}\n"
TWO = "project: {name: shop}\nimages: {keep: 1}\nenvironments: {prod: {}, test: {}}\n"


@pytest.fixture
def shop(repository: Repository, tmp_path: Path) -> SimulatedController:
    return SimulatedController(repository=repository, folder=tmp_path / "home")


def release(shop: SimulatedController, *versions: int, project: str = PROJECT) -> None:
    """One after the other; by hand nobody keeps a tag of an old one."""
    for version in versions:
        shop.merge(project=project, web=f"web:{version}")
        assert {one.status for one in shop.look()} <= {"completed", "in-sync"}
        del shop.engine.world.images[f"web:{version}"]


def name_of(version: int) -> str:
    pin = f"sha256:{f'web:{version}'.encode().hex().ljust(64, '0')[:64]}"
    return kept_image_name(
        ImagePin(ref=f"web:{version}", pin=pin, pin_kind="image-id"), project="shop", service="web"
    )


def held(shop: SimulatedController) -> list[int]:
    """The versions whose image the engine has under our name."""
    return [version for version in range(20) if name_of(version) in shop.engine.world.images]


def forgotten(shop: SimulatedController) -> list[ImagesForgotten]:
    return [event for one in shop.log.read() if isinstance(event := decode(one), ImagesForgotten)]


def old(shop: SimulatedController) -> OldImages:
    (found,) = asyncio.run(old_images(shop.context))
    return found


def test_the_images_of_the_last_releases_stay_and_older_ones_go(shop: SimulatedController) -> None:
    release(shop, 1, 2)
    assert forgotten(shop) == []
    release(shop, 3, 4)
    assert held(shop) == [3, 4]
    assert [(one.names, one.count) for one in forgotten(shop)] == [((name_of(n),), 1) for n in (1, 2)]
    head = shop.log.head()
    assert asyncio.run(forget_old_images(shop.context)) == []
    assert shop.log.head() == head, "a pass without old images appends nothing"


def test_what_was_before_what_is_deployed_stays_however_little_is_kept(shop: SimulatedController) -> None:
    one = PROJECT.replace("keep: 2", "keep: 1")
    release(shop, 1, 2, 3, project=one)
    assert held(shop) == [2, 3]
    assert shop.rollback().status == "completed"
    assert held(shop) == [2, 3], "what is held, and what Git shows"


def test_what_another_environment_needs_stays(shop: SimulatedController) -> None:
    shop.merge(project=TWO, web="web:1")
    shop.look()
    for version in (2, 3, 4):
        shop.merge(project=TWO, web=f"web:{version}")
        shop.look("prod")
    assert held(shop) == [1, 3, 4]


def test_an_image_that_a_container_uses_stays_until_it_is_gone(shop: SimulatedController) -> None:
    release(shop, 1)
    container = shop.engine.add("somebody", image=name_of(1))
    release(shop, 2, 3)
    assert held(shop) == [1, 2, 3]
    assert old(shop).in_use == (name_of(1),)
    del shop.engine.world.containers[container]
    asyncio.run(forget_old_images(shop.context))
    assert held(shop) == [2, 3]


def test_names_that_this_log_did_not_give_are_never_touched(shop: SimulatedController) -> None:
    other = "stagecraft.local/shop/web:ffffffffffffffff"
    shop.engine.world.images[other] = f"sha256:{'f' * 64}"
    release(shop, 1, 2, 3)
    shop.engine.world.images["mine:1"] = f"sha256:{'f' * 64}"
    assert other in shop.engine.world.images
    assert old(shop).names == ()


def test_a_name_goes_and_the_image_stays_where_somebody_else_has_a_tag(shop: SimulatedController) -> None:
    for version in (1, 2, 3):
        shop.merge(project=PROJECT, web=f"web:{version}")
        shop.look()
    assert held(shop) == [2, 3]
    assert "web:1" in shop.engine.world.images


def test_a_rollback_to_what_is_gone_says_so_and_changes_nothing(shop: SimulatedController) -> None:
    release(shop, 1, 2, 3, 4)
    first = shop.state.completed()[-1].id
    running = shop.engine.world.ids("web")
    verdict = shop.rollback(RollbackTarget(to_release=first))
    assert verdict.failure is not None
    assert (verdict.status, verdict.failure.code) == ("rolled_back", "image-not-found")
    assert "web:1" in verdict.failure.message
    assert "load or build web:1 again" in (verdict.failure.next or "")
    assert shop.engine.world.ids("web") == running


def test_an_engine_that_does_not_answer_holds_nothing_up(shop: SimulatedController) -> None:
    release(shop, 1, 2, 3)
    shop.engine.world.reachable = False
    assert asyncio.run(forget_old_images(shop.context)) == []
    assert "left for the next time" in shop.said[-1]
