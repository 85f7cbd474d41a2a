"""Services that are told of changed files by a signal, and stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from typing_extensions import override

from events.blobs import MemoryBlobStore
from events.catalog.drift import DriftDetected
from events.catalog.service import ServiceReloaded, ServiceReplaced
from events.envelope import StoredEvent
from events.kernel.errors import OutsideError
from events.log import StreamAppend
from events.manifest import RELOAD_PREFIX, FileEntry, FileTree, LiveMount, Manifest, Reload
from events.memory import MemoryEventLog
from projections.converge.plan import FILES_CHANGED
from projections.converge.untold import Mark, read_mark
from projections.engine.errors import engine_refused, engine_unreachable
from projections.engine.simulated_world import Life
from projections.transport.local import LocalFiles
from tests.unit.projections.converge.scene import HOST, LINEAGE, Scene, Spec, image_id, manifest_of

PLACE = "web/0a"
PATH = "/etc/app.conf"


class Killed(BaseException):
    """The process is gone."""


class Play:
    """A web with one file that it reloads, and a db beside it."""

    def __init__(
        self, folder: Path, *, blobs: MemoryBlobStore | None = None, log: MemoryEventLog | None = None
    ) -> None:
        self.scene = Scene(
            root=folder, blobs=blobs or MemoryBlobStore(), log=log or MemoryEventLog(lineage=LINEAGE)
        )
        self.scene.have("web:1", "web:2", "db:1", "db:2")
        self.deployed: Manifest | None = None
        self.seen: list[tuple[str, str]] = []  # container and what the file said when the signal came
        self.watch()

    @property
    def file(self) -> Path:
        """On the host."""
        return Path(self.scene.site.folder) / "reload" / PLACE / "app.conf"

    def watch(self) -> None:
        """Look at the file whenever a signal is sent."""

        def before(call: str, argument: str) -> None:
            if call == "signal":
                self.seen.append((argument, self.file.read_text()))

        self.scene.engine.before = before

    def manifest(self, content: str, *, web: str = "web:1", db: str = "db:1", scale: int = 1) -> Manifest:
        entry = FileEntry(path="app.conf", executable=False, blob=self.scene.blobs.put(content.encode()))
        tree = FileTree(entries=(entry,))
        mount = LiveMount(place=PLACE, target=PATH, file="app.conf", tree=tree.digest)
        source = f"{RELOAD_PREFIX}{PLACE}/app.conf"
        more: Mapping[str, Any] = {
            "volumes": [{"type": "bind", "source": source, "target": PATH, "read_only": True}]
        }
        reload = Reload(signal="SIGHUP", mounts=(mount,))
        made = manifest_of(web=Spec(image=web, more=more, reload=reload), db=Spec(image=db), trees=(tree,))
        made.hosts[HOST].compose["services"]["web"]["scale"] = scale  # no part of a service's hash
        return made

    def deploy(self, manifest: Manifest, **more: object) -> str:
        """Answers the Release, which has to complete."""
        work = self.scene.work(manifest, self.deployed, **more)
        verdict = self.scene.run(work)
        assert verdict.status == "completed", verdict.failure
        self.deployed = manifest
        return verdict.release

    def ids(self, service: str = "web") -> list[str]:
        return self.scene.engine.world.ids(service)

    def signals(self) -> list[list[str]]:
        """All that each web was ever sent, by name."""
        return [one.signals for one in self.scene.engine.world.replicas("web")]

    def reloaded(self, release: str) -> list[ServiceReloaded]:
        return [one for one in self.scene.of_release(release) if isinstance(one, ServiceReloaded)]

    def mark(self, manifest: Manifest) -> Mark | None:
        reload = manifest.hosts[HOST].services["web"].reload
        assert reload is not None
        return asyncio.run(read_mark(self.scene.site.folder, reload, files=LocalFiles()))


@pytest.fixture
def play(tmp_path: Path) -> Play:
    made = Play(tmp_path)
    made.deploy(made.manifest("one"))
    assert made.signals() == [[]]
    return made


def test_other_content_is_written_and_then_told_of_and_nothing_is_replaced(play: Play) -> None:
    before = play.ids(), play.ids("db"), play.file.stat().st_ino
    wanted = play.manifest("two")
    release = play.deploy(wanted)
    assert (play.ids(), play.ids("db"), play.file.stat().st_ino) == before
    assert play.seen == [(play.ids()[0], "two")]
    (event,) = play.reloaded(release)
    assert (event.containers, event.signal, event.files) == (tuple(play.ids()), "SIGHUP", (PATH,))
    assert event.reason == FILES_CHANGED
    assert not [one for one in play.scene.of_release(release) if isinstance(one, ServiceReplaced)]
    assert play.scene.engine.count("up") == 1
    assert not play.scene.heal(wanted)
    assert len(play.seen) == 1


def test_every_replica_is_told(tmp_path: Path) -> None:
    play = Play(tmp_path)
    play.deploy(play.manifest("one", scale=3))
    play.deploy(play.manifest("two", scale=3))
    assert play.signals() == [["SIGHUP"]] * 3
    assert {content for _, content in play.seen} == {"two"}


def test_more_replicas_and_other_content_tell_the_old_ones_alone(play: Play) -> None:
    play.deploy(play.manifest("two", scale=2))
    assert play.signals() == [["SIGHUP"], []]


def test_fewer_replicas_and_other_content_tell_those_that_stay(tmp_path: Path) -> None:
    play = Play(tmp_path)
    play.deploy(play.manifest("one", scale=2))
    play.deploy(play.manifest("two", scale=1))
    assert play.signals() == [["SIGHUP"]]
    assert len(play.ids()) == 1


def test_another_image_replaces_and_tells_nobody(play: Play) -> None:
    before = play.ids()
    release = play.deploy(play.manifest("two", web="web:2"))
    assert play.ids() != before
    assert play.file.read_text() == "two"
    assert play.seen == []
    assert play.reloaded(release) == []
    assert not play.scene.heal(play.manifest("two", web="web:2"))


def test_a_stopped_container_reads_its_files_when_it_is_started(play: Play) -> None:
    play.scene.engine.world.replicas("web")[0].stopped = "exited"
    before = play.ids()
    play.deploy(play.manifest("two"))
    assert play.ids() == before
    assert play.seen == []
    assert play.file.read_text() == "two"


def test_going_back_tells_of_the_old_content(play: Play) -> None:
    first = play.manifest("one")
    play.deploy(play.manifest("two"))
    play.deploy(first, kind="revert")
    assert [content for _, content in play.seen] == ["two", "one"]


def test_nothing_is_written_before_everything_was_checked(play: Play) -> None:
    """The other service wants an image that is not there."""
    wanted = play.manifest("two", db="none:1")
    verdict = play.scene.deploy(wanted, play.deployed)
    assert verdict.status == "rolled_back"
    assert play.file.read_text() == "one"
    assert play.seen == []


@pytest.mark.parametrize("healthy_after", [None, 0.0])
def test_a_service_that_dies_of_its_signal_is_brought_back(
    tmp_path: Path, healthy_after: float | None
) -> None:
    play = Play(tmp_path)
    life = Life(ends_on=("SIGHUP",), exit_code=7, healthy_after=healthy_after)
    play.scene.engine.world.lives[image_id("web:1")] = life
    play.deploy(play.manifest("one"))
    before = play.ids()
    verdict = play.scene.deploy(play.manifest("two"), play.deployed)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert (verdict.failure.service, verdict.failure.exit_code) == ("web", 7)
    assert play.ids() == before
    assert play.file.read_text() == "one"
    assert not play.scene.heal(play.manifest("one"))


def test_a_service_that_dies_a_moment_after_its_signal_is_brought_back(tmp_path: Path) -> None:
    """A health check that was good before says nothing of afterwards."""
    play = Play(tmp_path)
    play.scene.engine.world.lives[image_id("web:1")] = Life(healthy_after=0.0)
    play.deploy(play.manifest("one"))
    (container,) = play.scene.engine.world.replicas("web")
    looks = 0

    def before(call: str, argument: str) -> None:
        nonlocal looks
        looks += call == "inspect" and argument == container.id and bool(container.signals)
        if looks == 3:
            looks = 100
            container.stopped, container.stopped_code = "exited", 9

    play.scene.engine.before = before
    verdict = play.scene.deploy(play.manifest("two"), play.deployed)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.exit_code == 9


def test_a_restart_in_the_moment_of_the_signal_counts(play: Play) -> None:
    """It happens once, and every look afterwards shows a container that runs."""
    (container,) = play.scene.engine.world.replicas("web")
    play.scene.engine.world.show_restarting_as_running = True

    def before(_call: str, _argument: str) -> None:
        if container.signals:
            seconds = play.scene.clock.monotonic() - (container.started_at or 0.0)
            container.life = Life(exits_after=seconds, exit_code=7, restarts=True)

    play.scene.engine.before = before
    verdict = play.scene.deploy(play.manifest("two"), play.deployed)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.code == "container-restarting"
    assert play.file.read_text() == "one"


def test_a_failure_of_another_service_takes_the_content_back_and_tells_of_it(play: Play) -> None:
    play.scene.engine.world.lives[image_id("db:2")] = Life(exits_after=0.2, exit_code=3)
    before = play.ids()
    verdict = play.scene.deploy(play.manifest("two", db="db:2"), play.deployed)
    assert verdict.status == "rolled_back"
    assert play.ids() == before
    assert [content for _, content in play.seen] == ["two", "one"]
    assert [one.reason for one in play.reloaded(verdict.release)] == [FILES_CHANGED, "restored"]


def test_a_signal_that_the_engine_refuses_takes_the_content_back(play: Play) -> None:
    refusals = 1

    def before(call: str, _argument: str) -> None:
        nonlocal refusals
        if call == "signal" and refusals:
            refusals -= 1
            raise engine_refused("send SIGHUP", "the runtime does not answer")

    play.scene.engine.before = before
    verdict = play.scene.deploy(play.manifest("two"), play.deployed)
    assert verdict.status == "rolled_back"
    assert play.file.read_text() == "one"
    assert play.signals() == [["SIGHUP"]]


def damaged_content(play: Play) -> None:
    play.file.write_text("by hand")


def damaged_mark(play: Play) -> None:
    (play.file.parent.parent / "mark").write_text("{")


def removed_folder(play: Play) -> None:
    play.file.unlink()
    play.file.parent.rmdir()


@pytest.mark.parametrize("harm", [damaged_content, damaged_mark, removed_folder])
def test_healing_puts_right_what_a_person_changed_and_tells_of_it(
    play: Play, harm: Callable[[Play], None]
) -> None:
    wanted, before = play.manifest("one"), play.ids()
    harm(play)
    assert play.scene.heal(wanted)
    assert play.seen == [(before[0], "one")]
    assert play.ids() == before
    (drift,) = [one for one in play.scene.events(play.scene.site.stream) if isinstance(one, DriftDetected)]
    assert drift.services == {"web": FILES_CHANGED}
    assert not play.scene.heal(wanted)


class DyingLog(MemoryEventLog):
    """Kills the process right before, or right after, the record of a reload."""

    dies: Literal["before", "after"] | None = None

    @override
    def append(
        self, parts: Sequence[StreamAppend], *, append_id: UUID | None = None
    ) -> tuple[StoredEvent, ...]:
        here = any(one.type == ServiceReloaded.__name__ for part in parts for one in part.events)
        if here and self.dies == "before":
            raise Killed
        stored = super().append(parts, append_id=append_id)
        if here and self.dies == "after":
            raise Killed
        return stored


@pytest.mark.parametrize(("dies", "signals", "events"), [(None, 1, 1), ("before", 2, 1), ("after", 2, 2)])
def test_a_crash_around_the_signal_loses_none(
    tmp_path: Path, dies: Literal["before", "after"] | None, signals: int, events: int
) -> None:
    log = DyingLog(lineage=LINEAGE)
    play = Play(tmp_path, log=log)
    play.deploy(play.manifest("one"))
    wanted, before = play.manifest("two"), play.ids()
    work = play.scene.work(wanted, play.deployed)

    def killed(call: str, _argument: str) -> None:
        if call == "signal":
            raise Killed

    if dies is None:
        play.scene.engine.before = killed
    log.dies = dies
    with pytest.raises(Killed):
        play.scene.run(work)
    assert play.file.read_text() == "two"
    log.dies = None
    play.watch()
    again = play.scene.work(wanted, play.deployed, release=work.release, started=True)
    assert play.scene.run(again).status == "completed"
    assert play.ids() == before
    assert play.signals() == [["SIGHUP"] * signals]
    assert len(play.reloaded(work.release)) == events
    assert play.mark(wanted) == Mark(content=play.reloaded(work.release)[-1].content)


class DyingBlobs(MemoryBlobStore):
    """Kills the process when it reads, so many times after it was told to."""

    reads_left: int | None = None

    @override
    def get(self, digest: str) -> bytes:
        if self.reads_left == 0:
            raise Killed
        if self.reads_left is not None:
            self.reads_left -= 1
        return super().get(digest)


def test_a_crash_while_files_are_written_loses_no_signal(tmp_path: Path) -> None:
    blobs = DyingBlobs()
    play = Play(tmp_path, blobs=blobs)
    play.deploy(play.manifest("one"))
    wanted = play.manifest("two")
    work = play.scene.work(wanted, play.deployed)
    blobs.reads_left = 1  # for the folder that is named by content, which is made beforehand
    with pytest.raises(Killed):
        play.scene.run(work)
    blobs.reads_left = None
    mark = play.mark(wanted)
    assert mark is not None
    assert mark.untold == frozenset(play.ids())
    assert play.file.read_text() == "one"
    again = play.scene.work(wanted, play.deployed, release=work.release, started=True)
    assert play.scene.run(again).status == "completed"
    assert play.seen == [(play.ids()[0], "two")]


def test_an_engine_that_is_lost_at_the_signal_is_told_later(play: Play) -> None:
    lost = True

    def before(call: str, _argument: str) -> None:
        if call == "signal" and lost:
            raise engine_unreachable("simulated", "connection reset")

    play.scene.engine.before = before
    work = play.scene.work(play.manifest("two"), play.deployed)
    with pytest.raises(OutsideError):
        play.scene.run(work)
    lost = False
    again = play.scene.work(work.manifest, play.deployed, release=work.release, started=True)
    assert play.scene.run(again).status == "completed"
    assert play.signals() == [["SIGHUP"]]
