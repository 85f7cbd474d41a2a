"""The only place that prints.

Results go to stdout, progress and errors to stderr, so `--json` leaves one document or one object a line on
stdout. Every text passes the redactor and loses its control characters: what an engine, a container or a
commit message said cannot move the cursor or show a secret. Nothing is coloured without a terminal, and
Rich is imported for a table on a terminal alone.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

import typer

from events.kernel.errors import InternalError, OutsideError, StagecraftError, UserError, error_code
from events.kernel.redact import REDACT, printable

INTERNAL_ERROR = error_code("internal-error", "A bug of Stagecraft: something happened that nobody foresaw.")

_GAP = "  "
_LONGEST_LINE = (
    1000  # characters of a line of an error: room for a path or an engine's words, bounded on screen
)

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # of the terminal's own palette, none of them red

Advance = Callable[[int, int], None]  # what is done, and all of it


class ReaderGoneError(Exception):
    """Whoever read our output has closed it: a program such as `head` has what it wanted."""


def clean(text: str) -> str:
    """`text` as it may be shown: without secrets and without control characters."""
    return REDACT(printable(text))


def one_line(text: str) -> str:
    """`text` cleaned, with every run of white space as one space."""
    return " ".join(clean(text).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Prints for one call. `quiet` leaves results and errors; `verbose` adds tracebacks of bugs."""

    quiet: bool = False
    verbose: bool = False

    def line(self, text: str = "") -> None:
        """A result for people: one line or several on stdout."""
        self.text(clean(text))

    def text(self, text: str) -> None:
        """A text of our own, such as help, as it is."""
        _write(sys.stdout, text)

    def json(self, value: Any, *, compact: bool = False) -> None:  # noqa: ANN401  # JSON has no narrower type
        """A result for programs: one document, or one line when `compact`; keys in their given order.

        It is written in ASCII, so it has no control characters. It is not redacted here: its strings were
        when they entered a Manifest, the log or an observation, and masking by shape would damage documents.
        """
        _write(sys.stdout, json.dumps(value, indent=None if compact else 2))

    def sourced(self, prefix: str, text: str, *, number: int) -> None:
        """A line of one of several sources; on a terminal each number's prefix has a colour of its own."""
        shown = clean(prefix)
        if _is_terminal(sys.stdout) and "NO_COLOR" not in os.environ:
            shown = f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{shown}\x1b[0m"
        _write(sys.stdout, f"{shown} | {clean(text)}")

    def content(self, content: bytes, *, error: bool = False) -> None:
        """Bytes as they are: a file of ours, because it has digests, or what a person's own program wrote.

        Raises ReaderGoneError.
        """
        stream = sys.stderr if error else sys.stdout
        stream.flush()
        try:
            stream.buffer.write(content)
            stream.buffer.flush()
        except BrokenPipeError as broken:
            raise ReaderGoneError from broken

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table with one row a line; on a terminal its head is bold and long cells fold."""
        cells = [[one_line(cell) for cell in row] for row in rows]
        if _is_terminal(sys.stdout):
            _rich_table(heads, cells)
        else:
            _write(sys.stdout, "\n".join(aligned([list(heads), *cells])))

    def progress(self, text: str) -> None:
        """One line of what is being done, on stderr; nothing when quiet."""
        if not self.quiet:
            _write(sys.stderr, clean(text))

    @contextmanager
    def advancing(self, what: str, *, unit: str) -> Generator[Advance]:
        """How far a long piece of work is, on stderr: a bar on a terminal, else a line for each tenth."""
        if not self.quiet and _is_terminal(sys.stderr):
            with _rich_bar(clean(what)) as advance:
                yield advance
        else:
            yield _Tenths(self.progress, what, unit)

    def warning(self, text: str) -> None:
        """One line that somebody should read, on stderr; nothing when quiet."""
        if not self.quiet:
            _write(sys.stderr, f"warning: {clean(text)}")

    def problem(self, text: str) -> None:
        """What went wrong, in full, on stderr; shown always."""
        _write(sys.stderr, clean(text))

    def ask(self, question: str, *, default: str) -> str:
        """A person's answer, the default for an empty one; asked on stderr."""
        answer: str = typer.prompt(question, default=default, err=True)
        return answer

    def confirm(self, question: str) -> bool:
        """Whether a person agrees; yes for an empty answer; asked on stderr."""
        return typer.confirm(question, default=True, err=True)

    def error(self, error: StagecraftError) -> None:
        """What happened, where, why and what to do next, on stderr; shown always."""
        _write(sys.stderr, "\n".join(error_lines(error)))

    @contextmanager
    def explained(self) -> Generator[None]:
        """Turn what nobody foresaw into an `internal-error`; when verbose, show a bug's traceback."""
        try:
            yield
        except (UserError, OutsideError, ReaderGoneError, typer.Exit, typer.Abort, typer.TyperException):
            raise
        except Exception as error:
            if self.verbose:
                _write(sys.stderr, clean("".join(traceback.format_exception(error)).rstrip()))
            if isinstance(error, InternalError):
                raise
            raise internal_error(error) from error


@dataclass(slots=True)
class _Tenths:
    """Tells of each tenth once."""

    tell: Callable[[str], None]
    what: str
    unit: str
    told: int = field(default=0, init=False)  # tenths

    def __call__(self, done: int, whole: int) -> None:
        """Tell it if another tenth is done; a part that begins again begins with its first tenth."""
        tenths = 10 * done // max(whole, 1)
        if tenths > self.told:
            self.tell(f"{self.what}: {done} of {whole} {self.unit}")
        self.told = tenths


def internal_error(error: BaseException) -> InternalError:
    """The error that stands for an exception nobody foresaw."""
    return InternalError(
        INTERNAL_ERROR,
        "Stagecraft made a mistake",
        why=f"{type(error).__name__}: {error}",
        next="run it again with --verbose and report what it shows",
    )


def error_lines(error: StagecraftError) -> list[str]:
    """The lines that tell of an error; further lines of a part are indented below its first."""
    lines = [f"error: {error.code}: {_indented(error.message)}"]
    for label, text in (("where", str(error.where)), ("why", error.why), ("next", error.next)):
        if text:
            lines.append(f"  {label}: {_indented(text)}")
    return lines


def _indented(text: str) -> str:
    return "\n    ".join(bounded(line) for line in clean(text).strip().split("\n"))


def bounded(line: str) -> str:
    """A line that may be as long as somebody's input, with its end left out and counted."""
    beyond = len(line) - _LONGEST_LINE
    return line if beyond <= 0 else f"{line[:_LONGEST_LINE]}… ({beyond} characters more)"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with columns below one another and nothing after the last one."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _write(stream: TextIO, text: str) -> None:
    """One write for the text and its line end, so that lines of two processes do not mix.

    What the stream's encoding lacks is written as an escape: a result is shown under every locale. Raises
    ReaderGoneError.
    """
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, errors="backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


@contextmanager
def _rich_bar(what: str) -> Generator[Advance]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=RichConsole(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, whole: progress.update(task, completed=done, total=whole)


def _rich_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, len(_GAP), 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    RichConsole(highlight=False, soft_wrap=False).print(table)
