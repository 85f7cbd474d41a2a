"""`audit` and `log fork` as a person meets them: tampered with, refused, forked, going on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from events.blobs import FileBlobStore
from events.sqlite import SqliteEventLog
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History


def tampered(home: Path, *statements: str) -> None:
    """Change the log with SQLite's own tools."""
    with closing(sqlite3.connect(home / "events.db", isolation_level=None)) as connection:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        for (name,) in connection.execute(triggers).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)


ONE_BYTE = "UPDATE events SET data = CAST(replace(data, 'c1', 'c2') AS BLOB) WHERE position = 1"


def test_a_home_without_a_log_has_nothing_to_verify(call: Call, home: Path) -> None:
    said = call("audit", "verify", "--json")
    assert said.code == 0
    assert json.loads(said.out) | {"vouches": ""} == {
        "ok": True,
        "from": 0,
        "to": 0,
        "sealed_to": None,
        "problem": None,
        "vouches": "",
        "seals_in_log": 0,
        "notes": [],
    }
    assert not home.exists()


def test_a_log_without_a_seal_from_outside_is_complete_up_to_an_unknown_end(
    call: Call, history: History
) -> None:
    history.deployed("a")
    said = call("audit", "verify")
    assert said.code == 0
    assert f"events 1 to {history.log.head()} are as they were written" in said.out
    assert "complete up to an unknown end" in said.out
    assert "no seal leaves this machine" in said.out


def test_a_seal_kept_elsewhere_and_its_public_key_tell_what_was_cut(
    call: Call, history: History, home: Path, folder: Path
) -> None:
    history.deployed("a")
    assert call("audit", "key", "show").code == 1
    assert "a key for seals was made" in call("audit", "seal", "--to", "seals.jsonl").err
    head = history.log.head()
    (folder / "key.pem").write_text(call("audit", "key", "show").out)
    known = ("--seal", "seals.jsonl", "--public-key", "key.pem", "--json")
    assert json.loads(call("audit", "verify", *known).out)["sealed_to"] == head - 1
    tampered(
        home,
        "DELETE FROM events WHERE position > 2",
        "UPDATE log_head SET position = 2, hash = (SELECT hash FROM events WHERE position = 2)",
        "DELETE FROM streams",
        "INSERT INTO streams SELECT stream_no, 'environment/shop/prod', 2 FROM events WHERE position = 2",
    )
    assert call("audit", "verify").code == 0
    said = call("audit", "verify", *known)
    assert said.code == 2
    assert json.loads(said.out)["problem"]["kind"] == "tail"
    assert json.loads(said.out)["problem"]["position"] == 3
    assert "log-broken" in call("audit", "seal").err


def test_seals_by_a_key_that_is_not_the_trusted_one_are_refused(call: Call, folder: Path) -> None:
    seal = call("audit", "seal").out
    (folder / "seal.json").write_text(seal)
    (folder / "key.pem").write_text(call("audit", "key", "show").out)
    call("audit", "key", "rotate", "--lost", "--reason", "it is gone")
    (folder / "new.pem").write_text(call("audit", "key", "show").out)
    assert call("audit", "verify", "--seal", "seal.json", "--public-key", "key.pem").code == 0
    said = call("audit", "verify", "--seal", "seal.json", "--public-key", "new.pem")
    assert said.code == 1
    assert "seal-untrusted" in said.err
    said = call("audit", "verify", "--public-key", "seal.json")
    assert (said.code, "public-key-unreadable" in said.err) == (1, True)
    said = call("audit", "verify", "--seal", "key.pem")
    assert (said.code, "seal-unreadable" in said.err) == (1, True)


def test_a_key_that_is_rotated_is_trusted_by_whoever_trusts_the_former_one(call: Call, folder: Path) -> None:
    call("audit", "seal")
    (folder / "key.pem").write_text(call("audit", "key", "show").out)
    assert call("audit", "key", "rotate", "--reason", "every year").code == 0
    (folder / "seal.json").write_text(call("audit", "seal").out)
    known = ("--seal", "seal.json", "--public-key", "key.pem", "--json")
    assert json.loads(call("audit", "verify", *known).out)["sealed_to"] == 3
    assert call("audit", "key", "show", "--all").out.count("BEGIN PUBLIC KEY") == 2


def test_a_key_that_others_can_read_or_that_is_gone_is_refused_with_the_way_out(
    call: Call, home: Path
) -> None:
    call("audit", "seal")
    call("audit", "key", "rotate", "--reason", "x")  # something to seal again
    (path,) = (home / "keys").glob("seal-*.pem")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    said = call("audit", "seal")
    assert (said.code, "seal-key-exposed" in said.err, f"chmod 600 {path}" in said.err) == (1, True, True)
    path.unlink()
    said = call("audit", "seal")
    assert (said.code, "seal-key-missing" in said.err) == (2, True)
    assert "stagecraft audit key rotate --lost" in said.err
    assert call("audit", "key", "rotate", "--reason", "x").code == 2
    assert call("audit", "key", "rotate", "--lost", "--reason", "x").code == 0
    assert call("audit", "seal").code == 0
    said = call("audit", "verify")
    assert said.code == 0
    assert "was not signed by the one before it" in said.out


