"""Each way to falsify a log is found and named, on files that the real adapter made."""
# ruff: noqa: S608  # every statement is this file's own

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.chain import chained, genesis
from events.ed25519 import SigningKey
from events.kernel.errors import UserError
from events.raw_log import RawLog, raw_log
from events.verdict import Verdict
from events.verify import SEAL_UNTRUSTED, Verifier
from events.walk_aside import Aside, follow
from tests.support.tampering import TamperedLog

COLUMNS = (
    "position, event_id, stream_no, version, type, schema, at_us, actor, correlation, causation, data, "
    "data_hash, leaf, hash"
)
NAMES = COLUMNS.split(", ")


class AsideInTurn(Aside):
    """The newer part of a short log, followed when it is asked for."""

    @classmethod
    def begin(cls, raw: RawLog, *, upto: int) -> AsideInTurn | None:
        after = upto // 2
        previous = raw.hash_at(after)
        return (
            None
            if previous is None
            else cls(after=after, previous=previous, upto=upto, _process=cast("Any", raw))
        )

    def hash_of_end(self) -> bytes | None:
        raw = cast("RawLog", self._process)
        position, found = follow(raw, after=self.after, upto=self.upto, previous=self.previous)
        return found if position == self.upto else None

    def close(self) -> None:
        """There is nothing to end."""


