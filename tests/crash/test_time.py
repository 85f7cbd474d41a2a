"""Clocks that jump: no wait hangs or ends early, and no Release takes another one's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from tests.crash.player import Fate, Stage, act_deploy, act_keep, act_look, play
from tests.crash.prepared import copied, prepared
from tests.crash.promises import check, end_of
from tests.crash.stories import STORIES, Story
from tests.crash.tape import points
from tests.support.time import START, FakeClock

HOUR = timedelta(hours=1)
CHANGES = [one for one in STORIES if one.name in {"look", "failing", "rollback"}]


class JumpingClock(FakeClock):
    """A clock whose wall time can be set while the monotonic one goes on."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.off = timedelta()

    @override
    def now(self) -> datetime:
        return super().now() + self.off


def _clock(stage: Stage) -> JumpingClock:
    clock = JumpingClock(START)
    clock.advance(stage.clock().monotonic())
    return clock


def _jumping(clock: JumpingClock, jump: timedelta, *, at: str) -> Callable[[str], None]:
    def strike(point: str) -> None:
        if point == at:
            clock.off += jump

    return strike


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
@pytest.mark.parametrize("story", CHANGES, ids=lambda one: one.name)
def test_a_clock_that_jumps_in_the_middle_changes_nothing(
    story: Story, jump: timedelta, tmp_path: Path
) -> None:
    begin = prepared(tmp_path / "begin", story)
    undisturbed = copied(begin, tmp_path / "undisturbed")
    tape = points(play(undisturbed, story.act, clock=_clock(begin)).expect().tape)
    releases = end_of(undisturbed).requested()
    for number, share in enumerate((0.3, 0.6, 0.9)):
        stage, clock = copied(begin, tmp_path / str(number)), _clock(begin)
        at = tape[int(len(tape) * share)]
        run = play(stage, story.act, Fate(strike=_jumping(clock, jump, at=at)), clock=clock).expect()
        assert points(run.tape) == tape, f"after a jump at {at} it took another course"
        check(story, stage, releases=releases)


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_clock_that_jumped_between_two_processes_is_no_reason_to_do_anything(
    jump: timedelta, tmp_path: Path
) -> None:
    story = STORIES[0]
    stage = prepared(tmp_path / "stage", story)
    play(stage, story.act).expect()
    before = end_of(stage).types
    for act in (act_keep, act_look):
        stage = replace(stage.later(), wall_jump=jump)
        play(stage, act).expect()
    assert end_of(stage).types == before
    check(story, stage, releases=2)


def test_releases_of_a_clock_that_stands_or_goes_back_have_names_of_their_own(tmp_path: Path) -> None:
    """Each process gets the same millisecond from its clock."""
    story = STORIES[0]
    stage = prepared(tmp_path / "stage", story)
    for _ in range(3):
        play(stage, act_deploy, clock=_clock(stage)).expect()
    end = end_of(stage)
    assert end.requested() == 4
    assert end.types.count("DeployRequested") == 4
    assert {one.status for one in end.state.releases.values()} == {"completed"}
