"""Where a rollback leads, and every way in which it cannot."""

from __future__ import annotations

import pytest

from controller.decide.rollback import RollbackTarget, find_target, good_targets
from events.catalog import decode
from events.catalog.environment import RollbackRequested
from events.kernel.errors import UserError
from tests.support.environments import Story

PREVIOUS = RollbackTarget(to_previous=True)


@pytest.fixture
def story() -> Story:
    return Story()


def refused(story: Story, target: RollbackTarget) -> str:
    with pytest.raises(UserError) as caught:
        find_target(story.state, target)
    return caught.value.code


def test_previous_is_the_newest_completed_release_that_ran_something_else(story: Story) -> None:
    first = story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    story.person_deploys("c2", web="2")
    story.completes()
    assert find_target(story.state, PREVIOUS).id == first


def test_a_rollback_is_held_at_once(story: Story) -> None:
    story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    story.person_rolls_back()
    hold = story.state.hold
    assert hold is not None
    assert (hold.target, hold.clears) == ("sha256:web=1", "fixed")
    assert hold.bad == {"sha256:web=2"}


def test_a_rollback_survives_the_next_look(story: Story) -> None:
    story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    story.person_rolls_back()
    story.completes()
    assert story.look("c2", web="2") == ()
    assert story.state.deployed_digest == "sha256:web=1"


def test_rolling_back_twice_goes_back_twice(story: Story) -> None:
    story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    story.deploys("c3", web="3")
    story.person_rolls_back()
    story.completes()
    story.person_rolls_back()
    story.completes()
    assert story.state.deployed_digest == "sha256:web=1"
    assert story.state.hold is not None
    assert story.state.hold.bad == {"sha256:web=2", "sha256:web=3"}
    assert refused(story, PREVIOUS) == "no-previous-release"


def test_a_rolled_back_release_is_never_a_target(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    bad = story.rolls_back()
    assert refused(story, PREVIOUS) == "no-previous-release"
    assert refused(story, RollbackTarget(to_release=bad)) == "release-incomplete"


def test_a_failed_rollback_is_not_tried_again_as_previous(story: Story) -> None:
    story.deploys("c0", web="0")
    story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    story.person_rolls_back()
    story.rolls_back()
    assert story.state.deployed_digest == "sha256:web=2"
    assert find_target(story.state, PREVIOUS).digest == "sha256:web=0"


def test_a_release_is_found_by_id_and_by_version(story: Story) -> None:
    first = story.deploys("0123456789abcdef", web="1")
    story.deploys("c2", web="2")
    assert find_target(story.state, RollbackTarget(to_release=first)).id == first
    assert find_target(story.state, RollbackTarget(to_version="0123456789abcdef")).id == first
    assert find_target(story.state, RollbackTarget(to_version="0123456")).id == first
    assert refused(story, RollbackTarget(to_version="012345")) == "version-not-found"


def test_the_current_release_is_refused_unless_a_newer_attempt_failed(story: Story) -> None:
    story.deploys("c1", web="1")
    current = story.deploys("c2", web="2")
    assert refused(story, RollbackTarget(to_release=current)) == "release-is-current"
    story.look("c3", web="3")
    story.rolls_back()
    assert find_target(story.state, RollbackTarget(to_release=current)).id == current


def test_naming_a_bad_release_by_id_takes_it_off_the_list_of_bad_ones(story: Story) -> None:
    story.deploys("c1", web="1")
    second = story.deploys("c2", web="2")
    story.person_rolls_back()
    story.completes()
    story.person_rolls_back(RollbackTarget(to_release=second))
    assert story.state.hold is not None
    assert story.state.hold.bad == {"sha256:web=1"}


def test_a_rollback_supersedes_what_waits_and_holds_it_bad(story: Story) -> None:
    story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    story.look("c3", web="3")
    story.person_rolls_back()
    assert story.state.hold is not None
    assert story.state.hold.bad == {"sha256:web=2", "sha256:web=3"}
    assert "ReleaseSuperseded" in story.types


def test_from_a_release_that_runs_the_previous_one_is_what_is_deployed(story: Story) -> None:
    story.deploys("c0", web="0")
    first = story.deploys("c1", web="1")
    story.look("c2", web="2")
    running = story.begins()
    assert find_target(story.state, PREVIOUS).id == first
    assert good_targets(story.state, most=10)[0].id == first
    story.person_rolls_back()
    assert [one.status for one in story.state.unfinished] == ["running", "pending"]
    hold, asked = story.state.hold, decode(story.stored[-2])
    assert hold is not None
    assert hold.target == "sha256:web=1"
    assert hold.bad == {"sha256:web=2"}
    assert isinstance(asked, RollbackRequested)
    assert asked.reverts == running


def test_going_back_once_more_from_a_rollback_that_runs_goes_further_back(story: Story) -> None:
    zeroth = story.deploys("c0", web="0")
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    running = story.begins()
    story.person_rolls_back()
    story.makes_way(running)
    story.begins()
    assert find_target(story.state, PREVIOUS).id == zeroth


def test_a_release_that_waits_is_not_what_one_goes_back_from(story: Story) -> None:
    zeroth = story.deploys("c0", web="0")
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    assert find_target(story.state, PREVIOUS).id == zeroth


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (PREVIOUS, "nothing-deployed"),
        (RollbackTarget(to_release="rel-1"), "nothing-deployed"),
    ],
)
def test_nothing_deployed(story: Story, target: RollbackTarget, code: str) -> None:
    assert refused(story, target) == code


def test_an_unknown_release_is_named(story: Story) -> None:
    story.deploys("c1", web="1")
    assert refused(story, RollbackTarget(to_release="rel-20200101-000000000")) == "release-not-found"


def test_no_target_and_several_targets_are_told_apart() -> None:
    with pytest.raises(UserError) as none:
        RollbackTarget()
    with pytest.raises(UserError) as several:
        RollbackTarget(to_previous=True, to_version="1")
    assert none.value.code == "rollback-target-missing"
    assert several.value.code == "rollback-target-ambiguous"


def test_the_good_releases_are_offered_newest_first_each_manifest_once(story: Story) -> None:
    first = story.deploys("c1", web="1")
    second = story.deploys("c2", web="2")
    story.deploys("c3", web="3")
    again = story.deploys("c4", web="1")
    story.deploys("c5", web="5")
    assert [one.id for one in good_targets(story.state, most=10)][::2] == [again, second]
    assert first not in [one.id for one in good_targets(story.state, most=10)]
    assert [one.id for one in good_targets(story.state, most=1)] == [again]


def test_neither_what_is_deployed_nor_what_is_held_bad_nor_what_failed_is_offered(story: Story) -> None:
    first = story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    story.deploys("c3", web="3")
    story.look("c4", web="4")
    story.rolls_back()
    story.person_rolls_back()
    story.completes()
    assert [one.id for one in good_targets(story.state, most=10)] == [first]


def test_the_first_offer_is_where_to_previous_leads(story: Story) -> None:
    for number in range(4):
        story.deploys(f"c{number}", web=str(number))
    assert good_targets(story.state, most=10)[0] == find_target(story.state, PREVIOUS)