@pytest.fixture(autouse=True, params=["at once", "in two parts"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long log is followed in two parts; what is found must be the same."""
    if request.param == "in two parts":
        monkeypatch.setattr("events.verify.Aside", AsideInTurn)


@pytest.fixture
def log(tmp_path: Path) -> TamperedLog:
    return TamperedLog(tmp_path / "events.db").fill()


def named(verdict: Verdict) -> tuple[int, str]:
    assert verdict.problem is not None
    assert not verdict.ok
    return verdict.problem.position, verdict.problem.kind


def detail(verdict: Verdict) -> str:
    assert verdict.problem is not None
    return verdict.problem.detail


def rechain(connection: sqlite3.Connection, after: int) -> None:
    """Reckon every digest behind a position anew, as somebody who has read `events/chain.py` would."""
    streams = dict(connection.execute("SELECT stream_no, name FROM streams").fetchall())
    log_id, lineage = connection.execute("SELECT log_id, lineage FROM log_head").fetchone()
    found = connection.execute("SELECT hash FROM events WHERE position = ?", (after,)).fetchone()
    previous = genesis(log_id=log_id, lineage=lineage) if found is None else found[0]
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM events WHERE position > ? ORDER BY 1", (after,)
    ).fetchall()
    for row in rows:
        one = dict(zip(NAMES, row, strict=True))
        digests = chained(
            previous=previous,
            position=one["position"],
            event_id=one["event_id"],
            stream=streams[one["stream_no"]],
            version=one["version"],
            type_name=one["type"],
            schema=one["schema"],
            at_us=one["at_us"],
            actor=one["actor"],
            correlation=one["correlation"],
            causation=one["causation"],
            data=one["data"],
        )
        connection.execute(
            "UPDATE events SET data_hash = ?, leaf = ?, hash = ? WHERE position = ?",
            (digests.data_hash, digests.leaf, digests.hash, one["position"]),
        )
        previous = digests.hash
    connection.execute(
        "UPDATE log_head SET hash = ?, position = ?", (previous, rows[-1][0] if rows else after)
    )


def recount(connection: sqlite3.Connection) -> None:
    """Let the streams' versions say what is left."""
    counts = "SELECT max(version) FROM events AS e WHERE e.stream_no = streams.stream_no"
    connection.execute(f"DELETE FROM streams WHERE ({counts}) IS NULL")
    connection.execute(f"UPDATE streams SET version = ({counts})")


def test_a_log_as_it_was_written_is_complete_up_to_an_unknown_end(log: TamperedLog) -> None:
    verdict = log.verdict()
    assert verdict.ok
    assert (verdict.to, verdict.sealed_to) == (12, None)
    assert "complete up to an unknown end" in verdict.vouches


def test_a_log_in_which_nothing_was_recorded_is_whole(tmp_path: Path) -> None:
    verdict = TamperedLog(tmp_path / "events.db").fill(0).verdict()
    assert verdict.ok
    assert verdict.as_json()["from"] == verdict.to == 0


def test_a_seal_from_outside_says_how_far_the_log_is_complete(log: TamperedLog) -> None:
    seal = log.seal()
    log.fill(3)
    verdict = log.verdict(seal)
    assert (verdict.ok, verdict.to, verdict.sealed_to, verdict.outside) == (True, 15, 12, True)
    assert "complete up to event 12" in verdict.vouches
    assert "for events 13 to 15 the chain alone speaks" in verdict.vouches


def test_a_seal_in_the_log_is_checked_and_does_not_prove_the_end(tmp_path: Path) -> None:
    verdict = TamperedLog(tmp_path / "events.db").fill(6, seal_at=(4,)).verdict()
    assert (verdict.ok, verdict.sealed_to, verdict.inside_seals) == (True, 4, 1)
    assert "unknown end" in verdict.vouches


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize(
    ("statement", "position", "kind"),
    [
        ("UPDATE events SET data = CAST(replace(data, 'r', 'R') AS BLOB) WHERE position = 5", 5, "edit"),
        ("UPDATE events SET data = CAST('{}' AS BLOB) WHERE position = 1", 1, "edit"),
        ("UPDATE events SET data = CAST('{}' AS BLOB) WHERE position = 12", 12, "edit"),
        ("UPDATE events SET data = CAST('{}' AS BLOB)", 1, "edit"),
        ("UPDATE events SET actor = 'cli:act-mallory' WHERE position = 7", 7, "actor"),
        ("UPDATE events SET actor = 'cli:act-mallory' WHERE position = 12", 12, "actor"),
        ("UPDATE events SET actor = 'cli:act-mallory'", 1, "actor"),
        ("UPDATE events SET type = 'HostReached' WHERE position = 4", 4, "edit"),
        ("UPDATE events SET schema = 2 WHERE position = 4", 4, "edit"),
        ("UPDATE events SET at_us = at_us - 1 WHERE position = 4", 4, "edit"),
        ("UPDATE events SET correlation = zeroblob(16) WHERE position = 4", 4, "edit"),
        ("UPDATE events SET causation = zeroblob(16) WHERE position = 4", 4, "edit"),
        ("UPDATE events SET causation = zeroblob(0) WHERE position = 4", 4, "edit"),
        ("UPDATE events SET event_id = zeroblob(16) WHERE position = 4", 4, "edit"),
        ("UPDATE events SET version = 40 WHERE position = 4", 4, "edit"),
        ("UPDATE events SET stream_no = 99 WHERE position = 4", 4, "edit"),
        ("UPDATE streams SET name = 'host/other' WHERE name = 'host/h1'", 1, "edit"),
        ("UPDATE events SET hash = zeroblob(32) WHERE position = 4", 4, "edit"),
        ("UPDATE events SET hash = zeroblob(32) WHERE position = 12", 12, "edit"),
        ("UPDATE events SET leaf = zeroblob(32) WHERE position = 4", 4, "edit"),
        ("UPDATE events SET data_hash = zeroblob(32) WHERE position = 4", 4, "edit"),
        ("DELETE FROM events WHERE position = 5", 5, "drop"),
        ("DELETE FROM events WHERE position IN (1, 2)", 1, "drop"),
        ("DELETE FROM events WHERE position BETWEEN 4 AND 6", 4, "drop"),
        ("DELETE FROM events WHERE position > 9", 10, "tail"),
        ("DELETE FROM events", 1, "all"),
        ("DELETE FROM events; UPDATE log_head SET position = 0", 1, "all"),
        ("DELETE FROM events WHERE position > 9; UPDATE log_head SET position = 9", 10, "tail"),
        (
            "DELETE FROM events WHERE position > 9; "  # noqa: ISC004 - one statement after the other
            "UPDATE log_head SET position = 9, hash = (SELECT hash FROM events WHERE position = 9)",
            10,
            "tail",
        ),
        ("UPDATE log_head SET position = 9", 10, "edit"),
        ("UPDATE log_head SET hash = zeroblob(32)", 12, "rewrite"),
        ("UPDATE streams SET version = version - 1 WHERE name = 'host/h1'", 12, "edit"),
        ("DELETE FROM log_head", 0, "edit"),
    ],
)
def test_what_was_done_is_named(
    log: TamperedLog, statement: str, position: int, kind: str, *, sealed: bool
) -> None:
    seals = (log.seal(),) if sealed else ()
    with log.edited() as connection:
        for one in statement.split(";"):
            connection.execute(one)
    assert named(log.verdict(*seals)) == (position, kind)


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize(
    "columns",
    [
        ["data"],
        ["data", "data_hash"],
        ["data", "actor", "type", "at_us"],
        [name for name in NAMES if name not in {"position", "event_id", "stream_no", "version", "hash"}],
        [name for name in NAMES if name != "position"],
    ],
)
def test_an_exchange_of_two_events_is_named(log: TamperedLog, columns: list[str], *, sealed: bool) -> None:
    seals = (log.seal(),) if sealed else ()
    with log.edited() as connection:
        both = [
            connection.execute(
                f"SELECT {', '.join(columns)} FROM events WHERE position = ?", (at,)
            ).fetchone()
            for at in (4, 9)
        ]
        if "event_id" in columns:  # unique: moved out of the way first
            connection.execute("UPDATE events SET position = 1000 WHERE position = 4")
            connection.execute("UPDATE events SET position = 4 WHERE position = 9")
            connection.execute("UPDATE events SET position = 9 WHERE position = 1000")
        else:
            assignments = ", ".join(f"{name} = ?" for name in columns)
            for at, values in ((9, both[0]), (4, both[1])):
                connection.execute(f"UPDATE events SET {assignments} WHERE position = ?", (*values, at))
    verdict = log.verdict(*seals)
    assert named(verdict) == (4, "swap")
    assert "9" in detail(verdict)


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_events_that_were_taken_out_and_the_rest_numbered_anew_are_a_drop(
    log: TamperedLog, count: int, *, sealed: bool
) -> None:
    seals = (log.seal(),) if sealed else ()
    with log.edited() as connection:
        connection.execute("DELETE FROM events WHERE position BETWEEN 5 AND ?", (4 + count,))
        for position in range(5 + count, 13):
            connection.execute(
                "UPDATE events SET position = ? WHERE position = ?", (position - count, position)
            )
        connection.execute("UPDATE log_head SET position = ?", (12 - count,))
    assert named(log.verdict(*seals)) == (5, "drop")


def test_the_actor_that_was_is_told_where_the_log_knows_it(log: TamperedLog) -> None:
    with log.edited() as connection:
        connection.execute("UPDATE events SET actor = 'cli:act-mallory' WHERE position = 7")
    assert "act-mallory; it was cli:act-ana" in detail(log.verdict())


def test_the_type_that_was_is_told_where_the_log_knows_it(log: TamperedLog) -> None:
    with log.edited() as connection:
        connection.execute("UPDATE events SET type = 'HostReached' WHERE position = 7")
    assert "it was HostUnreachable" in detail(log.verdict())


def test_an_end_that_was_cut_with_every_count_is_found_by_a_seal_alone(log: TamperedLog) -> None:
    seal = log.seal()
    with log.edited() as connection:
        connection.execute("DELETE FROM events WHERE position > 9")
        recount(connection)
        rechain(connection, 8)
    assert log.verdict().ok
    assert named(log.verdict(seal)) == (10, "tail")


def test_a_log_that_was_emptied_with_every_count_is_found_by_a_seal_alone(log: TamperedLog) -> None:
    seal = log.seal()
    with log.edited() as connection:
        connection.execute("DELETE FROM events")
        connection.execute("DELETE FROM streams")
        rechain(connection, 0)
    assert log.verdict().ok
    assert named(log.verdict(seal)) == (1, "all")


def test_an_end_that_was_chained_anew_is_found_by_a_seal_alone(log: TamperedLog) -> None:
    early = log.seal()
    log.fill(3)
    late = log.seal()
    with log.edited() as connection:
        connection.execute("UPDATE events SET actor = 'cli:act-mallory' WHERE position = 14")
        rechain(connection, 13)
    assert log.verdict().ok
    assert log.verdict(early).sealed_to == 12
    assert named(log.verdict(late)) == (15, "rewrite")
    assert named(log.verdict(late, early)) == (15, "rewrite")


def test_an_end_that_was_chained_anew_contradicts_a_seal_that_was_left_in_the_log(tmp_path: Path) -> None:
    log = TamperedLog(tmp_path / "events.db").fill(6, seal_at=(4,))
    with log.edited() as connection:
        connection.execute("UPDATE events SET actor = 'cli:act-mallory' WHERE position = 2")
        rechain(connection, 1)
    assert named(log.verdict()) == (4, "rewrite")


def test_another_log_in_the_place_of_the_sealed_one_is_named(log: TamperedLog, tmp_path: Path) -> None:
    seal = log.seal()
    other = TamperedLog(tmp_path / "other.db").fill()
    verdict = other.verdict(seal)
    assert named(verdict) == (1, "rewrite")
    assert seal.log_id in detail(verdict)
    assert not verdict.certain


def test_a_log_whose_id_was_changed_is_named(tmp_path: Path) -> None:
    log = TamperedLog(tmp_path / "events.db").fill(6, seal_at=(4,))
    with log.edited() as connection:
        connection.execute("UPDATE log_head SET lineage = 'f00'")
    verdict = log.verdict()
    assert named(verdict) == (1, "edit")
    assert "the id of the log was changed" in detail(verdict)


def test_a_seal_whose_signature_is_false_proves_nothing(log: TamperedLog) -> None:
    seal = log.seal()
    forged = replace(seal, position=3)
    with pytest.raises(UserError) as caught:
        log.verdict(forged)
    assert caught.value.code == SEAL_UNTRUSTED


def test_a_seal_by_a_key_that_nobody_knows_is_told_and_is_not_certain(log: TamperedLog) -> None:
    verdict = log.verdict(log.seal(), trusted=False)
    assert verdict.ok
    assert not verdict.certain
    assert "not checked" in verdict.notes[0]


def test_what_the_chain_shows_is_named_also_where_the_seals_key_is_not_known_yet(log: TamperedLog) -> None:
    seal = log.seal()
    with log.edited() as connection:
        connection.execute("UPDATE events SET actor = 'cli:act-mallory' WHERE position = 7")
    with raw_log(log.path) as raw:
        verdict = Verifier(raw=raw, outside=[seal], strict=True).verdict()
    assert named(verdict) == (7, "actor")
    assert verdict.certain


def test_a_seal_by_another_key_than_the_trusted_one_is_refused_where_nothing_else_is_wrong(
    log: TamperedLog,
) -> None:
    seal = log.seal()
    with raw_log(log.path) as raw, pytest.raises(UserError) as caught:
        Verifier(raw=raw, outside=[seal], strict=True).verdict()
    assert caught.value.code == SEAL_UNTRUSTED


def test_a_public_key_that_takes_the_name_of_another_one_is_not_believed(tmp_path: Path) -> None:
    log = TamperedLog(tmp_path / "events.db").fill(3, seal_at=(2,))
    with log.edited() as connection:
        other = SigningKey.new().public.hex()
        data = json.dumps({"key_id": log.key.id, "public_key": other}).encode()
        connection.execute("UPDATE events SET data = ? WHERE type = 'SealKeyMade'", (data,))
        rechain(connection, 2)
    verdict = log.verdict(trusted=False)
    assert (verdict.ok, verdict.inside_seals) == (True, 0)
    assert f"1 seals in the log are by the key {log.key.id}, which is not known" in verdict.notes


# The guards and the constraints are gone: whoever edits the file keeps to none of them.
_CELLS = st.tuples(st.integers(1, 12), st.sampled_from(NAMES), st.integers(0), st.integers(1, 255))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cell=_CELLS)
def test_no_byte_of_any_row_can_be_changed_unseen(log: TamperedLog, cell: tuple[int, str, int, int]) -> None:
    position, column, place, mask = cell
    with log.edited() as connection:
        before = connection.execute(
            f"SELECT typeof({column}), CAST({column} AS BLOB), {column} FROM events WHERE position = ?",
            (position,),
        ).fetchone()
        changed = _changed(connection, position, column, before, place=place, mask=mask)
    if not changed:
        return
    found = log.verdict()
    assert found.problem is not None, (position, column)
    with log.edited() as connection:
        where = position if column != "position" else before[2] ^ mask
        connection.execute(f"UPDATE events SET {column} = ? WHERE position = ?", (before[2], where))
    assert log.verdict().ok


def _changed(
    connection: sqlite3.Connection,
    position: int,
    column: str,
    before: tuple[str, bytes | None, object],
    *,
    place: int,
    mask: int,
) -> bool:
    """Turn one byte of a cell over; False where another row is in the way, or there is nothing to turn."""
    kind, content, value = before
    if kind == "null" or not content:
        return False
    changed: object
    if kind == "integer":
        statement, changed = f"UPDATE events SET {column} = ? WHERE position = ?", cast("int", value) ^ mask
    else:
        at = place % len(content)
        turned = bytes([*content[:at], content[at] ^ mask, *content[at + 1 :]])
        cast_to = "TEXT" if kind == "text" else "BLOB"
        statement, changed = f"UPDATE events SET {column} = CAST(? AS {cast_to}) WHERE position = ?", turned
    try:
        connection.execute(statement, (changed, position))
    except sqlite3.IntegrityError:
        return False
    return True
