"""A branch whose history was rewritten: real Git, a simulated engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller.repositories import BranchRules
from events.kernel.errors import UserError
from tests.support.controllers import SimulatedController
from tests.support.mortal import Fate, Killed, MortalLog
from tests.support.repos import Repository, git

ALLOWED = BranchRules(allow_rewrite=True)


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    """`web:1` was deployed, then `web:2`."""
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.merge(web="web:1")
    made.look()
    made.merge(web="web:2")
    made.look()
    return made


def rewrite(controller: SimulatedController, image: str = "web:3") -> str:
    """Take the last commit away and put another one in its place."""
    git("reset", "--quiet", "--hard", "HEAD~1", cwd=controller.repository.work)
    git("push", "--quiet", "--force", "origin", "HEAD:main", cwd=controller.repository.work)
    return controller.merge(web=image)


def runs(controller: SimulatedController, image: str) -> bool:
    """Whether what runs is made of this image."""
    world = controller.engine.world
    return world.named("shop-prod-web-1").image == world.images[image]


def refused(controller: SimulatedController, rules: BranchRules | None = None) -> UserError:
    """Look, and answer why the commit was not taken."""
    with pytest.raises(UserError) as raised:
        controller.look(rules=rules)
    return raised.value


def test_it_is_recorded_and_not_deployed_and_the_environment_shows_why(
    controller: SimulatedController,
) -> None:
    before = len(controller.types)
    revision = rewrite(controller)
    error = refused(controller)
    assert error.code == "history-rewritten"
    assert controller.types[before:] == [
        "HistoryRewritten",
        "RevisionObserved",
        "RevisionRejected",
        "RenderFailed",
    ]
    assert runs(controller, "web:2")
    git_state = controller.state.git
    assert git_state.failed_revision == revision
    assert git_state.failure is not None
    assert git_state.failure.code == "history-rewritten"


def test_the_entry_of_the_operator_is_named(controller: SimulatedController) -> None:
    rewrite(controller)
    error = refused(controller, BranchRules(entry="repositories[1]"))
    assert "repositories[1].allow_rewrite" in error.next


def test_it_is_said_once(controller: SimulatedController) -> None:
    rewrite(controller)
    refused(controller)
    before = controller.types
    refused(controller)
    assert controller.types == before


def test_what_a_crash_left_unsaid_is_said_by_the_next_look(controller: SimulatedController) -> None:
    rewrite(controller)
    living = controller.context
    fate = Fate(left=1)  # it dies right after the append to the repository's stream
    controller.context = replace(living, log=MortalLog(living.log, fate))
    with pytest.raises(Killed):
        controller.look()
    assert controller.types[-1] == "RevisionRejected"
    controller.context = living
    refused(controller)
    assert controller.types[-1] == "RenderFailed"


def test_a_commit_on_top_of_a_refused_one_is_refused_too(controller: SimulatedController) -> None:
    rewrite(controller)
    refused(controller)
    controller.merge(web="web:4")
    assert refused(controller).code == "history-rewritten"
    assert runs(controller, "web:2")


def test_an_older_commit_is_refused_too(controller: SimulatedController) -> None:
    git("push", "--quiet", "--force", "origin", "HEAD~1:main", cwd=controller.repository.work)
    assert refused(controller).code == "history-rewritten"
    assert runs(controller, "web:2")


def test_a_branch_that_is_put_right_is_followed_again(controller: SimulatedController) -> None:
    good = controller.repository.head()
    rewrite(controller)
    refused(controller)
    git("push", "--quiet", "--force", "origin", f"{good}:main", cwd=controller.repository.work)
    (outcome,) = controller.look()
    assert outcome.status == "in-sync"
    assert controller.state.git.failure is None
    git("reset", "--quiet", "--hard", good, cwd=controller.repository.work)
    controller.merge(web="web:5")
    controller.look()
    assert runs(controller, "web:5")


def test_where_it_is_allowed_it_is_recorded_and_deployed(controller: SimulatedController) -> None:
    rewrite(controller)
    controller.look(rules=ALLOWED)
    assert controller.types.count("HistoryRewritten") == 1
    assert runs(controller, "web:3")


def test_an_operator_who_allows_it_later_gets_that_very_commit_deployed(
    controller: SimulatedController,
) -> None:
    rewrite(controller)
    refused(controller)
    controller.look(rules=ALLOWED)
    assert runs(controller, "web:3")
    assert controller.types.count("HistoryRewritten") == 1
    controller.merge(web="web:4")
    controller.look()  # it follows what was taken, so it needs no permission
    assert runs(controller, "web:4")


def test_an_unusable_commit_that_is_amended_needs_no_permission(controller: SimulatedController) -> None:
    controller.merge(project="project: [", web="web:3")
    refused(controller)
    rewrite(controller)
    controller.look()
    assert runs(controller, "web:3")
    assert controller.types.count("HistoryRewritten") == 1
