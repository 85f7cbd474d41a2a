"""What the commands that read history share: views folded up to now, and the environment a name means.

A home in which nothing was ever recorded is no error: there is just nothing in it, and reading makes no file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from projections.runner import View, read_views

if TYPE_CHECKING:
    from cli.settings import Settings
    from events.log import EventLog

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class History:
    """The log of a home, and its views at the log's head."""

    settings: Settings
    log: EventLog | None  # None: nothing was ever recorded here

    def ask(self, views: Sequence[View], query: Callable[[sqlite3.Connection], T], *, nothing: T) -> T:
        """What `query` finds in `views` folded up to the head, `nothing` when there is no log.

        Raises OutsideError `views-unavailable` and what the log raises.
        """
        if self.log is None:
            return nothing
        return read_views(self.log, self.settings.home.views_db, views, query)

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
    from gitops.config.load import list_environments
    from gitops.source.worktree import WorkTree

    path = settings.cwd / settings.config
    if not _is_there(path):
        return [], None
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
