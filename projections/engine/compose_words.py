"""What the Compose client prints, read: the progress of a dry run, and the words of a failure.

Progress comes as JSON objects, a line each, with plain text of the plugin runner in between. What a
prediction says is compared with the plan. The words of a failure change with each version: they are for a
person.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from events.kernel.process import Finished
from projections.engine.errors import shown
from projections.engine.port import Prediction

_HALF_MADE = re.compile(r"^[0-9a-f]{12}_(?=.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line of Compose's progress."""

    id: str = ""  # `Container x`, `Network x`, `Volume x`; empty for a message
    status: str = ""  # Working, Done, Error, Warning
    text: str = ""
    failed: bool = False  # the last line of a run that failed


def _lines(stderr: str) -> list[_Line]:
    """Progress as Compose and the plugin runner below it print it: JSON objects, and text in between."""
    return [_line(text.strip()) for text in stderr.splitlines() if text.strip()]


def _line(text: str) -> _Line:
    try:
        entry = json.loads(text)
    except ValueError:
        return _Line(text=text)
    if not isinstance(entry, dict):
        return _Line(text=text)
    fields = {key: str(value) for key, value in cast("dict[str, Any]", entry).items()}
    if fields.get("error") == "True":
        return _Line(text=fields.get("message", ""), failed=True)
    if "msg" in fields:
        return _Line(text=fields["msg"])
    return _Line(id=fields.get("id", ""), status=fields.get("status", ""), text=fields.get("text", ""))


def parse_prediction(stdout: str, stderr: str) -> Prediction:
    """What a dry run printed. Whatever stands on standard output is a question."""
    by_text: dict[str, list[str]] = {}
    removed_networks: list[str] = []
    messages: list[str] = []
    for line in _lines(stderr):
        kind, _, name = line.id.partition(" ")
        if not line.id:
            messages.append(line.text)
        elif line.status != "Done":
            continue
        elif kind == "Container" and line.text in _PREDICTED:
            # A recreated container is started under the name it has until the old one is gone.
            by_text.setdefault(line.text, []).append(_HALF_MADE.sub("", name))
        elif (kind, line.text) == ("Network", "Removed"):
            removed_networks.append(name)
        else:
            messages.append(f"{line.id} {line.text}")
    recreated, created = _names(by_text, "Recreated"), _names(by_text, "Created")
    return Prediction(
        recreated=recreated,
        created=created,
        running=_names(by_text, "Running"),
        started=tuple(name for name in _names(by_text, "Started") if name not in {*recreated, *created}),
        removed=_names(by_text, "Removed"),
        removed_networks=tuple(sorted(set(removed_networks))),
        volume_question=shown(stdout),
        messages=tuple(shown(message) for message in dict.fromkeys(messages)),
    )


_PREDICTED = frozenset({"Recreated", "Created", "Running", "Started", "Removed"})


def _names(by_text: Mapping[str, list[str]], text: str) -> tuple[str, ...]:
    return tuple(sorted(set(by_text.get(text, ()))))


def failure_words(finished: Finished) -> str:
    """Compose's and the engine's own words for a run that failed, safe to show.

    The last error line, and after it what was printed as plain text, where the engine's words stand when
    the error only names a container.
    """
    lines = _lines(finished.stderr.decode(errors="replace"))
    said = [line.text for line in lines if line.failed and line.text][-1:]
    plain = [line.text for line in lines if not line.id and not line.failed]
    return shown("\n".join([*said, *plain])) or f"Compose ended with code {finished.code} and said nothing"
