"""How the end of a Release is shown, and the exit code that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.kernel.errors import ExitCode

if TYPE_CHECKING:
    from cli.console import Console
    from events.catalog import Failure
    from projections.converge.work import Verdict

_CODES = {"repository": ExitCode.USER, "outside": ExitCode.OUTSIDE, "internal": ExitCode.INTERNAL}
_LOG_LINES = 10


def exit_code(failure: Failure | None) -> ExitCode:
    """0 without a failure, else 1, 2 or 3 by who can mend it."""
    return ExitCode.OK if failure is None else _CODES[failure.cause]


def show_failure(console: Console, failure: Failure) -> None:
    """Everything the log knows about a failure, in at most 24 lines on stderr."""
    console.problem("\n".join(_failure_lines(failure)))


def _failure_lines(failure: Failure) -> list[str]:
    place = [
        part for part in (failure.where, _at("host", failure.host), _at("service", failure.service)) if part
    ]
    lines = [f"error: {failure.code}: {failure.message}"]
    lines.extend(f"  where: {', '.join(place)}" for _ in place[:1])
    facts = (
        ("exit code", "" if failure.exit_code is None else str(failure.exit_code)),
        ("why", failure.why),
        ("health", failure.health_output),
    )
    lines.extend(f"  {label}: {_short(text)}" for label, text in facts if text)
    if failure.log_tail:
        lines.append("  log:")
        lines.extend(f"    {line}" for line in failure.log_tail[-_LOG_LINES:])
    if failure.kept:
        lines.append(f"  kept: {kept_words(failure.kept)}")
    if failure.next:
        lines.append(f"  next: {failure.next}")
    return lines


def kept_words(place: str) -> str:
    """How what is kept of a failed container is read; its file begins with the Release."""
    release = place.rpartition("/")[2].partition(".")[0]
    return f"stagecraft logs --release {release} ({place} below the home)"


def _at(label: str, value: str | None) -> str:
    return f"{label} {value}" if value else ""


def _short(text: str) -> str:
    """At most three lines, the further ones indented."""
    return "\n    ".join(text.strip().splitlines()[:3])


def report(console: Console, title: str, verdict: Verdict) -> ExitCode:
    """Show how a Release ended and answer the exit code."""
    words = {
        "completed": "completed",
        "failed": "failed",
        "rolled_back": "failed and was rolled back: the former version runs",
        "superseded": f"was superseded by {verdict.by}",
    }
    console.line(f"{title}: {verdict.release} {words[verdict.status]}")
    if verdict.traffic is not None:
        from projections.traffic_words import traffic_words

        console.line(f"  traffic: {traffic_words(verdict.traffic.model_dump())}")
    if verdict.without:
        console.warning(
            f"without {', '.join(verdict.without)}: healing brings what is deployed there; "
            f"stagecraft releases show {verdict.release} says more"
        )
    if verdict.kept:
        count, names = len(verdict.kept), ", ".join(verdict.kept)
        console.warning(
            f"{count} services left, more than go at once, and run on: {names}; "
            f"stagecraft prune --env {title} --confirm {count} takes them away"
        )
    if verdict.failure is not None:
        show_failure(console, verdict.failure)
    return ExitCode.USER if verdict.status == "superseded" else exit_code(verdict.failure)
