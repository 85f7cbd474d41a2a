"""What is said of requests that a person holds back, and of the watch over a Release."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.decide.watch import Figures, decide_failed, decide_passed, with_end_of_watch
from events.catalog import Failure
from events.catalog.draining import TrafficDrained, TrafficUndrained
from events.catalog.environment import EnvironmentHeld
from events.catalog.watch import WatchBegun
from tests.unit.projections.views.why.chronicle import PERSON, Chronicle

FIGURES = Figures(requests=40, failed=12)
FAILURE = Failure(
    code="requests-failed", message="12 of 40 requests failed", cause="repository", service="web"
)


@pytest.fixture
def days(tmp_path: Path) -> Chronicle:
    made = Chronicle(tmp_path)
    made.deploys("one", web="1")
    return made


def begun(days: Chronicle, name: str = "two") -> str:
    """A newer Release that is watched."""
    release = days.deploys(name, web=name)
    days.append(WatchBegun(release=release, services=("web",), until=days.clock.now()))
    return release


def texts(days: Chronicle, word: str) -> str:
    return "\n".join(one.text for one in days.why(word).steps)


def test_a_service_says_who_holds_its_requests_back_and_where(days: Chronicle) -> None:
    days.append(
        TrafficDrained(kind="host", name="local", mode="draining", reason="new disk"),
        TrafficDrained(kind="service", name="web", mode="maintenance"),
        TrafficDrained(kind="service", name="basement", mode="draining"),
        actor=PERSON,
    )
    answer = days.why("web")
    assert "a person holds requests to local back; a person holds requests to web back" in answer.sentence
    said = texts(days, "web")
    assert 'the host local is drained: a person wants no new requests for it ("new disk")' in said
    assert "the service web is in maintenance: a person wants no new requests for it" in said
    assert "basement" not in said
    days.append(TrafficUndrained(kind="host", name="local"), TrafficUndrained(kind="service", name="web"))
    assert "holds requests" not in days.why("web").sentence


def test_a_release_says_what_its_watch_found_and_what_took_it_back(days: Chronicle) -> None:
    release = begun(days)
    back = days.ids.release_id()
    days.append(
        *decide_failed(days.state, release=release, failure=FAILURE, figures=FIGURES, release_id=back)
    )
    found = f"{release} failed while it was watched: 12 of 40 requests failed"
    assert f"{found}; 12 of 40 requests were answered with 5xx" in texts(days, release)
    assert found in texts(days, back)


def test_a_watch_that_passed_or_was_ended_is_said(days: Chronicle) -> None:
    release = begun(days)
    days.append(*decide_passed(days.state, release=release, figures=Figures()))
    assert f"{release} passed its watch" in texts(days, release)
    release = begun(days, "three")
    target = days.state.deployed_digest or ""
    held = EnvironmentHeld(target=target, bad=(), clears="manual", reason="stay")
    days.append(*with_end_of_watch(days.state, (held,)))
    assert f"{release} is watched no more: the environment is held" in texts(days, release)
