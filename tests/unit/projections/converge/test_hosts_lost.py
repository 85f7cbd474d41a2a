"""Hosts that do not answer: before a Release, at each step of it, at its end; and when they come back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from events.catalog.drift import DriftDetected, DriftHealed
from events.catalog.environment import EnvironmentHeld
from events.catalog.release import ReleaseFailed
from events.kernel.errors import OutsideError, Where
from events.manifest import Job, Manifest
from projections.converge.failures import HOST_UNKNOWN
from projections.converge.hosts import look
from projections.converge.work import ReleaseWork
from projections.engine.port import Container
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import Life
from tests.support.mortal import Killed
from tests.unit.projections.converge.hosts_scene import APPS, HostsScene, apps, over, shop
from tests.unit.projections.converge.scene import STREAM, Spec, another_machine, image_id

PREPARING = ("identity", "containers", "image", "grounds")  # calls before the first change
STEPS = ("up_beside", "inspect", "rename", "stop", "remove")  # calls of an exchange


@pytest.fixture
def scene(tmp_path: Path) -> HostsScene:
    made = HostsScene(root=tmp_path)
    made.release(apps("1"))
    return made


class SilentEngine(SimulatedEngine):
    """Cannot be asked, for a reason of one's choice."""

    code = ""

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        raise OutsideError(self.code, f"{compose_project} cannot be listed")


@pytest.mark.parametrize("code", sorted(HOST_UNKNOWN))
def test_whatever_keeps_a_host_silent_is_told_with_its_place(scene: HostsScene, code: str) -> None:
    engine = SilentEngine(clock=scene.clock)
    engine.code = code
    site = replace(scene.equipment.site(apps("1"), "app1"), engine=engine)
    with pytest.raises(OutsideError) as raised:
        asyncio.run(look(site))
    assert raised.value.where == Where(environment="hello/prod", host="app1")


def test_a_silent_host_fails_the_release_before_anything_is_touched(scene: HostsScene) -> None:
    scene.lose("app3")
    verdict = scene.release(apps("2"), apps("1"), max_failures=2)
    assert verdict.status == "failed"
    assert verdict.failure is not None
    assert (verdict.failure.code, verdict.failure.cause) == ("engine-unreachable", "outside")
    assert scene.done == []
    assert scene.statuses == {"app1": "untouched", "app2": "untouched", "app3": "unknown"}
    assert {host: one.digest for host, one in scene.verdicts.items()} == {
        "app1": apps("1").digest,
        "app2": apps("1").digest,
        "app3": None,
    }
    assert isinstance(scene.events(STREAM)[-1], ReleaseFailed)
    assert scene.of_host("app3") == ["HostReached", "HostUnreachable"]


def test_every_host_that_is_silent_is_unknown_whatever_fails_beside_it(scene: HostsScene) -> None:
    for host in ("app1", "app3"):
        scene.lose(host)
    assert scene.release(apps("2"), apps("1")).status == "failed"
    assert scene.statuses == {"app1": "unknown", "app2": "untouched", "app3": "unknown"}
    verdict = scene.release(apps("9"), apps("1"))
    assert verdict.failure is not None
    assert verdict.failure.code == "image-not-found"
    assert scene.statuses == {"app1": "unknown", "app2": "untouched", "app3": "unknown"}


@pytest.mark.parametrize("call", PREPARING)
def test_so_does_one_that_is_lost_while_all_is_made_ready(scene: HostsScene, call: str) -> None:
    scene.lose("app2", at=call)
    verdict = scene.release(apps("2"), apps("1"))
    assert (verdict.status, scene.done) == ("failed", [])
    assert scene.statuses == {"app1": "untouched", "app2": "unknown", "app3": "untouched"}


