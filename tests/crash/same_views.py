"""Views and folds, carried on and made anew: both say the same, and what the ledger says."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from controller.decide.folding import fold
from controller.decide.state import EnvironmentState
from events.log import EventLog
from events.sqlite import SqliteEventLog
from events.streams import StreamName
from projections.runner import read_views
from projections.view import View
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.every import VIEWS
from projections.views.release_fold import RELEASES
from tests.crash.ledger import Ledger
from tests.crash.player import Stage

_STATUS: Mapping[str, str] = {
    "ReleaseCompleted": "completed",
    "ReleaseFailed": "failed",
    "ReleaseRolledBack": "rolled_back",
    "ReleaseSuperseded": "superseded",
    "ReleaseCancelled": "cancelled",
}
_OF_STORIES = (RELEASES, ENVIRONMENTS)
_Rows = dict[str, list[tuple[object, ...]]]


class Views:
    """The views of one log in a file that is carried on, and a state that is folded on."""

    def __init__(self, folder: Path, stream: StreamName) -> None:
        self._kept, self._fresh = folder / "views.db", folder / "views-made-anew.db"
        self._stream = stream
        self._state = EnvironmentState()

    def compare(self, log: EventLog, ledger: Ledger) -> None:
        """Raise AssertionError for any difference between what is carried on and what is made anew."""
        self.compare_fold(log, ledger)
        anew = fold(log.read_stream(self._stream))
        assert anew == self._state, "a state folded on is another one than one folded at once"
        carried_on = read_views(log, self._kept, VIEWS, partial(_rows, VIEWS))
        self._fresh.unlink(missing_ok=True)
        assert carried_on == read_views(log, self._fresh, VIEWS, partial(_rows, VIEWS)), (
            "a view made anew is another one"
        )
        statuses = read_views(log, self._kept, [RELEASES], _statuses)
        said = {
            release: _STATUS.get(ledger.verdicts.get(release, ""), "open") for release in ledger.requested
        }
        assert statuses == said, "the history of Releases is not the log's"

    def compare_fold(self, log: EventLog, ledger: Ledger) -> None:
        """Raise AssertionError for any difference of what decisions go by."""
        self._state = fold(log.read_stream(self._stream, after_version=self._state.version), self._state)
        state = self._state
        assert state.deployed_digest == ledger.deployed_digest
        assert state.suspended == ledger.suspended
        assert [one.id for one in state.unfinished] == ledger.waiting
        held = None if state.hold is None else (state.hold.target, state.hold.bad, state.hold.clears)
        hold = ledger.hold
        assert held == (None if hold is None else (hold.target, frozenset(hold.bad), hold.clears))


def _rows(views: Sequence[View], tables: sqlite3.Connection) -> _Rows:
    names = [name for view in views for name in view.tables]
    return {name: sorted(map(tuple, tables.execute(f'SELECT * FROM "{name}"')), key=repr) for name in names}  # noqa: S608  # names of ours


def _statuses(tables: sqlite3.Connection) -> dict[str, str]:
    rows = tables.execute("SELECT id, status FROM releases").fetchall()
    return {row["id"]: "open" if row["status"] in {"pending", "running"} else row["status"] for row in rows}


def fold_views(stage: Stage) -> _Rows:
    """The views in the home's file, folded up to the head."""
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        return _folded(log, stage.home.views_db)


def _folded(log: EventLog, path: Path) -> _Rows:
    return read_views(log, path, _OF_STORIES, partial(_rows, _OF_STORIES))


def check_views(stage: Stage) -> None:
    """What was folded step by step equals a fold of everything."""
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        fresh = _folded(log, stage.folder / "fresh.db")
    assert fold_views(stage) == fresh
