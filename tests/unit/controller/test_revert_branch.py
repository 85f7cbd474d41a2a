"""What a rollback would have Git take back, by the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.revert_branch import plan_revert
from controller.targets import Target
from events.kernel.errors import UserError
from gitops.source.revert_branch import RevertPlan
from tests.unit.projections.views.why.chronicle import Chronicle, commit

PROD = Target(project="shop", name="prod")


@pytest.fixture
def days(tmp_path: Path) -> Chronicle:
    made = Chronicle(tmp_path)
    made.deploys("one", web="1")
    made.deploys("two", web="2")
    return made


def planned(days: Chronicle, reason: str = "") -> RevertPlan:
    return plan_revert(days.log, PROD, reason=reason)


def test_from_what_was_rolled_back_to_what_runs_now(days: Chronicle) -> None:
    bad = days.deploys("three", web="3")
    rollback = days.rollback()
    plan = planned(days, reason="errors")
    assert (plan.bad, plan.good) == (commit("three"), commit("two"))
    assert (plan.branch, plan.name) == ("main", f"stagecraft/revert-{bad}")
    assert plan.words == f"shop/prod was rolled back from {bad} to what {rollback} runs: errors"


def test_a_second_rollback_takes_back_the_newest_bad_commit_too(days: Chronicle) -> None:
    bad = days.deploys("three", web="3")
    days.rollback()
    days.rollback()
    plan = planned(days)
    assert (plan.bad, plan.good) == (commit("three"), commit("one"))
    assert plan.name.endswith(bad)


def test_without_a_rollback_there_is_nothing_to_revert(days: Chronicle) -> None:
    with pytest.raises(UserError) as caught:
        planned(days)
    assert caught.value.code == "revert-branch-not-possible"


def test_a_rollback_whose_hold_is_over_is_no_reason_any_more(days: Chronicle) -> None:
    days.rollback()
    days.resume()
    with pytest.raises(UserError) as caught:
        planned(days)
    assert caught.value.code == "revert-branch-not-possible"


def test_a_commit_that_came_by_a_tag_is_reverted_on_the_branch_that_showed_it_if_any(days: Chronicle) -> None:
    days.tag = "v1.2.0"
    days.deploys("three", web="3")
    days.rollback()
    with pytest.raises(UserError) as caught:
        planned(days)
    assert "came by a tag (tags 1.x)" in caught.value.message
    days.tag = None
    days.observed("three")
    days.tag = "v1.2.0"
    days.observed("three")
    assert planned(days).branch == "main"


def test_a_commit_that_no_branch_showed_is_not_reverted(days: Chronicle) -> None:
    days.person_deploys("by hand", web="9")
    days.completes()
    days.rollback()
    with pytest.raises(UserError) as caught:
        planned(days)
    assert "no watched branch showed" in caught.value.message
