"""What is gone from Git, and what a person takes away: kept, told, removed by rule, brought back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from controller.decide.rollback import RollbackTarget
from controller.look import Outcome
from controller.removing import Survey, destroy, survey
from controller.targets import Target
from events.catalog import decode
from events.catalog.removal import DestroyRequested, EnvironmentDestroyed, EnvironmentOrphaned
from events.kernel.errors import OutsideError, UserError
from gitops.config.policy import PolicySection, RemovalSection
from tests.support.controllers import PERSON, SimulatedController
from tests.support.repos import Repository, git

TWO = "project: {name: shop}\nenvironments: {prod: {}, test: {}}\n"
PROD_ONLY = "project: {name: shop}\nenvironments: {prod: {}}\n"
TEST = Target(project="shop", name="test")
PROD = Target(project="shop", name="prod")
COMPOSE = """services:
  web: {image: 'web:1', volumes: ['data:/data']}
volumes: {data: {}}
"""


@pytest.fixture
def shop(repository: Repository, tmp_path: Path) -> SimulatedController:
    """Two environments, each with a web that has a volume."""
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.merge(project=TWO, web="web:1")
    made.repository.commit({"stagecraft.yml": TWO, "compose.yaml": COMPOSE})
    assert {one.status for one in made.look()} == {"completed"}
    return made


def rule(shop: SimulatedController, **words: object) -> None:
    """The operator's policy on removal from now on."""
    section = PolicySection(removal=RemovalSection.model_validate(words))
    shop.context = replace(shop.context, policy={"shop": section})


def take_away(
    shop: SimulatedController, target: Target = PROD, *, volumes: frozenset[str] = frozenset()
) -> EnvironmentDestroyed | None:
    return asyncio.run(destroy(shop.context, target, volumes=volumes, reason="over", actor=PERSON))


def seen(shop: SimulatedController, target: Target = PROD) -> Survey:
    return asyncio.run(survey(shop.context, target))


def outcome(found: list[Outcome], target: Target) -> Outcome:
    return next(one for one in found if one.environment == str(target))


def running(shop: SimulatedController, target: Target) -> list[str]:
    return [
        one.id
        for one in shop.engine.world.containers.values()
        if one.labels.get("stagecraft.environment") == target.name
    ]


def count(shop: SimulatedController, kind: str) -> int:
    return shop.types.count(kind)


def test_an_environment_gone_from_git_is_orphaned_once_and_kept_and_healed(shop: SimulatedController) -> None:
    before = running(shop, TEST)
    shop.repository.commit({"stagecraft.yml": PROD_ONLY})
    for _ in range(3):
        found = outcome(shop.look(), TEST)
        assert found.status == "orphaned"
        assert found.failure is None
    assert count(shop, "EnvironmentOrphaned") == 1
    assert running(shop, TEST) == before
    shop.engine.world.containers[before[0]].stopped = "exited"
    assert outcome(shop.look(), TEST).healed
    head = shop.log.head()
    shop.look()
    assert shop.log.head() == head


def test_coming_back_in_git_ends_it(shop: SimulatedController) -> None:
    before = running(shop, TEST)
    shop.repository.commit({"stagecraft.yml": PROD_ONLY})
    shop.look()
    shop.repository.commit({"stagecraft.yml": TWO})
    assert outcome(shop.look(), TEST).status == "in-sync"
    assert count(shop, "EnvironmentReturned") == 1
    assert shop.context.environment("shop", "test").orphaned is None
    assert running(shop, TEST) == before


def test_a_rule_removes_it_after_its_grace_without_its_volumes(shop: SimulatedController) -> None:
    rule(shop, orphans="remove", grace="1h")
    shop.repository.commit({"stagecraft.yml": PROD_ONLY})
    assert outcome(shop.look(), TEST).status == "orphaned"
    shop.clock.advance(3599)
    assert outcome(shop.look(), TEST).status == "orphaned"
    assert running(shop, TEST)
    shop.clock.advance(2)
    assert outcome(shop.look(), TEST).status == "destroyed"
    assert not running(shop, TEST)
    assert running(shop, PROD)
    assert "shop-test_data" in shop.engine.world.volumes
    head = shop.log.head()
    assert outcome(shop.look(), TEST).status == "in-sync"
    assert shop.log.head() == head


