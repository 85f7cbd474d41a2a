"""The promises of the event log's port, proven of each adapter."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest

from events.broken import LogBrokenError, LogProblem
from events.chain import genesis
from events.envelope import Actor, ProposedEvent, StoredEvent
from events.kernel.errors import OutsideError
from events.log import (
    LOG_UNAVAILABLE,
    AppendIdReusedError,
    EventIdReusedError,
    EventLog,
    Expect,
    StreamAppend,
    VersionConflictError,
)
from events.rows import fits, row_of
from events.streams import StreamName
from tests.contract.event_log import ADAPTERS, WHEN, A, Adapter, B, opened, part, proposed

C = StreamName("host/local")
TWICE = proposed()


@pytest.fixture(params=ADAPTERS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    adapter: Adapter = request.param
    with opened(adapter, tmp_path) as made:
        yield made


def test_an_empty_log_has_head_0_and_nothing_to_read(log: EventLog) -> None:
    assert (log.head(), log.read(), log.streams(), log.stream_version(A), log.read_stream(A)) == (
        0,
        [],
        [],
        0,
        [],
    )


def test_positions_are_dense_in_the_log_and_versions_in_each_stream(log: EventLog) -> None:
    for streams in ((A, B), (B,), (A, C, B)):
        log.append([part(stream, b"1", b"2") for stream in streams])
    events = log.read()
    assert [event.position for event in events] == list(range(1, 13))
    for stream, count in ((A, 4), (B, 6), (C, 2)):
        assert [event.version for event in events if event.stream == stream] == list(range(1, count + 1))
        assert log.stream_version(stream) == count
    assert log.head() == 12


def test_an_append_answers_what_a_reader_finds(log: EventLog) -> None:
    stored = log.append([part(A, b"1", b"2"), part(B, b"3")])
    assert [(event.stream, event.version, event.data) for event in stored] == [
        (A, 1, b"1"),
        (A, 2, b"2"),
        (B, 1, b"3"),
    ]
    assert list(stored) == log.read()


def test_every_field_of_an_event_is_kept(log: EventLog) -> None:
    event = ProposedEvent(
        id=uuid4(),
        type="Tested",
        schema=7,
        time=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        actor=Actor(kind="webhook", id="act-00000000000f"),
        correlation=uuid4(),
        causation=uuid4(),
        data='{"a":"ü\\u0000"}'.encode(),
    )
    log.append([StreamAppend(stream=A, events=(event,))])
    assert log.read() == [
        StoredEvent(
            position=1,
            stream=A,
            version=1,
            id=event.id,
            type="Tested",
            schema=7,
            time=event.time,
            actor=event.actor,
            correlation=event.correlation,
            causation=event.causation,
            data=event.data,
        )
    ]


@pytest.mark.parametrize("year", [1960, 1970, 2026, 2262])
def test_times_are_kept_to_the_microsecond_and_come_back_in_utc(log: EventLog, year: int) -> None:
    there = datetime(year, 7, 8, 9, 10, 11, 999999, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    (stored,) = log.append([StreamAppend(stream=A, events=(proposed(time=there),))])
    (read,) = log.read()
    assert stored.time == read.time == there
    assert stored.time.tzinfo is UTC
    assert read.time.tzinfo is UTC


@pytest.mark.parametrize(
    ("expected", "new", "old"),
    [
        (Expect.ANY, True, True),
        (Expect.NO_STREAM, True, False),
        (Expect.EXISTS, False, True),
        (0, True, False),
        (1, False, False),
        (2, False, True),
        (3, False, False),
    ],
)
def test_an_expectation_lets_pass_what_it_names(
    log: EventLog, expected: int | Expect, *, new: bool, old: bool
) -> None:
    log.append([part(A, b"1", b"2")])
    for stream, passes, version in ((B, new, 0), (A, old, 2)):
        if passes:
            (stored,) = log.append([part(stream, expected=expected)])
            assert stored.version == version + 1
        else:
            with pytest.raises(VersionConflictError) as raised:
                log.append([part(stream, expected=expected)])
            assert (raised.value.stream, raised.value.actual) == (stream, version)
            assert log.stream_version(stream) == version


def test_a_conflict_in_the_last_part_leaves_nothing_of_the_others(log: EventLog) -> None:
    log.append([part(A)])
    with pytest.raises(VersionConflictError):
        log.append([part(B, b"1", b"2"), part(A, b"3", expected=7)], append_id=uuid4())
    assert (log.head(), log.stream_version(B), log.streams()) == (1, 0, [A])
    (stored,) = log.append([part(B)])
    assert (stored.position, stored.version) == (2, 1)


def test_a_refused_append_id_is_free_again(log: EventLog) -> None:
    append_id = uuid4()
    with pytest.raises(VersionConflictError):
        log.append([part(A, expected=3)], append_id=append_id)
    (stored,) = log.append([part(A, b"other")], append_id=append_id)
    assert stored.position == 1


def test_a_repeat_with_an_append_id_answers_the_first_events(log: EventLog) -> None:
    log.append([part(C)])
    append_id = uuid4()
    first = log.append([part(A, b"1", b"2", expected=0), part(B, b"3")], append_id=append_id)
    log.append([part(C), part(A)])
    # the writer started again: new event ids, and an expectation that no longer holds
    again = log.append([part(A, b"1", b"2", expected=0), part(B, b"3")], append_id=append_id)
    assert again == first
    assert log.head() == 6


@pytest.mark.parametrize(
    "other",
    [
        [part(A, b"1")],
        [part(A, b"1", b"x"), part(B, b"3")],
        [part(A, b"1", b"2"), part(C, b"3")],
        [part(A, b"1", b"2", b"3")],
        [part(B, b"3"), part(A, b"1", b"2")],
        [part(A, b"1", b"2", type_name="Other"), part(B, b"3")],
        [part(A, b"12"), part(B, b"3")],
        [part(A, b"1", b"2"), part(B, b"3"), part(C)],
    ],
)
def test_an_append_id_is_refused_for_other_events(log: EventLog, other: list[StreamAppend]) -> None:
    append_id = uuid4()
    log.append([part(A, b"1", b"2"), part(B, b"3")], append_id=append_id)
    with pytest.raises(AppendIdReusedError):
        log.append(other, append_id=append_id)
    assert log.head() == 3


def test_another_schema_is_another_event_for_an_append_id(log: EventLog) -> None:
    append_id = uuid4()
    log.append([part(A)], append_id=append_id)
    newer = replace(proposed(), schema=2)
    with pytest.raises(AppendIdReusedError):
        log.append([StreamAppend(stream=A, events=(newer,))], append_id=append_id)


def test_the_same_events_under_two_append_ids_are_appended_twice(log: EventLog) -> None:
    for _ in range(2):
        log.append([part(A, b"1")], append_id=uuid4())
        log.append([part(A, b"1")])
    assert log.stream_version(A) == 4


def test_an_event_id_is_taken_once(log: EventLog) -> None:
    event = proposed()
    log.append([StreamAppend(stream=A, events=(event,))])
    with pytest.raises(EventIdReusedError):
        log.append([part(C), StreamAppend(stream=B, events=(proposed(), event))])
    assert (log.head(), log.streams()) == (1, [A])


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "without parts"),
        ([StreamAppend(stream=A, events=())], "without events"),
        ([part(A), part(B), part(A)], "each stream once"),
        ([part(StreamName(""))], "by a name"),
        ([part(A, expected=-1)], "no stream has version -1"),
        ([StreamAppend(stream=A, events=(TWICE, TWICE))], "each event once"),
        ([StreamAppend(stream=A, events=(proposed(time=WHEN.replace(tzinfo=None)),))], "with an offset"),
    ],
)
def test_a_request_without_sense_is_the_callers_mistake(
    log: EventLog, parts: list[StreamAppend], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        log.append(parts)
    assert log.head() == 0


def test_reads_start_after_a_position_and_keep_to_a_limit(log: EventLog) -> None:
    log.append([part(A, *[b"%d" % number for number in range(10)])])
    assert [event.position for event in log.read(after=7)] == [8, 9, 10]
    assert [event.position for event in log.read(after=2, limit=3)] == [3, 4, 5]
    assert [event.position for event in log.read(after=-5, limit=2)] == [1, 2]
    assert log.read(after=10) == log.read(after=99) == log.read(limit=0) == []
    with pytest.raises(ValueError, match="negative"):
        log.read(limit=-1)


def test_reads_are_filtered_by_stream_and_type(log: EventLog) -> None:
    log.append([part(A, b"1", type_name="X"), part(B, b"2", b"3", type_name="Y")])
    log.append([part(B, b"4", type_name="X"), part(A, b"5", type_name="Y")])

    def found(**filters: object) -> list[int]:
        return [event.position for event in log.read(**filters)]  # type: ignore[arg-type]  # any mix of filters

    assert found(stream=A) == [1, 5]
    assert found(type_name="Y") == [2, 3, 5]
    assert found(stream=B, type_name="X") == [4]
    assert found(stream=B, after=2) == [3, 4]
    assert found(stream=B, after=2, limit=1) == [3]
    assert found(type_name="Y", after=1, limit=2) == [2, 3]
    assert found(stream=C) == found(type_name="Z") == found(stream=C, type_name="X") == []


def test_a_stream_is_read_after_a_version(log: EventLog) -> None:
    log.append([part(B, b"0"), part(A, b"1", b"2")])
    log.append([part(A, b"3")])
    assert [event.data for event in log.read_stream(A)] == [b"1", b"2", b"3"]
    assert [event.version for event in log.read_stream(A, after_version=1)] == [2, 3]
    assert [event.version for event in log.read_stream(A, after_version=-1)] == [1, 2, 3]
    assert log.read_stream(A, after_version=3) == []


def test_streams_are_listed_by_prefix_in_order(log: EventLog) -> None:
    names = ["release/b", "release/a", "environment/a/b", "Release/a", "release/ä", "release_x", "releas%"]
    for name in names:
        log.append([part(StreamName(name))])
    assert log.streams() == sorted(names)
    assert log.streams("release/") == ["release/a", "release/b", "release/ä"]
    assert log.streams("releas%") == ["releas%"]
    assert log.streams("release/ä") == ["release/ä"]
    assert log.streams("tenant/") == []


def test_a_list_that_was_read_is_the_readers_own(log: EventLog) -> None:
    log.append([part(A)])
    log.read_stream(A).clear()
    log.read().clear()
    assert len(log.read_stream(A)) == len(log.read()) == 1


def test_lineages_differ_between_logs(tmp_path: Path) -> None:
    lineages = set[str]()
    for adapter in ADAPTERS:
        for number in range(3):
            with opened(adapter, tmp_path / str(number)) as log:
                assert log.lineage == log.lineage
                lineages.add(log.lineage)
    assert len(lineages) == 6


def test_each_event_is_chained_to_the_one_before(log: EventLog) -> None:
    first = log.anchor()
    assert (first.position, first.lineage, len(first.log_id)) == (0, log.lineage, 32)
    assert first.hash == genesis(log_id=first.log_id, lineage=first.lineage)
    stored = log.append([part(A, b"1", b"2"), part(B, b"3")]) + log.append([part(A, b"4")])
    previous, rows = first.hash, log.rows()
    for event, row in zip(stored, rows, strict=True):
        assert fits(row, previous=previous)
        assert row == row_of(event, previous=previous)
        previous = cast("bytes", row.hash)
        assert log.anchor(row.position) == replace(first, position=row.position, hash=previous)
    assert log.anchor() == log.anchor(4)
    assert log.anchor(0) == first


def test_rows_are_read_in_pages(log: EventLog) -> None:
    log.append([part(A, b"1", b"2", b"3")])
    assert [row.position for row in log.rows(after=1)] == [2, 3]
    assert [row.data for row in log.rows(after=1, limit=1)] == [b"2"]
    assert log.rows(after=3) == log.rows(limit=0) == []
    with pytest.raises(ValueError, match="negative"):
        log.rows(limit=-1)


@pytest.mark.parametrize("position", [-1, 3])
def test_there_is_no_place_in_the_chain_without_an_event(log: EventLog, position: int) -> None:
    log.append([part(A, b"1", b"2")])
    with pytest.raises(ValueError, match=f"no event {position}"):
        log.anchor(position)


def test_a_broken_log_can_be_read_and_takes_nothing_until_it_is_cleared(log: EventLog) -> None:
    log.append([part(A)])
    assert log.problem() is None
    problem = LogProblem(position=1, kind="edit", detail="„data“ differs")
    log.mark_broken(LogProblem(position=7, kind="drop", detail="an earlier one"))
    log.mark_broken(problem)
    with pytest.raises(LogBrokenError) as raised:
        log.append([part(A)])
    assert (raised.value.code, raised.value.problem) == ("log-broken", problem)
    assert "edit at position 1: „data“ differs" in raised.value.why
    assert "log fork --reason" in raised.value.next
    assert (log.problem(), log.head(), len(log.read())) == (problem, 1, 1)
    log.clear_broken()
    assert log.problem() is None
    assert log.append([part(A)])[0].position == 2


def test_times_may_go_back_from_one_event_to_the_next(log: EventLog) -> None:
    times = [WHEN, WHEN - timedelta(days=400), WHEN - timedelta(microseconds=1)]
    for time_ in times:
        log.append([StreamAppend(stream=A, events=(proposed(time=time_),))])
    assert [event.time for event in log.read()] == times
    assert [event.position for event in log.read()] == [1, 2, 3]


def test_waiting_ends_at_once_when_the_head_is_beyond(log: EventLog) -> None:
    log.append([part(A, b"1", b"2")])
    started = time.monotonic()
    assert log.wait_for(1, 30) == 2
    assert time.monotonic() - started < 5


def test_waiting_ends_with_its_time(log: EventLog) -> None:
    log.append([part(A)])
    started = time.monotonic()
    assert log.wait_for(1, 0.12) == 1
    assert 0.1 < time.monotonic() - started < 5
    assert log.wait_for(5, 0) == 1


def test_an_append_wakes_whoever_waits(log: EventLog) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(log.wait_for, 1, 30)
        log.append([part(A)])
        log.append([part(A)])
        assert waiting.result(timeout=5) == 2


def test_a_closed_log_refuses_every_call(log: EventLog) -> None:
    log.append([part(A)])
    log.close()
    log.close()
    calls = (
        log.head,
        log.read,
        log.streams,
        lambda: log.append([part(A)]),
        lambda: log.stream_version(A),
        lambda: log.read_stream(A),
        lambda: log.wait_for(0, 0),
        log.rows,
        log.anchor,
        log.problem,
        log.clear_broken,
    )
    for call in calls:
        with pytest.raises(OutsideError) as raised:
            call()
        assert raised.value.code == LOG_UNAVAILABLE


def test_a_log_that_was_closed_before_its_first_append_takes_none(log: EventLog) -> None:
    log.close()
    with pytest.raises(OutsideError) as raised:
        log.append([part(A)])
    assert raised.value.code == LOG_UNAVAILABLE


def test_closing_ends_a_wait(log: EventLog) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(log.wait_for, 0, 30)
        time.sleep(0.02)  # mostly lets the wait begin; the test holds either way
        log.close()
        with pytest.raises(OutsideError):
            waiting.result(timeout=5)


def test_of_many_writers_with_one_expectation_one_wins(log: EventLog) -> None:
    start = threading.Barrier(8)

    def attempt(number: int) -> bool:
        start.wait(timeout=10)
        try:
            log.append([part(A, b"%d" % number, expected=0)])
        except VersionConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert log.stream_version(A) == 1


def test_followers_from_a_checkpoint_miss_nothing_while_threads_write(log: EventLog) -> None:
    writers, appends, followers = 4, 30, 2
    total = writers * appends * 2

    def write(writer: int) -> None:
        for number in range(appends):
            log.append([part(StreamName(f"host/{writer}"), b"%d" % number), part(A)])

    def follow(page: int) -> list[StoredEvent]:
        seen: list[StoredEvent] = []
        while len(seen) < total:
            checkpoint = seen[-1].position if seen else 0
            assert log.wait_for(checkpoint, 20) > checkpoint
            seen += log.read(after=checkpoint, limit=page)
        return seen

    with ThreadPoolExecutor(writers + followers) as pool:
        following = [pool.submit(follow, page) for page in (1, 7)]
        for writing in [pool.submit(write, writer) for writer in range(writers)]:
            writing.result(timeout=60)
        for result in following:
            assert result.result(timeout=60) == log.read()
    events = log.read()
    assert [event.position for event in events] == list(range(1, total + 1))
    assert [event.version for event in events if event.stream == A] == list(range(1, total // 2 + 1))
