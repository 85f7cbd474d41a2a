"""An environment, or a Release, as the log told it at an earlier position.

It is the same fold over what concerns one thing alone.

An environment is told of by its own stream and by the commits that name it as affected. Of those commits the
newest up to the position is enough: a commit says which one Git shows, which the next one overwrites, and
that a branch is watched, which holds from then on. So this reads one stream and one event more, never the
log; its cost grows with the environment's own history. `test_at.py` proves for random histories that this is
what the fold of the whole log up to the position says.

Where the environment's stream has an event that this version cannot read, the rest of the stream waits, as it
does in the live view, and the answer says from where.

Dropped: tables with a validity for each row of the live view, which every deploy would pay for, and folds
kept at intervals, which are a second truth to rebuild.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from events.query import EventQuery
from events.schemas import illegible
from events.streams import environment_stream, release_stream
from events.upcast import current
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.environments import Environment, find_environment
from projections.views.releases import ReleaseDetail, find_release, phases_of

if TYPE_CHECKING:
    from events.envelope import StoredEvent
    from events.log import EventLog

_OBSERVED = "RevisionObserved"
_PAGE_COMMITS = 20  # looked at for the newest that affects the environment, and then again
_NEAR_EVENTS = 10_000  # before the position, looked through first; then four times as many


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """An environment at a position."""

    environment: Environment | None  # None: the log had not spoken of it by then
    waits_from: int | None = None  # the first event of its stream that this version cannot read


def environment_at(log: EventLog, project: str, name: str, *, position: int) -> Then:
    """The environment as of `position`, which is included."""
    stream = log.select(EventQuery(stream=environment_stream(project, name), upto=position))
    own = list(takewhile(lambda event: illegible(event) is None, stream))
    commit = _newest_commit(log, f"{project}/{name}", position)
    told = [*own] if commit is None else sorted([*own, commit])  # by position, their first column
    waits_from = stream[len(own)].position if len(own) < len(stream) else None
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as tables:
        tables.row_factory = sqlite3.Row
        for statement in (*ENVIRONMENTS.tables.values(), *ENVIRONMENTS.indexes):
            tables.execute(statement)
        tables.execute("BEGIN")
        for event in told:
            if event.type in ENVIRONMENTS.concerns:
                newest = current(event)
                ENVIRONMENTS.apply(tables, newest, json.loads(newest.data))
        return Then(environment=find_environment(tables, project, name), waits_from=waits_from)


def release_at(
    log: EventLog, tables: sqlite3.Connection, release_id: str, *, position: int
) -> ReleaseDetail | None:
    """One Release as of `position`; None when it had not been requested by then.

    `tables` have the view of Releases, folded up to `position` or beyond.
    """
    found = find_release(tables, release_id, upto=position)
    if found is None or found.release.status not in {"pending", "running"}:
        return found
    own = log.select(EventQuery(stream=release_stream(release_id), upto=position))
    return replace(found, phases=phases_of(current(event) for event in own if illegible(event) is None))


def _newest_commit(log: EventLog, title: str, position: int) -> StoredEvent | None:
    """The last commit up to `position`, of any repository, by which the environment was affected.

    Most repositories never affect it, and nothing tells which: all are asked about what is near before any is
    asked about years.
    """
    repositories = list(log.streams("repository/"))
    upto, near = position, _NEAR_EVENTS
    while upto > 0:
        after = max(0, upto - near)
        found = [
            event
            for stream in repositories
            if (event := _newest_of(log, EventQuery(stream=stream, after=after, upto=upto), title))
            is not None
        ]
        if found:
            return max(found, key=lambda event: event.position)
        upto, near = after, 4 * near
    return None


def _newest_of(log: EventLog, where: EventQuery, title: str) -> StoredEvent | None:
    """The same of one repository; data that name the environment are looked into, newest first."""
    upto = where.upto
    while True:
        page = log.select(
            EventQuery(
                stream=where.stream,
                after=where.after,
                upto=upto,
                types=frozenset({_OBSERVED}),
                mentions=json.dumps(title, ensure_ascii=False).encode(),
                newest_first=True,
                limit=_PAGE_COMMITS,
            )
        )
        for event in page:
            if illegible(event) is None and title in json.loads(event.data)["affected"]:
                return event
        if len(page) < _PAGE_COMMITS:
            return None
        upto = page[-1].position - 1
