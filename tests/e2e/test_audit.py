"""An operator keeps seals elsewhere; an auditor has a copy, the seals, the public key and no machine."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from controller.home import Home
from events.catalog.host import HostUnreachable
from events.envelope import Actor
from events.kernel.clock import SystemClock
from events.kernel.ids import SystemIds
from events.recorder import Recorder
from events.sqlite import SqliteEventLog
from events.streams import host_stream
from tests.support.cli import Stagecraft

GUARDS = ("events_are_not_updated", "events_are_not_deleted", "events_are_dense")

CUT = """
DELETE FROM events WHERE position > 8;
UPDATE streams SET version = 6 WHERE name LIKE 'host/%';
UPDATE streams SET version = 2 WHERE name = 'log';
UPDATE log_head SET position = 8, hash = (SELECT hash FROM events WHERE position = 8);
"""
EXCHANGED = """
UPDATE events SET position = 99 WHERE position = 2;
UPDATE events SET position = 2 WHERE position = 6;
UPDATE events SET position = 6 WHERE position = 99;
"""
TAMPERS: dict[str, tuple[str, int, str]] = {
    "whole": ("", 0, ""),
    "edited": ("UPDATE events SET data = CAST('{}' AS BLOB) WHERE position = 3", 3, "edit"),
    "blamed": ("UPDATE events SET actor = 'cli:act-2' WHERE position = 4", 4, "actor"),
    "gap": ("DELETE FROM events WHERE position = 5", 5, "drop"),
    "cut": (CUT, 9, "tail"),
    "empty": ("DELETE FROM events; DELETE FROM streams; UPDATE log_head SET position = 0", 1, "all"),
    "exchanged": (EXCHANGED, 2, "swap"),
}


def record(home: Home, count: int) -> None:
    """Something happens."""
    clock = SystemClock()
    with closing(SqliteEventLog(home.events_db)) as log:
        actor = Actor(kind="cli", id="act-1")
        recorder = Recorder(log=log, ids=SystemIds(clock), clock=clock, actor=actor)
        for number in range(count):
            recorder.append(host_stream("edge"), HostUnreachable(host="edge", reason=f"{number}"))


def edit(path: Path, statements: str) -> None:
    """Somebody edits the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for guard in GUARDS:
            connection.execute(f"DROP TRIGGER {guard}")
        connection.executescript(statements)


def test_an_auditor_with_a_copy_and_a_seal_names_what_was_done_to_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    operator = Stagecraft(cwd=tmp_path, environment={"STAGECRAFT_HOME": str(home.root)})
    record(home, 6)
    operator.run("audit", "seal", "--to", "seals.jsonl").expect()
    (tmp_path / "key.pem").write_text(operator.run("audit", "key", "show").expect().stdout)
    record(home, 3)
    operator.run("audit", "seal", "--to", "seals.jsonl").expect()
    record(home, 2)

    for name, (statements, position, kind) in TAMPERS.items():
        copy = tmp_path / name
        copy.mkdir()
        shutil.copy(home.events_db, copy / "events.db")
        edit(copy / "events.db", statements)
        auditor = Stagecraft(cwd=tmp_path, environment={"STAGECRAFT_HOME": str(copy)})
        said = auditor.run("audit", "verify", "--json", "--seal", "seals.jsonl", "--public-key", "key.pem")
        if not kind:
            assert said.expect(0).json()["sealed_to"] == 11
            assert "complete up to event 11" in said.json()["vouches"]
        else:
            problem = said.expect(2).json()["problem"]
            assert (problem["kind"], problem["position"]) == (kind, position), name
