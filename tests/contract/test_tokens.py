"""The promises of the tokens' port, proven of each adapter of the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from events.log import EventLog
from events.sqlite import SqliteEventLog
from events.tokens import LockLostError, Tenure, Token
from tests.contract.event_log import ADAPTERS, A, Adapter, B, opened, part

PROD, DEV = "shop/prod", "shop/dev"


@pytest.fixture(params=ADAPTERS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    adapter: Adapter = request.param
    with opened(adapter, tmp_path) as made:
        yield made


def test_tokens_count_from_1_for_each_name(log: EventLog) -> None:
    assert log.newest_token(PROD) == 0
    assert [log.draw_token(PROD, after=number).number for number in range(3)] == [1, 2, 3]
    assert (log.newest_token(PROD), log.newest_token(DEV)) == (3, 0)
    assert log.draw_token(DEV, after=0) == Token(name=DEV, number=1)


@pytest.mark.parametrize("after", [0, 2])
def test_a_token_after_any_but_the_newest_is_refused_and_none_is_drawn(log: EventLog, after: int) -> None:
    log.draw_token(PROD, after=0)
    with pytest.raises(LockLostError):
        log.draw_token(PROD, after=after)
    assert log.newest_token(PROD) == 1


def test_of_many_at_once_exactly_one_gets_the_next_token(log: EventLog) -> None:
    def draw(_: int) -> bool:
        try:
            log.draw_token(PROD, after=0)
        except LockLostError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(draw, range(16))).count(True) == 1


def test_an_append_with_the_newest_token_is_taken_and_with_an_older_one_nothing_is_written(
    log: EventLog,
) -> None:
    old = log.draw_token(PROD, after=0)
    log.append([replace(part(A), token=old)])
    new = log.draw_token(PROD, after=1)
    with pytest.raises(LockLostError) as caught:
        log.append([part(B), replace(part(A), token=old)])
    assert caught.value.code == "lock-lost"
    assert "its token is 2, the one of this process is 1" in caught.value.why
    assert log.head() == 1
    log.append([replace(part(A), token=new)])
    log.append([part(A)])
    assert log.head() == 3


def test_tokens_are_no_events(log: EventLog) -> None:
    log.draw_token(PROD, after=0)
    assert (log.head(), log.streams()) == (0, [])


def test_a_tenure_draws_once_and_before_its_first_use_only(log: EventLog) -> None:
    told: list[int] = []
    tenure = Tenure.begin(log, PROD, drawn=lambda token: told.append(token.number))
    assert (log.newest_token(PROD), told) == (0, [])
    assert [tenure.token().number, tenure.check().number, tenure.token().number] == [1, 1, 1]
    assert told == [1]


def test_a_tenure_that_was_overtaken_ends_whether_it_has_drawn_or_not(log: EventLog) -> None:
    drawn, idle = Tenure.begin(log, PROD), Tenure.begin(log, PROD)
    drawn.token()
    with pytest.raises(LockLostError):
        idle.token()
    Tenure.begin(log, PROD).token()
    with pytest.raises(LockLostError):
        drawn.check()


def test_counters_are_kept_in_the_file_and_other_processes_see_them(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with closing(SqliteEventLog(path)) as one, closing(SqliteEventLog(path)) as other:
        one.draw_token(PROD, after=0)
        assert other.newest_token(PROD) == 1
    with closing(SqliteEventLog(path)) as again:
        assert again.newest_token(PROD) == 1


def test_a_log_is_not_changed_by_asking(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with closing(SqliteEventLog(path)) as log:
        Tenure.begin(log, PROD)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tokens'").fetchone() is None