def test_what_a_rule_removed_is_deployed_when_git_declares_it_again(shop: SimulatedController) -> None:
    rule(shop, orphans="remove", grace="1s")
    shop.repository.commit({"stagecraft.yml": PROD_ONLY})
    shop.look()
    shop.clock.advance(2)
    shop.look()
    shop.repository.commit({"stagecraft.yml": TWO})
    assert outcome(shop.look(), TEST).status == "completed"
    assert running(shop, TEST)


def test_more_environments_in_one_commit_than_the_cap_wait_for_a_person(
    repository: Repository, tmp_path: Path
) -> None:
    three = "project: {name: shop}\nenvironments: {prod: {}, test: {}, stage: {}}\n"
    shop = SimulatedController(repository=repository, folder=tmp_path / "home")
    shop.merge(project=three, web="web:1")
    shop.look()
    rule(shop, orphans="remove", grace="1s")
    shop.repository.commit({"stagecraft.yml": PROD_ONLY})
    statuses: dict[str, str] = {}
    for _ in range(3):
        shop.clock.advance(10)
        statuses = {one.environment: one.status for one in shop.look()}
    assert statuses == {"shop/prod": "in-sync", "shop/test": "orphaned", "shop/stage": "orphaned"}
    assert count(shop, "RemovalDeferred") == 2
    orphaned = [event for one in shop.log.read() if isinstance(event := decode(one), EnvironmentOrphaned)]
    assert [one.together for one in orphaned] == [2, 2]
    assert take_away(shop, TEST) is not None
    assert not running(shop, TEST)


def test_an_environment_of_another_branch_is_not_gone(shop: SimulatedController) -> None:
    shop.repository.commit({"stagecraft.yml": PROD_ONLY})
    git("push", "-q", "origin", "HEAD~1:refs/heads/other", cwd=shop.repository.work)
    shop.look(branch="other")
    found = shop.look()
    assert [one.environment for one in found] == ["shop/prod"]
    assert count(shop, "EnvironmentOrphaned") == 0


def test_destroy_takes_containers_and_networks_and_keeps_volumes(shop: SimulatedController) -> None:
    before = seen(shop)
    assert [one.name for one in before.hosts[0].containers] == ["shop-prod-web-1"]
    ended = take_away(shop)
    assert ended is not None
    assert ended.hosts["local"].networks == ("shop-prod_default",)
    assert ended.hosts["local"].volumes == ()
    assert ended.kept == {"local": ("volume shop-prod_data: its data is kept",)}
    assert not running(shop, PROD)
    assert running(shop, TEST)
    assert "shop-prod_data" in shop.engine.world.volumes
    assert "shop-prod_default" not in shop.engine.world.networks


def test_destroy_takes_the_volumes_that_are_named_and_the_event_says_so(shop: SimulatedController) -> None:
    ended = take_away(shop, volumes=frozenset({"shop-prod_data"}))
    assert ended is not None
    assert ended.hosts["local"].volumes == ("shop-prod_data",)
    (asked,) = [event for one in shop.log.read() if isinstance(event := decode(one), DestroyRequested)]
    assert asked.volumes_confirmed
    assert set(shop.engine.world.volumes) == {"shop-test_data"}


def test_destroy_twice_is_destroy_once(shop: SimulatedController) -> None:
    take_away(shop)
    head = shop.log.head()
    assert take_away(shop) is None
    assert shop.log.head() == head


def test_git_does_not_bring_back_what_a_person_took_away(shop: SimulatedController) -> None:
    take_away(shop)
    assert outcome(shop.look(), PROD).status == "deferred"
    head = shop.log.head()
    assert outcome(shop.look(), PROD).status == "in-sync"
    assert shop.log.head() == head
    shop.repository.commit({"README.md": "words"})
    shop.look()
    assert not running(shop, PROD)
    shop.repository.commit({"compose.yaml": COMPOSE.replace("web:1", "web:2")})
    shop.engine.world.images["web:2"] = f"sha256:{'2' * 64}"
    assert outcome(shop.look(), PROD).status == "completed"
    assert running(shop, PROD)


def test_deploy_and_rollback_bring_it_back(shop: SimulatedController) -> None:
    take_away(shop)
    assert shop.deploy().status == "completed"
    assert running(shop, PROD)
    take_away(shop)
    assert shop.rollback(RollbackTarget(to_previous=True)).status == "completed"
    assert running(shop, PROD)


