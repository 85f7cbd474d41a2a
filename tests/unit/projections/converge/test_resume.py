"""A Release that was killed at any append or engine call is taken up again and ends the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typing_extensions import override

from events.catalog.service import ServiceReplaced
from events.envelope import StoredEvent
from events.log import StreamAppend
from events.manifest import Job, Manifest
from events.memory import MemoryEventLog
from projections.converge.work import ReleaseWork, Verdict
from projections.engine.simulated_world import ENDS_WELL, ONE_OFF, Life
from tests.unit.projections.converge.scene import LINEAGE, STREAM, Scene, Spec, image_id, manifest_of

REFS = ("web:1", "web:2", "bad:1", "db:1", "db:2", "job:1", "job:2")


class Killed(BaseException):
    """The process is gone: no handler of the product may see this."""


class MortalLog(MemoryEventLog):
    """Kills the process right before or right after the n-th append."""

    def __init__(self) -> None:
        super().__init__(lineage=LINEAGE)
        self.appends = 0
        self.kill_before: int | None = None
        self.kill_after: int | None = None

    @override
    def append(
        self, parts: Sequence[StreamAppend], *, append_id: UUID | None = None
    ) -> tuple[StoredEvent, ...]:
        self.appends += 1
        if self.appends == self.kill_before:
            raise Killed
        stored = super().append(parts, append_id=append_id)
        if self.appends == self.kill_after:
            raise Killed
        return stored


class Play:
    """One deploy on top of a first one, with its process killed at a chosen point."""

    def __init__(self, folder: Path, second: Manifest) -> None:
        self.log = MortalLog()
        self.scene = Scene(root=folder, log=self.log)
        self.scene.have(*REFS)
        for ref in ("job:1", "job:2"):
            self.scene.engine.world.lives[image_id(ref)] = ENDS_WELL
        self.scene.engine.world.lives[image_id("bad:1")] = Life(exits_after=0.3, exit_code=3)
        self.first = old_manifest()
        assert self.scene.deploy(self.first).status == "completed"
        self.second = second
        self.work = self.scene.work(second, self.first)
        self.log.appends = 0

    def run_until_it_ends(self) -> Verdict:
        """Run; after a kill run again as the next controller would."""
        try:
            return self.scene.run(self.work)
        except Killed:
            self.log.kill_before = self.log.kill_after = None
            self.scene.engine.before = None
        if verdict := self.verdict():
            return verdict
        return self.scene.run(self.resumed())

    def resumed(self) -> ReleaseWork:
        started = any(
            e.type == "ReleaseStarted" and self.work.release in e.data.decode() for e in self.log.read()
        )
        return self.scene.work(self.second, self.first, release=self.work.release, started=started)

    def verdict(self) -> Verdict | None:
        words: dict[str, Any] = {
            "ReleaseCompleted": "completed",
            "ReleaseFailed": "failed",
            "ReleaseRolledBack": "rolled_back",
        }
        for one in self.scene.stored(STREAM):
            if one.type in words and self.work.release in one.data.decode():
                return Verdict(status=words[one.type], release=self.work.release)
        return None


def old_manifest() -> Manifest:
    return manifest_of(
        web=Spec(waits_for={"migrate": "service_completed_successfully"}),
        db=Spec(image="db:1"),
        gone=Spec(image="db:1"),
        migrate=Spec(image="job:1", job=Job()),
    )


def good_manifest() -> Manifest:
    return manifest_of(
        web=Spec(image="web:2", waits_for={"migrate": "service_completed_successfully"}),
        db=Spec(image="db:1"),
        extra=Spec(image="db:2"),
        migrate=Spec(image="job:2", job=Job()),
    )


def bad_manifest() -> Manifest:
    return manifest_of(
        web=Spec(image="bad:1", waits_for={"migrate": "service_completed_successfully"}),
        db=Spec(image="db:2"),
        extra=Spec(image="db:2"),
        migrate=Spec(image="job:2", job=Job()),
    )


def running(scene: Scene) -> dict[str, list[str]]:
    """Images of what runs, by service; every service once."""
    found: dict[str, list[str]] = {}
    for one in scene.engine.world.containers.values():
        if one.labels.get(ONE_OFF) != "True":
            found.setdefault(one.labels["stagecraft.service"], []).append(one.image)
    return found


def expected(manifest: Manifest) -> dict[str, list[str]]:
    services = manifest.hosts["local"].services
    return {name: [service.image.pin] for name, service in services.items() if service.job is None}


def check_end(play: Play, verdict: Verdict, *, good: bool) -> None:
    scene = play.scene
    assert verdict.status == ("completed" if good else "rolled_back")
    assert running(scene) == expected(play.second if good else play.first)
    assert not [one for one in scene.engine.world.containers.values() if one.labels.get(ONE_OFF) == "True"]
    ends = Counter(scene.types(STREAM))
    assert ends["ReleaseStarted"] == 2
    assert ends["ReleaseCompleted"] == (2 if good else 1)
    assert ends["ReleaseRolledBack"] == ends["EnvironmentHeld"] == (0 if good else 1)
    assert ends["JobCompleted"] == 2
    phases = Counter((e.type, e.data) for e in scene.stored(f"release/{play.work.release}"))
    repeated = [key for key, times in phases.items() if times > 1 and key[0].startswith("Phase")]
    assert not repeated


def kinds() -> list[tuple[str, Callable[[], Manifest], bool]]:
    return [("good", good_manifest, True), ("bad", bad_manifest, False)]


@pytest.mark.parametrize(("name", "make", "good"), kinds())
def test_killed_at_each_append_the_release_ends_the_same(
    tmp_path: Path, name: str, make: Callable[[], Manifest], *, good: bool
) -> None:
    whole = Play(tmp_path / f"{name}-whole", make())
    check_end(whole, whole.run_until_it_ends(), good=good)
    assert whole.log.appends > 8
    for number in range(1, whole.log.appends + 1):
        for moment in ("kill_before", "kill_after"):
            play = Play(tmp_path / f"{name}-{moment}-{number}", make())
            setattr(play.log, moment, number)
            check_end(play, play.run_until_it_ends(), good=good)


@pytest.mark.parametrize(("name", "make", "good"), kinds())
def test_killed_at_each_engine_call_the_release_ends_the_same(
    tmp_path: Path, name: str, make: Callable[[], Manifest], *, good: bool
) -> None:
    whole = Play(tmp_path / f"{name}-whole", make())
    seen: list[str] = []
    whole.scene.engine.before = lambda call, _argument: seen.append(call)
    check_end(whole, whole.run_until_it_ends(), good=good)
    changing = {
        "up",
        "up-done",
        "up_beside",
        "up_beside-done",
        "rename",
        "run_job",
        "run_job-done",
        "remove",
        "tag",
        "wait",
        "containers",
        "stop",
        "start",
    }
    for number, call in enumerate(seen):
        if call not in changing:
            continue
        play = Play(tmp_path / f"{name}-{number}", make())
        left = [number]

        def die(_call: str, _argument: str, left: list[int] = left) -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1

        play.scene.engine.before = die
        check_end(play, play.run_until_it_ends(), good=good)


def test_a_finished_job_that_a_kill_left_goes_although_the_first_release_fails(tmp_path: Path) -> None:
    scene = Scene(root=tmp_path)
    scene.have(*REFS)
    scene.engine.world.lives[image_id("job:2")] = ENDS_WELL
    scene.engine.world.lives[image_id("bad:1")] = Life(exits_after=0.3, exit_code=3)

    def die(call: str, _argument: str) -> None:
        if call == "remove":
            raise Killed

    scene.engine.before = die
    work = scene.work(bad_manifest())
    with pytest.raises(Killed):
        scene.run(work)
    scene.engine.before = None
    verdict = scene.run(scene.work(bad_manifest(), release=work.release, started=True))
    assert verdict.status == "failed"
    assert not [one for one in scene.engine.world.containers.values() if one.labels.get(ONE_OFF) == "True"]


def test_a_kill_between_compose_and_its_record_still_takes_the_change_back(tmp_path: Path) -> None:
    play = Play(tmp_path, bad_manifest())

    def die(call: str, _argument: str) -> None:
        if call == "up-done":
            raise Killed

    play.scene.engine.before = die
    verdict = play.run_until_it_ends()
    check_end(play, verdict, good=False)
    replaced = [e for e in play.scene.of_release(play.work.release) if isinstance(e, ServiceReplaced)]
    assert [e.service for e in replaced] == ["extra"], "db was withdrawn: its old one had not gone"
    assert replaced[0].reason == "restored"


@pytest.mark.parametrize("image", ["web:2", "bad:1"])
def test_what_went_while_nobody_ran_comes_back_before_the_release_is_completed(
    tmp_path: Path, image: str
) -> None:
    """All phases are on record, the verdict is not, and somebody removes containers or breaks an image."""
    last = _appends_of_a_good_release(tmp_path / "whole")
    play = Play(tmp_path / "killed", good_manifest())
    play.log.kill_before = last
    with pytest.raises(Killed):
        play.scene.run(play.work)
    play.log.kill_before = None
    assert "ReleaseCompleted" not in play.scene.types(STREAM)[-1:]
    world = play.scene.engine.world
    for one in [one for one in world.containers.values() if one.labels["stagecraft.service"] == "web"]:
        del world.containers[one.id]
    world.lives[image_id("web:2")] = world.lives.get(image_id(image), Life())
    verdict = play.scene.run(play.resumed())
    check_end(play, verdict, good=image == "web:2")


def _appends_of_a_good_release(folder: Path) -> int:
    """How many there are; the last one is its verdict."""
    play = Play(folder, good_manifest())
    play.run_until_it_ends()
    assert play.scene.types(STREAM)[-1] == "ReleaseCompleted"
    return play.log.appends


def test_a_service_that_it_leaves_alone_has_to_be_healthy_too(tmp_path: Path) -> None:
    """A heal that was killed leaves a container whose gate nobody waited for."""
    scene = Scene(root=tmp_path)
    scene.have(*REFS)
    world = scene.engine.world
    world.lives[image_id("db:1")] = Life(healthy_after=5.0)
    first = manifest_of(web=Spec(image="web:1"), db=Spec(image="db:1"))
    assert scene.deploy(first).status == "completed"
    for one in world.containers.values():
        if one.labels["stagecraft.service"] == "db":
            one.started_at = scene.clock.monotonic()
    began = scene.clock.monotonic()
    second = manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1"))
    assert scene.deploy(second, first).status == "completed"
    assert scene.clock.monotonic() - began >= 5.0
