"""What the commands that read history share: views folded up to now, and the environment a name means.

A home in which nothing was ever recorded is no error: there is just nothing in it, and reading makes no file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from controller.targets import (
    ENVIRONMENT_UNKNOWN,
    Target,
    find_environment,
    known_targets,
    unknown_environment,
)
from events.kernel.errors import UserError
from events.streams import environment_stream, split_environment
from projections.parking import Lag, Parked, lag_of, list_parked
from projections.runner import read_views
from projections.view import View

if TYPE_CHECKING:
    from cli.settings import Settings
    from events.log import EventLog

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class History:
    """The log of a home, and its views at the log's head."""

    settings: Settings
    log: EventLog | None  # None: nothing was ever recorded here

    def ask(
        self,
        views: Sequence[View],
        query: Callable[[sqlite3.Connection], T],
        *,
        nothing: T,
        warns: bool = True,
    ) -> T:
        """What `query` finds in `views` folded up to the head, `nothing` when there is no log.

        `warns` and errors are those of `read`.
        """
        return nothing if self.log is None else self.read(self.log, views, query, warns=warns)

    def read(
        self,
        log: EventLog,
        views: Sequence[View],
        query: Callable[[sqlite3.Connection], T],
        *,
        warns: bool = True,
    ) -> T:
        """What `query` finds in `views` folded up to the head of `log`.

        What the views wait with is told as a warning, unless the caller says it. Raises OutsideError
        `views-unavailable` and what the log raises.
        """
        console = self.settings.console
        names = {view.name for view in views}

        def asked(tables: sqlite3.Connection) -> tuple[T, list[Parked]]:
            return query(tables), list_parked(tables, names) if warns else []

        path = self.settings.home.views_db
        found, parked = read_views(log, path, views, asked, tell=console.progress)
        for one in parked:
            console.warning(f"{one.stream} is shown as it was before position {one.position}: {one.words}")
        return found

    def lag(self, target: Target | None, views: Sequence[View], *, now: datetime) -> Lag | None:
        """What `views` wait with that may concern an environment, or any; None: they are not behind."""
        nothing: list[Parked] = []
        names = {view.name for view in views}
        parked = self.ask(views, lambda tables: list_parked(tables, names), nothing=nothing, warns=False)
        other = None if target is None else environment_stream(target.project, target.name)
        concerned = (
            one
            for one in parked
            if other is None or one.stream == other or split_environment(one.stream) is None
        )
        return lag_of(concerned, now=now)

    def environments(self) -> list[tuple[str, str]] | None:
        """The one of `--env` as `(project, name)`; None: all, for none was named or nothing was recorded.

        Raises UserError `environment-not-single` and as `target`.
        """
        if self.settings.environment is None or self.log is None:
            return None
        target = self.target(self.settings.environment)
        return [(target.project, target.name)]

    def target(self, named: str) -> Target:
        """The environment that `named` means, by the log or by the project file here.

        Raises UserError `environment-unknown` or `environment-ambiguous`.
        """
        try:
            return find_environment(self.log, named)
        except UserError as error:
            if error.code != ENVIRONMENT_UNKNOWN:
                raise
            declared, fault = read_project_file(self.settings)
            for one in declared:
                if named in (one.name, str(one)):
                    return one
            if fault is not None:
                error.why += f"; what the project file here declares cannot be read: {fault.message}"
                error.next = fault.next
            if not declared:
                raise
            raise unknown_environment(named, sorted({*declared, *known_targets(self.log)})) from error


def declared_targets(settings: Settings) -> list[Target]:
    """The environments that the project file here declares; none when there is no file that can be read."""
    return read_project_file(settings)[0]


def read_project_file(settings: Settings) -> tuple[list[Target], UserError | None]:
    """The environments that the project file here declares, and what is wrong with a file that is there.

    Whoever asks about history is not stopped by a fault of a file.
    """
    path = settings.cwd / settings.config
    if not _is_there(path):
        return [], None
    from gitops.config.load import list_environments
    from gitops.source.worktree import WorkTree

    try:
        project, names = list_environments(WorkTree(path.parent), path.name)
    except UserError as error:
        return [], error
    return [Target(project=project, name=name) for name in names], None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # longer than a file system takes
        return False
