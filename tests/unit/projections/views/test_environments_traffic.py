"""What the view of environments knows of drains and of the watch over a Release."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from events.catalog import Event
from events.catalog.draining import TrafficDrained, TrafficUndrained
from events.catalog.removal import EnvironmentDestroyed
from events.catalog.watch import WatchBegun, WatchEnded, WatchFailed, WatchPassed
from projections.views.environments import Environment
from tests.unit.projections.views.history import FAILURE, History, digest
from tests.unit.projections.views.test_environments import known

HOST_DRAINED = TrafficDrained(kind="host", name="app-1", mode="draining", reason="new disk")
SERVICE_DRAINED = TrafficDrained(kind="service", name="web", mode="maintenance", reason="")


@pytest.fixture
def views(tmp_path: Path) -> Path:
    return tmp_path / "views.db"


@pytest.fixture
def history() -> History:
    made = History()
    made.deployed("a")
    return made


def told(history: History, views: Path, *events: Event) -> Environment:
    for event in events:
        history.append("environment", event)
    return known(history, views)


def begun(history: History, release: str) -> WatchBegun:
    until = history.clock.now() + timedelta(seconds=60)
    return WatchBegun(release=release, services=("web",), until=until)


def test_drains_stand_side_by_side_until_each_is_taken_back(history: History, views: Path) -> None:
    found = told(history, views, SERVICE_DRAINED, HOST_DRAINED)
    assert [(one["kind"], one["name"], one["mode"], one["reason"]) for one in found.drained] == [
        ("host", "app-1", "draining", "new disk"),
        ("service", "web", "maintenance", ""),
    ]
    assert found.drained[0]["actor"] == {"kind": "cli", "id": "act-1"}
    assert found.drained[0]["since"] > found.drained[1]["since"]
    (left,) = told(history, views, TrafficUndrained(kind="host", name="app-1")).drained
    assert left["name"] == "web"
    history.deployed("b", revision="c2")
    assert len(known(history, views).drained) == 1
    assert told(history, views, TrafficUndrained(kind="service", name="web")).drained == ()


def test_a_drain_in_another_mode_takes_the_place_of_the_one_before(history: History, views: Path) -> None:
    again = SERVICE_DRAINED.model_copy(update={"mode": "draining", "reason": "for long"})
    (found,) = told(history, views, SERVICE_DRAINED, again).drained
    assert (found["mode"], found["reason"]) == ("draining", "for long")


@pytest.mark.parametrize("end", ["passed", "failed", "ended", "requested", "destroyed"])
def test_a_watch_is_open_until_it_ends_in_any_way(history: History, views: Path, end: str) -> None:
    release = known(history, views).deployed.release or ""
    watch = told(history, views, begun(history, release), HOST_DRAINED).watch
    assert watch is not None
    assert (watch["release"], watch["services"]) == (release, ["web"])
    ends: dict[str, Event] = {
        "passed": WatchPassed(release=release, requests=9, failed=0),
        "failed": WatchFailed(release=release, failure=FAILURE),
        "ended": WatchEnded(release=release, reason="held"),
        "destroyed": EnvironmentDestroyed(hosts={}),
    }
    if end == "requested":
        history.requested("b")
    else:
        history.append("environment", ends[end])
    found = known(history, views)
    assert found.watch is None
    assert bool(found.drained) is (end != "destroyed")


def test_the_end_of_a_watch_that_is_not_open_any_more_ends_no_other(history: History, views: Path) -> None:
    before = known(history, views).deployed.release or ""
    history.rendered("b")
    release = history.requested("b")
    history.started(release, "b")
    history.completed(release, "b")
    watch = told(history, views, begun(history, release), WatchEnded(release=before, reason="held")).watch
    assert watch is not None
    assert (watch["release"], known(history, views).deployed.digest) == (release, digest("b"))
