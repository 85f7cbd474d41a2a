"""Holds and suspends: what they keep back, who ends which, and time that ends them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.decide.hold import Stop, decide_expiry, decide_hold, decide_resume, decide_suspend
from events.catalog.environment import EnvironmentSuspended
from events.kernel.errors import UserError
from tests.support.environments import Story
from tests.support.time import START

LATER = START + timedelta(hours=2)


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_hold_keeps_the_bad_ones_of_the_hold_before(story: Story) -> None:
    story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    story.person_rolls_back()
    story.completes()
    story.append(*decide_hold(story.state, reason="calm down"))
    assert story.state.hold is not None
    assert story.state.hold.bad == {"sha256:web=2"}
    assert story.state.hold.clears == "manual"


def test_nothing_can_be_held_before_something_is_deployed(story: Story) -> None:
    with pytest.raises(UserError) as caught:
        decide_hold(story.state, reason="early")
    assert caught.value.code == "nothing-deployed"


def test_resume_without_a_hold_is_refused(story: Story) -> None:
    with pytest.raises(UserError) as caught:
        decide_resume(story.state, reason="")
    assert caught.value.code == "environment-not-held"


def test_resume_asks_which_of_two_ends(story: Story) -> None:
    story.deploys("c1", web="1")
    story.append(*decide_hold(story.state, reason="x"), EnvironmentSuspended(reason="y"))
    with pytest.raises(UserError) as caught:
        decide_resume(story.state, reason="")
    assert caught.value.code == "resume-ambiguous"


def test_resume_ends_a_suspend(story: Story) -> None:
    story.append(EnvironmentSuspended(reason="y"))
    story.append(*decide_resume(story.state, reason="done"))
    assert not story.state.suspended


def test_what_is_to_be_held_must_be_what_is_deployed(story: Story) -> None:
    first = story.deploys("c1", web="1")
    second = story.deploys("c2", web="2")
    story.append(*decide_hold(story.state, reason="calm", release=second))
    assert story.state.hold is not None
    with pytest.raises(UserError) as caught:
        decide_hold(story.state, reason="calm", release=first)
    assert caught.value.code == "release-not-deployed"
    assert f"rollback --to-release {first}" in caught.value.next
    with pytest.raises(UserError) as unknown:
        decide_hold(story.state, reason="calm", release="rel-0")
    assert unknown.value.code == "release-not-found"


@pytest.mark.parametrize(("ends", "left"), [("hold", (False, True)), ("suspend", (True, False))])
def test_each_of_two_ends_by_itself(story: Story, ends: Stop, left: tuple[bool, bool]) -> None:
    story.deploys("c1", web="1")
    story.append(*decide_hold(story.state, reason="x"), *decide_suspend(story.state, reason="y"))
    story.append(*decide_resume(story.state, reason="", ends=ends))
    assert (story.state.hold is not None, story.state.suspended) == left
    with pytest.raises(UserError) as caught:
        decide_resume(story.state, reason="", ends=ends)
    assert caught.value.code == "environment-not-held"


def test_time_ends_what_was_to_end_and_says_so_once(story: Story) -> None:
    story.deploys("c1", web="1")
    story.append(*decide_hold(story.state, reason="x", until=LATER))
    story.append(*decide_suspend(story.state, reason="y", until=LATER + timedelta(hours=1)))
    assert story.state.expires == LATER
    assert decide_expiry(story.state, now=LATER - timedelta(seconds=1)) == ()
    story.append(*decide_expiry(story.state, now=LATER))
    assert (story.state.hold, story.state.suspended) == (None, True)
    assert decide_expiry(story.state, now=LATER) == ()
    story.append(*decide_expiry(story.state, now=LATER + timedelta(hours=1)))
    ended = story.state
    assert (ended.suspended, ended.expires) == (False, None)


def test_what_a_person_must_end_time_does_not(story: Story) -> None:
    story.deploys("c1", web="1")
    story.append(*decide_hold(story.state, reason="x"), *decide_suspend(story.state, reason="y"))
    assert story.state.expires is None
    assert decide_expiry(story.state, now=LATER + timedelta(days=9999)) == ()


def test_a_later_suspend_replaces_the_end_of_the_earlier_one(story: Story) -> None:
    story.append(*decide_suspend(story.state, reason="x", until=LATER))
    story.append(*decide_suspend(story.state, reason="y"))
    assert decide_expiry(story.state, now=LATER) == ()
