"""What a program wrote, piece by piece, shown as lines with secrets masked, each stream where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.console import Console

_LONGEST_BYTES = 64 * 1024  # a longer line is shown in pieces


class ShownLines:
    """The lines of one program; `prefix` stands before each of them."""

    def __init__(self, console: Console, prefix: str = "") -> None:
        self._console = console
        self._prefix = prefix
        self._rests = {False: b"", True: b""}

    def take(self, content: bytes, *, error: bool) -> None:
        """Show the lines that end in this piece."""
        *lines, rest = (self._rests[error] + content).split(b"\n")
        for line in lines:
            self._show(line, error=error)
        while len(rest) > _LONGEST_BYTES:
            self._show(rest[:_LONGEST_BYTES], error=error)
            rest = rest[_LONGEST_BYTES:]
        self._rests[error] = rest

    def end(self) -> None:
        """Show what came without a line end."""
        for error, rest in self._rests.items():
            if rest:
                self._show(rest, error=error)
        self._rests = {False: b"", True: b""}

    def _show(self, line: bytes, *, error: bool) -> None:
        text = f"{self._prefix}{line.decode(errors='replace')}"
        (self._console.problem if error else self._console.line)(text)
