"""Pins of an environment: kept, moved by rule, and looked up once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controller.decide.rollback import RollbackTarget
from events.catalog.environment import ManifestRendered
from events.manifest import ImagePin
from events.streams import environment_stream
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository

WEB, DB = "reg:5000/web:main", "reg:5000/db:1"
OLD, NEW, DATA = (f"sha256:{digit * 64}" for digit in "123")
DAY = 86_400


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.engine.world.registry |= {WEB: OLD, DB: DATA}
    push(made, WEB, OLD)
    push(made, DB, DATA)
    return made


def push(controller: SimulatedController, ref: str, digest: str) -> None:
    """The tag means this from now on, and the digest can be pulled."""
    controller.engine.world.registry |= {ref: digest, f"{ref}@{digest}": digest}


def merge(controller: SimulatedController, *, refresh: str = "never", environments: str = "prod: {}") -> str:
    return controller.repository.commit(
        {
            "stagecraft.yml": f"project: {{name: shop}}\nimages: {{refresh: {refresh}}}\n"
            f"environments: {{{environments}}}\n",
            "compose.yaml": f"services: {{web: {{image: '{WEB}'}}, api: {{image: '{WEB}'}}, "
            f"db: {{image: '{DB}'}}}}\n",
        }
    )


def web_pin(controller: SimulatedController) -> str:
    digest = controller.state.deployed_digest
    assert digest is not None
    return controller.context.manifest(digest).images()["web"].pin


def test_each_image_is_looked_up_once_for_all_environments_of_a_commit(
    controller: SimulatedController,
) -> None:
    merge(controller, environments="prod: {}, stage: {}, test: {}")
    controller.look()
    assert controller.engine.count("registry_digest") == 2


def test_tags_are_looked_up_again_when_a_day_has_passed_and_only_what_moved_is_deployed(
    controller: SimulatedController,
) -> None:
    merge(controller, refresh="daily")
    controller.look()
    push(controller, WEB, NEW)
    controller.clock.advance(DAY - 3600)
    controller.look()
    assert web_pin(controller) == OLD
    known = len(controller.types)
    controller.clock.advance(3600)
    controller.look()
    assert web_pin(controller) == NEW
    assert controller.types.count("ImagesRefreshed") == 1
    replaced = [one.data for one in list(controller.log.read())[known:] if one.type == "ServiceReplaced"]
    assert sorted(json.loads(data)["service"] for data in replaced) == ["api", "web"]
    known, asked = len(controller.types), controller.engine.count("registry_digest")
    controller.clock.advance(3600)
    controller.look()
    assert len(controller.types) == known
    assert controller.engine.count("registry_digest") == asked


def test_a_day_on_which_nothing_moved_leaves_no_event(controller: SimulatedController) -> None:
    merge(controller, refresh="daily")
    controller.look()
    known = len(controller.types)
    controller.clock.advance(DAY)
    (outcome,) = controller.look()
    assert outcome.status == "in-sync"
    assert len(controller.types) == known
    controller.clock.advance(3600)
    controller.look()
    assert controller.engine.count("registry_digest") == 4


def test_a_registry_that_is_down_when_a_day_has_passed_changes_nothing(
    controller: SimulatedController,
) -> None:
    merge(controller, refresh="daily")
    controller.look()
    known = len(controller.types)
    controller.engine.world.registry.clear()
    controller.clock.advance(DAY)
    (outcome,) = controller.look()
    assert outcome.status == "in-sync"
    assert len(controller.types) == known
    assert any("not looked up again" in line for line in controller.said)


def test_what_moved_while_the_process_died_before_its_decision_is_deployed_at_the_next_chance(
    controller: SimulatedController,
) -> None:
    merge(controller, refresh="daily")
    controller.look()
    push(controller, WEB, NEW)
    controller.clock.advance(DAY)

    def die(call: str, _: str) -> None:
        if call == "tag":
            raise KeyboardInterrupt

    controller.engine.before = die
    with pytest.raises(KeyboardInterrupt):
        controller.look()
    controller.engine.before = None
    controller.clock.advance(DAY)
    controller.look()
    assert web_pin(controller) == NEW


def test_a_rollback_goes_back_to_the_former_pin_and_stays_there(controller: SimulatedController) -> None:
    merge(controller, refresh="daily")
    controller.look()
    push(controller, WEB, NEW)
    controller.clock.advance(DAY)
    controller.look()
    assert web_pin(controller) == NEW
    controller.rollback(RollbackTarget(to_previous=True))
    assert web_pin(controller) == OLD
    controller.clock.advance(DAY)
    controller.look()
    assert web_pin(controller) == OLD


def test_another_renderer_never_moves_a_pin(controller: SimulatedController) -> None:
    revision = merge(controller)
    by_older = ManifestRendered(
        digest=f"sha256:{'9' * 64}",
        revision=revision,
        version=revision,
        render_key=f"sha256:{'8' * 64}",
        inputs={"": controller.repository.head("HEAD^{tree}")},
        renderer="stagecraft-0+compose-1",
        services={},
        images={
            "web": ImagePin(ref=WEB, pin=OLD, pin_kind="repo-digest"),
            "db": ImagePin(ref=DB, pin=DATA, pin_kind="repo-digest"),
        },
    )
    controller.context.recorder().append(environment_stream("shop", "prod"), by_older)
    controller.engine.world.registry |= {WEB: NEW}
    controller.look()
    assert web_pin(controller) == OLD
    assert controller.engine.count("registry_digest") == 0
    assert "ImagesRefreshed" not in controller.types