def test_a_log_that_does_not_verify_is_only_read_until_it_is_forked(
    call: Call, history: History, home: Path
) -> None:
    release = history.deployed("a")
    call("audit", "seal")
    before = [json.loads(line) for line in call("events", "list", "--json").out.splitlines()]
    status = call("status", "--env", "prod", "--json").out
    tampered(home, ONE_BYTE)

    refused = call("hold", "--env", "prod", "--reason", "calm")  # looks before it appends
    assert refused.code == 2
    assert "log-broken" in refused.err
    assert "edit at position 1" in refused.err
    assert "stagecraft log fork --reason" in refused.err
    shown = call("status", "--env", "prod")
    assert shown.code == 0
    assert "the log does not verify: edit at event 1" in shown.err
    assert release in call("releases", "list").out
    assert call("audit", "verify", "--json").code == 2

    busy = call("log", "fork", "--reason", "a bad bit")
    assert (busy.code, "log-in-use" in busy.err) == (2, True)
    history.log.close()
    assert "would be forked" in call("log", "fork", "--reason", "a bad bit", "--dry-run").out
    said = call("log", "fork", "--reason", "a bad bit")
    assert said.code == 0, said.err
    assert f"{len(before)} events were carried over" in said.out

    after = [json.loads(line) for line in call("events", "list", "--json").out.splitlines()]
    told = after[0]["data"]
    assert after[0]["type"] == "LogForked"
    assert (told["problem_kind"], told["problem_position"], told["reason"]) == ("edit", 1, "a bad bit")
    assert (told["good_position"], told["carried"], told["left"]) == (0, len(before), [])
    (kept,) = home.glob("events.broken-*.db")
    assert told["kept_as"] == kept.name
    kept_fields = ("id", "time", "actor", "stream", "type", "correlation", "causation")
    assert [[one[name] for name in kept_fields] for one in after[1:]] == [
        [one[name] for name in kept_fields] for one in before
    ]
    assert (
        json.loads(call("status", "--env", "prod", "--json").out)["deployed"]
        == json.loads(status)["deployed"]
    )
    assert call("hold", "--env", "prod", "--reason", "calm").code == 0
    whole = call("audit", "verify")
    assert whole.code == 0
    assert "forked from the log" in whole.out
    assert call("log", "fork", "--reason", "again").code == 1
    assert not list(home.glob(".events.new*"))


def test_an_event_that_cannot_be_read_stays_behind_and_is_named(
    call: Call, history: History, home: Path
) -> None:
    history.deployed("a")
    head = history.log.head()
    history.log.close()
    tampered(home, "UPDATE events SET data = CAST('{' AS BLOB) WHERE position = 2")
    said = call("log", "fork", "--reason", "a bad bit")
    assert f"{head - 1} events were carried over; 1 that cannot be read stayed behind" in said.out
    told = json.loads(call("events", "list", "--json", "--limit", "1").out)["data"]
    assert told["left"] == [2]
    assert call("audit", "verify").code == 0


def test_a_fork_goes_on_with_the_lineage_that_the_log_was_written_under(
    call: Call, history: History, home: Path
) -> None:
    history.deployed("a")
    call("audit", "seal")
    lineage = history.log.lineage
    history.log.close()
    tampered(home, "UPDATE log_head SET lineage = 'another'")
    assert "the id of the log was changed" in call("audit", "verify").out
    assert call("log", "fork", "--reason", "x").code == 0
    with closing(SqliteEventLog(home / "events.db")) as log:
        assert log.lineage == lineage


@pytest.mark.parametrize("content", [b"garbage", b""])
def test_a_file_that_is_no_log_is_refused_in_words(call: Call, home: Path, content: bytes) -> None:
    home.mkdir()
    (home / "events.db").write_bytes(content)
    said = call("audit", "verify")
    assert said.code == (2 if content else 0)
    assert ("log-unavailable" in said.err) == bool(content)


def test_a_blob_that_is_not_what_its_name_says_is_named_until_it_is_put_back(
    call: Call, history: History, home: Path
) -> None:
    digest = FileBlobStore(home / "blobs").put(b"a manifest")
    (path,) = (home / "blobs").glob("*/*")
    history.requested("a", revision=digest)
    path.write_bytes(b"another one")
    said = call("audit", "verify", "--json")
    assert said.code == 2
    problem = json.loads(said.out)["problem"]
    assert (problem["kind"], problem["position"]) == ("blob", 1)
    assert history.log.problem() is None  # the log is whole: what does not need the blob goes on
    path.write_bytes(b"a manifest")
    assert call("audit", "verify").code == 0
    path.unlink()
    assert call("audit", "verify").code == 0


def test_a_manifest_of_what_is_deployed_that_is_gone_is_told_and_is_no_problem(
    call: Call, history: History, home: Path
) -> None:
    history.deployed("a")
    assert "is gone" not in call("audit", "verify").out  # a copy of the log alone
    (home / "blobs").mkdir()
    said = call("audit", "verify")
    assert said.code == 0
    assert "the Manifest of what is deployed in shop/prod is gone: sha256:61" in said.out


def test_status_says_how_far_the_log_is_sealed_and_that_nothing_leaves_the_machine(
    call: Call, history: History, home: Path, folder: Path
) -> None:
    history.deployed("a")
    assert "no seal yet; no seal leaves this machine" in call("status", "--env", "prod").out
    call("audit", "seal")
    (home / "controller.yml").write_text(f"seals: {{to: [{{file: {folder}/seals.jsonl}}]}}\n")
    last = call("status", "--env", "prod").out.splitlines()[-1]
    assert last.startswith(f"  log       {history.log.head()} events, sealed to {history.log.head() - 1} (")
    assert "machine" not in last
