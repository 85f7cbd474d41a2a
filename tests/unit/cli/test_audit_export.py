"""`audit export` and `verify-export`: from the operator's hands into the auditor's."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from events.actors import SqliteActorDirectory
from events.sqlite import SqliteEventLog
from tests.support.cli import Stagecraft
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History


@pytest.fixture
def sealed(history: History, home: Path, call: Call, folder: Path) -> Iterator[Path]:
    """A home in which Ann deployed twice and Bob rolled back, sealed; the folder of the key and the seals."""
    with closing(SqliteActorDirectory(home / "actors.db")) as actors:
        history.actor = actors.pseudonym("cli", "Ann")
        first = history.deployed("a")
        second = history.deployed("b")
        history.actor = actors.pseudonym("cli", "Bob")
        history.rollback("a", target=first, previous=second)
        assert call("audit", "seal", "--to", "seals.jsonl").code == 0
        (folder / "key.pem").write_text(call("audit", "key", "show").out)
        yield folder


def test_an_auditor_learns_from_the_file_and_the_key_alone_who_rolled_back_what_when_and_why(
    sealed: Path, call: Call, cli: Stagecraft, tmp_path: Path, home: Path
) -> None:
    said = call("audit", "export", "--format", "csv", "--names", "--output", "log.csv")
    assert (said.code, said.out) == (0, "")
    assert "signed with key" in said.err
    assert (sealed / "log.csv").stat().st_mode & 0o777 == 0o600
    home.rename(tmp_path / "out of reach")
    elsewhere = {"STAGECRAFT_HOME": str(tmp_path / "nothing")}
    command = ("audit", "verify-export", sealed / "log.csv", "--public-key", sealed / "key.pem")
    told = cli.run(*command, "--seal", sealed / "seals.jsonl", environment=elsewhere).expect(0).stdout
    assert "events 1 to 11" in told
    assert "complete up to 10, unknown after; the chain alone holds event 11" in told
    assert "names included" in told
    verdict = cli.run(*command, "--json", environment=elsewhere).expect(0).json()
    assert {key: verdict[key] for key in ("ok", "from", "to", "sealed_to", "problem")} == {
        "ok": True,
        "from": 1,
        "to": 11,
        "sealed_to": 10,
        "problem": None,
    }
    assert not (tmp_path / "nothing").exists()
    with (sealed / "log.csv").open(newline="", encoding="utf-8") as file:
        (rollback,) = [row for row in csv.DictReader(file) if row["type"] == "RollbackRequested"]
    assert (rollback["actorname"], rollback["time"]) == ("Bob", "2026-01-02T03:04:13.000000Z")
    assert rollback["subject"] == "environment/shop/prod"
    data = json.loads(rollback["data"])
    assert (data["reason"], data["reverts"]) == ("it was slow", "rel-20260102-030406000")


def test_a_changed_export_ends_with_2_and_names_the_place(sealed: Path, call: Call) -> None:
    call("audit", "export", "--output", "log.jsonl")
    content = (sealed / "log.jsonl").read_bytes()
    (sealed / "log.jsonl").write_bytes(content.replace(b"it was slow", b"it was fast"))
    said = call("audit", "verify-export", "log.jsonl", "--public-key", "key.pem")
    assert said.code == 2
    assert said.out.startswith("NOT as it was recorded: edit at position 9: ")
    assert "events 1 to 8" in said.out
    told = json.loads(call("audit", "verify-export", "log.jsonl", "--public-key", "key.pem", "--json").out)
    assert (told["ok"], told["to"], told["problem"]["position"]) == (False, 8, 9)


def test_without_a_file_the_export_goes_to_stdout_and_is_the_same(
    sealed: Path, cli: Stagecraft, home: Path
) -> None:
    with cli.start("audit", "export", environment={"STAGECRAFT_HOME": str(home), "LC_ALL": "C"}) as process:
        out, _ = process.communicate(timeout=60)
    (sealed / "piped.jsonl").write_text(out, encoding="utf-8")
    cli.ok("audit", "verify-export", sealed / "piped.jsonl", "--public-key", sealed / "key.pem")
    assert len(out.splitlines()) == 12


def test_a_part_of_the_log_by_positions_and_by_times(sealed: Path, call: Call) -> None:
    call("audit", "export", "--since", "3", "--until", "2026-01-02T03:04:10Z", "--output", "part.jsonl")
    said = call("audit", "verify-export", "part.jsonl", "--public-key", "key.pem")
    assert said.code == 0
    assert "events 3 to 6 of log" in said.out
    assert "events 1 to 2 are not in the file" in said.out
    assert "the log had 11 events when it was exported" in said.out
    assert "sealed to 6" in said.out
    assert (sealed / "part.jsonl").is_file()
    assert call("audit", "export", "--until", "2020-01-01").code == 1


def test_a_key_a_seal_or_a_file_that_is_wrong_is_told(sealed: Path, call: Call, tmp_path: Path) -> None:
    call("audit", "export", "--output", "log.jsonl")
    with closing(SqliteEventLog(tmp_path / "other" / "events.db")) as log:
        History(log).suspended()
    call("audit", "seal", "--home", str(tmp_path / "other"), "--to", "other-seals.jsonl")
    (sealed / "other.pem").write_text(call("audit", "key", "show", "--home", str(tmp_path / "other")).out)
    verify = ("audit", "verify-export", "log.jsonl")
    said = call(*verify, "--public-key", "other.pem")
    assert (said.code, "signed by a key that is trusted" in said.out) == (2, True)
    assert call(*verify, "--public-key", "key.pem", "--seal", "other-seals.jsonl").code == 2
    assert "public-key-unreadable" in call(*verify, "--public-key", "log.jsonl").err
    assert "seal-unreadable" in call(*verify, "--seal", "key.pem").err
    missing = call("audit", "verify-export", "none.jsonl")
    assert (missing.code, "export-unreadable" in missing.err) == (2, True)
    (sealed / "empty").write_bytes(b"")
    empty = call("audit", "verify-export", "empty", "--json")
    assert (empty.code, json.loads(empty.out)["problem"]["kind"]) == (2, "all")
    assert call("audit", "verify-export", "key.pem").code == 2


def test_what_cannot_be_exported_or_written_is_told(call: Call, home: Path, folder: Path) -> None:
    said = call("audit", "export")
    assert (said.code, "nothing-recorded" in said.err) == (1, True)
    assert not home.exists()
    with closing(SqliteEventLog(home / "events.db")) as log:
        assert "export-empty" in call("audit", "export").err
        History(log).suspended()
    (folder / "taken").mkdir()
    unwritable = call("audit", "export", "--output", "taken")
    assert (unwritable.code, "output-unwritable" in unwritable.err) == (2, True)
    assert "would be written" in call("audit", "export", "--output", "x.jsonl", "--dry-run").out
    assert [path.name for path in folder.iterdir()] == ["taken"]
    unsigned = call("audit", "export", "--output", "x.jsonl")
    assert (unsigned.code, "not signed" in unsigned.err) == (0, True)
    assert "no public key was given" in call("audit", "verify-export", "x.jsonl").out


@pytest.mark.usefixtures("sealed")
def test_a_log_that_was_changed_is_exported_as_evidence(call: Call, home: Path) -> None:
    with closing(sqlite3.connect(home / "events.db")) as database:
        database.execute("DROP TRIGGER events_are_not_updated")
        database.execute("UPDATE events SET actor = 'cli:act-2' WHERE position = 9")
        database.commit()
    said = call("audit", "export", "--output", "log.jsonl")
    assert (said.code, "event 9 is not as it was recorded" in said.err) == (2, True)
    told = call("audit", "verify-export", "log.jsonl", "--public-key", "key.pem")
    assert (told.code, "actor at position 9" in told.out) == (2, True)
    part = call("audit", "export", "--until", "8", "--output", "part.jsonl")
    assert part.code == 0
    good = call("audit", "verify-export", "part.jsonl", "--public-key", "key.pem")
    assert (good.code, "no seal covers them" in good.out) == (0, True)


def test_an_erased_name_is_not_handed_over(sealed: Path, call: Call, home: Path) -> None:
    with closing(sqlite3.connect(home / "actors.db")) as names:
        (bob,) = names.execute("SELECT actor_id FROM actors WHERE name = 'Bob'").fetchone()
    with closing(SqliteActorDirectory(home / "actors.db")) as actors:
        actors.erase(bob)
    call("audit", "export", "--names", "--output", "log.jsonl")
    told = (sealed / "log.jsonl").read_text()
    assert ("Ann" in told, "Bob" in told, bob in told) == (True, False, True)
    assert call("audit", "verify-export", "log.jsonl", "--public-key", "key.pem").code == 0
