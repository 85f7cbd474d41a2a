"""Releases over several hosts: order, policy, and one verdict that names each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.catalog.environment import DeployRequested, EnvironmentHeld
from events.catalog.release import PhaseCompleted, ReleaseCompleted, ReleaseFailed, ReleaseRolledBack
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.hosts_scene import APPS, HostsScene, apps, over, shop
from tests.unit.projections.converge.scene import STREAM, Spec, image_id


@pytest.fixture
def scene(tmp_path: Path) -> HostsScene:
    return HostsScene(root=tmp_path)


def test_every_host_gets_it_one_after_the_other(scene: HostsScene) -> None:
    manifest = apps("1")
    verdict = scene.release(manifest)
    assert (verdict.status, scene.order) == ("completed", [*APPS])
    assert scene.images() == ["web:1"] * 3
    assert {host: (one.status, one.digest) for host, one in scene.verdicts.items()} == dict.fromkeys(
        APPS, ("completed", manifest.digest)
    )


def test_data_goes_first_and_gateways_last(scene: HostsScene) -> None:
    scene.release(shop(), max_parallel=9)
    assert (scene.order[0], sorted(scene.order[1:4]), scene.order[4]) == ("data", [*APPS], "edge")


def test_nothing_is_touched_before_all_hosts_are_ready(scene: HostsScene) -> None:
    calls: list[tuple[str, str]] = []
    for host in APPS:
        scene.engines[host].before = lambda call, _argument, host=host: calls.append((host, call))
    scene.release(apps("1"))
    first = next(place for place, (_, call) in enumerate(calls) if call in {"up", "up_beside"})
    assert {host for host, call in calls[:first] if call == "grounds"} == {*APPS}
    assert "predict" in {call for _, call in calls[:first]}


def test_what_does_not_change_is_looked_at_and_not_touched(scene: HostsScene) -> None:
    first = shop("1")
    scene.release(first)
    second = over(
        {
            **{host: {"web": Spec(image="web:2")} for host in APPS},
            "edge": {"gate": Spec(image="gate:1", role="gateway")},
            "data": {"db": Spec(image="db:1", role="db")},
        }
    )
    verdict = scene.release(second, first)
    assert (verdict.status, scene.order) == ("completed", [*APPS])
    assert scene.verdicts["data"].digest == second.digest


def test_a_failed_host_brings_every_host_back(scene: HostsScene) -> None:
    first = apps("1")
    scene.release(first)
    scene.bad("app2")
    second = apps("2")
    verdict = scene.release(second, first)
    assert verdict.status == "rolled_back"
    assert scene.images() == ["web:1"] * 3
    assert scene.statuses == {"app1": "restored", "app2": "restored", "app3": "untouched"}
    assert {one.digest for one in scene.verdicts.values()} == {first.digest}
    assert [one.reason != "" for one in scene.verdicts.values()] == [False, True, False]
    rolled, held = scene.events(STREAM)[-2:]
    assert isinstance(rolled, ReleaseRolledBack)
    assert (rolled.failure.host, rolled.restored) == ("app2", first.digest)
    assert isinstance(held, EnvironmentHeld)
    assert "app3" not in scene.order


def test_a_failed_canary_ends_the_release_whatever_may_fail_later(scene: HostsScene) -> None:
    first = apps("1")
    scene.release(first)
    scene.bad("app2")
    verdict = scene.release(apps("2"), first, canary="app2", max_failures=3)
    assert (verdict.status, scene.order) == ("rolled_back", ["app2"])
    assert scene.images() == ["web:1"] * 3


def test_the_other_hosts_of_a_batch_finish_before_all_go_back(scene: HostsScene) -> None:
    first = apps("1")
    scene.release(first)
    scene.bad("app1")
    verdict = scene.release(apps("2"), first, max_parallel=3)
    assert verdict.status == "rolled_back"
    assert scene.images() == ["web:1"] * 3
    assert scene.statuses == dict.fromkeys(APPS, "restored")


def test_as_many_hosts_may_fail_as_the_descriptor_says(scene: HostsScene) -> None:
    first, second = apps("1"), apps("2")
    scene.release(first)
    scene.bad("app1")
    verdict = scene.release(second, first, max_failures=1)
    assert (verdict.status, verdict.without) == ("completed", ("app1",))
    assert scene.statuses == {"app1": "failed", "app2": "completed", "app3": "completed"}
    assert scene.verdicts["app1"].digest is None
    assert scene.left_out(verdict.release) == {"app1": "failed"}
    details = {
        one.phase: one.detail for one in scene.of_release(verdict.release) if isinstance(one, PhaseCompleted)
    }
    assert details["rollout"].endswith("; app1 failed")
    scene.bad("app1", life=Life())
    assert scene.mend(second)
    assert scene.images() == ["web:2"] * 3


def test_one_more_than_that_brings_all_back(scene: HostsScene) -> None:
    first = apps("1")
    scene.release(first)
    scene.bad("app1", "app3")
    assert scene.release(apps("2"), first, max_failures=1).status == "rolled_back"
    assert scene.images() == ["web:1"] * 3
    assert scene.statuses == dict.fromkeys(APPS, "restored")


def test_held_nothing_more_is_changed(scene: HostsScene) -> None:
    first, second = apps("1"), apps("2")
    scene.release(first)
    scene.bad("app2")
    verdict = scene.release(second, first, more={"on_failure": "hold"})
    assert verdict.status == "failed"
    assert scene.order == ["app1", "app2"]
    assert scene.images()[::2] == ["web:2", "web:1"]
    assert {host: (one.status, one.digest) for host, one in scene.verdicts.items()} == {
        "app1": ("completed", second.digest),
        "app2": ("failed", None),
        "app3": ("untouched", first.digest),
    }
    failed, held = scene.events(STREAM)[-2:]
    assert isinstance(failed, ReleaseFailed)
    assert failed.stays
    assert isinstance(held, EnvironmentHeld)
    assert (held.target, held.bad) == (first.digest, (second.digest,))


def test_continued_the_rest_goes_on(scene: HostsScene) -> None:
    first, second = apps("1"), apps("2")
    scene.release(first)
    scene.bad("app1", "app2")
    verdict = scene.release(second, first, more={"on_failure": "continue"}, canary=1)
    assert verdict.status == "completed"
    assert scene.statuses == {"app1": "failed", "app2": "failed", "app3": "completed"}


def test_where_all_hosts_fail_nothing_is_continued(scene: HostsScene) -> None:
    first = apps("1")
    scene.release(first)
    scene.bad(*APPS)
    verdict = scene.release(apps("2"), first, more={"on_failure": "continue"})
    assert verdict.status == "rolled_back"
    assert scene.images() == ["web:1"] * 3


def test_a_first_release_that_fails_is_stopped_on_every_host(scene: HostsScene) -> None:
    scene.bad("app2")
    verdict = scene.release(apps("2"))
    assert verdict.status == "failed"
    assert scene.images() == [None] * 3
    assert scene.statuses == {"app1": "failed", "app2": "failed", "app3": "untouched"}


def test_what_cannot_be_made_ready_on_one_host_touches_none(scene: HostsScene) -> None:
    first = apps("1")
    scene.release(first)
    del scene.engines["app3"].world.images["web:2"]
    verdict = scene.release(apps("2"), first, max_failures=9, more={"on_failure": "continue"})
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert (verdict.failure.code, verdict.failure.host) == ("image-not-found", "app3")
    assert scene.order == []
    assert scene.statuses == dict.fromkeys(APPS, "untouched")


def test_a_host_that_cannot_go_back_keeps_no_other_from_it(scene: HostsScene) -> None:
    first = apps("1")
    scene.release(first)
    scene.bad("app3")
    scene.engines["app1"].world.lives[image_id("web:1")] = Life(exits_after=0.1, exit_code=1)
    verdict = scene.release(apps("2"), first)
    assert verdict.status == "failed"
    assert verdict.failure is not None
    assert verdict.failure.code == "compensation-failed"
    assert scene.statuses == {"app1": "failed", "app2": "restored", "app3": "restored"}
    assert scene.images()[1:] == ["web:1", "web:1"]


def test_a_host_that_left_the_manifest_is_left_at_the_end(scene: HostsScene) -> None:
    first = apps("1")
    scene.release(first)
    verdict = scene.release(apps("1", "app1", "app2"), first)
    assert verdict.status == "completed"
    assert scene.images() == ["web:1", "web:1", None]
    assert isinstance(scene.events(STREAM)[-1], ReleaseCompleted)


def test_a_silent_host_that_left_the_manifest_is_named_and_fails_nothing(scene: HostsScene) -> None:
    first = apps("1")
    scene.release(first)
    scene.lose("app3")
    verdict = scene.release(apps("1", "app1", "app2"), first)
    assert (verdict.status, verdict.without) == ("completed", ("app3",))
    assert scene.statuses == {"app1": "completed", "app2": "completed", "app3": "skipped"}


def test_a_newer_release_ends_the_waits_of_all_hosts_of_a_batch(scene: HostsScene) -> None:
    first, second, third = apps("1"), apps("2"), shop("1")
    scene.release(first)
    for host in APPS:
        scene.bad(host, life=Life(healthy_after=100_000.0))
    newer = DeployRequested(
        release="rel-newer", digest=third.digest, version="v", revision="c", previous=None, trigger="git"
    )

    def asks(call: str, argument: str) -> None:
        del argument
        if call == "up_beside-done":
            scene.engines["app2"].before = None
            scene.recorder().append(STREAM, newer)

    scene.engines["app2"].before = asks
    verdict = scene.release(second, first, max_parallel=3)
    assert (verdict.status, verdict.by) == ("superseded", "rel-newer")
    assert [len(scene.engines[host].world.containers) for host in APPS] == [2, 2, 2]
