"""Killed at every append and every engine call, the next process brings all to the same end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.player import (
    KILLED,
    Fate,
    Stage,
    act_adopt,
    act_deploy,
    act_destroy,
    act_make_way,
    act_rollback,
    play,
)
from tests.crash.prepared import copied, prepared
from tests.crash.promises import End, check, end_of
from tests.crash.routed import ROUTED
from tests.crash.same_views import fold_views
from tests.crash.stories import STORIES, Story
from tests.crash.tape import calls_of_the_port, points

EVERY = (*STORIES, *ROUTED)
PARTS = 8  # a story's points make so many tests, so that none takes minutes
FEW = 3  # points of each story that `make test` takes, evenly spread; `make test-full` takes all


@dataclass(frozen=True, slots=True)
class Clean:
    """A story that nobody disturbs: where its act begins, what its tape says, how it ends."""

    story: Story
    begin: Stage
    tape: tuple[str, ...]
    releases: int


def _clean(folder: Path, story: Story) -> Clean:
    begin = prepared(folder / "begin", story)
    stage = copied(begin, folder / "clean")
    before = end_of(stage).types if stage.home.events_db.exists() else []
    run = play(stage, story.act).expect()
    tape = tuple(points(run.tape))
    end = end_of(stage)
    appended = [point for point in tape if point.startswith("append ") and " after #" in point]
    events = sum(point.count("+") + 1 for point in appended)
    assert events == len(end.types) - len(before), "an event was appended that is not on the tape"
    check(story, stage, releases=end.requested())
    return Clean(story, begin, tape, end.requested())


@pytest.fixture(scope="module")
def clean_runs() -> dict[str, Clean]:
    """Each story's clean run, made when it is first asked for."""
    return {}


def _crash(clean: Clean, point: str, folder: Path) -> None:
    story = clean.story
    stage = copied(clean.begin, folder)
    play(stage, story.act, Fate(kill_at=point)).expect(KILLED)
    fold_views(stage)
    stage = stage.later()
    play(stage, story.again).expect()
    if not _asked(clean, end_of(stage)):
        stage = stage.later()  # it died before it had asked for anything: the person asks again
        play(stage, story.act).expect()
    check(story, stage, releases=clean.releases)
    before = end_of(stage).types
    stage = stage.later()
    play(stage, story.again).expect()
    assert end_of(stage).types == before, "a look at what is as it should be appended something"
    check(story, stage, releases=clean.releases)


def _asked(clean: Clean, end: End) -> bool:
    """Whether what a person wanted had been asked for before the crash."""
    if clean.story.act is act_destroy:
        return end.state.destroyed is not None
    if clean.story.said:
        return clean.story.said in end.types
    by_person = clean.story.act in {act_rollback, act_make_way, act_deploy, act_adopt}
    return not by_person or end.requested() >= clean.releases


def _clean_of(known: dict[str, Clean], story: Story, factory: pytest.TempPathFactory) -> Clean:
    if story.name not in known:
        known[story.name] = _clean(factory.mktemp(story.name), story)
    return known[story.name]


def _all_points(clean: Clean, chosen: list[str], folder: Path) -> None:
    failed: dict[str, str] = {}
    for number, point in enumerate(chosen):
        try:
            _crash(clean, point, folder / str(number))
        except AssertionError as error:
            failed[point] = str(error)
    assert not failed, f"{len(failed)} of {len(chosen)} crash points: {_shown(failed)}"


def _shown(failed: Mapping[str, str]) -> str:
    return "\n".join(f"{point}: {words[:2000]}" for point, words in failed.items())


@pytest.mark.parametrize("story", EVERY, ids=lambda one: one.name)
def test_killed_at_some_points_it_ends_the_same(
    story: Story, clean_runs: dict[str, Clean], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clean = _clean_of(clean_runs, story, tmp_path_factory)
    step = max(1, len(clean.tape) // FEW)
    _all_points(clean, list(clean.tape[step // 2 :: step]), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("story", EVERY, ids=lambda one: one.name)
def test_killed_at_every_point_it_ends_the_same(
    story: Story,
    part: int,
    clean_runs: dict[str, Clean],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    clean = _clean_of(clean_runs, story, tmp_path_factory)
    _all_points(clean, list(clean.tape[part::PARTS]), tmp_path)


def test_the_stories_reach_every_call_of_the_port(
    clean_runs: dict[str, Clean], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A call that no story makes has no crash point: add it to a story."""
    tapes = [point for story in EVERY for point in _clean_of(clean_runs, story, tmp_path_factory).tape]
    reached = {point.split()[1] for point in tapes if point.startswith("engine ")}
    assert {name for name in reached if "-" not in name} == calls_of_the_port()
