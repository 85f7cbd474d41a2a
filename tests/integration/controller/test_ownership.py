"""Branches that declare the same environments: each has one branch, and who comes later is told once."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.repositories import BranchRules
from events.kernel.errors import UserError
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository

BOTH = "project: {name: shop}\nenvironments: {prod: {}, staging: {}}\n"
STAGING = "project: {name: shop}\nenvironments: {staging: {}}\n"


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    """`main` and `next`, which declare the same environments and differ in their images."""
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.merge(project=BOTH, web="web:main")
    repository.branch("next")
    made.merge(project=BOTH, web="web:next")
    return made


def runs(controller: SimulatedController, environment: str, image: str) -> bool:
    """Whether what runs there is made of this image."""
    world = controller.engine.world
    return world.named(f"shop-{environment}-web-1").image == world.images[image]


def considered(controller: SimulatedController, *environments: str, branch: str) -> list[str]:
    return [one.environment for one in controller.look(*environments, branch=branch)]


def test_an_environment_stays_with_the_branch_that_declared_it_first(
    controller: SimulatedController,
) -> None:
    assert considered(controller, branch="main") == ["shop/prod", "shop/staging"]
    assert considered(controller, branch="next") == []
    assert controller.types[-3:] == ["RevisionObserved", "EnvironmentLeftOut", "EnvironmentLeftOut"]
    assert runs(controller, "prod", "web:main")
    assert any("shop/prod is left out of next: main of" in line for line in controller.said)


def test_that_it_was_left_out_is_recorded_once(controller: SimulatedController) -> None:
    controller.look()
    controller.look(branch="next")
    before = controller.types
    controller.look(branch="next")
    assert controller.types == before
    controller.merge(project=BOTH, web="web:next2")
    controller.look(branch="next")
    assert controller.types == [*before, "RevisionObserved"]


def test_branches_share_out_what_they_are_asked_for(controller: SimulatedController) -> None:
    assert considered(controller, "prod", branch="main") == ["shop/prod"]
    assert considered(controller, "staging", branch="next") == ["shop/staging"]
    assert runs(controller, "prod", "web:main")
    assert runs(controller, "staging", "web:next")
    assert "EnvironmentLeftOut" not in controller.types


def test_what_a_branch_gives_up_goes_to_the_next_without_being_orphaned(
    controller: SimulatedController,
) -> None:
    controller.look()
    controller.look(branch="next")
    controller.repository.switch("main")
    controller.merge(project=STAGING, web="web:main")
    assert considered(controller, branch="main") == ["shop/staging"]
    assert considered(controller, branch="next") == ["shop/prod"]
    assert runs(controller, "prod", "web:next")
    assert runs(controller, "staging", "web:main")
    assert "EnvironmentOrphaned" not in controller.types


def test_a_broken_commit_marks_only_what_is_the_branchs_own(controller: SimulatedController) -> None:
    controller.look("prod")
    controller.look("staging", branch="next")
    controller.merge(project="project: [", web="web:next")
    with pytest.raises(UserError):
        controller.look("staging", branch="next")
    assert controller.state.git.failure is None
    assert controller.context.environment("shop", "staging").git.failure is not None


def test_the_operators_list_hands_an_environment_over(controller: SimulatedController) -> None:
    controller.look()
    next_ = controller.place(branch="next").key
    controller.look(branch="next", rules=BranchRules(rivals={next_: ()}))
    assert runs(controller, "prod", "web:next")
    assert "EnvironmentLeftOut" not in controller.types


def test_the_status_of_an_environment_speaks_of_its_own_branch(controller: SimulatedController) -> None:
    controller.look()
    controller.look(branch="next")
    observed = [one.data for one in controller.log.read(type_name="RevisionObserved")]
    assert b'"affected":[]' in observed[-1]


def test_what_another_branch_took_over_is_no_mistake_of_the_list(controller: SimulatedController) -> None:
    controller.look("prod")
    controller.repository.switch("main")
    controller.merge(project=STAGING, web="web:main")
    controller.look("prod")
    controller.look(branch="next")
    assert considered(controller, "prod", branch="main") == []
