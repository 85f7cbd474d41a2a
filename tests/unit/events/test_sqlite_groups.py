"""Appends of many threads in one commit: each has its own answer, whatever becomes of the others."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from events.envelope import StoredEvent
from events.kernel.errors import OutsideError
from events.log import AppendIdReusedError, EventIdReusedError, Expect, StreamAppend, VersionConflictError
from events.raw_log import raw_log
from events.reserve import PART_BYTES, Reserve
from events.sqlite import SqliteEventLog
from events.streams import StreamName
from events.tokens import LockLostError, Token
from events.verify import Verifier
from tests.contract.event_log import A, B, part, proposed
from tests.support.disks import Disk, mounted

SECONDS = 60.0
_RESERVE_BYTES = 1024 * 1024
Append = tuple[Sequence[StreamAppend], UUID | None]
Answer = Future[tuple[StoredEvent, ...]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", size_bytes=4 * _RESERVE_BYTES) as made:
        yield made


@contextmanager
def another_has_the_turn(path: Path) -> Generator[None]:
    """What a process does that writes to the same log."""
    with path.with_name(f"{path.name}-lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(SECONDS / 0.005)):
        if holds():
            return
        pause.wait(0.005)
    raise TimeoutError


def together(
    log: SqliteEventLog, path: Path, appends: Sequence[Append], *, first: str = "Tested"
) -> list[Answer]:
    """All appends in one batch, in this order, after a first one that only keeps the thread busy."""
    with ThreadPoolExecutor(len(appends) + 1) as pool:
        with another_has_the_turn(path):
            pool.submit(log.append, [part(StreamName("host/first"), type_name=first)])
            until(lambda: log.busy)
            answers: list[Answer] = []
            for parts, append_id in appends:
                answers.append(pool.submit(log.append, parts, append_id=append_id))
                until(lambda: log.queued == len(answers))
        for answer in answers:
            answer.exception(SECONDS)
        return answers


def commits(path: Path) -> int:
    """How many commits stand in the write-ahead log: frames that say how large the file is with them."""
    content = path.with_name(f"{path.name}-wal").read_bytes()
    page_bytes = int.from_bytes(content[8:12], "big")
    frames = range(32, len(content), 24 + page_bytes)
    return sum(content[frame + 4 : frame + 8] != bytes(4) for frame in frames)


def test_appends_that_wait_share_a_commit_and_those_that_are_refused_are_refused_alone(
    tmp_path: Path,
) -> None:
    path, again, known = tmp_path / "events.db", uuid4(), proposed()
    with closing(SqliteEventLog(path)) as log:
        log.append([StreamAppend(stream=StreamName("host/known"), events=(known,))])
        before = commits(path)
        answers = together(
            log,
            path,
            [
                ([part(A, b"1", expected=0)], None),
                ([part(A, b"lost", expected=0)], None),
                ([part(A, b"2", expected=1), part(B, b"3")], again),
                ([part(A, b"2", expected=1), part(B, b"3")], again),
                ([part(A, b"other")], again),
                ([part(B), StreamAppend(stream=A, events=(known,))], None),
                ([replace(part(A), token=Token(name="shop/prod", number=1))], None),
                ([part(B, b"4", expected=1)], None),
            ],
        )
        errors = [type(answer.exception()) for answer in answers]
        assert errors == [
            type(None),
            VersionConflictError,
            type(None),
            type(None),
            AppendIdReusedError,
            EventIdReusedError,
            LockLostError,
            type(None),
        ]
        assert answers[2].result() == answers[3].result()
        assert [event.data for event in log.read(after=2)] == [b"1", b"2", b"3", b"4"]
        assert log.append([part(A, b"2"), part(B, b"3")], append_id=again) == answers[2].result()
        assert commits(path) == before + 2


def test_appends_of_one_commit_see_what_those_before_them_add(tmp_path: Path) -> None:
    path, again, twice, refused = tmp_path / "events.db", uuid4(), proposed(), uuid4()
    new, other = StreamName("host/new"), StreamName("host/other")
    with closing(SqliteEventLog(path)) as log:
        answers = together(
            log,
            path,
            [
                ([part(new, b"1", b"2", expected=Expect.NO_STREAM)], None),
                ([part(new, b"lost", expected=Expect.NO_STREAM)], None),
                ([part(new, b"3", expected=2), part(other, b"4")], None),
                ([StreamAppend(stream=A, events=(twice,))], None),
                ([StreamAppend(stream=B, events=(proposed(), twice))], again),
                ([part(B, b"5", expected=0)], again),
                ([part(other, b"lost", expected=Expect.NO_STREAM)], refused),
                ([part(new, b"6", expected=Expect.EXISTS)], refused),
            ],
        )
        errors = [type(answer.exception()) for answer in answers]
        fine = type(None)
        assert errors == [
            fine,
            VersionConflictError,
            fine,
            fine,
            EventIdReusedError,
            fine,
            VersionConflictError,
            fine,
        ]
        assert [event.data for event in log.read(stream=new)] == [b"1", b"2", b"3", b"6"]
        assert [event.version for event in log.read(stream=new)] == [1, 2, 3, 4]
        assert [event.data for event in log.read(stream=B)] == [b"5"]
        assert [event.position for event in log.read()] == list(range(1, 9))
        ends = [(log.stream_version(name), name) for name in (new, other, A, B)]
        assert ends == [(4, new), (1, other), (1, A), (1, B)]
        assert log.append([part(new, b"7", expected=4)])[0].version == 5
        with raw_log(path) as raw:
            assert Verifier(raw=raw).verdict().ok


def test_a_thousand_events_and_streams_are_checked_to_the_last_one(tmp_path: Path) -> None:
    names = [StreamName(f"host/{number}") for number in range(1001)]
    with closing(SqliteEventLog(tmp_path / "events.db")) as log:
        stored = log.append([part(name, expected=Expect.NO_STREAM) for name in names])
        assert [event.stream for event in stored] == names
        with pytest.raises(VersionConflictError, match="host/1000"):
            log.append(
                [
                    *[part(name, expected=1) for name in names[:-1]],
                    part(names[-1], expected=Expect.NO_STREAM),
                ]
            )
        again = replace(proposed(), id=stored[-1].id)
        with pytest.raises(EventIdReusedError):
            log.append([StreamAppend(stream=A, events=(*[proposed() for _ in names], again))])
        assert log.head() == 1001
        more = log.append([part(name, expected=1) for name in names])
        assert {event.version for event in more} == {2}


def test_what_cannot_be_stored_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    impossible = StreamAppend(stream=A, events=(replace(proposed(), schema=2**70),))
    with closing(SqliteEventLog(path)) as log:
        log.append([part(B)])
        good, bad, more = together(
            log, path, [([part(A, b"1")], None), ([impossible], None), ([part(A, b"2")], None)]
        )
        assert bad.exception() is not None
        assert [one.result()[0].version for one in (good, more)] == [1, 2]
        assert [event.position for event in log.read()] == [1, 2, 3, 4]


def test_on_a_full_disk_what_is_vital_is_written_and_what_waits_with_it_is_not(disk: Disk) -> None:
    path, reserve = disk.folder / "events.db", Reserve(disk.folder / "reserve", size_bytes=_RESERVE_BYTES)
    reserve.make()
    big = b'"' + b"x" * PART_BYTES + b'"'
    with closing(SqliteEventLog(path, reserve=reserve)) as log:
        log.append([part(A)])
        disk.fill()
        before, vital, after = together(
            log,
            path,
            [
                ([part(A, big)], None),
                ([part(A, big, type_name="RollbackRequested")], None),
                ([part(A, big)], None),
            ],
        )
        assert vital.result()[0].type == "RollbackRequested"
        assert all(isinstance(one.exception(), OutsideError) for one in (before, after))
        assert "RollbackRequested" in [event.type for event in log.read()]


def test_together_as_alone_nothing_new_is_begun_without_a_reserve(disk: Disk) -> None:
    path, reserve = disk.folder / "events.db", Reserve(disk.folder / "reserve", size_bytes=_RESERVE_BYTES)
    with closing(SqliteEventLog(path, reserve=reserve)) as log:
        log.append([part(A, type_name="RollbackRequested")])
        reserve.free()
        (disk.folder / "ballast").write_bytes(bytes(int(2.3 * _RESERVE_BYTES)))  # room, but not for a reserve
        one, vital, other = together(
            log,
            path,
            [
                ([part(B)], None),
                ([part(B, type_name="RollbackRequested")], None),
                ([part(A)], None),
            ],
            first="RollbackRequested",
        )
        for refused in (one, other):
            assert "nothing new is begun" in str(refused.exception())
        assert vital.result()[0].version == 1


def test_a_process_that_is_stopped_in_its_turn_is_an_error_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with closing(SqliteEventLog(path, wait_seconds=0.1)) as log:
        log.append([part(A)])
        with another_has_the_turn(path), pytest.raises(OutsideError, match=r"kept events\.db-lock") as raised:
            log.append([part(A)])
        assert raised.value.code == "log-unavailable"
        assert "stopped or stuck" in raised.value.next
        assert log.append([part(A)])[0].position == 2


@pytest.mark.slow
def test_a_file_above_a_gibibyte_is_appended_to_opened_and_verified(tmp_path: Path) -> None:
    path, big = tmp_path / "events.db", b"x" * (8 * 2**20)
    with closing(SqliteEventLog(path)) as log:
        for number in range(66):
            log.append([part(A, b"%d" % number + big, big)])
        end = log.anchor()
    assert path.stat().st_size > 2**30
    with closing(SqliteEventLog(path)) as log:
        assert (log.anchor(), log.head()) == (end, 132)
        assert [row.position for row in log.rows(after=130)] == [131, 132]
        (stored,) = log.append([part(B)])
        assert (stored.position, log.read(stream=B)) == (133, [stored])
        assert [len(event.data) for event in log.read(after=64, limit=2)] == [len(big) + 2, len(big)]
