"""The controller looks through its own log: it says and marks what it finds, and takes it back."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from controller.auditing import look_through, note_problem
from controller.context import Context
from controller.home import Home
from controller.recent import RECENT_EVENTS, check_recent
from controller.self_audit import SelfAudit
from events.blobs import FileBlobStore
from events.broken import LogBrokenError, LogProblem
from events.sqlite import SqliteEventLog
from events.streams import LOG_STREAM
from tests.support.tampering import TamperedLog


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def tampered(home: Home) -> TamperedLog:
    return TamperedLog(home.events_db).fill()


@pytest.fixture
def log(home: Home, tampered: TamperedLog) -> Generator[SqliteEventLog]:
    del tampered
    with closing(SqliteEventLog(home.events_db)) as opened:
        yield opened


def look(home: Home, log: SqliteEventLog) -> list[str]:
    said: list[str] = []
    context = cast("Context", SimpleNamespace(home=home, log=log))
    asyncio.run(SelfAudit(context=context, say=said.append).look())
    return said


def change(tampered: TamperedLog, actor: str, position: int = 2) -> None:
    with tampered.edited() as connection:
        connection.execute("UPDATE events SET actor = ? WHERE position = ?", (actor, position))


def test_what_is_found_is_said_marked_and_taken_back_when_it_is_gone(
    home: Home, tampered: TamperedLog, log: SqliteEventLog
) -> None:
    assert look(home, log) == []
    change(tampered, "cli:act-mallory")
    (said,) = look(home, log)
    assert "the log does not verify: actor at event 2" in said
    assert "log fork --reason" in said
    assert log.head() == 12
    with pytest.raises(LogBrokenError):
        tampered.fill(1)
    assert log.read_stream(LOG_STREAM) == []
    change(tampered, "cli:act-ana")
    assert look(home, log) == ["the log verifies again"]
    tampered.fill(1)


def test_a_damaged_blob_is_said_and_stops_nobody(
    home: Home, tampered: TamperedLog, log: SqliteEventLog
) -> None:
    FileBlobStore(home.blobs).put(b"one")
    (path,) = home.blobs.glob("*/*")
    path.write_bytes(b"two")
    (said,) = look(home, log)
    assert "blob: the file" in said
    assert log.problem() is None
    tampered.fill(1)


def test_a_command_finds_a_change_among_the_newest_events(
    home: Home, tampered: TamperedLog, log: SqliteEventLog
) -> None:
    check_recent(home, log)
    assert log.problem() is None
    change(tampered, "cli:act-mallory", position=3)
    assert RECENT_EVENTS > 12
    check_recent(home, log)
    found = log.problem()
    assert found is not None
    assert (found.kind, found.position) == ("actor", 3)


@pytest.mark.parametrize("statement", ["DELETE FROM events WHERE position = 4", "DELETE FROM events"])
def test_a_command_finds_newest_events_that_are_gone(
    home: Home, tampered: TamperedLog, log: SqliteEventLog, statement: str
) -> None:
    with tampered.edited() as connection:
        connection.execute(statement)
    check_recent(home, log)
    assert log.problem() is not None


def test_what_only_a_seal_can_show_is_not_taken_back_without_one(
    home: Home, tampered: TamperedLog, log: SqliteEventLog
) -> None:
    del tampered
    log.mark_broken(LogProblem(position=13, kind="tail", detail="a seal says so"))
    note_problem(log, look_through(home))
    assert log.problem() is not None
    log.mark_broken(LogProblem(position=3, kind="edit", detail="was mended"))
    note_problem(log, look_through(home))
    assert log.problem() is None


def test_a_seal_that_may_be_another_logs_marks_nothing(
    home: Home, tampered: TamperedLog, log: SqliteEventLog
) -> None:
    seal = tampered.seal()
    other = replace(seal, log_id="another").signed(tampered.key)
    verdict = look_through(home, outside=[other], keys={tampered.key.id: tampered.key.public})
    assert not verdict.ok
    note_problem(log, verdict)
    assert log.problem() is None
