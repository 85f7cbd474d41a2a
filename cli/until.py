"""`--until`: when something ends by itself, as a length of time or as a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME",
        help="When it ends by itself: in 2h or 1h30m, or at 2031-05-01T08:00Z.",
    ),
]
_LONGEST = timedelta(days=3660)


def moment(text: str | None, *, now: datetime) -> datetime | None:
    """The time that `--until` means, aware, UTC. Raises typer.BadParameter for one that is over or none."""
    if text is None:
        return None
    from gitops.durations import parse_duration

    try:
        found = now + timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        found = _stamp(text)
    if not now < found <= now + _LONGEST:
        raise typer.BadParameter(f"{text} is not within the next ten years", param_hint="--until")
    return found


def _stamp(text: str) -> datetime:
    """A moment as ISO 8601 has it, with its offset from UTC: without one nobody knows whose clock it is."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter(
            f"{text[:40]!r} is neither a length of time such as 2h nor a moment such as 2031-05-01T08:00Z",
            param_hint="--until",
        )
    return found.astimezone(UTC)
