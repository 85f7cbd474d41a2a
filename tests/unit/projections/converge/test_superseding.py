"""A newer Release ends a wait for health, and nothing else; what was left is taken on by the newer one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from events.catalog import Event, Failure
from events.catalog.environment import DeployRequested, EnvironmentHeld, RevertDetected, RollbackRequested
from events.catalog.release import PhaseFailed, PhaseStarted, ReleaseStarted, ReleaseSuperseded
from events.kernel.errors import OutsideError
from events.manifest import Job, Manifest, WaitCondition
from events.memory import MemoryEventLog
from events.streams import StreamName, release_stream
from projections.converge.converger import Converger
from projections.converge.superseding import LOOK_SECONDS, SupersededError
from projections.converge.work import ReleaseWork
from projections.engine.errors import engine_refused
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import ENDS_WELL, Life
from tests.unit.projections.converge.scene import (
    HOST,
    LINEAGE,
    STREAM,
    Scene,
    Spec,
    host_manifest,
    image_id,
    manifest_of,
)

REFS = ("web:1", "web:2", "web:3", "db:1", "db:2", "job:1")
OLD = manifest_of(web=Spec(image="web:1"), db=Spec(image="db:1"))
NEW = manifest_of(web=Spec(image="web:2"), db=Spec(image="db:2"))
FIXED = manifest_of(web=Spec(image="web:3"), db=Spec(image="db:1"))
CHANGES = {"up", "run_job", "start", "stop", "remove"}


class CountingLog(MemoryEventLog):
    """Counts how often the version of a stream is asked for."""

    asked = 0

    @override
    def stream_version(self, stream: StreamName) -> int:
        self.asked += 1
        return super().stream_version(stream)


class Play:
    """`OLD` is deployed, and a Release of `NEW`, whose web never turns healthy, is about to run."""

    def __init__(self, folder: Path) -> None:
        self.log = CountingLog(lineage=LINEAGE)
        self.scene = Scene(root=folder, log=self.log)
        self.scene.have(*REFS)
        self.lives("web:2", Life(healthy_after=100_000.0))
        self.lives("job:1", ENDS_WELL)
        assert self.scene.deploy(OLD).status == "completed"

    def lives(self, image: str, life: Life) -> None:
        self.scene.engine.world.lives[image_id(image)] = life

    def asked(self, manifest: Manifest = NEW, **more: object) -> ReleaseWork:
        """The work on a Release that stands in the stream."""
        work = self.scene.work(manifest, OLD, **more)
        self.ask(work.release, manifest)
        return work

    def ask(self, release: str, manifest: Manifest = FIXED) -> None:
        self.append(
            DeployRequested(
                release=release,
                digest=manifest.digest,
                version="v",
                revision="c",
                previous=None,
                trigger="git",
            )
        )

    def ask_back(self, release: str, manifest: Manifest = OLD) -> None:
        self.append(
            RollbackRequested(
                release=release,
                digest=manifest.digest,
                version="v",
                revision=None,
                previous=None,
                target="rel-0",
                reverts=None,
            )
        )

    def append(self, *events: Event) -> None:
        self.scene.recorder().append(STREAM, *events)

    def at(self, call: str, then: Callable[[], None]) -> None:
        """Do something once, when the engine is called so for the next time."""

        def before(name: str, _argument: str) -> None:
            if name == call:
                self.scene.engine.before = None
                then()

        self.scene.engine.before = before

    def images(self) -> dict[str, str]:
        """What runs, by service."""
        names = {image_id(ref): ref for ref in REFS}
        found = self.scene.engine.world.containers.values()
        return {one.labels["stagecraft.service"]: names[one.image_id] for one in found}

    def calls(self) -> int:
        """How often the engine was told to change something."""
        return sum(self.scene.engine.count(one) for one in CHANGES)


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def test_a_newer_release_ends_the_wait_and_leaves_what_was_changed(play: Play) -> None:
    work = play.asked()
    play.at("inspect", lambda: play.ask("rel-newer"))
    before = play.scene.clock.monotonic()
    verdict = play.scene.run(work)
    assert (verdict.status, verdict.by, verdict.failure) == ("superseded", "rel-newer", None)
    assert play.scene.clock.monotonic() - before < 1.0
    assert play.images() == {"web": "web:2", "db": "db:2"}
    (ended,) = [one for one in play.scene.events(STREAM) if isinstance(one, ReleaseSuperseded)]
    assert ended == ReleaseSuperseded(release=work.release, by="rel-newer", touched=("local/db", "local/web"))
    assert "EnvironmentHeld" not in play.scene.types(STREAM)
    assert not [one for one in play.scene.of_release(work.release) if isinstance(one, PhaseFailed)]
    assert any(f"{work.release} superseded by rel-newer" in line for line in play.scene.told)


def test_a_newer_release_of_the_same_manifest_does_not_end_it(play: Play) -> None:
    play.lives("web:2", Life(healthy_after=5.0))
    work = play.asked()
    play.at("inspect", lambda: play.ask("rel-newer", NEW))
    assert play.scene.run(work).status == "completed"


def test_a_release_that_was_given_up_meanwhile_does_not_end_it(play: Play) -> None:
    play.lives("web:2", Life(healthy_after=5.0))
    work = play.asked()

    def asked_and_given_up() -> None:
        play.ask("rel-newer")
        play.append(ReleaseSuperseded(release="rel-newer", by="rel-newest"))

    play.at("inspect", asked_and_given_up)
    assert play.scene.run(work).status == "completed"


@pytest.mark.parametrize("kind", ["rollback", "revert"])
def test_what_goes_back_is_ended_by_another_way_back_alone(play: Play, kind: str) -> None:
    work = play.asked(kind=kind)

    def asked() -> None:
        play.ask("rel-forward")
        play.at("inspect", lambda: play.ask_back("rel-back"))

    play.at("inspect", asked)
    assert play.scene.run(work).by == "rel-back"


def test_a_revert_by_its_message_alone_is_a_way_forward(play: Play) -> None:
    work = play.asked(kind="rollback")
    play.lives("web:2", Life(healthy_after=5.0))
    forward = RevertDetected(
        release="rel-forward",
        digest=FIXED.digest,
        version="v",
        revision="c",
        previous=None,
        reverts=None,
        by="message",
    )
    play.at("inspect", lambda: play.append(forward))
    assert play.scene.run(work).status == "completed"


def test_what_was_begun_goes_on_to_its_end(play: Play) -> None:
    """The request comes before the job; the job and the exchange after it are not left out."""
    migrating = manifest_of(
        job=Spec(image="job:1", job=Job()),
        web=Spec(image="web:2", waits_for={"job": "service_completed_successfully"}),
    )
    work = play.asked(migrating)
    play.at("run_job", lambda: play.ask("rel-newer"))
    assert play.scene.run(work).status == "superseded"
    assert "JobCompleted" in play.scene.types(STREAM)
    assert play.images()["web"] == "web:2"


def test_the_newer_one_plans_from_what_was_left(play: Play) -> None:
    work = play.asked()
    play.at("inspect", lambda: play.ask("rel-newer"))
    play.scene.run(work)
    assert play.scene.deploy(FIXED, OLD, release="rel-newer", left_behind=(NEW,)).status == "completed"
    assert play.images() == {"web": "web:3", "db": "db:1"}


def test_when_the_newer_one_fails_what_the_superseded_one_changed_goes_back_too(play: Play) -> None:
    work = play.asked()
    play.at("inspect", lambda: play.ask("rel-newer"))
    play.scene.run(work)
    del play.scene.engine.world.images["web:3"]  # so it fails before it touches anything itself
    verdict = play.scene.deploy(FIXED, OLD, release="rel-newer", left_behind=(NEW,))
    assert verdict.status == "rolled_back"
    assert play.images() == {"web": "web:1", "db": "db:1"}
    assert play.scene.heal(OLD) is False


def test_a_service_that_only_the_superseded_one_had_goes_with_the_newer_one(play: Play) -> None:
    more = manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1"), extra=Spec(image="db:2"))
    for newer, ends in ((FIXED, "completed"), (manifest_of(web=Spec(image="web:9")), "rolled_back")):
        work = play.asked(more)
        play.at("inspect", lambda: play.ask("rel-newer"))
        assert play.scene.run(work).status == "superseded"
        assert "extra" in play.images()
        play.append(ReleaseSuperseded(release="rel-newer", by="rel-other"))
        assert play.scene.deploy(newer, OLD, left_behind=(more,)).status == ends
        assert "extra" not in play.images()


@pytest.mark.parametrize("image", ["web:3", "web:9"])
def test_a_host_that_only_the_superseded_one_used_is_left(play: Play, image: str) -> None:
    """By the newer one when it completes, and by its way back when it fails."""
    scene = play.scene
    away = SimulatedEngine(clock=scene.clock)
    away.world.images["web:2"] = image_id("web:2")
    away.world.lives[image_id("web:2")] = Life(healthy_after=100_000.0)
    both = OLD.model_copy(
        update={"hosts": {**OLD.hosts, "away": host_manifest({"web": Spec(image="web:2")})}}
    )
    converger = Converger(
        log=play.log,
        blobs=scene.blobs,
        engines={HOST: scene.engine, "away": away},
        roots={HOST: scene.root / "local", "away": scene.root / "away"},
        observed=scene.observed,
        clock=scene.clock,
    )

    async def story() -> str:
        work = play.asked(both)
        away.before = lambda call, _argument: play.ask("rel-newer") if call == "inspect" else None
        assert (await converger.run_release(work, recorder=scene.recorder())).status == "superseded"
        away.before = None
        assert len(away.world.containers) == 1
        play.append(ReleaseSuperseded(release="rel-newer", by="rel-other"))
        newer = scene.work(manifest_of(web=Spec(image=image)), OLD, left_behind=(both,))
        return (await converger.run_release(newer, recorder=scene.recorder())).status

    assert asyncio.run(story()) == ("completed" if image == "web:3" else "rolled_back")
    assert not away.world.containers


def test_a_failure_that_a_newer_request_followed_holds_nothing(play: Play) -> None:
    play.lives("web:2", Life(exits_after=0.5, exit_code=3))
    work = play.asked()
    play.at("inspect", lambda: play.ask("rel-newer", NEW))
    assert play.scene.run(work).status == "rolled_back"
    assert not [one for one in play.scene.events(STREAM) if isinstance(one, EnvironmentHeld)]


def test_the_wait_for_the_former_version_ends_too_and_the_failure_stays_one(play: Play) -> None:
    def refuse() -> None:
        play.ask("rel-newer")
        raise engine_refused("do it", "no space left on device")

    play.lives("db:2", Life(healthy_after=0.3))
    after: dict[str, WaitCondition] = {"db": "service_healthy"}
    web = Spec(image="web:2", waits_for=after)
    work = play.asked(manifest_of(db=Spec(image="db:2"), web=web))
    play.at("up_beside", lambda: play.at("up_beside", refuse))
    verdict = play.scene.run(work)
    assert verdict.status == "failed"
    assert verdict.failure is not None
    assert "no space left" in verdict.failure.why
    assert play.scene.types(STREAM)[-1] == "ReleaseFailed"
    assert any("leaves what it touched to rel-newer" in line for line in play.scene.told)


def _begun(play: Play, *also: Event) -> ReleaseWork:
    """A Release that a crash left, and a newer one that was asked for since."""
    work = play.asked(started=True)
    play.append(ReleaseStarted(release=work.release, digest=work.manifest.digest))
    recorder = play.scene.recorder()
    recorder.append(release_stream(work.release), PhaseStarted(phase="rollout"), *also)
    play.ask("rel-newer")
    return work


def test_what_a_crash_left_is_not_taken_up_for_a_newer_one(play: Play) -> None:
    work = _begun(play)
    before = play.calls()
    assert play.scene.run(work).by == "rel-newer"
    assert play.calls() == before


def test_what_a_crash_left_in_the_middle_of_a_job_is_waited_for(play: Play) -> None:
    play.lives("job:1", Life(exits_after=3.0))
    migrating = manifest_of(job=Spec(image="job:1", job=Job()), web=Spec(image="web:2"))
    work = play.asked(migrating, started=True)

    def die() -> None:
        raise KeyboardInterrupt

    play.at("wait", die)
    with pytest.raises(KeyboardInterrupt):
        play.scene.run(work)
    play.ask("rel-newer")
    verdict = play.scene.run(work)
    assert "JobCompleted" in play.scene.types(STREAM)
    assert verdict.status == "superseded"


def test_what_had_failed_before_the_crash_has_failed(play: Play) -> None:
    failure = Failure(code="container-exited", message="it ended", cause="repository")
    work = _begun(play, PhaseFailed(phase="rollout", failure=failure))
    verdict = play.scene.run(work)
    assert (verdict.status, verdict.failure) == ("rolled_back", failure)


def test_healing_makes_way(play: Play) -> None:
    for one in list(play.scene.engine.world.containers.values()):
        one.stopped = "exited"
    play.lives("web:1", Life(healthy_after=100_000.0))
    play.at("inspect", lambda: play.ask("rel-newer"))
    with pytest.raises(SupersededError) as caught:
        play.scene.heal(OLD)
    assert caught.value.by == "rel-newer"
    assert play.scene.types(STREAM).count("DriftHealed") == 0


def test_the_stream_is_asked_for_at_most_four_times_a_second(play: Play) -> None:
    work = play.asked()
    play.log.asked = 0
    before = play.scene.clock.monotonic()
    assert play.scene.run(work).status == "rolled_back"
    seconds = play.scene.clock.monotonic() - before
    assert seconds >= 30
    assert play.log.asked <= seconds / LOOK_SECONDS + 10


def test_a_release_is_not_begun_when_the_stream_has_moved_on(play: Play) -> None:
    work = play.asked()
    version = play.log.stream_version(STREAM)
    play.ask("rel-newer")
    with pytest.raises(OutsideError) as caught:
        play.scene.run(replace(work, version=version))
    assert caught.value.code == "version-conflict"
    assert play.images() == {"web": "web:1", "db": "db:1"}
