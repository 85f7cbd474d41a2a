"""Parts that the words about several events share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from projections.views.why.answer import StepKind

_SHORT = 12
_SHORT_DIGEST = len("sha256:") + _SHORT

Words = tuple[StepKind, str | None, str]  # kind, rule, text
Named = Callable[[str], str]  # what people call a Manifest, by its digest


def short(name: str | None) -> str:
    """The first digits of a commit, a container or a digest."""
    if name is None:
        return "no commit"
    return name[: _SHORT_DIGEST if name.startswith("sha256:") else _SHORT]


def failure_words(failure: dict[str, Any]) -> str:
    """A failure in a line: what, where, its exit code, and the last line that the container wrote."""
    parts = [failure["message"]]
    if failure.get("service") and failure["service"] not in failure["message"]:
        parts.append(f"service {failure['service']}")
    if failure.get("exit_code") is not None and "exit code" not in failure["message"]:
        parts.append(f"exit code {failure['exit_code']}")
    last = [line for line in failure.get("log_tail") or () if line.strip()][-1:]
    why = [line for line in failure.get("why", "").splitlines() if line.strip()][:1]
    parts += [f'it wrote "{last[0].strip()}"'] if last else why
    return "; ".join(parts)


def ids(ids: Sequence[str]) -> str:
    """Containers by their first digits."""
    return some([short(one) for one in ids])


def some(names: Sequence[str], most: int = 6) -> str:
    """The first of several names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def quoted(words: str) -> str:
    """Somebody's own words, behind what they are about; nothing for none."""
    return f' ("{words}")' if words else ""


def first_line(text: str) -> str:
    """The first line that says something."""
    lines: Iterable[str] = (line for line in text.splitlines() if line.strip())
    return next(iter(lines), "no detail was given")
