"""Requests move to new containers before the old ones go, and back when the new ones fail."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import pytest

from events.catalog import Event
from events.catalog.environment import DeployRequested, RollbackRequested
from events.catalog.release import ReleaseRolledBack
from events.catalog.service import ServiceReplaced, ServiceWithdrawn
from events.catalog.traffic import ConnectionsDrained, RoutesTold, TrafficRestored, TrafficSwitched
from events.manifest import Manifest
from events.routes import Routing, Traffic
from projections.converge.gateways import GATEWAY_NOT_TOLD
from projections.converge.plan import FIRST_TOLD
from projections.converge.release import ReleaseRun
from projections.converge.site import Site
from projections.converge.traffic_record import traffic_record_of
from projections.edge.folder import FOLDER
from projections.edge.port import GATEWAY_FILE_FOREIGN, GATEWAY_SILENT, ROUTE_NOT_CONFIRMED
from projections.edge.series import Asked
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.scene import HOST, IN_PLACE, STREAM, Scene, Spec, image_id
from tests.unit.projections.converge.traffic_scene import (
    AT_ONCE,
    GATE_SPEC,
    PORT,
    gateway,
    routed,
    serving,
    traffic_of,
    web,
)

FIRST, SECOND = routed(web=web()), routed(web=web("2"))
SLOW_DRAIN = {"web": Traffic(drain_seconds=30.0)}


@pytest.fixture(autouse=True)
def _images(scene: Scene) -> None:
    scene.have("gate:1", "gate:2", "web:3")


def deployed(scene: Scene, manifest: Manifest = FIRST) -> str:
    """The first version runs; the id of its web."""
    assert scene.deploy(manifest).status == "completed"
    scene.engine.calls.clear()
    scene.edges.calls.clear()
    return scene.engine.world.ids("web")[0]


def api(version: str = "1") -> Spec:
    """A service without routes that waits for the web."""
    return Spec(image=f"db:{version}", waits_for={"web": "service_healthy"}, gate=AT_ONCE)


def watch_stops(scene: Scene, seen: Callable[[str], None]) -> None:
    def before(name: str, argument: str) -> None:
        if name == "stop":
            seen(argument)

    scene.engine.before = before


def test_the_first_release_tells_before_the_gateway_runs_and_has_it_confirmed(scene: Scene) -> None:
    verdict = scene.deploy(FIRST)
    assert verdict.status == "completed"
    (only,) = scene.engine.world.ids("web")
    assert serving(scene) == [only]
    assert [one.addresses for one in scene.routes_at()["web"].servers] == [{PORT: f"{only[:12]}:{PORT}"}]
    calls = [name for name, about in scene.edges.calls if about == "web"]
    assert calls == ["tell", "tell-done", "confirm", "confirm-done"]
    (switched,) = traffic_of(scene, verdict.release)
    assert isinstance(switched, TrafficSwitched)
    assert (switched.old_ids, switched.new_ids, switched.gateways) == ((), (only,), (HOST,))
    assert traffic_record_of(scene.log, verdict.release).switched == set(), "nobody was asked before"


def test_the_old_one_stops_only_when_the_gateway_does_as_told_and_nobody_is_connected(scene: Scene) -> None:
    old = deployed(scene)
    scene.edges.world.connections[old] = [3, 2, 2, 0]
    told: list[list[str]] = []
    watch_stops(scene, lambda _: told.append(serving(scene)))
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.status == "completed"
    (new,) = scene.engine.world.ids("web")
    assert told == [[new]]
    calls = [name for name, _ in scene.edges.calls]
    assert calls.index("confirm-done") < calls.index("left")
    assert calls.count("left") == 4
    switched, drained = traffic_of(scene, verdict.release)
    assert isinstance(switched, TrafficSwitched)
    assert (switched.old_ids, switched.new_ids) == ((old,), (new,))
    assert switched.milliseconds >= 100
    assert isinstance(drained, ConnectionsDrained)
    assert (drained.containers, drained.cut) == ((old,), 0)
    assert 300 <= drained.milliseconds < 1000
    kinds = [type(event) for event in scene.of_release(verdict.release)]
    assert kinds.index(ConnectionsDrained) < kinds.index(ServiceReplaced)


def test_connections_that_last_are_cut_at_the_limit_and_counted(scene: Scene) -> None:
    old = deployed(scene)
    scene.edges.world.connections[old] = [2]
    changed = routed(web=web("2"), traffic=SLOW_DRAIN)
    verdict = scene.deploy(changed, FIRST)
    record = traffic_record_of(scene.log, verdict.release)
    assert record.cut == 2
    assert 30_000 <= record.drain_ms < 31_000
    assert record.switched == {(HOST, "web")}
    assert scene.engine.world.replicas("web")[0].image == image_id("web:2")


def test_connections_that_nobody_sees_are_waited_for_until_the_limit(scene: Scene) -> None:
    old = deployed(scene)
    scene.edges.world.unseen.append(old)
    began = scene.clock.monotonic()
    assert scene.deploy(routed(web=web("2"), traffic=SLOW_DRAIN), FIRST).status == "completed"
    assert scene.clock.monotonic() - began >= 30.0


def test_who_waits_for_a_service_begins_when_its_requests_have_moved_and_not_later(scene: Scene) -> None:
    scene.have("job:1")
    first = routed(web=web(), api=api())
    old = deployed(scene, first)
    scene.edges.world.connections[old] = [1]
    stopped: list[str] = []
    began: list[float] = []

    def before(name: str, argument: str) -> None:
        if name == "up_beside" and "api" in argument:
            began.append(scene.clock.monotonic())
            assert serving(scene) != [old]
        if name == "stop":
            stopped.append(argument)

    scene.engine.before = before
    start = scene.clock.monotonic()
    assert scene.deploy(routed(web=web("2"), traffic=SLOW_DRAIN, api=api("2")), first).status == "completed"
    assert began[0] - start < 5.0
    assert stopped[-1] == old, "the api's old one did not wait for connections of the web"


@pytest.mark.parametrize("fault", ["silent", "stuck"])
def test_without_confirmation_the_old_one_serves_on_and_the_new_one_goes(scene: Scene, fault: str) -> None:
    old = deployed(scene)
    setattr(gateway(scene), fault, True)
    before = scene.routes_at()
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.code == (GATEWAY_SILENT if fault == "silent" else ROUTE_NOT_CONFIRMED)
    assert verdict.failure.cause == "outside"
    assert scene.engine.world.ids("web") == [old]
    assert scene.routes_at() == before
    assert not [event for event in traffic_of(scene, verdict.release) if isinstance(event, TrafficSwitched)]


def test_a_new_one_that_dies_while_the_old_one_lets_go_gives_the_requests_back(scene: Scene) -> None:
    old = deployed(scene)
    scene.edges.world.connections[old] = [1]
    scene.engine.world.lives[image_id("web:2")] = Life(exits_after=5.0, exit_code=3)
    told: list[list[str]] = []

    def before(name: str, argument: str) -> None:
        if name == "remove" and argument != old:
            told.append(serving(scene))

    scene.engine.before = before
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.status == "rolled_back"
    assert scene.engine.world.ids("web") == [old]
    assert told == [[old]], "the new one went after the requests had moved back"
    assert serving(scene) == [old]
    restored = [e for e in traffic_of(scene, verdict.release) if isinstance(e, TrafficRestored)]
    assert [(one.service, one.containers) for one in restored] == [("web", (old,))]
    (gone,) = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceWithdrawn)]
    assert gone.service == "web"


def test_the_way_back_after_the_old_one_has_gone_is_a_switch_too(scene: Scene) -> None:
    first = routed(web=web(), api=api())
    deployed(scene, first)
    scene.engine.world.lives[image_id("db:2")] = Life(unhealthy_after=20.0)
    verdict = scene.deploy(routed(web=web("2"), api=api("2")), first)
    assert verdict.status == "rolled_back"
    (again,) = scene.engine.world.replicas("web")
    assert again.image == image_id("web:1")
    assert serving(scene) == [again.id]
    switches = [e for e in traffic_of(scene, verdict.release) if isinstance(e, TrafficSwitched)]
    assert [one.new_ids for one in switches][-1] == (again.id,)
    assert isinstance(scene.events(STREAM)[-2], ReleaseRolledBack)


def test_other_routes_alone_are_told_and_confirmed(scene: Scene) -> None:
    old = deployed(scene)
    verdict = scene.deploy(routed(web=web(), path="/shop"), FIRST)
    assert verdict.status == "completed"
    assert scene.engine.world.ids("web") == [old]
    assert [route.path for route in scene.routes_at()["web"].routes] == ["/shop"]
    assert ("confirm-done", "web") in scene.edges.calls
    (told,) = traffic_of(scene, verdict.release)
    assert isinstance(told, RoutesTold)
    assert (told.gateways, told.services, told.reason) == ((HOST,), ("web",), "routes")


def test_a_release_that_changes_nothing_tells_nothing(scene: Scene) -> None:
    deployed(scene)
    verdict = scene.deploy(FIRST, FIRST)
    assert verdict.status == "completed"
    assert [name for name, _ in scene.edges.calls] == ["told"]
    assert traffic_of(scene, verdict.release) == []


def test_a_route_that_left_is_forgotten_before_its_service_goes(scene: Scene) -> None:
    first = routed(routes=("api", "web"), web=web(), api=Spec(image="db:1", gate=web().gate))
    deployed(scene, first)
    gone: list[bool] = []

    def before(name: str, _argument: str) -> None:
        if name == "remove":
            gone.append("api" not in scene.routes_at())

    scene.engine.before = before
    verdict = scene.deploy(FIRST, first)
    assert verdict.status == "completed"
    assert gone == [True]
    told = [e for e in traffic_of(scene, verdict.release) if isinstance(e, RoutesTold)]
    assert [one.forgotten for one in told] == [("api",)]


def test_the_gateway_made_anew_finds_what_it_is_to_do_and_confirms_it(scene: Scene) -> None:
    old = deployed(scene)
    verdict = scene.deploy(routed(web=web(), gate=replace(GATE_SPEC, image="gate:2")), FIRST)
    assert verdict.status == "completed"
    assert serving(scene) == [old]
    assert [name for name, _ in scene.edges.calls if name.startswith(("tell", "confirm"))] == [
        "confirm",
        "confirm-done",
    ]


def test_a_gateway_from_before_there_were_routes_is_replaced_once_and_says_why(scene: Scene) -> None:
    scene.have("gate:1", "gate:2")
    before = FIRST.model_copy(update={"routing": None})
    scene.deploy(before)
    scene.told.clear()
    after = routed(web=web(), gate=replace(GATE_SPEC, image="gate:2"))
    verdict = scene.deploy(after, before)
    assert verdict.status == "completed"
    (replaced,) = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceReplaced)]
    assert (replaced.service, replaced.reason) == ("gate", FIRST_TOLD)
    assert any(f"replace ({FIRST_TOLD})" in line for line in scene.told), scene.told
    assert serving(scene) == scene.engine.world.ids("web")


def test_what_is_replaced_in_its_place_is_named_by_its_name(scene: Scene) -> None:
    first, second = routed(web=web(more=IN_PLACE)), routed(web=web("2", more=IN_PLACE))
    deployed(scene, first)
    told = scene.routes_at()["web"]
    assert told.retries
    assert [one.addresses for one in told.servers] == [{PORT: f"web:{PORT}"}]
    verdict = scene.deploy(second, first)
    assert verdict.status == "completed"
    assert scene.routes_at()["web"] == told
    assert not [name for name, _ in scene.edges.calls if name == "tell"]


def test_a_canary_gets_its_share_in_steps_and_goes_back_when_it_fails(scene: Scene) -> None:
    steps = {"web": Traffic(steps=(10, 50))}
    old = deployed(scene)
    shares: list[dict[str, int]] = []

    def before(name: str, argument: str) -> None:
        if name == "tell-done" and argument == "web":
            shares.append({one.container: one.weight for one in scene.routes_at()["web"].servers})

    scene.edges.before = before
    assert scene.deploy(routed(web=web("2"), traffic=steps), FIRST).status == "completed"
    (new,) = scene.engine.world.ids("web")
    assert shares == [{old: 90, new: 10}, {old: 50, new: 50}, {new: 1}]
    shares.clear()
    scene.engine.world.lives[image_id("web:3")] = Life(exits_after=7.0, exit_code=3)
    second = routed(web=web("2"), traffic=steps)
    assert scene.deploy(routed(web=web("3"), traffic=steps), second).status == "rolled_back"
    assert shares[-1] == {new: 1}
    assert scene.engine.world.ids("web") == [new]


def test_a_first_release_that_fails_leaves_no_route_to_what_was_stopped(scene: Scene) -> None:
    scene.engine.world.lives[image_id("db:1")] = Life(exits_after=0.5, exit_code=3)
    manifest = routed(web=web(), api=replace(api(), gate=Spec().gate))
    assert scene.deploy(manifest).status == "failed"
    assert serving(scene) == []


class NotingAsker:
    """Notes when it was to ask."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.noted: list[tuple[str, list[str]]] = []

    async def start(self, sites: Mapping[str, Site], routing: Routing) -> None:
        assert (list(sites), routing) == ([HOST], SECOND.routing)
        self.noted.append(("start", serving(self.scene)))

    async def stop(self) -> None:
        self.noted.append(("stop", self.scene.engine.world.ids("web")))

    def asked(self, services: Collection[str]) -> Asked:
        assert set(services) == {"web"}
        return Asked()


