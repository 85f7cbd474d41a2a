"""What waits is written together, nobody waits for ever, and everybody gets an answer."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from events.group_commit import (
    BATCH_SIZE,
    ClosedError,
    FullError,
    Group,
    GroupCommit,
    UnansweredError,
    Waiting,
)

SECONDS = 30.0  # for what happens at once on any machine


class Store:
    """Doubles numbers, and does so when it may."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Semaphore(0)  # once for each commit
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.late = threading.Event()  # what the number 99 waits for

    def commit(self, batch: Sequence[Waiting[int, int]]) -> None:
        self.batches.append([waiting.request for waiting in batch])
        self.began.release()
        assert self.goes_on.wait(SECONDS)
        assert 99 not in self.batches[-1] or self.late.wait(SECONDS)
        for waiting in batch:
            if waiting.request < 0:
                waiting.fail(ValueError(f"refused: {waiting.request}"))
            elif waiting.request == 0:
                raise OSError("the disk is gone")
            else:
                waiting.give(2 * waiting.request)


def writer(
    store: Store, *, queue_size: int = 1000, room_seconds: float = SECONDS, answer_seconds: float = SECONDS
) -> GroupCommit[int, int]:
    return GroupCommit(
        store.commit,
        name="test writer",
        queue_size=queue_size,
        room_seconds=room_seconds,
        answer_seconds=answer_seconds,
    )


@contextmanager
def held(store: Store, commit: GroupCommit[int, int], pool: ThreadPoolExecutor) -> Generator[Future[int]]:
    """Somebody stands in a commit of the number 1; whatever is asked meanwhile waits in the queue."""
    store.goes_on.clear()
    try:
        first = pool.submit(commit.ask, 1)
        assert store.began.acquire(timeout=SECONDS)
        yield first
    finally:
        store.goes_on.set()


def until_queued(commit: GroupCommit[int, int], count: int) -> None:
    """Wait until so many requests are in the queue."""
    turn = threading.Event()
    for _ in range(int(SECONDS / 0.005)):
        if commit.waiting == count:
            return
        turn.wait(0.005)
    raise TimeoutError(f"{commit.waiting} of {count} are queued")


def test_what_comes_while_the_disk_is_busy_is_written_together() -> None:
    store = Store()
    commit = writer(store)
    with ThreadPoolExecutor(20) as pool:
        with held(store, commit, pool) as first:
            asked = [pool.submit(commit.ask, number) for number in range(2, 12)]
            until_queued(commit, 10)
        assert first.result(SECONDS) == 2
        assert [one.result(SECONDS) for one in asked] == [2 * number for number in range(2, 12)]
    assert [len(batch) for batch in store.batches] == [1, 10]
    commit.close()


def test_a_batch_has_a_bound() -> None:
    store = Store()
    commit = writer(store)
    count = BATCH_SIZE + 7
    with ThreadPoolExecutor(count + 1) as pool:
        with held(store, commit, pool):
            asked = [pool.submit(commit.ask, 3) for _ in range(count)]
            until_queued(commit, count)
        assert {one.result(SECONDS) for one in asked} == {6}
    assert [len(batch) for batch in store.batches] == [1, BATCH_SIZE, 7]
    commit.close()


def test_one_that_is_refused_is_refused_alone() -> None:
    store = Store()
    commit = writer(store)
    with ThreadPoolExecutor(4) as pool:
        with held(store, commit, pool):
            good, bad = pool.submit(commit.ask, 4), pool.submit(commit.ask, -4)
            until_queued(commit, 2)
        assert good.result(SECONDS) == 8
        with pytest.raises(ValueError, match="refused: -4"):
            bad.result(SECONDS)
    commit.close()


def test_a_commit_that_fails_answers_everybody_and_the_next_one_is_made() -> None:
    store = Store()
    commit = writer(store)
    with ThreadPoolExecutor(4) as pool:
        with held(store, commit, pool):
            asked = [pool.submit(commit.ask, 0) for _ in range(3)]
            until_queued(commit, 3)
        for one in asked:
            with pytest.raises(OSError, match="the disk is gone"):
                one.result(SECONDS)
    assert commit.ask(5) == 10
    commit.close()


def test_a_full_queue_is_said_and_what_was_in_it_is_written() -> None:
    store = Store()
    commit = writer(store, queue_size=2, room_seconds=0.05)
    with ThreadPoolExecutor(4) as pool:
        with held(store, commit, pool):
            asked = [pool.submit(commit.ask, number) for number in (2, 3)]
            until_queued(commit, 2)
            with pytest.raises(FullError):
                commit.ask(4)
        assert [one.result(SECONDS) for one in asked] == [4, 6]
    assert commit.ask(7) == 14
    assert sorted(number for batch in store.batches for number in batch) == [1, 2, 3, 7]
    commit.close()


def test_who_waits_for_room_gets_it_when_there_is_some() -> None:
    store = Store()
    commit = writer(store, queue_size=1)
    with ThreadPoolExecutor(4) as pool:
        with held(store, commit, pool):
            asked = [pool.submit(commit.ask, number) for number in (2, 3, 4)]
            until_queued(commit, 1)
        assert [one.result(SECONDS) for one in asked] == [4, 6, 8]
    commit.close()