@pytest.mark.parametrize("call", ["", *PREPARING])
def test_a_silent_host_is_skipped_where_that_is_allowed_and_catches_up(scene: HostsScene, call: str) -> None:
    first, second = apps("1"), apps("2")
    scene.lose("app1", at=call)
    verdict = scene.release(second, first, on_unreachable="skip", canary="app1")
    assert (verdict.status, verdict.without) == ("completed", ("app1",))
    assert scene.images() == ["web:1", "web:2", "web:2"]
    assert scene.verdicts["app1"].status == "skipped"
    assert scene.verdicts["app1"].digest == first.digest
    before = len(scene.log.read())
    with pytest.raises(OutsideError):
        scene.mend(second)
    assert len(scene.log.read()) == before
    scene.find("app1")
    assert scene.mend(second)
    assert scene.images() == ["web:2"] * 3
    new = scene.events(STREAM)[-2:]
    assert isinstance(new[0], DriftDetected)
    assert isinstance(new[1], DriftHealed)
    assert {one.host for one in new if isinstance(one, DriftDetected | DriftHealed)} == {"app1"}


def test_with_every_host_silent_nothing_is_skipped(scene: HostsScene) -> None:
    for host in APPS:
        scene.lose(host)
    verdict = scene.release(apps("2"), apps("1"), on_unreachable="skip")
    assert verdict.status == "failed"
    assert set(scene.statuses.values()) == {"skipped"}


def test_another_machine_is_never_skipped(scene: HostsScene) -> None:
    scene.engines["app2"].world.identity = another_machine()
    verdict = scene.release(apps("2"), apps("1"), on_unreachable="skip")
    assert verdict.status == "failed"
    assert verdict.failure is not None
    assert (verdict.failure.code, verdict.failure.host) == ("host-is-another-machine", "app2")
    assert scene.done == []


@pytest.mark.parametrize("call", STEPS)
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_host_lost_on_the_way_fails_and_the_others_go_back(
    scene: HostsScene, call: str, at_once: int
) -> None:
    first, second = apps("1"), apps("2")
    scene.lose("app2", at=call)
    verdict = scene.release(second, first, max_parallel=at_once)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.host == "app2"
    assert [scene.image("app1"), scene.image("app3")] == ["web:1", "web:1"]
    assert scene.statuses["app1"] == "restored"
    assert (scene.statuses["app2"], scene.verdicts["app2"].digest) == ("unknown", None)
    assert any(isinstance(one, EnvironmentHeld) for one in scene.events(STREAM))
    scene.find("app2")
    scene.mend(first)
    assert scene.images() == ["web:1"] * 3
    assert not scene.mend(first)


@pytest.mark.parametrize("call", STEPS)
def test_a_host_lost_on_the_way_is_one_of_those_that_may_fail(scene: HostsScene, call: str) -> None:
    first, second = apps("1"), apps("2")
    scene.lose("app2", at=call)
    verdict = scene.release(second, first, max_failures=1)
    assert (verdict.status, verdict.without) == ("completed", ("app2",))
    assert scene.statuses == {"app1": "completed", "app2": "unknown", "app3": "completed"}
    scene.find("app2")
    scene.mend(second)
    assert scene.images() == ["web:2"] * 3


def test_a_host_lost_at_the_last_look_takes_all_back(scene: HostsScene) -> None:
    first, second = apps("1"), apps("2")
    calls: list[str] = []
    scene.engines["app1"].before = lambda call, _: calls.append(call)
    scene.release(second, first)
    scene.release(first, second)
    last = _lookings(calls)
    scene.lose("app1", at="containers", after=last - 1)
    verdict = scene.release(second, first)
    assert verdict.status == "rolled_back"
    assert scene.statuses == {"app1": "unknown", "app2": "restored", "app3": "restored"}
    assert scene.images()[1:] == ["web:1", "web:1"]


def _lookings(calls: list[str]) -> int:
    """How often the first of two equal Releases looked at containers."""
    return len([call for call in calls if call == "containers"]) // 2


def test_a_lost_host_that_answers_again_is_taken_back_at_once(scene: HostsScene) -> None:
    first, second = apps("1"), apps("2")
    scene.lose("app3", at="rename")

    def comes_back(call: str, argument: str) -> None:
        del argument
        if call == "up_beside" and not scene.engines["app3"].world.reachable:
            scene.find("app3")

    scene.engines["app1"].before = comes_back
    verdict = scene.release(second, first)
    assert verdict.status == "rolled_back"
    assert scene.images() == ["web:1"] * 3
    assert scene.statuses == dict.fromkeys(APPS, "restored")


