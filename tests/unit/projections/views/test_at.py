"""An environment at an earlier position: what a fold of the whole log up to there says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.log import EventLog, StreamAppend
from events.memory import MemoryEventLog
from events.streams import StreamName
from projections.runner import View, catch_up
from projections.view_store import ViewStore
from projections.views import at
from projections.views.at import Then, environment_at, release_at
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.environments import ActiveRelease, Environment, find_environment
from projections.views.release_fold import RELEASES
from projections.views.releases import Release, ReleaseDetail, find_release, list_releases
from tests.contract.event_log import proposed
from tests.support.examples import examples
from tests.unit.projections.views.history import History, digest
from tests.unit.projections.views.player import STEPS, Player, Step


class _Beginning(MemoryEventLog):
    """The events of another log up to a position."""

    def __init__(self, log: EventLog, position: int) -> None:
        super().__init__(lineage=log.lineage)
        self._events = log.read(limit=position)


T = TypeVar("T")


def as_of(log: EventLog, position: int, view: View, query: Callable[[sqlite3.Connection], T]) -> T:
    """What a fold of the whole log up to a position finds."""
    beginning = _Beginning(log, position)
    with closing(ViewStore(None, lineage=log.lineage)) as store:
        catch_up(beginning, store, view)
        with store.reading() as tables:
            return query(tables)


def by_the_whole_log(log: EventLog, position: int, name: str) -> Environment | None:
    return as_of(log, position, ENVIRONMENTS, lambda tables: find_environment(tables, "shop", name))


@settings(max_examples=examples(steady=40, search=1000))
@given(played=STEPS, near=st.sampled_from([1, 3, 10_000]), data=st.data())
def test_it_is_what_the_log_up_to_there_folds_to(played: list[Step], near: int, data: st.DataObject) -> None:
    history = History()
    Player(history).play(played)
    position = data.draw(st.integers(0, history.log.head()))
    for name in ("prod", "stage"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(at, "_NEAR_EVENTS", near)
            found = environment_at(history.log, "shop", name, position=position).environment
        assert found == by_the_whole_log(history.log, position, name)


@settings(max_examples=examples(steady=40, search=1000))
@given(played=STEPS, data=st.data())
def test_releases_are_what_they_were_then(played: list[Step], data: st.DataObject) -> None:
    history = History()
    Player(history).play(played)
    log = history.log
    position = data.draw(st.integers(0, log.head()))

    def shown(one: Release, found: ReleaseDetail | None) -> tuple[Release, ReleaseDetail]:
        assert found is not None
        return one, replace(found, images={})  # they are the Manifest's, which a real request follows

    def then(tables: sqlite3.Connection) -> list[tuple[Release, ReleaseDetail]]:
        return [shown(one, find_release(tables, one.id)) for one in list_releases(tables)]

    def now(tables: sqlite3.Connection) -> list[tuple[Release, ReleaseDetail]]:
        listed = list_releases(tables, upto=position)
        return [shown(one, release_at(log, tables, one.id, position=position)) for one in listed]

    assert as_of(log, log.head(), RELEASES, now) == as_of(log, position, RELEASES, then)


def test_a_release_that_was_not_requested_yet_is_not_there(history: History) -> None:
    release = history.deployed("a")
    found = as_of(
        history.log, 4, RELEASES, lambda tables: release_at(history.log, tables, release, position=1)
    )
    assert found is None


def test_each_position_has_its_own_state(history: History) -> None:
    first = history.deployed("a", revision="c1")  # 1 to 4
    history.observed("c2", "shop/prod")  # 5
    second = history.deployed("b", revision="c2", previous=first)  # 6 to 9
    history.held("a", "b")  # 10

    def then(position: int) -> Environment:
        found = environment_at(history.log, "shop", "prod", position=position).environment
        assert found is not None
        return found

    assert environment_at(history.log, "shop", "prod", position=0) == Then(environment=None)
    assert then(2).deployed.release is None
    assert (then(4).deployed.release, then(4).revision, then(4).hold) == (first, "c1", None)
    assert (then(5).deployed.release, then(5).revision) == (first, "c2")
    assert then(8).deployed.release == first
    assert then(8).active == ActiveRelease(id=second, status="running")
    assert then(9).deployed.release == second
    assert then(10).desired.digest == digest("a")
    assert then(9).hold is None


@pytest.mark.parametrize("near", [1, 7, 46, 10_000])
def test_the_newest_commit_that_affects_it_is_found_behind_many_that_do_not(
    history: History, monkeypatch: pytest.MonkeyPatch, near: int
) -> None:
    monkeypatch.setattr(at, "_NEAR_EVENTS", near)
    history.observed("c0", "shop/prod")
    history.observed("c1", "shop/prod")
    for number in range(45):
        history.observed(f"d{number}", "shop/dev", "shop/prod-eu")
    found = environment_at(history.log, "shop", "prod", position=history.log.head()).environment
    assert found is not None
    assert found.revision == "c1"
    assert environment_at(history.log, "shop", "stage", position=history.log.head()).environment is None


def test_from_an_event_that_a_newer_version_wrote_the_rest_waits(history: History) -> None:
    release = history.deployed("a")
    newer = proposed(b'{"what":1}', type_name="EnvironmentBlessed")
    history.log.append([StreamAppend(stream=StreamName("environment/shop/prod"), events=(newer,))])
    history.suspended()
    then = environment_at(history.log, "shop", "prod", position=history.log.head())
    assert then.waits_from == 5
    assert then.environment is not None
    assert (then.environment.deployed.release, then.environment.suspended) == (release, None)
    live = as_of(history.log, 6, ENVIRONMENTS, lambda tables: find_environment(tables, "shop", "prod"))
    assert then.environment == live
    assert environment_at(history.log, "shop", "prod", position=4).waits_from is None
