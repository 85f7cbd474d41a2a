"""Waiting for images that CI pushes: begun once, ended in time, told to nobody twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.awaiting import ImagesMissingError, begin_wait, decide_await, rest_seconds
from events.catalog import Failure
from events.catalog.environment import ImageAwaited, RenderFailed
from events.kernel.errors import OutsideError
from projections.engine.errors import IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE
from tests.support.environments import Story


def missing(*refs: str) -> ImagesMissingError:
    said = {ref: OutsideError(IMAGE_NOT_FOUND, f"no {ref}", why="manifest unknown") for ref in refs}
    return ImagesMissingError.of(said, wait_seconds=900)


def look(story: Story, revision: str, *refs: str) -> tuple[str, ...]:
    decided = decide_await(story.state, missing(*refs), revision=revision, now=story.clock.now())
    story.append(*decided)
    return tuple(type(one).__name__ for one in decided)


def test_a_wait_begins_once_and_lasts_as_long_as_it_may() -> None:
    story = Story()
    began = story.clock.now()
    assert look(story, "c1", "web:c1") == ("ImageAwaited",)
    assert look(story, "c1", "web:c1") == ()
    awaited = story.state.awaited
    assert awaited is not None
    assert (awaited.images, awaited.until) == (("web:c1",), began + timedelta(seconds=900))


def test_fewer_images_are_told_and_the_end_stays() -> None:
    story = Story()
    look(story, "c1", "api:c1", "web:c1")
    before = story.state.awaited
    story.later(minutes=5)
    assert look(story, "c1", "web:c1") == ("ImageAwaited",)
    after = story.state.awaited
    assert before is not None
    assert after is not None
    assert (after.images, after.since, after.until) == (("web:c1",), before.since, before.until)


def test_a_wait_that_is_over_fails_once() -> None:
    story = Story()
    look(story, "c1", "web:c1")
    story.later(minutes=15)
    assert look(story, "c1", "web:c1") == ("RenderFailed",)
    failure = story.state.git.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("image-await-expired", "outside")
    story.later(hours=1)
    assert look(story, "c1", "web:c1") == ()


def test_a_newer_commit_is_another_wait() -> None:
    story = Story()
    look(story, "c1", "web:c1")
    story.later(minutes=10)
    assert look(story, "c2", "web:c2") == ("ImageAwaited",)
    story.later(minutes=10)
    assert look(story, "c2", "web:c2") == ()


def test_a_render_of_the_commit_ends_its_wait_and_one_of_another_does_not() -> None:
    story = Story()
    look(story, "c2", "web:c2")
    story.rendered("c1", web="1")
    assert story.state.awaited is not None
    story.rendered("c2", web="2")
    assert story.state.awaited is None


def test_git_going_back_to_what_is_deployed_ends_the_wait() -> None:
    story = Story()
    story.deploys("c1", web="1")
    look(story, "c2", "web:c2")
    assert story.look("c3", web="1") == ("DeploySkipped",)
    assert story.state.awaited is None
    assert story.look("c3", web="1") == ()


def test_a_wait_after_another_failure_is_told_again_and_the_failure_is_over() -> None:
    story = Story()
    look(story, "c1", "web:c1")
    failure = Failure(code=REGISTRY_UNREACHABLE, message="silent", cause="outside")
    story.append(RenderFailed(revision="c1", failure=failure))
    assert look(story, "c1", "web:c1") == ("ImageAwaited",)
    assert story.state.git.failure is None


def test_a_persons_wait_is_theirs_alone() -> None:
    story = Story()
    story.append(begin_wait(missing("web:c1"), revision="c1", now=story.clock.now(), trigger="person"))
    assert story.state.awaited is None
    assert isinstance(
        begin_wait(missing("a:1"), revision="c", now=story.clock.now(), trigger="git"), ImageAwaited
    )


@pytest.mark.parametrize(
    ("waited", "left", "rest"), [(0, 900, 2), (40, 860, 10), (600, 300, 30), (899, 1, 1), (1000, -100, 30)]
)
def test_it_rests_longer_the_longer_it_waited_and_looks_once_at_the_end(
    waited: float, left: float, rest: float
) -> None:
    now = Story().clock.now()
    since, until = now - timedelta(seconds=waited), now + timedelta(seconds=left)
    assert rest_seconds(since=since, until=until, now=now) == pytest.approx(rest)