def test_who_asks_begins_before_the_first_switch_and_ends_after_the_last_drain(scene: Scene) -> None:
    old = deployed(scene)
    asker = NotingAsker(scene)
    run = ReleaseRun(
        equipment=replace(scene.equipment, asking=lambda: asker),
        work=scene.work(SECOND, FIRST),
        recorder=scene.recorder(),
    )
    assert asyncio.run(run.run()).status == "completed"
    assert asker.noted == [("start", [old]), ("stop", scene.engine.world.ids("web"))]


def test_nobody_asks_while_nothing_is_switched(scene: Scene) -> None:
    deployed(scene)
    asker = NotingAsker(scene)
    run = ReleaseRun(
        equipment=replace(scene.equipment, asking=lambda: asker),
        work=scene.work(FIRST, FIRST),
        recorder=scene.recorder(),
    )
    asyncio.run(run.run())
    assert asker.noted == []


def test_a_gateway_whose_disk_is_full_is_told_nothing_and_the_old_one_serves_on(scene: Scene) -> None:
    old = deployed(scene)

    def full(name: str, _argument: str) -> None:
        if name == "tell":
            raise OSError(errno.ENOSPC, "No space left on device")

    scene.edges.before = full
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.code == GATEWAY_NOT_TOLD
    assert "No space left" in verdict.failure.why
    assert (scene.engine.world.ids("web"), serving(scene)) == ([old], [old])


