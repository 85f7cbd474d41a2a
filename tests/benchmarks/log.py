"""The event log against what it is made of: the disk, SQLite alone, and another library of its kind.

The floor of an append is one page written and flushed at the end of a file: nothing durable is faster. Many
producers share a flush: how many times its pace they have hangs on how long it takes, which is told too.
The floor of a replay is the same rows, fetched from SQLite into Python. The other library is `eventsourcing`
with its recorder for SQLite; the events of both carry the same fields.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pydantic_core import from_json

from events.catalog import decode, propose
from events.catalog.service import ServiceReplaced
from events.envelope import Actor, ProposedEvent
from events.kernel.clock import SystemClock
from events.kernel.ids import SystemIds
from events.log import StreamAppend
from events.raw_log import raw_log
from events.sqlite import SqliteEventLog
from events.streams import StreamName
from events.verify import Verifier
from tests.benchmarks.figures import Figure, median
from tests.benchmarks.peer import Peer
from tests.benchmarks.stage import Stage

PRODUCERS = 64
PAGE_EVENTS = 1000
_FLOOR_BYTES = 4096
_CLOCK = SystemClock()
_IDS = SystemIds(_CLOCK)
_ACTOR = Actor(kind="cli", id="act-0123456789ab")
_BLOCK = 50  # appends of one sample: long enough that a clock's step does not count
_ROWS = """
SELECT e.position, e.event_id, s.name, e.version, e.type, e.schema, e.at_us, e.actor, e.correlation,
       e.causation, e.data
FROM events AS e CROSS JOIN streams AS s USING (stream_no) WHERE e.position > ? ORDER BY e.position LIMIT ?
"""
_ROWS_WITH_DIGESTS = _ROWS.replace("e.data\n", "e.data, e.data_hash, e.leaf, e.hash\n")


def fields(number: int) -> dict[str, object]:
    """What an event of the benchmark says: a service with three replicas was replaced."""
    return {
        "host": "local",
        "service": f"web{number % 7}",
        "old_ids": tuple(f"{number:064x}"[:-1] + replica for replica in "abc"),
        "new_ids": tuple(f"{number + 1:064x}"[:-1] + replica for replica in "def"),
        "reason": "image",
    }


def measure(stage: Stage) -> list[Figure]:
    """Append by one and by many, then read, decode and verify a long log."""
    folder = stage.folder / "log"
    folder.mkdir()
    appends = _appends(stage, folder)
    return [*appends, *_replays(stage, folder)]


def _appends(stage: Stage, folder: Path) -> list[Figure]:
    rounds = stage.count(full=40, quick=3)
    alone: list[float] = []
    together: list[float] = []
    floors: list[float] = []
    with (
        _floor(folder) as flush,
        closing(SqliteEventLog(folder / "appends.db")) as log,
        ThreadPoolExecutor(PRODUCERS) as pool,
    ):

        def by_one() -> float:
            parts = [_part(StreamName("release/one"), 1) for _ in range(_BLOCK)]
            return _took(lambda: [log.append([part]) for part in parts]) / _BLOCK

        def by_many() -> float:
            parts = [[_part(StreamName(f"release/{one}"), 1) for _ in range(10)] for one in range(PRODUCERS)]

            def produce(mine: Sequence[StreamAppend]) -> None:
                for part in mine:
                    log.append([part])

            return _took(lambda: list(pool.map(produce, parts))) / (10 * PRODUCERS)

        for sample in (flush, by_one, by_many):
            sample()
        for _ in range(rounds):
            floors.append(floor := flush())
            alone.append(floor / by_one())
            together.append(floor / by_many())
    return [
        Figure(
            what="Durable append by one producer, in flushes of one page",
            value=median(alone),
            target=0.6,
            unit=" x",
            detail=f"{rounds} pairs of {_BLOCK} appends",
            at_least=True,
        ),
        Figure(
            what=f"Durable append by {PRODUCERS} producers, in flushes of one page",
            value=median(together),
            target=3.0,
            unit=" x",
            detail=f"{rounds} pairs of {10 * PRODUCERS} appends; a flush takes {1e6 * median(floors):.0f} us",
            at_least=True,
        ),
    ]


@contextmanager
def _floor(folder: Path) -> Generator[Callable[[], float]]:
    """What takes the seconds of one page at the end of a file, written and flushed."""
    page, at = os.urandom(_FLOOR_BYTES), count()
    descriptor = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT)

    def flush() -> None:
        for _ in range(_BLOCK):
            os.pwrite(descriptor, page, next(at) * _FLOOR_BYTES)
            os.fdatasync(descriptor)

    try:
        yield lambda: _took(flush) / _BLOCK
    finally:
        os.close(descriptor)


def _replays(stage: Stage, folder: Path) -> list[Figure]:
    events, rounds = stage.count(full=100_000, quick=3000), stage.count(full=9, quick=2)
    path = folder / "replays.db"
    with closing(SqliteEventLog(path)) as log, closing(Peer(folder / "peer.db")) as peer:
        for first in range(0, events, PAGE_EVENTS):
            stream, size = StreamName(f"release/{first}"), min(PAGE_EVENTS, events - first)
            log.append([_part(stream, size, first=first)])
            peer.append([fields(number) for number in range(first, first + size)], actor=_ACTOR)
        with closing(sqlite3.connect(path)) as plain:
            sides = _Sides(path=path, log=log, plain=plain, peer=peer)
            samples = [sides.sample() for _ in range(rounds)]
    return _replay_figures(samples, what=f"{events} events, {rounds} rounds")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Seconds that each way through the same events took, one after the other."""

    rows: float
    data: float
    objects: float
    peer: float
    rows_with_digests: float
    verified: float


