"""A disk that is full or read-only: nothing is lost, a way back goes on, and whoever reads can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from events.reserve import SIZE_BYTES
from events.sqlite import SqliteEventLog
from projections.engine.simulated_world import opened
from tests.crash.player import Fate, Stage, act_look, act_rollback, play
from tests.crash.prepared import copied, image_id, prepared
from tests.crash.promises import check, check_log, end_of
from tests.crash.stories import STORIES, write
from tests.crash.tape import points
from tests.support.cli import Stagecraft
from tests.support.disks import Disk, mounted

_ROOM_BYTES = 4 * SIZE_BYTES
ROLLBACK = next(one for one in STORIES if one.name == "rollback")
LOOK = next(one for one in STORIES if one.name == "look")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """The home of the stage is a disk of its own."""
    with mounted(tmp_path / "stage" / "home", size_bytes=_ROOM_BYTES) as made:
        yield made


def _stagecraft(stage: Stage) -> Stagecraft:
    return Stagecraft(cwd=stage.folder, environment={"STAGECRAFT_HOME": str(stage.home.root)})


def _web(stage: Stage) -> str:
    with opened(stage.world) as world:
        (web,) = world.replicas("web")
        return web.image_id


def test_on_a_full_disk_a_deploy_is_refused_and_a_rollback_goes_on(tmp_path: Path, disk: Disk) -> None:
    stage = prepared(tmp_path / "stage", ROLLBACK)
    write(stage, "web:1", job="job:2", extra=False, message="a third")
    before, world = end_of(stage).types, stage.world.read_bytes()
    disk.fill()
    assert "log-unavailable" in play(stage, act_look).words
    assert (end_of(stage).types, stage.world.read_bytes()) == (before, world)
    assert stage.home.reserve.is_file()

    stage = stage.later()
    run = play(stage, act_rollback).expect()
    assert "completed" in run.words
    assert _web(stage) == image_id("web:1")
    assert not stage.home.reserve.exists()
    cli = _stagecraft(stage)
    assert "without its reserve" in cli.run("doctor").stdout
    assert cli.ok("releases", "list", "--env", "prod", "--json").json()[0]["status"] == "completed"

    disk.make_room()
    stage = stage.later()
    play(stage, act_look).expect()
    assert stage.home.reserve.stat().st_size == SIZE_BYTES
    assert "without its reserve" not in cli.run("doctor").stdout


def test_a_disk_that_is_full_to_the_last_byte_can_be_read_and_lends_what_opening_takes(
    tmp_path: Path, disk: Disk
) -> None:
    stage = prepared(tmp_path / "stage", ROLLBACK)
    disk.fill()
    cli = _stagecraft(stage)
    for command in (("status", "--env", "prod"), ("releases", "list", "--env", "prod"), ("events", "list")):
        cli.ok(*command)
    assert stage.home.reserve.stat().st_size == SIZE_BYTES
    refused = cli.run("resume", "--env", "prod").expect(2)
    assert "the disk is full, so nothing new is begun" in refused.stderr
    assert 0 < stage.home.reserve.stat().st_size < SIZE_BYTES
    cli.ok("hold", "--env", "prod", "--reason", "calm")


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 1.0])
def test_a_disk_that_fills_up_in_the_middle_of_a_release_leaves_it_with_one_verdict(
    tmp_path: Path, disk: Disk, share: float
) -> None:
    stage = prepared(tmp_path / "stage", LOOK)
    rehearsal = _tape_of_a_clean_run(stage, tmp_path / "rehearsal")
    begun = rehearsal.index("append ReleaseStarted after #1")
    moment = rehearsal[begun + int((len(rehearsal) - 1 - begun) * share)]

    def strike(point: str) -> None:
        if point == moment:
            disk.fill()

    play(stage, act_look, Fate(strike=strike))
    disk.make_room()
    stage = stage.later()
    play(stage, act_look).expect()
    end = end_of(stage)
    check_log(stage, end)
    newest = list(end.state.releases.values())[-1]
    if newest.status == "completed":
        check(LOOK, stage, releases=end.requested())  # a retry where the disk was what failed
    else:
        assert newest.failure is not None
        assert newest.failure.cause == "outside"
        assert _web(stage) == image_id("web:1")


def _tape_of_a_clean_run(stage: Stage, folder: Path) -> list[str]:
    return points(play(copied(stage, folder), act_look).expect().tape)


def test_a_read_only_home_can_be_read_and_whoever_would_write_is_refused(tmp_path: Path, disk: Disk) -> None:
    stage = prepared(tmp_path / "stage", ROLLBACK)
    before = end_of(stage).types
    cli = _stagecraft(stage)
    disk.set_read_only(yes=True)
    try:
        shown = cli.ok("status", "--env", "prod").stdout
        assert "deployed" in shown
        assert len(cli.ok("events", "list", "--json").json_lines()) == len(before)
        assert cli.ok("releases", "list", "--env", "prod", "--json").json()[0]["status"] == "completed"
        cli.ok("lock", "show")
        assert "cannot be written" in cli.run("doctor").stdout
        for command in (("rollback", "--to-previous"), ("hold", "--reason", "x")):
            refused = cli.run(*command, "--env", "prod").expect(2)
            assert "home-unusable" in refused.stderr
            assert "Traceback" not in refused.stderr
    finally:
        disk.set_read_only(yes=False)
    assert end_of(stage).types == before
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        assert log.head() == len(before)
    play(stage.later(), act_rollback).expect()
