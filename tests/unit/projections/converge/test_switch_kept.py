"""What gateways were told is kept as deployed, whatever becomes of containers, files and ports."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from events.catalog.traffic import RoutesTold, TrafficRestored
from events.kernel.errors import StagecraftError
from events.manifest import Manifest
from events.routes import Maintenance, Traffic
from projections.converge.heal import Terms
from projections.converge.route_drift import FIELD
from projections.converge.steering import Steering, Wish
from projections.edge.folder import FOLDER
from projections.edge.port import Page, Server
from projections.edge.traefik_files import SUFFIX
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.scene import ENVIRONMENT, HOST, IN_PLACE, PROJECT, Scene, image_id
from tests.unit.projections.converge.traffic_scene import PORT, gateway, routed, serving, traffic_of, web

FIRST = routed(web=web())


@pytest.fixture
def release(scene: Scene) -> str:
    """The first version runs; its Release."""
    scene.have("gate:1", "gate:2")
    verdict = scene.deploy(FIRST)
    assert verdict.status == "completed"
    scene.edges.calls.clear()
    return verdict.release


def heal(scene: Scene, release: str, **terms: object) -> bool:
    given = replace(Terms(), **terms)  # type: ignore[arg-type]  # fields of `Terms`
    return asyncio.run(scene.converger.heal(FIRST, release=release, recorder=scene.recorder(), terms=given))


def route_file(scene: Scene, service: str = "web") -> Path:
    folder = scene.root / "local" / "apps" / PROJECT / ENVIRONMENT / FOLDER
    return Path(folder / f"{service}{SUFFIX}")


def rows(scene: Scene) -> list[tuple[str, str, str]]:
    found = asyncio.run(scene.converger.drift(FIRST, stopped={}))
    return [(row.service, row.found, row.owner) for one in found for row in one.rows if row.field == FIELD]


def test_a_look_at_what_is_as_it_should_be_reads_once_and_asks_no_gateway(scene: Scene, release: str) -> None:
    before = len(scene.log.read())
    assert not heal(scene, release)
    assert [name for name, _ in scene.edges.calls] == ["told"]
    assert len(scene.log.read()) == before
    assert rows(scene) == []


def test_a_container_made_anew_is_told(scene: Scene, release: str) -> None:
    (old,) = scene.engine.world.ids("web")
    del scene.engine.world.containers[old]
    assert heal(scene, release)
    (new,) = scene.engine.world.ids("web")
    assert serving(scene) == [new]
    assert not heal(scene, release)


def test_a_file_that_somebody_changed_is_put_back_and_a_missing_one_too(scene: Scene, release: str) -> None:
    told = route_file(scene).read_bytes()
    route_file(scene).write_text("http: {}\n")
    assert rows(scene) == [("web", "a file that somebody changed", "person")]
    assert heal(scene, release)
    assert route_file(scene).read_bytes() == told
    route_file(scene).unlink()
    assert rows(scene) == [("web", "none", "unknown")]
    assert heal(scene, release)
    assert route_file(scene).read_bytes() == told
    events = [e for e in traffic_of(scene, release) if isinstance(e, RoutesTold)]
    assert [(one.services, one.reason) for one in events] == [(("web",), "drift")] * 2


def test_by_another_policy_a_route_is_left(scene: Scene, release: str) -> None:
    route_file(scene).unlink()
    assert not heal(scene, release, policy="report")
    assert not route_file(scene).exists()


def test_a_foreign_file_is_named_and_the_gateway_asked(scene: Scene, release: str) -> None:
    foreign = route_file(scene).parent / "mine.yml"
    foreign.write_text("http: {srvers: 1}\n")
    assert rows(scene) == [("gate", "mine.yml", "person")]
    assert not heal(scene, release)
    assert ("confirm-done", "web") in scene.edges.calls


def test_a_route_of_what_nobody_deployed_is_forgotten(scene: Scene, release: str) -> None:
    other = route_file(scene, "other")
    other.write_text("http: {}\n")
    assert heal(scene, release)
    assert not other.exists()


def test_what_does_not_come_up_again_gets_no_requests(scene: Scene, release: str) -> None:
    (one,) = scene.engine.world.replicas("web")
    one.life = Life(start_error="exec: no such file")
    one.stopped, one.stopped_code = "exited", 1
    with pytest.raises(StagecraftError):
        heal(scene, release)
    assert serving(scene) == []


def test_what_people_drain_gets_no_requests_until_they_say_so(scene: Scene, release: str) -> None:
    (only,) = scene.engine.world.ids("web")
    assert heal(scene, release, drained_services=frozenset({"web"}))
    assert serving(scene) == []
    assert ("confirm-done", "web") in scene.edges.calls
    assert heal(scene, release)
    assert serving(scene) == [only]
    assert heal(scene, release, drained_hosts=frozenset({HOST}))
    assert serving(scene) == []


def test_a_release_of_what_people_drain_gives_it_no_requests(scene: Scene, release: str) -> None:
    heal(scene, release, drained_services=frozenset({"web"}))
    second = routed(web=web("2"))
    verdict = scene.deploy(second, FIRST, drained_services=frozenset({"web"}))
    assert verdict.status == "completed"
    assert serving(scene) == []


def test_what_people_drain_and_a_release_replaces_in_its_place_is_never_named(scene: Scene) -> None:
    scene.have("gate:1")
    first, second = routed(web=web(more=IN_PLACE)), routed(web=web("2", more=IN_PLACE))
    release = scene.deploy(first).release
    assert [one.addresses for one in scene.routes_at()["web"].servers] == [{PORT: f"web:{PORT}"}]
    terms = Terms(drained_services=frozenset({"web"}))
    asyncio.run(scene.converger.heal(first, release=release, recorder=scene.recorder(), terms=terms))
    named = noted(scene)
    verdict = scene.deploy(second, first, drained_services=frozenset({"web"}))
    assert verdict.status == "completed"
    (now,) = scene.engine.world.replicas("web")
    assert now.image == image_id("web:2")
    assert not scene.routes_at()["web"].servers
    assert named == []


DIES = Life(exits_after=5.0, exit_code=3)
NEVER_STARTS = Life(start_error="exec: no such file")


@pytest.mark.parametrize(
    ("more", "life"), [({}, DIES), (IN_PLACE, NEVER_STARTS)], ids=["beside", "in-its-place"]
)
def test_what_people_drain_gets_no_requests_back_from_a_release_that_fails(
    scene: Scene, more: dict[str, Any], life: Life
) -> None:
    scene.have("gate:1")
    first, second = routed(web=web(more=more)), routed(web=web("2", more=more))
    release = scene.deploy(first).release
    (old,) = scene.engine.world.ids("web")
    scene.edges.world.connections[old] = [1]  # who is beside it can die only while it lets go
    terms = Terms(drained_services=frozenset({"web"}))
    asyncio.run(scene.converger.heal(first, release=release, recorder=scene.recorder(), terms=terms))
    named = noted(scene)
    scene.engine.world.lives[image_id("web:2")] = life
    verdict = scene.deploy(second, first, drained_services=frozenset({"web"}))
    assert verdict.status == "rolled_back"
    (again,) = scene.engine.world.replicas("web")
    assert (again.id == old, again.image) == (not more, image_id("web:1"))
    assert [one.service for one in restored(scene, verdict.release)] == ([] if more else ["web"])
    assert not scene.routes_at()["web"].servers
    assert named == []


def restored(scene: Scene, release: str) -> list[TrafficRestored]:
    return [event for event in traffic_of(scene, release) if isinstance(event, TrafficRestored)]


def noted(scene: Scene) -> list[tuple[Server, ...]]:
    """Whom the gateway was told of for `web`, each time somebody is there, from now on."""
    found: list[tuple[Server, ...]] = []

    def before(name: str, argument: str) -> None:
        if name == "tell-done" and argument == "web" and (servers := scene.routes_at()["web"].servers):
            found.append(servers)

    scene.edges.before = before
    return found


@pytest.mark.parametrize("wish", ["stop", "restart"])
def test_a_person_steers_and_gateways_follow(scene: Scene, release: str, wish: Wish) -> None:
    service = FIRST.hosts[HOST].services["web"]
    stopped = {(HOST, "web"): service.hash} if wish == "stop" else {}
    steering = Steering(wish=wish, service="web", manifest=FIRST, release=release, stopped=stopped)
    asyncio.run(scene.converger.steer(steering, recorder=scene.recorder()))
    expected = [] if wish == "stop" else scene.engine.world.ids("web")
    assert serving(scene) == expected


def test_a_silent_gateway_fails_no_look_that_finds_nothing(scene: Scene, release: str) -> None:
    gateway(scene).silent = True
    assert not heal(scene, release)


def test_in_its_place_the_name_stays_while_somebody_has_it(scene: Scene) -> None:
    scene.have("gate:1")
    manifest = routed(web=web(more=IN_PLACE))
    verdict = scene.deploy(manifest)
    (old,) = scene.engine.world.ids("web")
    del scene.engine.world.containers[old]
    told = scene.routes_at()
    assert scene.heal(manifest, verdict.release)
    assert scene.routes_at() == told


PAGE = Maintenance(service="sorry", port=9000, path="/down.html")
SHOWN = Page(
    port=9000,
    path="/down.html",
    servers=(Server(host=HOST, container="", addresses={9000: "sorry:9000"}),),
)


def with_page(version: str = "1", **more: Any) -> Manifest:  # noqa: ANN401  # as `routed` takes them
    made = routed(web=web(version), sorry=web("1"), **more)
    assert made.routing is not None
    return made.model_copy(update={"routing": made.routing.model_copy(update={"maintenance": PAGE})})


def shown(scene: Scene) -> Page | None:
    return scene.routes_at()["web"].page


def test_what_people_drain_shows_the_page_until_they_say_so(scene: Scene) -> None:
    scene.have("gate:1")
    first = with_page()
    release = scene.deploy(first).release
    assert shown(scene) is None

    def look(**terms: object) -> bool:
        given = replace(Terms(), **terms)  # type: ignore[arg-type]  # fields of `Terms`
        return asyncio.run(
            scene.converger.heal(first, release=release, recorder=scene.recorder(), terms=given)
        )

    for terms in ({"drained_services": frozenset({"web"})}, {"drained_hosts": frozenset({HOST})}):
        assert look(**terms)
        assert (serving(scene), shown(scene)) == ([], SHOWN)
        assert not look(**terms), "told once"
        assert look()
        assert (serving(scene), shown(scene)) == (scene.engine.world.ids("web"), None)


@pytest.mark.parametrize("steps", [(), (10, 50)])
def test_a_release_of_what_people_drain_keeps_the_page(scene: Scene, steps: tuple[int, ...]) -> None:
    scene.have("gate:1")
    first, drained = with_page(), frozenset({"web"})
    release = scene.deploy(first).release
    terms = Terms(drained_services=drained)
    asyncio.run(scene.converger.heal(first, release=release, recorder=scene.recorder(), terms=terms))
    told: list[tuple[int, Page | None]] = []

    def before(name: str, argument: str) -> None:
        if name == "tell-done" and argument == "web":
            told.append((len(serving(scene)), shown(scene)))

    scene.edges.before = before
    second = with_page("2", traffic={"web": Traffic(steps=steps)})
    assert scene.deploy(second, first, drained_services=drained).status == "completed"
    assert (serving(scene), shown(scene)) == ([], SHOWN)
    assert all(one == (0, SHOWN) for one in told), told


def test_what_is_down_by_itself_has_no_page(scene: Scene) -> None:
    scene.have("gate:1")
    first = with_page()
    release = scene.deploy(first).release
    (one,) = scene.engine.world.replicas("web")
    one.life = Life(start_error="exec: no such file")
    one.stopped, one.stopped_code = "exited", 1
    with pytest.raises(StagecraftError):
        asyncio.run(scene.converger.heal(first, release=release, recorder=scene.recorder(), terms=Terms()))
    assert (serving(scene), shown(scene)) == ([], None)
