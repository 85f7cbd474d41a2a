"""A process that stands still in the middle of its work, at every append and engine call.

While it has the lock nobody else does anything. When it was taken over all the same, because somebody
removed the lock's file, it does nothing more when it goes on: the log refuses its appends, the fence its
operations.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.locks import lock_file
from projections.engine.simulated_world import opened
from tests.crash.player import Stage, act_keep, act_look, act_rollback, play, stopped
from tests.crash.prepared import copied, prepared
from tests.crash.promises import check, end_of
from tests.crash.stories import STORIES
from tests.crash.tape import points

STORY, ROLLBACK = (next(one for one in STORIES if one.name == name) for name in ("look", "rollback"))
FEW = 5
PAST_ITS_FENCE = ("engine run_job before", "engine up before", "engine up_beside before")
"""Between the look at the fence and the call: what is asked of the engine there cannot be called back."""


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Version 1 is deployed, version 2 merged."""
    return prepared(tmp_path_factory.mktemp("stopped") / "begin", STORY)


@pytest.fixture(scope="module")
def under_lock(begin: Stage) -> tuple[str, ...]:
    """The points between the first append for the environment and the verdict."""
    tape = points(play(copied(begin, begin.folder / "clean"), act_look).expect().tape)
    return tuple(tape[tape.index("append ManifestRendered after #1") : -1])


def _snapshot(stage: Stage) -> tuple[list[str], bytes]:
    return end_of(stage).types, stage.world.read_bytes()


def _refused_while_held(stage: Stage, point: str) -> None:
    """Another process gets no lock and changes nothing; the first one ends its work."""
    with stopped(stage, act_look, at=point) as first:
        before = _snapshot(stage)
        run = play(stage.later(), act_keep).expect()
        assert "environment-locked" in run.words, point
        assert _snapshot(stage) == before, point
        assert first.goes_on().code == 0
    check(STORY, stage, releases=2)


def _ends_when_taken_over(stage: Stage, point: str) -> bool:
    """Others have finished its work and rolled it back; it changes nothing. Answers whether it was refused.

    It need not be: where it looks anew before it does anything it finds that nothing is left to do.
    """
    with stopped(stage, act_look, at=point) as first:
        lock_file(stage.home.run, str(stage.target)).unlink()
        second = stage.later()
        play(second, act_look).expect()
        play(second.later(), act_rollback).expect()
        after = _snapshot(stage)
        run = first.goes_on()
        assert _snapshot(stage) == after, f"stopped at {point} it went on after it was taken over"
    check(ROLLBACK, stage, releases=3)
    return "lock-lost" in run.words


def _spread(under_lock: tuple[str, ...]) -> tuple[str, ...]:
    return under_lock[2 :: max(1, len(under_lock) // FEW)]


def test_at_some_points_nobody_else_works_while_it_stands(
    begin: Stage, under_lock: tuple[str, ...], tmp_path: Path
) -> None:
    for number, point in enumerate(_spread(under_lock)):
        _refused_while_held(copied(begin, tmp_path / str(number)), point)


def test_at_some_points_it_ends_when_it_was_taken_over(
    begin: Stage, under_lock: tuple[str, ...], tmp_path: Path
) -> None:
    refused = [
        _ends_when_taken_over(copied(begin, tmp_path / str(number)), point)
        for number, point in enumerate(_spread(under_lock))
    ]
    assert any(refused)


@pytest.mark.slow
def test_at_every_point_it_ends_when_it_was_taken_over(
    begin: Stage, under_lock: tuple[str, ...], tmp_path: Path
) -> None:
    for number, point in enumerate(under_lock):
        if not point.startswith(PAST_ITS_FENCE):
            _ends_when_taken_over(copied(begin, tmp_path / str(number)), point)


def test_taken_over_between_its_fence_and_a_call_it_makes_that_one_call_and_records_nothing(
    begin: Stage, tmp_path: Path
) -> None:
    stage = copied(begin, tmp_path / "stage")
    with stopped(stage, act_look, at="engine run_job before #1") as first:
        lock_file(stage.home.run, str(stage.target)).unlink()
        second = stage.later()
        play(second, act_look).expect()
        play(second.later(), act_rollback).expect()
        types, before = end_of(stage).types, _containers(stage)
        assert "lock-lost" in first.goes_on().words
    assert end_of(stage).types == types
    (more,) = _containers(stage) - before
    assert "migrate" in more


def _containers(stage: Stage) -> set[str]:
    with opened(stage.world) as world:
        return {one.name for one in world.containers.values()}
