"""What the commands that read history share: views folded up to now, and the environment a name means.

A home in which nothing was ever recorded is no error: there is just nothing in it, and reading makes no file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from controller.targets import ENVIRONMENT_UNKNOWN, Target, find_environment, known_targets
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
            declared = declared_targets(self.settings)
            for one in declared:
                if named in (one.name, str(one)):
                    return one
            if not declared:
                raise
            known = sorted({*declared, *known_targets(self.log)})
            raise UserError(
                error.code, error.message, why=f"known environments: {', '.join(map(str, known))}"
            ) from error


def declared_targets(settings: Settings) -> list[Target]:
    """The environments that the project file here declares; none when there is no file that can be read."""
    from gitops.config.load import list_environments
    from gitops.source.worktree import WorkTree

    path = settings.cwd / settings.config
    if not path.is_file():
        return []
    try:
        project, names = list_environments(WorkTree(path.parent), path.name)
    except UserError:
        return []  # whoever asks about history is not told about faults of a file
    return [Target(project=project, name=name) for name in names]
