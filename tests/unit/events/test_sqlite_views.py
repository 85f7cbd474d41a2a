"""The views in `events.db` that people read with tools of their own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from events.log import StreamAppend
from events.sqlite import SqliteEventLog
from tests.contract.event_log import A, proposed
from tests.unit.projections.views.history import History


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with a rollback and an event whose data are no JSON."""
    made = tmp_path / "events.db"
    with closing(SqliteEventLog(made)) as log:
        history = History(log)
        first = history.deployed("a")
        history.rollback("a", target=first, previous=first)
        log.append([StreamAppend(stream=A, events=(proposed(b"no JSON"),))])
    return made


def asked(path: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a view, as a tool that opens the file for reading only shows them."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return list(Database(connection)[table].rows)


def test_events_are_shown_as_text(path: Path) -> None:
    rows = asked(path, "events_readable")
    with closing(SqliteEventLog(path)) as log:
        events, stored = log.read(), log.rows()
    for row, event, one in zip(rows, events, stored, strict=True):
        assert one.hash is not None
        assert row["position"] == event.position
        assert row["time"] == event.time.isoformat(timespec="microseconds").replace("+00:00", "Z")
        assert (row["id"], row["correlation"]) == (str(event.id), str(event.correlation))
        assert row["causation"] == (event.causation and str(event.causation))
        assert (row["stream"], row["type"], row["version"]) == (event.stream, event.type, event.version)
        assert row["actor"] == f"{event.actor.kind}:{event.actor.id}"
        assert row["data"] == event.data.decode()
        assert row["hash"] == one.hash.hex()
    assert rows[-1]["time"] == "2026-01-02T03:04:05.678901Z"
    assert rows[-1]["reason"] is None


def test_rollbacks_are_shown_with_who_when_and_why(path: Path) -> None:
    (rollback,) = asked(path, "rollbacks_readable")
    assert rollback == {
        "position": 5,
        "time": "2026-01-02T03:04:09.000000Z",
        "environment": "shop/prod",
        "kind": "rollback",
        "actor": "cli:act-1",
        "reason": "it was slow",
        "release": "rel-20260102-030406000",
        "took_back": "rel-20260102-030405000",
    }


def test_whoever_opens_it_for_reading_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    asked(path, "events_readable")
    assert path.read_bytes() == before
