"""The reserve: real room, whole or absent, given back in parts or at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.diagnosis import check_home
from controller.home import Home
from events.catalog import Event
from events.kernel.errors import OutsideError
from events.reserve import PART_BYTES, VITAL, Reserve, is_vital
from events.sqlite import SqliteEventLog
from tests.contract.event_log import A, part
from tests.support.disks import Disk, mounted

_SIZE_BYTES = 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", size_bytes=4 * _SIZE_BYTES) as made:
        yield made


def _reserve(disk: Disk) -> Reserve:
    return Reserve(disk.folder / "reserve", size_bytes=_SIZE_BYTES)


def test_it_takes_real_room_and_gives_it_back(disk: Disk) -> None:
    reserve, path = _reserve(disk), disk.folder / "reserve"
    assert (reserve.stands, reserve.free(), reserve.lend()) == (False, False, False)
    assert reserve.make()
    assert path.stat().st_blocks * 512 >= _SIZE_BYTES
    assert reserve.lend()
    assert (path.stat().st_size, reserve.stands) == (_SIZE_BYTES - PART_BYTES, False)
    assert reserve.make()
    assert reserve.stands
    assert reserve.free()
    assert not path.exists()


def test_it_is_not_made_where_there_is_no_room_and_leaves_nothing(disk: Disk) -> None:
    disk.fill()
    assert not _reserve(disk).make()
    assert [one.name for one in disk.folder.iterdir()] == ["ballast"]


def test_it_is_lent_until_nothing_is_left(disk: Disk) -> None:
    reserve = _reserve(disk)
    reserve.make()
    lent = 0
    while reserve.lend():
        lent += 1
    assert lent == _SIZE_BYTES // PART_BYTES


def test_a_read_only_disk_is_no_error_here(disk: Disk) -> None:
    disk.set_read_only(yes=True)
    assert not _reserve(disk).make()


def test_what_is_vital_is_appended_on_a_full_disk_and_nothing_new_is(disk: Disk) -> None:
    reserve, path = _reserve(disk), disk.folder / "reserve"
    reserve.make()
    with closing(SqliteEventLog(disk.folder / "events.db", reserve=reserve)) as log:
        log.append([part(A)])
        disk.fill()
        big = b'"' + b"x" * PART_BYTES + b'"'
        with pytest.raises(OutsideError, match="log-unavailable"):
            log.append([part(A, big)])
        assert path.is_file()
        log.append([part(A, big, type_name="RollbackRequested")])
        assert not path.exists()
        with pytest.raises(OutsideError, match="nothing new is begun"):
            log.append([part(A)])
        with pytest.raises(OutsideError, match="nothing new is begun"):
            log.draw_token("shop/prod", after=0)
        assert log.draw_token("shop/prod", after=0, vital=True).number == 1
        disk.make_room()
        log.append([part(A)])
        assert path.is_file()
        assert log.head() == 3


def test_only_an_append_of_nothing_but_vital_events_is_vital() -> None:
    assert is_vital(["RollbackRequested", "EnvironmentHeld"])
    assert not is_vital(["ReleaseSuperseded", "DeployRequested"])
    assert not is_vital(["DeployRequested", "EnvironmentHeld"])


def test_every_vital_name_is_an_event_of_the_catalogue() -> None:
    assert {one.__name__ for one in Event.__subclasses__()} >= VITAL


def test_the_doctor_misses_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    SqliteEventLog(home.events_db).close()
    assert check_home(home).status == "warn"
    Reserve(home.reserve).make()
    assert check_home(home).status == "ok"