def test_where_only_the_lost_host_was_touched_the_release_failed(scene: HostsScene) -> None:
    first, second = apps("1"), apps("2")
    scene.lose("app1", at="rename")
    verdict = scene.release(second, first)
    assert verdict.status == "failed"
    assert scene.statuses == {"app1": "unknown", "app2": "untouched", "app3": "untouched"}
    scene.find("app1")
    scene.mend(first)
    assert scene.images() == ["web:1"] * 3


def killed_at_the_second_host(scene: HostsScene, work: ReleaseWork) -> None:
    """The controller is killed when it begins the new container of `app2`, which answers again at once."""

    def die(call: str, argument: str) -> None:
        del argument
        if call == "up_beside":
            raise Killed

    scene.engines["app2"].before = die
    with pytest.raises(Killed):
        scene.run(work)
    scene.find("app2")


def test_killed_on_the_way_a_release_over_hosts_is_taken_up_again(scene: HostsScene) -> None:
    first, second = apps("1"), apps("2")
    scene.bad("app1")
    work = scene.work(second, first, hosts=scene.conduct(max_failures=1))
    killed_at_the_second_host(scene, work)
    scene.done.clear()
    again = scene.run(scene.again(work))
    assert (again.status, again.without) == ("completed", ("app1",))
    assert "app1" not in scene.order, "one that had failed is not tried again"
    assert scene.images()[1:] == ["web:2", "web:2"]


def test_a_host_that_is_silent_when_a_release_is_taken_up_again_counts_as_failed(scene: HostsScene) -> None:
    first, second = apps("1"), apps("2")
    work = scene.work(second, first)
    killed_at_the_second_host(scene, work)
    scene.lose("app1")
    verdict = scene.run(scene.again(work))
    assert verdict.status == "rolled_back"
    assert scene.statuses == {"app1": "unknown", "app2": "restored", "app3": "restored"}
    assert scene.images()[1:] == ["web:1", "web:1"]


def test_a_silent_host_keeps_no_other_one_from_being_healed(scene: HostsScene) -> None:
    manifest = apps("1")
    for host in ("app2", "app3"):
        scene.engines[host].world.containers.clear()
    scene.lose("app1")
    with pytest.raises(OutsideError, match="does not answer"):
        scene.mend(manifest)
    assert scene.images()[1:] == ["web:1", "web:1"]


def test_with_the_database_lost_the_app_is_not_touched(scene: HostsScene) -> None:
    first, second = shop("1"), shop("2")
    scene.release(first)
    scene.lose("data", at="up_beside")
    verdict = scene.release(second, first)
    assert verdict.status == "failed"
    assert scene.images() == ["web:1"] * 3
    assert scene.statuses == {**dict.fromkeys([*APPS, "edge"], "untouched"), "data": "unknown"}


def with_job(version: str) -> Manifest:
    """On one of the hosts a one-shot runs before the service."""
    job = Spec(image=f"job:{version}", job=Job())
    web = Spec(image=f"web:{version}", waits_for={"job": "service_completed_successfully"})
    return over(
        {
            "app1": {"job": job, "web": web},
            **{host: {"web": Spec(image=f"web:{version}")} for host in APPS[1:]},
        }
    )


def test_a_host_that_owes_a_job_is_neither_skipped_nor_done_without(scene: HostsScene) -> None:
    for host in APPS:
        scene.engines[host].world.lives[image_id("job:2")] = Life(exits_after=0.1)
    scene.lose("app1")
    assert scene.release(with_job("2"), apps("1"), on_unreachable="skip").status == "failed"
    scene.find("app1")
    scene.engines["app1"].world.lives[image_id("job:2")] = Life(exits_after=0.1, exit_code=1)
    failing = scene.release(with_job("2"), apps("1"), max_failures=2, more={"on_failure": "continue"})
    assert (failing.status, scene.images()) == ("rolled_back", ["web:1"] * 3)
    scene.engines["app1"].world.lives[image_id("job:2")] = Life(exits_after=0.1)
    assert scene.release(with_job("2"), apps("1")).status == "completed"
    scene.lose("app1")
    again = scene.release(with_job("2"), with_job("2"), on_unreachable="skip")
    assert (again.status, again.without) == ("completed", ("app1",))
