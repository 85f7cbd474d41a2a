"""What `status` says of the log itself: whether it verifies, how far it is sealed, and where seals go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cli.ages import ago

if TYPE_CHECKING:
    from cli.settings import Settings
    from events.log import EventLog


def log_line(settings: Settings, log: EventLog | None) -> str | None:
    """One line for people; None where nothing was recorded, or nothing can be said without the file."""
    from events.kernel.clock import parse_utc
    from events.newest_seal import newest_seal

    if log is None or not log.head():
        return None
    seal = newest_seal(log)
    if seal is None:
        words = "no seal yet"
    else:
        try:
            seconds = max(0.0, (datetime.now(UTC) - parse_utc(seal["at"])).total_seconds())
        except ValueError:  # a log that was changed
            seconds = None
        words = f"sealed to {seal['position']} ({ago(seconds)})"
    return f"  log       {log.head()} events, {words}{_staying(settings)}"


def say_problem(settings: Settings, log: EventLog | None) -> None:
    """Say on standard error that the log is only read, if it is."""
    problem = None if log is None else log.problem()
    if problem is not None:
        settings.console.problem(
            f"the log does not verify: {problem.kind} at event {problem.position}: {problem.detail}\n"
            "it is only read now: nothing is deployed or rolled back\n"
            "next: stagecraft audit verify, then: stagecraft log fork --reason TEXT"
        )


def _staying(settings: Settings) -> str:
    """A word where the operator surely named no place for seals.

    The file is not read as configuration: that would take longer than all the rest of `status`.
    """
    try:
        written = settings.home.controller_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        written = ""
    return "" if "seals" in written else "; no seal leaves this machine"
