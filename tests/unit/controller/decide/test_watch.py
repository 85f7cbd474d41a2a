"""The watch over a completed Release: how it ends, and what follows."""

from __future__ import annotations

import pytest

from controller.decide.rollback import RollbackTarget, decide_rollback, find_target
from controller.decide.watch import Figures, decide_failed, decide_passed, with_end_of_watch
from events.catalog import Event, Failure
from events.catalog.draining import TrafficDrained, TrafficUndrained
from events.catalog.environment import EnvironmentHeld, EnvironmentSuspended, HoldCleared, RollbackRequested
from events.catalog.removal import DestroyRequested
from events.catalog.running import ServiceRestarted, ServiceStopped
from events.catalog.watch import WatchEnded, WatchFailed, WatchPassed
from tests.unit.controller.decide.story import Story
from tests.unit.projections.converge.scene import HOST, Spec, manifest_of

GOOD, BAD, WORSE = (manifest_of(web=Spec(image=f"web:{number}")) for number in (1, 2, 3))
FAILURE = Failure(
    code="requests-failed", message="web failed 12 of 40 requests", cause="repository", service="web"
)
FIGURES = Figures(requests=40, failed=12)
HELD = EnvironmentHeld(target=GOOD.digest, bad=(), clears="manual", reason="stay")


@pytest.fixture
def story() -> Story:
    made = Story()
    made.deploy(GOOD)
    return made


def fails(story: Story, release: str) -> tuple[Event, ...]:
    back = story.ids.release_id()
    return story.take(
        lambda state: decide_failed(state, release=release, failure=FAILURE, figures=FIGURES, release_id=back)
    )


def test_what_fails_goes_back_by_a_rollback_that_holds(story: Story) -> None:
    good = story.state.deployed
    release = story.deploy(BAD, watched=60)
    found, asked, held = fails(story, release)
    assert found == WatchFailed(release=release, failure=FAILURE, requests=40, failed=12)
    assert isinstance(asked, RollbackRequested)
    assert (asked.digest, asked.target, asked.reverts) == (GOOD.digest, good, release)
    assert asked.reason == f"{release} failed while it was watched: web failed 12 of 40 requests"
    assert isinstance(held, EnvironmentHeld)
    assert (held.target, held.bad, held.clears) == (GOOD.digest, (BAD.digest,), "fixed")
    state = story.state
    assert state.watch is None
    assert state.active is not None
    assert (state.active.kind, state.releases[release].status) == ("rollback", "completed")


def test_a_watch_ends_once(story: Story) -> None:
    release = story.deploy(BAD, watched=60)
    passed = story.take(lambda state: decide_passed(state, release=release, figures=FIGURES))
    assert passed == (WatchPassed(release=release, requests=40, failed=12),)
    assert story.state.watch is None
    assert story.take(lambda state: decide_passed(state, release=release, figures=FIGURES)) == ()
    assert fails(story, release) == ()


def test_a_watch_over_another_release_is_nobody_s_to_end(story: Story) -> None:
    before = story.deploy(BAD, watched=60)
    now = story.deploy(WORSE, watched=60)
    assert fails(story, before) == ()
    watch = story.state.watch
    assert watch is not None
    assert (watch.release, watch.services) == (now, ("web",))


def test_a_second_failure_goes_back_further_and_never_forward(story: Story) -> None:
    fails(story, story.deploy(BAD, watched=60))
    story.finish()
    (_found, asked, held) = fails(story, story.deploy(WORSE, watched=60))
    assert isinstance(asked, RollbackRequested)
    assert isinstance(held, EnvironmentHeld)
    assert (asked.digest, held.bad) == (GOOD.digest, tuple(sorted((BAD.digest, WORSE.digest))))


def test_without_anything_to_go_back_to_it_is_said_alone() -> None:
    story = Story()
    release = story.deploy(BAD, watched=60)
    (found,) = fails(story, release)
    assert isinstance(found, WatchFailed)
    assert (story.state.watch, story.state.hold, story.state.deployed) == (None, None, release)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (HELD, "held"),
        (EnvironmentSuspended(reason="night"), "suspended"),
        (TrafficDrained(kind="host", name=HOST, mode="draining"), "drained"),
        (DestroyRequested(cause="person", hosts={}), "destroyed"),
        (ServiceStopped(service="web", hashes={}), "steered"),
        (ServiceRestarted(service="web", hosts=(HOST,)), "steered"),
        (ServiceStopped(service="db", hashes={}), None),
        (TrafficUndrained(kind="host", name=HOST), None),
        (HoldCleared(reason="resumed"), None),
    ],
)
def test_another_wish_ends_it_in_the_same_append(story: Story, event: Event, reason: str | None) -> None:
    release = story.deploy(BAD, watched=60)
    said = with_end_of_watch(story.state, (event,))
    ended = () if reason is None else (WatchEnded.model_validate({"release": release, "reason": reason}),)
    assert said == (event, *ended)
    story.say(*said)
    assert (story.state.watch is None) is (reason is not None)
    assert with_end_of_watch(story.state, ()) == ()


def test_a_rollback_by_a_person_ends_it_as_a_request(story: Story) -> None:
    story.deploy(BAD, watched=60)
    state = story.state
    target = find_target(state, RollbackTarget(to_previous=True))
    decided = decide_rollback(state, target, release_id="rel-9", reason="")
    *same, ended = with_end_of_watch(state, decided)
    assert tuple(same) == decided
    assert isinstance(ended, WatchEnded)
    assert ended.reason == "requested"