def test_a_foreign_file_that_stops_the_gateway_is_named_and_the_old_one_serves_on(scene: Scene) -> None:
    old = deployed(scene)
    folder = scene.root / "local" / "apps" / "hello" / "prod" / FOLDER
    (folder / "mine.yml").write_text("http: {srvers: 1}\n")
    gateway(scene).bad_files.append("mine.yml")
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.code == GATEWAY_FILE_FOREIGN
    assert "mine.yml" in verdict.failure.message
    assert (scene.engine.world.ids("web"), serving(scene)) == ([old], [old])


def test_a_gateway_that_ends_in_the_middle_is_not_waited_for(scene: Scene) -> None:
    deployed(scene)

    def end(name: str, _argument: str) -> None:
        if name == "confirm":
            (one,) = scene.engine.world.replicas("gate")
            one.stopped = "exited"

    scene.edges.before = end
    scene.deploy(SECOND, FIRST)
    (new,) = scene.engine.world.replicas("web")
    assert new.image == image_id("web:2")
    assert serving(scene) == [new.id]


def asked_meanwhile(scene: Scene, event: Event) -> None:
    """Something newer is asked for while old containers let go of their connections."""

    def before(name: str, _argument: str) -> None:
        if name == "left":
            scene.edges.before = None
            scene.recorder().append(STREAM, event)

    scene.edges.before = before