def test_nothing_deployed_is_an_error_and_touches_nothing(shop: SimulatedController) -> None:
    with pytest.raises(UserError) as caught:
        take_away(shop, Target(project="shop", name="never"))
    assert caught.value.code == "nothing-deployed"


def test_what_a_stranger_uses_is_kept_and_told(shop: SimulatedController) -> None:
    stranger = shop.engine.world.containers[shop.engine.add("mine")]
    stranger.networks, stranger.volumes = ("shop-prod_default",), ("shop-prod_data",)
    ended = take_away(shop, volumes=frozenset({"shop-prod_data"}))
    assert ended is not None
    assert ended.hosts["local"].volumes == ()
    assert "shop-prod_data" in shop.engine.world.volumes
    assert "network shop-prod_default: mine is on it" in ended.kept["local"]
    assert stranger.id in shop.engine.world.containers


@pytest.mark.parametrize("call", ["stop", "remove", "remove_network"])
def test_interrupted_the_next_look_finishes_it_and_heals_nothing(
    shop: SimulatedController, call: str
) -> None:
    def fails_at(name: str, _argument: str) -> None:
        if name == call:
            raise OutsideError("engine-refused", "it does not want to")

    shop.engine.before = fails_at
    with pytest.raises(OutsideError):
        take_away(shop)
    shop.engine.before = None
    assert shop.context.environment("shop", "prod").destroying is not None
    shop.look()
    assert not running(shop, PROD)
    assert shop.context.environment("shop", "prod").destroyed is not None
    assert count(shop, "EnvironmentDestroyed") == 1


def no_project_file(repository: Repository) -> None:
    repository.commit({"stagecraft.yml": None})


def no_environments(repository: Repository) -> None:
    repository.commit({"stagecraft.yml": "project: {name: shop}\n"})


def empty_project_file(repository: Repository) -> None:
    repository.commit({"stagecraft.yml": ""})


def no_repository(repository: Repository) -> None:
    repository.origin.rename(repository.origin.with_name("gone"))


@pytest.mark.parametrize("vanish", [no_project_file, no_environments, empty_project_file, no_repository])
def test_a_repository_that_is_empty_or_broken_orphans_nothing(
    shop: SimulatedController, vanish: Callable[[Repository], object]
) -> None:
    rule(shop, orphans="remove", grace="1s")
    vanish(shop.repository)
    for _ in range(2):
        shop.clock.advance(1000)
        with pytest.raises((UserError, OutsideError)):
            shop.look()
    assert count(shop, "EnvironmentOrphaned") == 0
    assert running(shop, PROD)
    assert running(shop, TEST)


def test_an_environment_that_is_asked_for_by_name_and_gone_is_orphaned_not_unknown(
    shop: SimulatedController,
) -> None:
    shop.repository.commit({"stagecraft.yml": PROD_ONLY})
    assert [(one.environment, one.status) for one in shop.look("test")] == [("shop/test", "orphaned")]
    assert [(one.environment, one.status) for one in shop.look("prod")] == [("shop/prod", "in-sync")]
    with pytest.raises(UserError) as caught:
        shop.look("tset")
    assert caught.value.code == "environment-unknown"


def test_a_held_orphan_is_a_persons(shop: SimulatedController) -> None:
    rule(shop, orphans="remove", grace="1s")
    shop.hold()
    shop.repository.commit({"stagecraft.yml": "project: {name: shop}\nenvironments: {test: {}}\n"})
    for _ in range(2):
        shop.clock.advance(100)
        assert outcome(shop.look(), PROD).status == "orphaned"
    assert running(shop, PROD)


def test_a_deploy_by_hand_begins_the_grace_anew(shop: SimulatedController) -> None:
    rule(shop, orphans="remove", grace="1h")
    shop.repository.commit({"stagecraft.yml": "project: {name: shop}\nenvironments: {test: {}}\n"})
    shop.look()
    shop.clock.advance(3500)
    assert shop.deploy(rev="HEAD~1").status == "completed"
    shop.clock.advance(200)
    assert outcome(shop.look(), PROD).status == "orphaned"
    assert running(shop, PROD)
