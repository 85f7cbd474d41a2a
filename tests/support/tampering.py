"""A log on disk as the real adapter makes it, and somebody who edits the file with SQLite's own tools."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from events.catalog import propose
from events.catalog.host import HostUnreachable
from events.catalog.log import SealedState, SealKeyMade, SealMade
from events.ed25519 import SigningKey
from events.envelope import Actor
from events.log import StreamAppend
from events.raw_log import raw_log
from events.seals import Seal
from events.sqlite import SqliteEventLog
from events.streams import LOG_STREAM, StreamName
from events.verdict import Verdict
from events.verify import Verifier
from tests.support.time import CountingIds, FakeClock

ANA, BOB = Actor(kind="cli", id="act-ana"), Actor(kind="git", id="act-bob")


@dataclass(slots=True)
class TamperedLog:
    """One file, filled and then changed behind the adapter's back."""

    path: Path
    key: SigningKey = field(default_factory=SigningKey.new)
    ids: CountingIds = field(default_factory=CountingIds)
    clock: FakeClock = field(default_factory=FakeClock)

    def fill(self, count: int = 12, *, seal_at: Sequence[int] = ()) -> TamperedLog:
        """Append events of two people on three hosts, and seals at the positions named."""
        with closing(SqliteEventLog(self.path)) as log:
            for number in range(1, count + 1):
                actor = ANA if number % 3 else BOB
                event = HostUnreachable(host=f"h{number % 3}", reason=f"reason {number}")
                one = propose(event, ids=self.ids, clock=self.clock, actor=actor)
                stream = StreamName(f"host/h{number % 3}")
                log.append([StreamAppend(stream=stream, events=(one,))])
                if number in seal_at:
                    self._record(log, self._sealed(log))
        return self

    def _record(self, log: SqliteEventLog, seal: Seal) -> None:
        made = SealKeyMade(key_id=self.key.id, public_key=self.key.public.hex())
        sealed = SealMade(seal=SealedState(**seal.as_json()))
        for event in (made, sealed):
            one = propose(event, ids=self.ids, clock=self.clock, actor=ANA)
            log.append([StreamAppend(stream=LOG_STREAM, events=(one,))])

    def _sealed(self, log: SqliteEventLog) -> Seal:
        anchor = log.anchor()
        unsigned = Seal(
            log_id=anchor.log_id,
            lineage=anchor.lineage,
            position=anchor.position,
            hash=anchor.hash.hex(),
            at="2026-01-01T00:00:00.000Z",
            key_id="",
            signature="",
        )
        return unsigned.signed(self.key)

    def seal(self) -> Seal:
        """A seal of the log as it is now, that is kept elsewhere."""
        with closing(SqliteEventLog(self.path)) as log:
            return self._sealed(log)

    @contextmanager
    def edited(self) -> Generator[sqlite3.Connection]:
        """The file without its guards, for whoever changes it."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    def verdict(self, *outside: Seal, trusted: bool = True) -> Verdict:
        """What a look finds."""
        keys = {self.key.id: self.key.public} if trusted else {}
        with raw_log(self.path) as raw:
            return Verifier(raw=raw, outside=outside, keys=keys).verdict()