def test_who_gets_no_answer_in_time_takes_back_what_was_not_begun_and_else_knows_no_end() -> None:
    store = Store()
    commit = writer(store, answer_seconds=0.3)
    with ThreadPoolExecutor(4) as pool:
        with held(store, commit, pool), pytest.raises(FullError):
            commit.ask(9)
        with held(store, commit, pool):
            late = pool.submit(commit.ask, 99)
            until_queued(commit, 1)
        with pytest.raises(UnansweredError):
            late.result(SECONDS)
        store.late.set()
    commit.close()
    assert 9 not in [number for batch in store.batches for number in batch]


def test_who_gives_up_keeps_nobody_behind_the_door() -> None:
    group, gone, late = Group[int, int](), Waiting[int, int](1), Waiting[int, int](2)
    assert not group.wait(gone, 0.01)
    with ThreadPoolExecutor(2) as pool:
        waits = pool.submit(group.wait, late, SECONDS)
        gone.give(2)
        late.give(4)
        group.open(answered=2)  # for one of whom nobody comes any more
        assert waits.result(SECONDS)
    assert group.wait(gone, 0)
    assert (gone.result(), late.result()) == (2, 4)


def test_the_writer_goes_on_when_all_whom_it_answered_are_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.group_commit._LEAVE_SECONDS", SECONDS)
    group, first, last = Group[int, int](), Waiting[int, int](1), Waiting[int, int](2)
    with ThreadPoolExecutor(3) as pool:
        opened = pool.submit(group.open, answered=2)
        waits = pool.submit(group.wait, first, SECONDS)
        assert not waits.result(SECONDS)  # through, and nobody has answered it
        assert not opened.done()
        assert not group.wait(last, SECONDS)
        opened.result(SECONDS)


def test_who_is_answered_before_it_waits_goes_through_the_door_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.group_commit._LEAVE_SECONDS", SECONDS)
    group, early = Group[int, int](), Waiting[int, int](1)
    early.give(2)
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(group.open, answered=1)
        assert group.wait(early, SECONDS)
        opened.result(SECONDS / 2)


def test_no_commit_follows_while_one_of_those_who_were_answered_is_held_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_the_door, goes_on, go_through = threading.Semaphore(0), threading.Event(), Group[int, int].go_through

    def go_through_late(group: Group[int, int]) -> None:
        at_the_door.release()
        assert goes_on.wait(SECONDS)
        go_through(group)

    monkeypatch.setattr("events.group_commit._LEAVE_SECONDS", SECONDS)
    monkeypatch.setattr(Group, "go_through", go_through_late)
    store = Store()
    commit = writer(store)
    with ThreadPoolExecutor(4) as pool:
        with held(store, commit, pool):
            answered = [pool.submit(commit.ask, number) for number in (2, 3)]
            until_queued(commit, 2)
        assert at_the_door.acquire(timeout=SECONDS)
        following = pool.submit(commit.ask, 4)
        until_queued(commit, 1)
        threading.Event().wait(0.1)  # in which it would be written
        assert [sorted(batch) for batch in store.batches] == [[1], [2, 3]]
        goes_on.set()
        assert [one.result(SECONDS) for one in (*answered, following)] == [4, 6, 8]
    commit.close()


def test_an_answer_is_found_also_when_the_word_of_it_was_lost() -> None:
    group, one = Group[int, int](), Waiting[int, int](1)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(group.wait, one, SECONDS)
        threading.Event().wait(0.05)  # by now it stands before the door
        one.give(2)  # and nobody opens
        assert waits.result(SECONDS / 2)


def test_closing_writes_what_waits_and_takes_nothing_more() -> None:
    store = Store()
    commit = writer(store)
    with ThreadPoolExecutor(4) as pool:
        with held(store, commit, pool):
            asked = pool.submit(commit.ask, 2)
            until_queued(commit, 1)
            closing = pool.submit(commit.close)
        assert asked.result(SECONDS) == 4
        closing.result(SECONDS)
    with pytest.raises(ClosedError):
        commit.ask(3)
    commit.close()
    assert not any(thread.name == "test writer" for thread in threading.enumerate())


def test_closing_has_a_deadline() -> None:
    store = Store()
    commit = writer(store)
    late = pytest.raises(TimeoutError, match="test writer has not ended")
    with ThreadPoolExecutor(4) as pool, held(store, commit, pool), late:
        commit.close(wait_seconds=0.05)
    commit.close()


def test_a_process_without_two_requests_at_a_time_has_no_thread_for_them() -> None:
    store = Store()
    commit = writer(store)
    assert [commit.ask(number) for number in (1, 2, 3)] == [2, 4, 6]
    assert not any(thread.name == "test writer" for thread in threading.enumerate())
    assert (commit.busy, commit.waiting) == (False, 0)
    commit.close()


def test_an_interrupt_of_whoever_writes_for_itself_is_its_own() -> None:
    def interrupted(_batch: Sequence[Waiting[int, int]]) -> None:
        raise KeyboardInterrupt

    commit = GroupCommit[int, int](interrupted, name="test writer")
    with pytest.raises(KeyboardInterrupt):
        commit.ask(1)
    assert not commit.busy
    commit.close()
