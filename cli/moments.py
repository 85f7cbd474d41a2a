"""`--at`: a place in the log as a person writes it, judged by the clock of the call."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from events.kernel.errors import UserError

if TYPE_CHECKING:
    from controller.moments import Place
    from events.log import EventLog

AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="WHEN",
        help="As of then, by the log: 14:05, 2026-11-21, '2h ago', RFC 3339, or a position.",
    ),
]


def place_of(log: EventLog | None, when: str) -> Place:
    """The place in the log that `--at` means.

    Raises UserError as `find_place`; `moment-before-log` where nothing was ever recorded.
    """
    from controller.moments import find_place

    if log is None:
        raise nothing_recorded(when)
    return find_place(log, when, now=datetime.now(UTC))


def nothing_recorded(when: str) -> UserError:
    """The error of a home without a log, which has no earlier time."""
    from controller.moments import MOMENT_BEFORE_LOG

    return UserError(
        MOMENT_BEFORE_LOG,
        f"there is nothing as of {when[:60]!r}",
        why="nothing was recorded in this home yet",
        next="stagecraft deploy --env NAME, or name the home with --home DIR",
    )
