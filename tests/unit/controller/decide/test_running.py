"""Stopping, starting and restarting one service: what is recorded, and how long it counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controller.decide.running import Named, decide_restart, decide_start, decide_stop
from controller.decide.state import EnvironmentState
from events.catalog import Event
from events.catalog.running import ServiceRestarted, ServiceStarted, ServiceStopped
from events.kernel.errors import UserError
from events.manifest import Job, Manifest
from tests.unit.controller.decide.story import Story
from tests.unit.projections.converge.scene import HOST, Spec, manifest_of

FIRST = manifest_of(
    web=Spec(),
    db=Spec(image="db:1"),
    side=Spec(image="db:2", more={"network_mode": "service:db"}),
    migrate=Spec(image="job:1", job=Job()),
)
SECOND = manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1"))
OTHER_DB = manifest_of(web=Spec(), db=Spec(image="db:2"))
Decide = Callable[[EnvironmentState, Named], tuple[Event, ...]]


def decided(story: Story, decide: Decide, service: str, *, manifest: Manifest = FIRST) -> tuple[Event, ...]:
    return story.take(
        lambda state: decide(state, Named(service=service, manifest=manifest, reason="because"))
    )


@pytest.fixture
def story() -> Story:
    made = Story()
    made.deploy(FIRST)
    return made


def hashed(manifest: Manifest, name: str) -> dict[str, str]:
    return {HOST: manifest.hosts[HOST].services[name].hash}


def test_a_stop_is_recorded_once_with_what_it_was_about(story: Story) -> None:
    expected = ServiceStopped(service="web", hashes=hashed(FIRST, "web"), reason="because")
    assert decided(story, decide_stop, "web") == (expected,)
    assert story.state.stopped_hashes == {(HOST, "web"): FIRST.hosts[HOST].services["web"].hash}
    assert decided(story, decide_stop, "web") == ()


def test_a_start_ends_it_and_is_nothing_where_nothing_was_stopped(story: Story) -> None:
    assert decided(story, decide_start, "web") == ()
    decided(story, decide_stop, "web")
    assert decided(story, decide_start, "web") == (ServiceStarted(service="web", reason="because"),)
    assert story.state.stopped == {}


def test_what_is_stopped_is_not_restarted(story: Story) -> None:
    expected = ServiceRestarted(service="web", hosts=(HOST,), reason="because")
    assert decided(story, decide_restart, "web") == (expected,)
    decided(story, decide_stop, "web")
    with pytest.raises(UserError, match="service-stopped") as raised:
        decided(story, decide_restart, "web")
    assert raised.value.next == "stagecraft start web --env hello/prod"


@pytest.mark.parametrize(
    ("manifest", "stays"), [(OTHER_DB, True), (SECOND, False), (manifest_of(db=Spec(image="db:1")), False)]
)
def test_it_counts_until_a_release_completes_that_has_another_version_of_it(
    story: Story, *, manifest: Manifest, stays: bool
) -> None:
    decided(story, decide_stop, "web")
    story.deploy(manifest, fails=True)
    assert (HOST, "web") in story.state.stopped, "a Release that failed changes nothing"
    story.deploy(manifest)
    assert ((HOST, "web") in story.state.stopped) is stays
    story.deploy(FIRST)
    assert ((HOST, "web") in story.state.stopped) is stays, "what is up again is not stopped by going back"


@pytest.mark.parametrize("decide", [decide_stop, decide_start, decide_restart])
def test_a_service_that_is_not_deployed_is_refused_with_the_nearest_name(
    story: Story, decide: Decide
) -> None:
    with pytest.raises(UserError, match="service-not-deployed") as raised:
        decided(story, decide, "wep")
    assert "did you mean 'web'?" in raised.value.message
    with pytest.raises(UserError, match="service-is-a-job"):
        decided(story, decide, "migrate")


def test_who_lives_in_another_service_is_stopped_before_it_and_started_after_it(story: Story) -> None:
    with pytest.raises(UserError, match="service-lived-in") as raised:
        decided(story, decide_stop, "db")
    assert raised.value.next.startswith("stagecraft stop side")
    decided(story, decide_stop, "side")
    decided(story, decide_stop, "db")
    with pytest.raises(UserError, match="service-lived-in") as raised:
        decided(story, decide_start, "side")
    assert raised.value.next.startswith("stagecraft start db")