def test_a_way_back_ends_the_wait_for_connections(scene: Scene) -> None:
    old = deployed(scene)
    scene.edges.world.connections[old] = [1]
    back = RollbackRequested(
        release="rel-9",
        digest=FIRST.digest,
        version="v",
        revision=None,
        previous=None,
        target="rel-1",
        reverts=None,
    )
    asked_meanwhile(scene, back)
    verdict = scene.deploy(SECOND, FIRST)
    assert (verdict.status, verdict.by) == ("superseded", "rel-9")
    assert len(scene.engine.world.ids("web")) == 2
    assert serving(scene) != [old]
    went = scene.deploy(FIRST, FIRST, kind="rollback", left_behind=(SECOND,))
    assert went.status == "completed"
    assert (scene.engine.world.ids("web"), serving(scene)) == ([old], [old])


def test_whatever_else_is_newer_waits_for_the_connections(scene: Scene) -> None:
    old = deployed(scene)
    scene.edges.world.connections[old] = [1]
    newer = DeployRequested(
        release="rel-9", digest="sha256:9", version="v", revision=None, previous=None, trigger="person"
    )
    asked_meanwhile(scene, newer)
    assert scene.deploy(routed(web=web("2"), traffic=SLOW_DRAIN), FIRST).status == "completed"
    assert old not in scene.engine.world.ids("web")


