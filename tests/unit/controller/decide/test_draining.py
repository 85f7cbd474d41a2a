"""Taking a host or a service out of traffic: what is recorded, what it means, and what is refused."""

from __future__ import annotations

import pytest

from controller.decide.draining import Draining, decide_drain, decide_undrain, routed_on
from events.catalog import Event
from events.catalog.draining import TrafficDrained, TrafficUndrained
from events.catalog.removal import DestroyRequested, EnvironmentDestroyed
from events.draining import Drained, DrainKind, DrainMode
from events.kernel.errors import UserError
from events.manifest import Manifest
from events.routes import Gateway, Route, Routing
from tests.unit.controller.decide.story import Story
from tests.unit.projections.converge.scene import HOST, Spec, host_manifest, manifest_of

GATEWAY = Gateway(service="gateway", admin_port=8099, entry_points={"web": 80})
ROUTES = tuple(Route(host=f"{name}.example", service=name, port=80) for name in ("api", "web"))


def routed(**services: Spec) -> Manifest:
    """`web` and `api` on two hosts, with a gateway before them; `services` run beside them on one."""
    everywhere = {"web": Spec(), "api": Spec(image="api:1")}
    first = {**everywhere, "gateway": Spec(image="traefik:3"), "db": Spec(image="db:1"), **services}
    hosts = {
        HOST: host_manifest(first),
        "app-2": host_manifest(everywhere),
        "db-1": host_manifest({"db": Spec()}),
    }
    return manifest_of().model_copy(
        update={"hosts": hosts, "routing": Routing(gateway=GATEWAY, routes=ROUTES)}
    )


@pytest.fixture
def story() -> Story:
    made = Story()
    made.deploy(routed())
    return made


def drain(
    story: Story,
    name: str,
    *,
    manifest: Manifest | None = None,
    kind: DrainKind | None = None,
    mode: DrainMode = "draining",
) -> tuple[Event, ...]:
    draining = Draining(name=name, manifest=manifest or routed(), kind=kind, mode=mode, reason="new disk")
    return story.take(lambda state: decide_drain(state, draining))


def undrain(story: Story, name: str, *, kind: DrainKind | None = None) -> tuple[Event, ...]:
    return story.take(lambda state: decide_undrain(state, name=name, kind=kind, environment="hello/prod"))


def test_a_drain_is_recorded_once_and_stands_until_it_is_taken_back(story: Story) -> None:
    expected = TrafficDrained(kind="host", name="app-2", mode="draining", reason="new disk")
    assert drain(story, "app-2") == (expected,)
    assert drain(story, "app-2") == ()
    story.deploy(routed(more=Spec(image="more:1")))
    story.deploy(routed(), fails=True)
    assert story.state.drained == Drained(hosts=frozenset({"app-2"}))
    assert undrain(story, "app-2") == (TrafficUndrained(kind="host", name="app-2"),)
    assert not story.state.drained
    assert story.state.drains == {}


def test_maintenance_takes_the_place_of_a_drain(story: Story) -> None:
    drain(story, "web")
    (again,) = drain(story, "web", mode="maintenance")
    assert isinstance(again, TrafficDrained)
    assert story.state.drains["service", "web"].mode == "maintenance"
    assert story.state.drained == Drained(services=frozenset({"web"}))


def test_it_says_who_still_answers(story: Story) -> None:
    hosts = routed_on(routed())
    assert hosts == {"api": ("app-2", HOST), "web": ("app-2", HOST)}
    drain(story, "app-2")
    drain(story, "api")
    drained = story.state.drained
    assert [drained.answering(name, hosts[name]) for name in ("api", "web")] == [(), (HOST,)]
    assert drained.leaves_out("app-2", "web")
    assert not drained.leaves_out(HOST, "web")


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("wep", "drain-name-unknown", "did you mean 'web'?"),
        ("xyz", "drain-name-unknown", "no service and no host 'xyz'"),
        ("db", "name-not-routed", "db has no route"),
        ("db-1", "name-not-routed", "db-1 has no service with a route"),
    ],
)
def test_a_name_that_gets_no_requests_is_refused(story: Story, name: str, code: str, words: str) -> None:
    with pytest.raises(UserError, match=code) as raised:
        drain(story, name)
    assert words in raised.value.message


def test_without_a_gateway_it_says_what_to_declare(story: Story) -> None:
    with pytest.raises(UserError, match="no-gateway") as raised:
        drain(story, "web", manifest=manifest_of(web=Spec()))
    assert "declare `gateway` and `routes`" in raised.value.next


def test_a_name_of_both_has_to_say_which(story: Story) -> None:
    made = routed()
    both = made.model_copy(update={"hosts": {**made.hosts, "web": made.hosts["app-2"]}})
    with pytest.raises(UserError, match="drain-name-ambiguous") as raised:
        drain(story, "web", manifest=both)
    assert "--kind service" in raised.value.next
    drain(story, "web", manifest=both, kind="service")
    drain(story, "web", manifest=both, kind="host")
    assert story.state.drained == Drained(hosts=frozenset({"web"}), services=frozenset({"web"}))
    with pytest.raises(UserError, match="drain-name-ambiguous"):
        undrain(story, "web")
    undrain(story, "web", kind="service")
    undrain(story, "web")
    assert not story.state.drained


def test_the_wrong_kind_is_refused_by_what_there_is_of_it(story: Story) -> None:
    with pytest.raises(UserError, match="drain-name-unknown") as raised:
        drain(story, "web", kind="host")
    assert raised.value.why == "hosts: app-2, db-1, local"


def test_what_is_not_drained_cannot_come_back(story: Story) -> None:
    drain(story, "api")
    with pytest.raises(UserError, match="not-drained") as raised:
        undrain(story, "web")
    assert raised.value.why == "drained: service api"


def test_it_goes_with_the_environment(story: Story) -> None:
    drain(story, "web")
    story.say(DestroyRequested(cause="person", hosts={}), EnvironmentDestroyed(hosts={}))
    assert not story.state.drained
