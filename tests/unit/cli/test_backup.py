"""`backup` and `restore` at the keyboard."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from events.sqlite import SqliteEventLog
from tests.support.cli import Stagecraft
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History

ROOT = Path(__file__).parents[3]


def test_a_backup_is_made_here_unless_told_where(call: Call, history: History, folder: Path) -> None:
    history.deployed("a")
    said = call("backup")
    assert said.code == 0
    (made,) = folder.iterdir()
    assert made.name.startswith("stagecraft-")
    assert said.out.startswith(f"{made}: 4 events, 0 blobs, no names, no keys (--with-keys takes them)")
    assert call("backup", "--to", str(made)).code == 1
    missing = call("backup", "--to", "missing/")
    assert (missing.code, "backup-failed" in missing.err) == (2, True)


def test_a_seal_that_reaches_further_than_a_backup_says_what_is_missing(
    call: Call, history: History, folder: Path, tmp_path: Path
) -> None:
    history.deployed("a")
    call("backup", "--to", "b.tar")
    history.deployed("b")
    call("audit", "seal", "--to", "seals.jsonl")
    other = ("--home", str(tmp_path / "other"))
    said = call("restore", "b.tar", *other, "--seal", "seals.jsonl")
    assert said.code == 0
    assert "a seal covers the log up to 9, this backup ends at 4" in said.err
    assert "log fork --reason TEXT" in said.out
    (folder / "key.pem").write_text(call("audit", "key", "show").out)
    verify = ("audit", "verify", "--seal", "seals.jsonl", "--public-key", "key.pem")
    assert call(*verify, *other).code == 2
    assert call("log", "fork", "--reason", "restored", *other).code == 0


def test_seals_are_held_against_the_log_of_a_backup(
    call: Call, history: History, folder: Path, tmp_path: Path
) -> None:
    history.deployed("a")
    call("audit", "seal", "--to", "seals.jsonl")
    call("backup", "--to", "b.tar")
    said = call("restore", "b.tar", "--home", str(tmp_path / "other"), "--seal", "seals.jsonl")
    assert "complete up to event 5, by a seal that was kept outside" in said.out
    seals = folder / "seals.jsonl"
    whole = seals.read_text()
    seals.write_text(json.dumps(json.loads(whole) | {"hash": "0" * 64}))
    changed = call("restore", "b.tar", "--home", str(tmp_path / "third"), "--seal", "seals.jsonl")
    assert changed.code in {1, 2}
    assert "events.db" not in {path.name for path in (tmp_path / "third").iterdir()}
    seals.write_text(whole.replace(history.log.lineage, "0" * 32))
    foreign = call("restore", "b.tar", "--home", str(tmp_path / "third"), "--seal", "seals.jsonl")
    assert (foreign.code, "seals-of-another-log" in foreign.err) == (1, True)
    assert not (tmp_path / "third" / "events.db").exists()


def test_of_a_folder_the_newest_backup_is_restored(
    call: Call, history: History, folder: Path, tmp_path: Path
) -> None:
    other = ("--home", str(tmp_path / "other"))
    assert "backup-damaged" in call("restore", str(folder), *other).err
    history.deployed("a")
    call("backup", "--to", "stagecraft-20200101T000000Z.tar")
    history.deployed("b")
    call("backup")
    assert "8 events" in call("restore", str(folder), *other).out


def test_a_dry_run_writes_nothing(call: Call, history: History, folder: Path, tmp_path: Path) -> None:
    history.deployed("a")
    assert "would be written" in call("backup", "--dry-run").out
    assert not list(folder.iterdir())
    call("backup", "--to", "b.tar")
    said = call("restore", "b.tar", "--home", str(tmp_path / "other"), "--dry-run")
    assert "would be put into" in said.out
    assert not (tmp_path / "other").exists()


def test_an_empty_home_is_told(call: Call, home: Path) -> None:
    said = call("backup")
    assert (said.code, "nothing-recorded" in said.err) == (1, True)
    assert not home.exists()


def test_a_restore_says_what_there_is_and_what_is_not(call: Call, history: History, tmp_path: Path) -> None:
    history.deployed("a")
    call("backup", "--to", "b.tar")
    said = call("restore", "b.tar", "--home", str(tmp_path / "other"))
    assert said.code == 0
    assert "4 events" in said.out
    assert "unknown end" in said.out
    assert "it has no keys" in said.out
    assert call("restore", "b.tar", "--home", str(tmp_path / "other")).code == 1
    assert call("restore", "b.tar", "--home", str(tmp_path / "other"), "--replace").code == 0


def test_a_backup_that_was_made_while_another_process_appends_is_one_moment_of_the_log(
    cli: Stagecraft, tmp_path: Path
) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    with closing(SqliteEventLog(home / "events.db")) as log:
        history = History(log)
        history.deployed("a")
        history.deployed("b")
    command = [sys.executable, "-m", "tests.unit.events.log_writer", str(home / "events.db"), "host/x", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(20)]
            cli.ok("backup", "--to", "b.tar")
            assert writer.poll() is None
            lines += [writer.stdout.readline() for _ in range(20)]
        finally:
            writer.kill()
    cli.ok("restore", "b.tar", "--home", other)
    with (
        closing(SqliteEventLog(home / "events.db")) as log,
        closing(SqliteEventLog(other / "events.db")) as copy,
    ):
        assert lines[0].strip() == log.lineage == copy.lineage
        head = copy.head()
        assert 8 + 18 <= head <= log.head()
        assert copy.rows() == log.rows(limit=head)
    cli.ok("audit", "verify", "--home", other)
    assert (
        cli.ok("releases", "list", "--json", "--home", other).json()
        == cli.ok("releases", "list", "--json").json()
    )
    with closing(sqlite3.connect(other / "events.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert json.loads(cli.ok("releases", "export", "--home", other).stdout)["releases"]
