"""Going on in a new log when the old one does not verify, so that a bad bit never blocks a rollback.

The broken file is kept under another name and never deleted; it is the evidence. The new log is made aside
and takes the name in one step: at no moment is there no log, which the next command would take for a home in
which nothing was ever recorded. Nobody else may have the old file open meanwhile, so a running controller has
to be ended first; SQLite itself says so, because the file leaves its write-ahead mode only for the last one
who has it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.auditing import look_through
from events.broken import LogProblem
from events.catalog import propose
from events.catalog.log import LogForked, SealedState
from events.forking import fork
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.kernel.files import flush_folder
from events.log import LOG_UNAVAILABLE
from events.raw_log import raw_log

if TYPE_CHECKING:
    from pathlib import Path

    from controller.home import Home
    from events.envelope import Actor, ProposedEvent
    from events.kernel.clock import Clock
    from events.kernel.ids import Ids
    from events.verdict import Verdict

LOG_SOUND = error_code("log-sound", "The log verifies, so there is nothing to fork from.")
LOG_IN_USE = error_code("log-in-use", "Another process has the log open, and it cannot be set aside.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """What became of the old log, and of the new one."""

    kept_as: Path
    carried: int
    left: tuple[int, ...]  # positions in the old log
    problem: LogProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """One fork of one home."""

    home: Home
    actor: Actor
    reason: str
    clock: Clock
    ids: Ids

    def problem(self) -> LogProblem:
        """Why a fork is due. Raises UserError `log-sound`, OutsideError `log-unavailable`."""
        return self._problem(look_through(self.home))

    def made(self) -> Forked:
        """Set the old log aside and put the new one in its place.

        Raises UserError `log-sound`, OutsideError `log-in-use` or `log-unavailable`.
        """
        verdict = look_through(self.home)
        problem = self._problem(verdict)
        self._alone()
        at = self.clock.now().strftime("%Y%m%d-%H%M%S")
        kept = self._free(self.home.root / f"events.broken-{at}.db")
        aside = self.home.root / f".events.new-{at}.db"
        _unlink(aside)
        try:
            carried, left = self._write(aside, verdict, problem, kept)
            self._alone()  # reading it has put it back into that mode
            self._put_in_place(aside, kept)
        finally:
            _unlink(aside)
        _unlink(self.home.views_db)
        return Forked(kept_as=kept, carried=carried, left=left, problem=problem)

    def _problem(self, verdict: Verdict) -> LogProblem:
        """What is wrong: by this look, or by the mark that a look with a seal has left."""
        if verdict.problem is not None and verdict.problem.kind != "blob":
            return verdict.problem
        if self.home.events_db.is_file():
            with closing(sqlite3.connect(self.home.events_db)) as connection:
                (mark,) = connection.execute("SELECT broken FROM log_head").fetchone()
            if mark is not None:
                return LogProblem.from_json(mark)
        raise UserError(
            LOG_SOUND,
            "the log verifies, and nothing marks it as broken",
            next="stagecraft audit verify",
        )

    def _write(
        self, aside: Path, verdict: Verdict, problem: LogProblem, kept: Path
    ) -> tuple[int, tuple[int, ...]]:
        with raw_log(self.home.events_db) as raw:
            head = raw.head()
            if head is None:
                raise OutsideError(
                    LOG_UNAVAILABLE,
                    "the log has lost its head, so nothing says which one it is",
                    next="restore a backup",
                )
            lineage, log_id = verdict.lineage or head.lineage.decode(), head.log_id.decode()

            def first(carried: int, left: tuple[int, ...]) -> ProposedEvent:
                event = LogForked(
                    former_log_id=log_id,
                    kept_as=kept.name,
                    good_position=verdict.to,
                    good_hash=verdict.hash,
                    good_seal=None if verdict.seal is None else SealedState(**verdict.seal.as_json()),
                    problem_position=problem.position,
                    problem_kind=problem.kind,
                    problem_detail=problem.detail,
                    carried=carried,
                    left=left,
                    reason=self.reason,
                )
                return propose(event, ids=self.ids, clock=self.clock, actor=self.actor)

            return fork(raw, aside, lineage=lineage, upto=head.last, first=first)

    def _alone(self) -> None:
        """Take the old file out of write-ahead mode, which only the last one who has it open can."""
        path = self.home.events_db
        try:
            with closing(sqlite3.connect(path, timeout=5.0, isolation_level=None)) as connection:
                (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError as error:
            raise self._in_use(str(error)) from error
        if mode != "delete":
            raise self._in_use("it is still in write-ahead mode")

    def _in_use(self, why: str) -> OutsideError:
        return OutsideError(
            LOG_IN_USE,
            "the log cannot be set aside while another process has it open",
            where=Where(file=str(self.home.events_db)),
            why=why,
            next="end the controller and commands under way, fork, and start the controller again",
        )

    def _put_in_place(self, aside: Path, kept: Path) -> None:
        """The old file gets a second name, then the new one takes the first."""
        kept.hardlink_to(self.home.events_db)
        aside.rename(self.home.events_db)
        flush_folder(self.home.root)

    def _free(self, path: Path) -> Path:
        """The path, or the first like it that is not taken."""
        taken, number = path, 1
        while taken.exists():
            number += 1
            taken = path.with_name(f"{path.stem}-{number}{path.suffix}")
        return taken


def _unlink(path: Path) -> None:
    """Remove a database and what SQLite keeps beside it, as far as they are there."""
    for ending in ("", "-wal", "-shm", "-journal", "-lock"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).unlink()
