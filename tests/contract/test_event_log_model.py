"""Each adapter of the log against a plain list, through random histories.

The model is a list of `(stream, type, data)` in the order of appends; everything the log answers is
computed from it anew. What the machine finds is shrunk to the shortest history that shows it.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from events.broken import LogBrokenError, LogProblem
from events.envelope import StoredEvent
from events.log import (
    AppendIdReusedError,
    EventIdReusedError,
    EventLog,
    Expect,
    StreamAppend,
    VersionConflictError,
)
from events.memory import MemoryEventLog
from events.rows import fits
from events.sqlite import SqliteEventLog
from events.streams import StreamName
from tests.contract.event_log import part, proposed

STREAMS = tuple(StreamName(name) for name in ("environment/a/b", "environment/a/bc", "release/1", "log"))
TYPES = ("X", "Y")

streams = st.sampled_from(STREAMS)
types = st.sampled_from(TYPES)
data = st.sampled_from([b"{}", b'{"a":1}', b'{"a":2}'])
expectations = st.one_of(st.sampled_from(Expect), st.integers(0, 6))
parts = st.lists(
    st.tuples(streams, st.lists(data, min_size=1, max_size=3), expectations, types),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one[0],
)
append_ids = st.sampled_from([UUID(int=number) for number in range(1, 4)])
Parts = Sequence[tuple[StreamName, list[bytes], int | Expect, str]]
Content = tuple[StreamName, str, bytes]


class LogMachine(RuleBasedStateMachine):
    """A log and the list it must be equal to."""

    def __init__(self) -> None:
        super().__init__()
        self.model: list[Content] = []
        self.answers: dict[UUID, tuple[Parts, tuple[StoredEvent, ...]]] = {}
        self.log = self.open()

    @abstractmethod
    def open(self) -> EventLog:
        """The log under test."""

    def version(self, stream: StreamName) -> int:
        return sum(name == stream for name, _, _ in self.model)

    def passes(self, wanted: Parts) -> bool:
        """Whether all expectations hold, in the words of the port."""
        return all(
            expected is Expect.ANY
            or (expected is Expect.NO_STREAM and self.version(stream) == 0)
            or (expected is Expect.EXISTS and self.version(stream) > 0)
            or expected == self.version(stream)
            for stream, _, expected, _ in wanted
        )

    def proposal(self, wanted: Parts) -> list[StreamAppend]:
        return [
            part(stream, *contents, expected=expected, type_name=name)
            for stream, contents, expected, name in wanted
        ]

    def accepted(self, wanted: Parts, stored: tuple[StoredEvent, ...]) -> None:
        """Enter what was appended into the model and compare the answer with it."""
        start = len(self.model)
        versions = {stream: self.version(stream) for stream, _, _, _ in wanted}
        self.model += [(stream, name, one) for stream, contents, _, name in wanted for one in contents]
        assert [event.position for event in stored] == list(range(start + 1, len(self.model) + 1))
        assert [content(event) for event in stored] == self.model[start:]
        for event in stored:
            versions[event.stream] += 1
            assert event.version == versions[event.stream]

    @initialize()
    def is_empty(self) -> None:
        assert self.log.head() == 0

    @rule(wanted=parts)
    def append(self, wanted: Parts) -> None:
        if self.passes(wanted):
            self.accepted(wanted, self.log.append(self.proposal(wanted)))
        else:
            with pytest.raises(VersionConflictError):
                self.log.append(self.proposal(wanted))

    @rule(batch=st.lists(parts, min_size=2, max_size=5))
    def append_from_threads(self, batch: list[Parts]) -> None:
        """Several threads append at once, in an order that nobody knows: some order explains all answers."""
        start = threading.Barrier(len(batch))

        def attempt(wanted: Parts) -> tuple[StoredEvent, ...] | None:
            start.wait(timeout=30)
            try:
                return self.log.append(self.proposal(wanted))
            except VersionConflictError:
                return None

        with ThreadPoolExecutor(len(batch)) as pool:
            answers = list(zip(batch, pool.map(attempt, batch), strict=True))
        refused = [wanted for wanted, stored in answers if stored is None]
        taken = [(stored[0].position, wanted, stored) for wanted, stored in answers if stored is not None]
        for _, wanted, stored in sorted(taken, key=lambda one: one[0]):
            refused = [one for one in refused if self.passes(one)]
            assert self.passes(wanted)
            self.accepted(wanted, stored)
        assert not [one for one in refused if self.passes(one)], "refused, and it was right all the time"

    @rule(wanted=parts)
    def append_to_a_broken_log(self, wanted: Parts) -> None:
        problem = LogProblem(position=1, kind="edit", detail="not as it was")
        self.log.mark_broken(problem)
        with pytest.raises(LogBrokenError):
            self.log.append(self.proposal(wanted))
        assert self.log.problem() == problem
        self.log.clear_broken()

    @rule(wanted=parts, append_id=append_ids)
    def append_with_id(self, wanted: Parts, append_id: UUID) -> None:
        if append_id in self.answers:
            first, stored = self.answers[append_id]
            if meaning(wanted) == meaning(first):
                assert self.log.append(self.proposal(wanted), append_id=append_id) == stored
            else:
                with pytest.raises(AppendIdReusedError):
                    self.log.append(self.proposal(wanted), append_id=append_id)
        elif self.passes(wanted):
            stored = self.log.append(self.proposal(wanted), append_id=append_id)
            self.accepted(wanted, stored)
            self.answers[append_id] = (wanted, stored)
        else:
            with pytest.raises(VersionConflictError):
                self.log.append(self.proposal(wanted), append_id=append_id)

    @rule(append_id=append_ids)
    def repeat(self, append_id: UUID) -> None:
        if append_id in self.answers:
            wanted, stored = self.answers[append_id]
            assert self.log.append(self.proposal(wanted), append_id=append_id) == stored

    @rule(stream=streams, choose=st.integers(0, 100))
    def repeat_an_event(self, stream: StreamName, choose: int) -> None:
        if self.model:
            event_id = self.log.read()[choose % len(self.model)].id
            events = (proposed(), proposed(event_id=event_id))
            with pytest.raises(EventIdReusedError):
                self.log.append([StreamAppend(stream=stream, events=events)])

    @rule(
        after=st.integers(-1, 12),
        limit=st.one_of(st.none(), st.integers(0, 5)),
        stream=st.one_of(st.none(), streams),
        name=st.one_of(st.none(), types),
    )
    def read(self, after: int, limit: int | None, stream: StreamName | None, name: str | None) -> None:
        wanted = [
            (position, one)
            for position, one in enumerate(self.model, start=1)
            if position > after and stream in {None, one[0]} and name in {None, one[1]}
        ]
        found = self.log.read(after=after, limit=limit, stream=stream, type_name=name)
        assert [(event.position, content(event)) for event in found] == wanted[:limit]

    @rule(stream=streams, after_version=st.integers(-1, 6))
    def read_stream(self, stream: StreamName, after_version: int) -> None:
        wanted = [one for one in self.model if one[0] == stream][max(after_version, 0) :]
        found = self.log.read_stream(stream, after_version=after_version)
        assert [content(event) for event in found] == wanted

    @rule(prefix=st.sampled_from(["", "environment/a/b", "environment/a/bc", "log", "x"]))
    def list_streams(self, prefix: str) -> None:
        names = {name for name, _, _ in self.model}
        assert self.log.streams(prefix) == sorted(name for name in names if name.startswith(prefix))

    @invariant()
    def heads_and_versions_agree(self) -> None:
        assert self.log.head() == len(self.model) == self.log.wait_for(-1, 0)
        for stream in STREAMS:
            assert self.log.stream_version(stream) == self.version(stream)

    @invariant()
    def the_chain_holds(self) -> None:
        previous, rows = self.log.anchor(0).hash, self.log.rows()
        for row in rows:
            assert fits(row, previous=previous)
            previous = cast("bytes", row.hash)
        assert (self.log.anchor().position, self.log.anchor().hash) == (len(rows), previous)

    @override
    def teardown(self) -> None:
        assert [content(event) for event in self.log.read()] == self.model
        self.log.close()


def content(event: StoredEvent) -> Content:
    return (event.stream, event.type, event.data)


def meaning(wanted: Parts) -> list[tuple[StreamName, list[bytes], str]]:
    """What an append id stands for: everything but the expectations."""
    return [(stream, contents, name) for stream, contents, _, name in wanted]


class MemoryMachine(LogMachine):
    @override
    def open(self) -> EventLog:
        return MemoryEventLog()


class SqliteMachine(LogMachine):
    """The log may also be closed and opened again, and a second opener may write."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stagecraft-test-"))
        super().__init__()
        self.lineage = self.log.lineage

    @override
    def open(self) -> EventLog:
        return SqliteEventLog(self.folder / "events.db")

    @rule()
    def open_again(self) -> None:
        self.log.close()
        self.log = self.open()
        assert self.log.lineage == self.lineage

    @rule()
    def open_beside(self) -> None:
        former, self.log = self.log, self.open()
        assert self.log.read() == former.read()
        assert self.log.anchor() == former.anchor()
        former.close()

    @override
    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            shutil.rmtree(self.folder)


BOUNDED = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,  # a disk may be slow
    suppress_health_check=[HealthCheck.too_slow],
)
TestMemoryLogIsAList = MemoryMachine.TestCase
TestMemoryLogIsAList.settings = BOUNDED
TestSqliteLogIsAList = SqliteMachine.TestCase
TestSqliteLogIsAList.settings = BOUNDED
