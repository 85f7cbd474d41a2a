"""Start-first: the new container is up before the old one is touched."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from events import labels
from events.catalog.release import ReleaseRolledBack
from events.catalog.service import ServiceReplaced, ServiceStartedBeside, ServiceWithdrawn
from events.kernel.errors import OutsideError
from events.manifest import Gate, WaitCondition
from projections.engine.errors import engine_refused, engine_unreachable
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.scene import (
    IN_PLACE,
    STREAM,
    Scene,
    Spec,
    identity_labels,
    image_id,
    manifest_of,
)

BAD = Life(exits_after=0.5, exit_code=3, log=("cannot open the database",))
FIRST, SECOND = manifest_of(web=Spec()), manifest_of(web=Spec(image="web:2"))
NAME = "hello-prod-web-1"
CHANGING = {"up", "up_beside", "stop", "remove", "rename", "start"}


def changes(scene: Scene) -> list[str]:
    """The calls that changed something, with what they were about."""
    return [f"{name} {about[:12]}" for name, about in scene.engine.calls if name in CHANGING]


def images(scene: Scene, service: str = "web") -> list[str]:
    return [one.image for one in scene.engine.world.replicas(service)]


def deployed(scene: Scene) -> str:
    """The first version runs; the id of its web."""
    assert scene.deploy(FIRST).status == "completed"
    scene.engine.calls.clear()
    return scene.engine.world.ids("web")[0]


def at(scene: Scene, moment: str, act: Callable[[], None]) -> None:
    """Do something when a call is made, once."""

    def before(name: str, _argument: str) -> None:
        if name == moment:
            scene.engine.before = None
            act()

    scene.engine.before = before


def lose() -> None:
    raise engine_unreachable("simulated", "gone")


def test_the_old_one_stops_only_after_the_new_one_has_passed_its_gate(scene: Scene) -> None:
    old = deployed(scene)
    scene.engine.world.lives[image_id("web:2")] = Life(healthy_after=5.0)
    seen: list[tuple[str, str]] = []

    def look(name: str, _argument: str) -> None:
        if name == "stop":
            now = scene.clock.monotonic()
            seen.extend(
                (one.image, scene.engine.world.moment(one, now).health)
                for one in scene.engine.world.replicas("web")
            )

    scene.engine.before = look
    assert scene.deploy(SECOND, FIRST).status == "completed"
    assert sorted(seen) == sorted([(image_id("web:1"), "none"), (image_id("web:2"), "healthy")])
    (new,) = scene.engine.world.ids("web")
    assert changes(scene) == [
        "up_beside web=2",
        f"rename {old[:12]}",
        "rename hello-prod-w",
        f"stop {old[:12]}",
        f"remove {old[:12]}",
    ]
    assert scene.engine.world.named(NAME).id == new


def test_what_was_begun_and_what_came_of_it_is_recorded(scene: Scene) -> None:
    old = deployed(scene)
    verdict = scene.deploy(SECOND, FIRST)
    (new,) = scene.engine.world.ids("web")
    begun, ended = [
        e for e in scene.of_release(verdict.release) if isinstance(e, ServiceStartedBeside | ServiceReplaced)
    ]
    assert isinstance(begun, ServiceStartedBeside)
    assert (begun.old_ids, begun.new_ids, begun.reason) == ((old,), (new,), "changed")
    assert isinstance(ended, ServiceReplaced)
    assert (ended.old_ids, ended.new_ids, ended.reason) == ((old,), (new,), "changed")
    assert (ended.rollout, ended.because) == ("start-first", ())
    assert ended.milliseconds is not None
    assert ended.milliseconds >= 2000, "the settle time of the gate is in it"


def test_in_place_the_log_says_what_forbade_it(scene: Scene) -> None:
    first = manifest_of(web=Spec(more=IN_PLACE))
    scene.deploy(first)
    scene.engine.calls.clear()
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2", more=IN_PLACE)), first)
    assert changes(scene) == ["up web"]
    (ended,) = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceReplaced)]
    assert (ended.rollout, ended.because) == ("stop-first", ("volume data with one writer",))
    assert ended.milliseconds is not None


@pytest.mark.parametrize("life", [BAD, Life(start_error="exec: no such file"), Life(unhealthy_after=1.0)])
def test_a_new_one_that_fails_goes_again_and_the_old_one_was_never_touched(scene: Scene, life: Life) -> None:
    old = deployed(scene)
    scene.engine.world.lives[image_id("web:2")] = life
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.status == "rolled_back"
    assert scene.engine.world.ids("web") == [old]
    assert scene.engine.world.named(NAME).stopped is None
    assert not [call for call in changes(scene) if old[:12] in call]
    assert isinstance(scene.events(STREAM)[-2], ReleaseRolledBack)


def test_what_a_failed_one_leaves_is_recorded_before_it_goes(scene: Scene) -> None:
    deployed(scene)
    scene.engine.world.lives[image_id("web:2")] = BAD
    told: list[bool] = []

    def look(name: str, _argument: str) -> None:
        if name == "remove":
            told.append("ServiceWithdrawn" in [one.type for one in scene.log.read()])

    scene.engine.before = look
    verdict = scene.deploy(SECOND, FIRST)
    assert told == [True]
    events = scene.of_release(verdict.release)
    (gone,) = [e for e in events if isinstance(e, ServiceWithdrawn)]
    (begun,) = [e for e in events if isinstance(e, ServiceStartedBeside)]
    assert gone.containers == begun.new_ids
    assert (gone.failure.exit_code, gone.failure.log_tail) == (3, ("cannot open the database",))
    assert not [e for e in events if isinstance(e, ServiceReplaced)]


def test_an_old_one_that_is_sick_does_not_keep_its_cure_out(scene: Scene) -> None:
    scene.engine.world.lives[image_id("web:1")] = Life(healthy_after=0.1, unhealthy_after=100.0)
    deployed(scene)
    scene.clock.advance(200.0)
    assert scene.deploy(SECOND, FIRST).status == "completed"
    assert images(scene) == [image_id("web:2")]


def test_a_wave_that_fails_takes_none_of_its_old_ones_along(scene: Scene) -> None:
    first = manifest_of(web=Spec(), api=Spec(image="db:1"))
    scene.deploy(first)
    before = [*scene.engine.world.ids("web"), *scene.engine.world.ids("api")]
    scene.engine.world.lives[image_id("web:2")] = BAD
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2"), api=Spec(image="db:2")), first)
    assert verdict.status == "rolled_back"
    assert [*scene.engine.world.ids("web"), *scene.engine.world.ids("api")] == before
    gone = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceWithdrawn)]
    assert [(e.service, e.failure.service, bool(e.failure.log_tail)) for e in gone] == [
        ("api", "web", False),
        ("web", "web", True),
    ]


def test_a_later_wave_that_fails_brings_earlier_ones_back_side_by_side(scene: Scene) -> None:
    needs: dict[str, WaitCondition] = {"db": "service_healthy"}
    scene.engine.world.lives[image_id("db:1")] = scene.engine.world.lives[image_id("db:2")] = Life(
        healthy_after=0.5
    )
    first = manifest_of(web=Spec(waits_for=needs), db=Spec(image="db:1"))
    scene.deploy(first)
    scene.engine.world.lives[image_id("web:2")] = BAD
    scene.engine.calls.clear()
    verdict = scene.deploy(
        manifest_of(web=Spec(image="web:2", waits_for=needs), db=Spec(image="db:2")), first
    )
    assert verdict.status == "rolled_back"
    assert images(scene, "db") == [image_id("db:1")]
    assert scene.engine.count("up") == 0
    restored = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceReplaced)]
    assert [(e.service, e.reason, e.rollout) for e in restored] == [
        ("db", "changed", "start-first"),
        ("db", "restored", "start-first"),
    ]


def test_all_new_replicas_are_up_before_the_first_old_one_goes(scene: Scene) -> None:
    scaled = {"deploy": {"replicas": 2}}
    first, second = manifest_of(web=Spec(more=scaled)), manifest_of(web=Spec(image="web:2", more=scaled))
    scene.deploy(first)
    scene.engine.calls.clear()
    assert scene.deploy(second, first).status == "completed"
    assert changes(scene)[0] == "up_beside web=4"
    assert images(scene) == [image_id("web:2")] * 2
    assert [one.name for one in scene.engine.world.replicas("web")] == [
        "hello-prod-web-1",
        "hello-prod-web-2",
    ]


def test_names_stay_the_same_over_thirty_exchanges(scene: Scene) -> None:
    before = FIRST
    scene.deploy(before)
    for number in range(30):
        after = manifest_of(web=Spec(image=f"web:{2 - number % 2}", more={"command": [str(number)]}))
        assert scene.deploy(after, before).status == "completed"
        assert [one.name for one in scene.engine.world.containers.values()] == [NAME]
        before = after


@pytest.mark.parametrize("moment", ["up_beside-done", "inspect", "rename", "stop", "remove"])
def test_an_engine_lost_in_the_middle_loses_neither_version_and_the_next_run_ends_it(
    scene: Scene, moment: str
) -> None:
    old = deployed(scene)
    work = scene.work(SECOND, FIRST)
    at(scene, moment, lose)
    with pytest.raises(OutsideError, match="engine-unreachable"):
        scene.run(work)
    assert scene.engine.world.containers[old].stopped in ({None, "exited"} if moment == "remove" else {None})
    verdict = scene.run(scene.work(SECOND, FIRST, release=work.release, started=True))
    assert verdict.status == "completed"
    assert [one.name for one in scene.engine.world.containers.values()] == [NAME]
    assert images(scene) == [image_id("web:2")]
    assert scene.engine.world.made == 2, "the one that stood there was taken on, not made again"
    came = [e for e in scene.of_release(work.release) if isinstance(e, ServiceReplaced)]
    assert (came[-1].new_ids or came[0].new_ids) == tuple(scene.engine.world.ids("web"))


def test_a_new_one_that_fails_after_a_crash_goes_too(scene: Scene) -> None:
    old = deployed(scene)
    scene.engine.world.lives[image_id("web:2")] = Life(unhealthy_after=5.0)
    work = scene.work(SECOND, FIRST)
    at(scene, "up_beside-done", lose)
    with pytest.raises(OutsideError, match="engine-unreachable"):
        scene.run(work)
    verdict = scene.run(scene.work(SECOND, FIRST, release=work.release, started=True))
    assert verdict.status == "rolled_back"
    assert scene.engine.world.ids("web") == [old]
    gone = [e for e in scene.of_release(work.release) if isinstance(e, ServiceWithdrawn)]
    assert len(gone) == 1


def test_what_has_ended_goes_before_compose_would_start_it_again(scene: Scene) -> None:
    scaled = {"deploy": {"replicas": 2}}
    first, second = manifest_of(web=Spec(more=scaled)), manifest_of(web=Spec(image="web:2", more=scaled))
    scene.deploy(first)
    ended, alive = scene.engine.world.replicas("web")
    ended.stopped = "exited"
    scene.engine.calls.clear()
    verdict = scene.deploy(second, first)
    assert changes(scene)[:2] == [f"remove {ended.id[:12]}", "up_beside web=3"]
    (event,) = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceReplaced)]
    assert set(event.old_ids) == {ended.id, alive.id}


def test_where_nothing_runs_compose_replaces_it_and_nobody_waits(scene: Scene) -> None:
    deployed(scene)
    scene.engine.world.named(NAME).stopped = "exited"
    assert scene.deploy(SECOND, FIRST).status == "completed"
    assert changes(scene) == ["up web"]


def test_a_new_container_that_is_not_made_is_not_believed(scene: Scene) -> None:
    old = deployed(scene)
    scene.engine.world.ignores_up = True
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.failure is not None
    assert verdict.failure.code == "service-not-replaced"
    assert scene.engine.world.ids("web") == [old]


def test_a_name_that_cannot_be_given_takes_the_new_one_away_and_the_old_one_has_its_name_again(
    scene: Scene,
) -> None:
    old = deployed(scene)

    def refuse() -> None:
        raise engine_refused("rename", "it cannot")

    def second_rename() -> None:
        at(scene, "rename", refuse)

    at(scene, "rename", second_rename)
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.status == "rolled_back"
    assert scene.engine.world.named(NAME).id == old


def test_a_new_one_that_does_not_go_is_left_to_the_way_back_and_hides_no_reason(scene: Scene) -> None:
    old = deployed(scene)
    scene.engine.world.lives[image_id("web:2")] = BAD

    def refuse() -> None:
        raise engine_refused("remove", "it is busy")

    at(scene, "remove", refuse)
    verdict = scene.deploy(SECOND, FIRST)
    assert verdict.failure is not None
    assert verdict.failure.exit_code == 3
    assert verdict.status == "rolled_back"
    assert scene.engine.world.ids("web") == [old], "the way back took it away"


def test_what_ended_and_went_is_recorded_although_no_new_one_came(scene: Scene) -> None:
    scaled = {"deploy": {"replicas": 2}}
    first = manifest_of(web=Spec(more=scaled))
    scene.deploy(first)
    ended, alive = scene.engine.world.replicas("web")
    ended.stopped = "exited"
    scene.engine.world.lives[image_id("web:2")] = Life(start_error="exec: no such file")
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2", more=scaled)), first)
    assert verdict.status == "rolled_back"
    went, came = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceReplaced)]
    assert (went.old_ids, went.new_ids) == ((ended.id,), ())
    assert came.reason == "restored"
    assert alive.id in scene.engine.world.ids("web")
    assert len(scene.engine.world.ids("web")) == 2


def test_the_word_of_the_project_goes_over_a_volume(scene: Scene) -> None:
    first = manifest_of(web=Spec(more=IN_PLACE, rollout="start-first"))
    scene.deploy(first)
    scene.engine.calls.clear()
    scene.deploy(manifest_of(web=Spec(image="web:2", more=IN_PLACE, rollout="start-first")), first)
    assert changes(scene)[0] == "up_beside web=2"


def test_healing_exchanges_side_by_side_and_lets_a_whole_pair_be_the_only_repair(scene: Scene) -> None:
    deployed(scene)
    stray = scene.engine.add(
        "hello-prod-web-2", image=image_id("web:2"), found=identity_labels("hello", "prod", "web")
    )
    scene.engine.world.containers[stray].labels[labels.SERVICE_HASH] = "of somebody's old file"
    before = scene.engine.world.named(NAME).id
    assert scene.heal(FIRST)
    assert scene.engine.world.ids("web") == [before]
    assert scene.engine.count("up_beside") == 0
    assert not scene.heal(FIRST)


def test_healing_that_fails_leaves_what_runs(scene: Scene) -> None:
    scene.deploy(SECOND)
    (running,) = scene.engine.world.ids("web")
    scene.engine.world.lives[image_id("web:1")] = BAD
    with pytest.raises(Exception, match="exit code 3"):
        scene.heal(FIRST)
    assert scene.engine.world.ids("web") == [running]
    assert scene.engine.world.containers[running].stopped is None


def test_restarts_of_a_new_one_count_although_an_old_one_stands_beside_it(scene: Scene) -> None:
    first = manifest_of(web=Spec(gate=Gate(settle_seconds=0.0, deadline_seconds=9.0)))
    scene.deploy(first)
    scene.engine.world.lives[image_id("web:2")] = Life(exits_after=0.0, exit_code=6, restarts=True)
    second = manifest_of(web=Spec(image="web:2", gate=Gate(settle_seconds=0.0, deadline_seconds=9.0)))
    scene.engine.world.show_restarting_as_running = True
    verdict = scene.deploy(second, first)
    assert verdict.failure is not None
    assert verdict.failure.code == "container-restarting"