def _replay_figures(samples: Sequence[_Sample], *, what: str) -> list[Figure]:
    def figure(name: str, target: float, ratio: Callable[[_Sample], float]) -> Figure:
        value = median([ratio(sample) for sample in samples])
        return Figure(what=name, value=value, target=target, unit=" x", detail=what, at_least=True)

    return [
        figure("Replay into objects of the catalogue, against rows", 0.3, lambda one: one.rows / one.objects),
        figure("Read and decode, against `eventsourcing`", 3.0, lambda one: one.peer / one.data),
        figure("Replay into objects, against `eventsourcing`", 2.0, lambda one: one.peer / one.objects),
        figure("Verify, against rows", 0.55, lambda one: one.rows_with_digests / one.verified),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """The ways through one log, and through that of the other library."""

    path: Path
    log: SqliteEventLog
    plain: sqlite3.Connection
    peer: Peer

    def sample(self) -> _Sample:
        return _Sample(
            rows=_took(lambda: self._rows(_ROWS)),
            objects=_took(self._objects),
            data=_took(self._data),
            peer=_took(self.peer.replay),
            rows_with_digests=_took(lambda: self._rows(_ROWS_WITH_DIGESTS)),
            verified=_took(self._verified),
        )

    def _rows(self, query: str) -> None:
        after = 0
        while found := self.plain.execute(query, (after, PAGE_EVENTS)).fetchall():
            after = found[-1][0]

    def _objects(self) -> None:
        after = 0
        while found := self.log.read(after=after, limit=PAGE_EVENTS):
            for event in found:
                decode(event)
            after = found[-1].position

    def _data(self) -> None:
        after = 0
        while found := self.log.read(after=after, limit=PAGE_EVENTS):
            for event in found:
                from_json(event.data)
            after = found[-1].position

    def _verified(self) -> None:
        with raw_log(self.path) as raw:
            assert Verifier(raw=raw).verdict().ok


def _part(stream: StreamName, size: int, *, first: int = 0) -> StreamAppend:
    events = tuple(_proposed(number) for number in range(first, first + size))
    return StreamAppend(stream=stream, events=events)


def _proposed(number: int) -> ProposedEvent:
    event = ServiceReplaced.model_validate(fields(number))
    return propose(event, ids=_IDS, clock=_CLOCK, actor=_ACTOR)


def _took(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
