"""A plan as a comment on a merge request: a table that any Git host shows, within the length it takes.

Every name in it may be somebody's attack on the page. So what is not a letter, a digit or one of a few marks
stands as a character reference, which Markdown shows and never reads: no table cell, link, mention, image,
HTML or code begins in a name. What is too long is cut, and says so.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from cli.console import one_line
from cli.plan_text import outage_line, request_lines, words_of
from controller.preview import SIGNS, UNKNOWN_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from controller.changes import Change
    from controller.preview import Action, Preview

Item = TypeVar("Item")

MAX_CHARACTERS = 60_000  # hosts of Git take 65,536 and more
_LONGEST_CELL = 500  # characters, before they are escaped
_SHARES = {"changes": 22_000, "list": 5_200}  # of MAX_CHARACTERS; six lists and the frame
_UNSAFE = re.compile(r"[^A-Za-z0-9 .,:;/()=+-]")
_ADDRESS = re.compile(r"(?i)(?<=www)\.")
_OPENS = re.compile(r"[-+=:.0-9]")  # at the start of a line they may mean a list or a heading
_VERBS: dict[Action, str] = {
    "create": "to create",
    "replace": "to replace",
    "remove": "to remove",
    "run": "to run once",
    "start": "to start",
    "reload": "to reload",
    "keep": "unchanged",
}


def as_markdown(shown: Preview) -> str:
    """The plan as Markdown of at most `MAX_CHARACTERS`; the same for the same plan."""
    blocks = [
        f"### Plan for {escaped(shown.project)}/{escaped(shown.environment)}",
        f"{_summary(shown)}. {_named(shown)}, compared with {escaped(shown.against)}.",
        *([] if shown.reverts is None else [f"It is a {escaped(str(shown.reverts))}."]),
        *_list("Refused, until controller.yml allows it", shown.refused),
        *_changes(shown),
        *_list(
            "Outages, because the old container ends before the new one begins",
            [outage_line(one) for one in shown.outages],
        ),
        *_list("Requests", request_lines(shown)),
        *([] if shown.prune is None else [f"**{escaped(shown.prune.words)}**"]),
        *_list("Images resolved at deploy", shown.unpinned),
        *_list("Notes", shown.notes),
        *_list("Findings", shown.findings),
    ]
    return "\n\n".join(blocks)


def _named(shown: Preview) -> str:
    """The version, or the commit where there is none."""
    if shown.version == UNKNOWN_VERSION:
        return f"Commit {escaped(shown.revision)}"
    return f"Version {escaped(shown.version)}"


def escaped(text: str) -> str:
    """`text` in one line, as it is shown whatever it holds."""
    line = one_line(text)
    if len(line) > _LONGEST_CELL:
        line = f"{line[:_LONGEST_CELL]}…"
    safe = _UNSAFE.sub(lambda match: f"&#{ord(match[0])};", line)
    return _unlinked(safe)


def _unlinked(text: str) -> str:
    """`text` in which no address and no list begins by itself."""
    text = _ADDRESS.sub("&#46;", text.replace("://", "&#58;//"))
    return f"&#{ord(text[0])};{text[1:]}" if _OPENS.match(text) else text


def _summary(shown: Preview) -> str:
    counts = Counter(change.action for change in shown.changes)
    told = [f"{counts[action]} {words}" for action, words in _VERBS.items() if counts[action]]
    words = ", ".join(told) or "no services"
    return f"**{words}**" if shown.has_changes else f"**Nothing changes**: {words}"


def _changes(shown: Preview) -> Iterable[str]:
    """One row for each container that is touched; nothing when none is."""
    changes = [one for one in shown.changes if one.action != "keep"]
    if changes:
        kept, left = _within(changes, _row, characters=_SHARES["changes"])
        more = [f"| | | | and {left} more |"] if left else []
        yield "\n".join(["| | Host | Service | Why |", "| --- | --- | --- | --- |", *kept, *more])


def _row(change: Change) -> str:
    cells = (escaped(one) for one in (change.host, change.service, words_of(change)))
    return f"| `{SIGNS[change.action]}` | {' | '.join(cells)} |"


def _list(title: str, items: Sequence[str]) -> Iterable[str]:
    if items:
        kept, left = _within(items, lambda item: f"- {escaped(item)}", characters=_SHARES["list"])
        more = [f"- and {left} more"] if left else []
        yield "\n".join([f"**{title}**", "", *kept, *more])


def _within(
    items: Sequence[Item], line_of: Callable[[Item], str], *, characters: int
) -> tuple[list[str], int]:
    """The lines of the first items that fit, and how many items are left; no line is made in vain but one."""
    kept: list[str] = []
    for item in items:
        line = line_of(item)
        characters -= len(line) + 1
        if characters < 0:
            break
        kept.append(line)
    return kept, len(items) - len(kept)