def test_a_way_back_that_the_gateway_does_not_confirm_is_gone_all_the_same(scene: Scene) -> None:
    old = deployed(scene)
    scene.edges.world.connections[old] = [1]
    scene.engine.world.lives[image_id("web:2")] = Life(exits_after=5.0, exit_code=3)

    def fall_silent(name: str, _argument: str) -> None:
        if name == "left":
            gateway(scene).silent = True

    scene.edges.before = fall_silent
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.status == "rolled_back"
    assert (scene.engine.world.ids("web"), serving(scene)) == ([old], [old])


def test_requests_that_cannot_be_given_back_are_given_back_by_the_next_look(scene: Scene) -> None:
    old = deployed(scene)
    scene.edges.world.connections[old] = [1]
    scene.engine.world.lives[image_id("web:2")] = Life(exits_after=5.0, exit_code=3)
    told: list[str] = []

    def full(name: str, _argument: str) -> None:
        if name == "tell":
            told.append(name)
            if len(told) > 1:
                raise OSError(errno.ENOSPC, "No space left on device")

    scene.edges.before = full
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.status == "failed"
    assert scene.engine.world.ids("web") == [old]
    assert serving(scene) != [old], "nobody could be told"
    scene.edges.before = None
    scene.heal(FIRST, verdict.release)
    assert (scene.engine.world.ids("web"), serving(scene)) == ([old], [old])


def test_connections_that_cannot_be_read_are_waited_for_until_the_limit(scene: Scene) -> None:
    deployed(scene)

    def unreadable(name: str, _argument: str) -> None:
        if name == "left":
            raise PermissionError

    scene.edges.before = unreadable
    began = scene.clock.monotonic()
    assert scene.deploy(routed(web=web("2"), traffic=SLOW_DRAIN), FIRST).status == "completed"
    assert scene.clock.monotonic() - began >= 30.0
