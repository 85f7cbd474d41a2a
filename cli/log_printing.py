"""Lines of logs on the screen: bare, behind their source, or as objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.console import Console
    from controller.tailing import Line

_NANOSECONDS = 1_000_000_000


@dataclass(slots=True, kw_only=True)
class LinePrinter:
    """Prints lines of one call."""

    console: Console
    json: bool
    prefixed: bool  # there are several sources, or there may be
    _width: int = 0
    _numbers: dict[str, int] = field(default_factory=dict[str, int])  # by source, in order of appearance

    def expect(self, sources: Iterable[str]) -> None:
        """Make room for these sources, so that lines stand below one another from the first."""
        self._width = max([self._width, *map(len, sources)])

    def show(self, line: Line) -> None:
        """Print one line."""
        if self.json:
            self.console.json(_as_json(line), compact=True)
        elif not self.prefixed:
            self.console.line(line.text)
        else:
            number = self._numbers.setdefault(line.source, len(self._numbers))
            self.expect([line.source])
            self.console.sourced(line.source.ljust(self._width), line.text, number=number)


def _as_json(line: Line) -> dict[str, object]:
    """The object of `logs --json`; its keys are a published contract."""
    return {
        "at": _stamp(line.at),
        "host": line.host,
        "service": line.service,
        "index": line.index,
        "container": line.container,
        "text": line.text,
    }


def _stamp(at: int) -> str:
    """RFC 3339 in UTC with nanoseconds, as engines have them."""
    from datetime import UTC, datetime

    seconds, rest = divmod(at, _NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
