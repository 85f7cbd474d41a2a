"""Releases from start to verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from uuid import UUID

import pytest
from typing_extensions import override

from events.catalog.environment import EnvironmentHeld
from events.catalog.release import (
    PHASES,
    PhaseCompleted,
    PhaseFailed,
    PhaseSkipped,
    PhaseStarted,
    ReleaseCompleted,
    ReleaseFailed,
    ReleaseRolledBack,
    completed_on,
)
from events.catalog.service import ServiceReplaced, ServiceWithdrawn
from events.envelope import CONTROLLER, ProposedEvent, StoredEvent
from events.kernel.errors import OutsideError
from events.log import EventLog, StreamAppend
from events.manifest import Gate, HttpProbe, Job, Manifest, Probes, WaitCondition, Watch
from events.memory import MemoryEventLog
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.scene import (
    HOST,
    HOST_STREAM,
    IN_PLACE,
    STREAM,
    Scene,
    Spec,
    another_machine,
    image_id,
    manifest_of,
)

CRASHES = Life(exits_after=0.5, exit_code=3, log=("cannot open the database",))
JOB = Spec(image="job:1", job=Job())


class NotingLog(MemoryEventLog):
    """Goes on where another log ended and notes what each append carried."""

    def __init__(self, before: EventLog) -> None:
        super().__init__(lineage=before.lineage)
        for one in before.read():
            self.append([StreamAppend(stream=one.stream, events=(as_proposed(one),))])
        self.appends: list[list[str]] = []

    @override
    def append(
        self, parts: Sequence[StreamAppend], *, append_id: UUID | None = None
    ) -> tuple[StoredEvent, ...]:
        if hasattr(self, "appends"):
            self.appends.append([event.type for part in parts for event in part.events])
        return super().append(parts, append_id=append_id)


def as_proposed(stored: StoredEvent) -> ProposedEvent:
    names = [one.name for one in fields(ProposedEvent)]
    return ProposedEvent(**{name: getattr(stored, name) for name in names})


def make_bad(scene: Scene, life: Life = CRASHES, ref: str = "web:2") -> None:
    scene.engine.world.lives[image_id(ref)] = life


def replaced(scene: Scene, release: str) -> list[tuple[str, str]]:
    return [(e.service, e.reason) for e in scene.of_release(release) if isinstance(e, ServiceReplaced)]


def test_first_release_runs_all_and_completes(scene: Scene) -> None:
    manifest = manifest_of(web=Spec(), db=Spec(image="db:1"))
    verdict = scene.deploy(manifest)
    assert verdict.status == "completed"
    assert verdict.failure is None
    assert scene.types(STREAM) == ["ReleaseStarted", "ReleaseCompleted"]
    assert scene.events(STREAM)[-1] == ReleaseCompleted(
        release=verdict.release, digest=manifest.digest, hosts=completed_on([HOST], manifest.digest)
    )
    assert sorted(replaced(scene, verdict.release)) == [("db", "new"), ("web", "new")]
    assert scene.types(HOST_STREAM) == ["HostReached"]


def test_phases_are_recorded_in_order_with_no_ops(scene: Scene) -> None:
    verdict = scene.deploy(manifest_of(web=Spec()))
    events = scene.of_release(verdict.release)
    assert [e.phase for e in events if isinstance(e, PhaseStarted)] == list(PHASES)
    details = {e.phase: e.detail for e in events if isinstance(e, PhaseCompleted)}
    assert list(details) == list(PHASES)
    assert details["build"] == details["migrate_post"] == details["finalize"] == "no-op"
    assert details["rollout"] == "create web"


def test_events_are_the_controllers_and_in_one_undertaking(scene: Scene) -> None:
    scene.deploy(manifest_of(web=Spec()))
    stored = scene.log.read()
    assert {one.actor for one in stored} == {CONTROLLER}
    assert len({one.correlation for one in stored}) == 1


def test_unchanged_services_keep_their_containers(scene: Scene) -> None:
    first = manifest_of(web=Spec(), db=Spec(image="db:1"), other=Spec())
    scene.deploy(first)
    before = {name: scene.engine.world.ids(name) for name in ("web", "db", "other")}
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1"), other=Spec()), first)
    assert verdict.status == "completed"
    assert scene.engine.world.ids("db") == before["db"]
    assert scene.engine.world.ids("other") == before["other"]
    assert scene.engine.world.ids("web") != before["web"]
    (event,) = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceReplaced)]
    assert (event.service, event.reason) == ("web", "changed")
    assert list(event.old_ids) == before["web"]
    assert list(event.new_ids) == scene.engine.world.ids("web")


def test_failed_first_release_stops_and_keeps_what_it_made(scene: Scene) -> None:
    make_bad(scene)
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1")))
    assert verdict.status == "failed"
    failure = verdict.failure
    assert failure is not None
    assert (failure.code, failure.exit_code, failure.service) == ("container-exited", 3, "web")
    assert failure.log_tail == ("cannot open the database",)
    assert failure.cause == "repository"
    assert scene.types(STREAM) == ["ReleaseStarted", "ReleaseFailed"]
    assert len(scene.engine.world.ids("db")) == len(scene.engine.world.ids("web")) == 1
    assert scene.engine.world.named("hello-prod-db-1").stopped == "exited"
    last = scene.events(STREAM)[-1]
    assert isinstance(last, ReleaseFailed)
    assert last.touched == ("local/db", "local/web")


def test_failed_release_goes_back_and_holds(scene: Scene) -> None:
    first = manifest_of(web=Spec(), db=Spec(image="db:1"))
    scene.deploy(first)
    db = scene.engine.world.ids("db")
    make_bad(scene)
    second = manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1"))
    verdict = scene.deploy(second, first, held_bad=frozenset({"sha256:older"}))
    assert verdict.status == "rolled_back"
    assert scene.engine.world.ids("db") == db
    assert scene.engine.world.named("hello-prod-web-1").image == image_id("web:1")
    rolled, held = scene.events(STREAM)[-2:]
    assert isinstance(rolled, ReleaseRolledBack)
    assert isinstance(held, EnvironmentHeld)
    assert (rolled.restored, rolled.touched) == (first.digest, ("local/web",))
    assert held.target == first.digest
    assert held.bad == tuple(sorted({second.digest, "sha256:older"}))
    assert held.clears == "fixed"
    assert verdict.release in held.reason
    assert replaced(scene, verdict.release) == []
    withdrawn = [e for e in scene.of_release(verdict.release) if isinstance(e, ServiceWithdrawn)]
    assert [e.failure.log_tail for e in withdrawn] == [("cannot open the database",)]


def test_failed_phase_skips_the_later_ones(scene: Scene) -> None:
    make_bad(scene)
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2")))
    events = scene.of_release(verdict.release)
    assert [e.phase for e in events if isinstance(e, PhaseFailed)] == ["rollout"]
    skipped = [e for e in events if isinstance(e, PhaseSkipped)]
    assert [(e.phase, e.reason) for e in skipped] == [("migrate_post", "rollout"), ("finalize", "rollout")]


def test_release_that_touched_nothing_is_rolled_back_without_a_touch(scene: Scene) -> None:
    first = manifest_of(web=Spec())
    scene.deploy(first)
    scene.engine.calls.clear()
    verdict = scene.deploy(manifest_of(web=Spec(image="absent:1")), first)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.code == "image-not-found"
    assert verdict.failure.cause == "outside"
    assert scene.engine.count("up") == scene.engine.count("up_beside") == 0
    last = scene.events(STREAM)[-2]
    assert isinstance(last, ReleaseRolledBack)
    assert last.touched == ()


def test_hold_never_calls_the_restored_manifest_bad(scene: Scene) -> None:
    first = manifest_of(web=Spec())
    scene.deploy(first)
    make_bad(scene)
    scene.deploy(manifest_of(web=Spec(image="web:2")), first, held_bad=frozenset({first.digest}))
    held = scene.events(STREAM)[-1]
    assert isinstance(held, EnvironmentHeld)
    assert first.digest not in held.bad


def test_failed_way_back_is_a_failure_that_says_both_and_holds(scene: Scene) -> None:
    first = manifest_of(web=Spec(more=IN_PLACE))
    scene.deploy(first)
    make_bad(scene)
    make_bad(scene, Life(exits_after=0.1, exit_code=9), ref="web:1")
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2", more=IN_PLACE)), first)
    assert verdict.status == "failed"
    assert verdict.failure is not None
    assert verdict.failure.code == "compensation-failed"
    assert "exit code 3" in verdict.failure.message
    assert "exit code 9" in verdict.failure.message
    assert verdict.failure.log_tail == ("cannot open the database",)
    assert scene.types(STREAM)[-2:] == ["ReleaseFailed", "EnvironmentHeld"]


def test_verdict_and_hold_are_one_append(scene: Scene) -> None:
    first = manifest_of(web=Spec())
    scene.deploy(first)
    make_bad(scene)
    log = scene.log = NotingLog(scene.log)
    scene.deploy(manifest_of(web=Spec(image="web:2")), first)
    assert log.appends[-1] == ["ReleaseRolledBack", "EnvironmentHeld"]


def test_new_service_of_a_failed_release_goes_again(scene: Scene) -> None:
    first = manifest_of(web=Spec())
    scene.deploy(first)
    make_bad(scene)
    verdict = scene.deploy(manifest_of(web=Spec(), extra=Spec(image="web:2")), first)
    assert verdict.status == "rolled_back"
    assert scene.engine.world.ids("extra") == []
    assert replaced(scene, verdict.release) == [("extra", "new"), ("extra", "restored")]


def test_same_manifest_again_that_fails_has_no_way_back(scene: Scene) -> None:
    first = manifest_of(web=Spec(), db=Spec(image="db:1"))
    scene.deploy(first)
    make_bad(scene, ref="web:1")
    scene.engine.world.containers.clear()
    verdict = scene.deploy(first, first)
    assert verdict.status == "failed"
    assert scene.types(STREAM)[-1] == "ReleaseFailed"
    assert scene.engine.count("stop") == 0


def test_orphans_go_in_the_last_phase(scene: Scene) -> None:
    first = manifest_of(web=Spec(), db=Spec(image="db:1"))
    scene.deploy(first)
    old = scene.engine.world.ids("db")
    verdict = scene.deploy(manifest_of(web=Spec()), first)
    assert verdict.status == "completed"
    assert scene.engine.world.ids("db") == []
    assert [("remove", old[0])] == [call for call in scene.engine.calls if call[0] == "remove"]
    assert replaced(scene, verdict.release) == [("db", "orphan")]
    details = {e.phase: e.detail for e in scene.of_release(verdict.release) if isinstance(e, PhaseCompleted)}
    assert details["rollout"] == "no-op"
    assert "removed 1" in details["finalize"]


def test_renamed_service_takes_over_the_port_and_gives_it_back(scene: Scene) -> None:
    port = {"ports": [{"target": 80, "published": "8080", "protocol": "tcp"}]}
    first = manifest_of(old=Spec(more=port))
    scene.deploy(first)
    renamed = manifest_of(new=Spec(more=port))
    assert scene.deploy(renamed, first).status == "completed"
    assert scene.engine.world.ids("old") == []
    make_bad(scene)
    verdict = scene.deploy(manifest_of(third=Spec(image="web:2", more=port)), renamed)
    assert verdict.status == "rolled_back"
    assert len(scene.engine.world.ids("new")) == 1
    assert scene.engine.world.ids("third") == []


def test_container_that_dies_before_the_last_look_fails_the_release(scene: Scene) -> None:
    make_bad(scene, Life(exits_after=2.5, exit_code=7))
    longer = Gate(settle_seconds=4.0, deadline_seconds=30.0)
    dies_later = manifest_of(
        a=Spec(image="web:2"), b=Spec(image="db:1", waits_for={"c": "service_healthy"}, gate=longer), c=Spec()
    )
    scene.engine.world.lives[image_id("web:1")] = Life(healthy_after=0.1)
    verdict = scene.deploy(dies_later)
    assert verdict.status == "failed"
    assert verdict.failure is not None
    assert (verdict.failure.code, verdict.failure.exit_code) == ("container-exited", 7)
    assert [e.phase for e in scene.of_release(verdict.release) if isinstance(e, PhaseFailed)] == ["finalize"]


def test_unreachable_engine_at_the_start_starts_nothing(scene: Scene) -> None:
    scene.engine.world.reachable = False
    with pytest.raises(OutsideError, match="engine-unreachable"):
        scene.deploy(manifest_of(web=Spec()))
    assert scene.types(STREAM) == []
    assert scene.types(HOST_STREAM) == ["HostUnreachable"]
    (seen,) = scene.observed.load("hello/prod")
    assert seen.reachable is False


def test_engine_lost_in_the_middle_gives_no_verdict_and_the_next_run_goes_on(scene: Scene) -> None:
    first = manifest_of(web=Spec())
    scene.deploy(first)

    def lose(name: str, _argument: str) -> None:
        if name == "up_beside-done":
            scene.engine.world.reachable = False

    scene.engine.before = lose
    second = manifest_of(web=Spec(image="web:2"))
    work = scene.work(second, first)
    with pytest.raises(OutsideError, match="engine-unreachable"):
        scene.run(work)
    assert scene.types(STREAM)[-1] == "ReleaseStarted"
    assert "PhaseFailed" not in scene.types(f"release/{work.release}")
    scene.engine.before, scene.engine.world.reachable = None, True
    again = scene.work(second, first, release=work.release, started=True)
    assert scene.run(again).status == "completed"
    assert scene.types(HOST_STREAM) == ["HostReached", "HostUnreachable", "HostReached"]
    assert scene.types(STREAM).count("ReleaseStarted") == 2


def test_another_machine_is_refused_before_anything(scene: Scene) -> None:
    first = manifest_of(web=Spec())
    scene.deploy(first)
    scene.engine.world.identity = another_machine()
    scene.engine.calls.clear()
    with pytest.raises(OutsideError, match="host-is-another-machine"):
        scene.deploy(manifest_of(web=Spec(image="web:2")), first)
    assert {name for name, _ in scene.engine.calls} == {"identity"}
    (seen,) = scene.observed.load("hello/prod")
    assert seen.reachable is None


def test_unknown_host_fails_the_release(scene: Scene) -> None:
    manifest = manifest_of(web=Spec()).model_copy(
        update={"hosts": {"n2": manifest_of(web=Spec()).hosts[HOST]}}
    )
    verdict = scene.deploy(manifest)
    assert verdict.status == "failed"
    assert verdict.failure is not None
    assert (verdict.failure.code, verdict.failure.host) == ("host-not-supported", "n2")


@pytest.mark.parametrize("hosts", [{}, {HOST: {"compose": {"services": {}}, "services": {}}}])
def test_empty_manifest_never_prunes(scene: Scene, hosts: dict[str, object]) -> None:
    first = manifest_of(web=Spec())
    scene.deploy(first)
    ids = scene.engine.world.ids("web")
    empty = type(first).model_validate({**first.model_dump(), "hosts": hosts})
    verdict = scene.deploy(empty, first)
    assert verdict.failure is not None
    assert verdict.failure.code == "manifest-empty"
    assert scene.engine.world.ids("web") == ids


def test_observed_shows_what_runs_after_the_release(scene: Scene) -> None:
    scene.deploy(manifest_of(web=Spec()))
    (seen,) = scene.observed.load("hello/prod")
    assert seen.reachable is True
    (service,) = seen.services
    assert (service.name, service.image, service.drift) == ("web", "web:1", ())
    assert [c.state for c in service.containers] == ["running"]


def test_compose_file_says_what_runs(scene: Scene) -> None:
    scene.deploy(manifest_of(web=Spec()))
    path = scene.root / "local/apps/hello/prod/compose.yml"
    assert image_id("web:1") in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644


PROBED = Gate(
    settle_seconds=2.0,
    deadline_seconds=5.0,
    probes=Probes(
        http=HttpProbe(port=80, path="/up", first_status=200, last_status=399), timeout_seconds=1.0
    ),
)


def test_a_gate_alone_that_changes_touches_no_container(scene: Scene) -> None:
    first = manifest_of(web=Spec())
    scene.deploy(first)
    before = scene.engine.world.ids("web")
    second = manifest_of(web=Spec(gate=PROBED))
    assert second.digest != first.digest
    assert scene.deploy(second, first).status == "completed"
    assert scene.engine.world.ids("web") == before
    assert scene.engine.count("up") == 1


def test_a_service_that_does_not_answer_is_rolled_back_with_its_last_answer(scene: Scene) -> None:
    listening = {80: 0.0}
    scene.engine.world.lives[image_id("web:1")] = Life(listens_after=listening, pages={"/up": (200, "")})
    scene.engine.world.lives[image_id("web:2")] = Life(listens_after=listening, pages={"/up": (500, "no db")})
    first = manifest_of(web=Spec(gate=PROBED))
    assert scene.deploy(first).status == "completed"
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2", gate=PROBED)), first)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.code == "container-not-healthy-in-time"
    assert verdict.failure.why.endswith("/up answered 500 Internal Server Error: no db")
    (web,) = scene.engine.world.replicas("web")
    assert web.image == image_id("web:1")


def test_what_comes_back_is_not_watched_on(scene: Scene) -> None:
    watching = Gate(settle_seconds=2.0, deadline_seconds=30.0, watch=Watch(seconds=600.0))
    scene.engine.world.lives[image_id("web:2")] = CRASHES
    first = manifest_of(web=Spec(gate=watching))
    assert scene.deploy(first).status == "completed"
    began = scene.clock.monotonic()
    assert began > 600.0
    assert scene.deploy(manifest_of(web=Spec(image="web:2", gate=watching)), first).status == "rolled_back"
    scene.engine.world.containers.clear()
    assert scene.heal(first) is True
    assert scene.clock.monotonic() - began < 60.0


def test_what_others_need_and_did_not_change_is_not_watched_again(scene: Scene) -> None:
    watching = Gate(settle_seconds=2.0, deadline_seconds=30.0, watch=Watch(seconds=600.0))
    waits: Mapping[str, WaitCondition] = {"db": "service_healthy"}
    first = manifest_of(db=Spec(image="db:1", gate=watching), web=Spec(waits_for=waits))
    scene.deploy(first)
    began = scene.clock.monotonic()
    second = manifest_of(db=Spec(image="db:1", gate=watching), web=Spec(image="web:2", waits_for=waits))
    assert scene.deploy(second, first).status == "completed"
    assert scene.clock.monotonic() - began < 60.0


def test_a_neighbour_that_fell_over_meanwhile_is_brought_back_and_the_release_completes(
    scene: Scene,
) -> None:
    first = deployed_pair(scene)
    (worker,) = scene.engine.world.ids("worker")
    killed_when_the_new_web_is_there(scene, worker)
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2"), worker=Spec()), first)
    assert verdict.status == "completed"
    assert scene.engine.world.ids("worker") == [worker]
    exchanges = [one for one in scene.of_release(verdict.release) if isinstance(one, ServiceReplaced)]
    assert [(one.service, one.new_ids) for one in exchanges][-1] == ("worker", (worker,))


def test_a_neighbour_that_does_not_bear_the_new_version_takes_it_back(scene: Scene) -> None:
    first = deployed_pair(scene)
    (worker,) = scene.engine.world.ids("worker")
    scene.engine.world.containers[worker].life = Life(exits_after=0.1, exit_code=7)
    killed_when_the_new_web_is_there(scene, worker)
    verdict = scene.deploy(manifest_of(web=Spec(image="web:2"), worker=Spec()), first)
    assert verdict.failure is not None
    assert (verdict.failure.service, verdict.failure.exit_code) == ("worker", 7)
    assert (verdict.status, verdict.failure.code) == ("failed", "compensation-failed")
    (web,) = scene.engine.world.replicas("web")
    assert web.image_id == image_id("web:1")


def deployed_pair(scene: Scene) -> Manifest:
    scene.have("web:1", "web:2")
    first = manifest_of(web=Spec(), worker=Spec())
    assert scene.deploy(first).status == "completed"
    return first


def killed_when_the_new_web_is_there(scene: Scene, victim: str) -> None:
    """A person kills a container after the new web has passed its gate."""

    def before(name: str, _argument: str) -> None:
        if name == "rename":  # the new one takes over
            scene.engine.world.containers[victim].stopped = "exited"

    scene.engine.before = before
