"""`stagecraft events`: the log itself, oldest first."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings, group, with_settings

if TYPE_CHECKING:
    from events.envelope import StoredEvent
    from events.log import EventLog

PAGE_EVENTS = 1000  # read at a time: bounds memory and how long one query keeps the log's reader
_WAIT_SECONDS = 60.0  # for the next event, and then again
_NO_LOG_PAUSE_SECONDS = 0.5
_HEADS = ("POSITION", "TIME", "TYPE", "STREAM", "ACTOR")
_WIDTHS = (8, 24, 20, 40)  # of all but the last column; a longer cell shifts its own line only

app = group("The event log.")


@app.command("list")
@with_settings()
def list_command(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    stream: Annotated[
        str | None, typer.Option("--stream", metavar="S", help="Events of this stream only.")
    ] = None,
    type_name: Annotated[
        str | None, typer.Option("--type", metavar="T", help="Events of this type only.")
    ] = None,
    after: Annotated[
        int, typer.Option("--after", metavar="POSITION", min=0, help="Begin behind this position.")
    ] = 0,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=0, help="Stop after so many; all unless given.")
    ] = None,
) -> None:
    """List events, oldest first: all that the log holds at this moment.

    A program that follows the log calls again with --after and the last position it saw.

    Exit codes: 0 also when there is none; 2 the log cannot be read.
    """
    from controller.bootstrap import open_log

    with open_log(settings.home) as log:
        events = (
            () if log is None else read_all(log, after=after, limit=limit, stream=stream, type_name=type_name)
        )
        if json:
            for event in events:
                settings.console.json(event.as_json(), compact=True)
        else:
            _print_table(settings, iter(events))


@app.command("follow")
@with_settings()
def follow_command(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    stream: Annotated[
        str | None, typer.Option("--stream", metavar="S", help="Events of this stream only.")
    ] = None,
    type_name: Annotated[
        str | None, typer.Option("--type", metavar="T", help="Events of this type only.")
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(
            "--after",
            metavar="POSITION",
            min=0,
            help="Begin behind this position; with what comes unless given.",
        ),
    ] = None,
) -> int:
    """Print events as they are appended, each one once and in order, until Ctrl-C.

    A program that was stopped goes on with --after and the last position it saw, and has missed nothing.
    Waits for the first event when nothing was recorded in this home yet.

    Exit codes: 0 ended by Ctrl-C or by a reader that closed the pipe; 2 the log cannot be read.
    """
    import time

    from controller.bootstrap import open_log

    try:
        while True:
            with open_log(settings.home) as log:
                if log is not None:
                    begin = log.head() if after is None else after
                    for event in read_on(log, after=begin, stream=stream, type_name=type_name):
                        if json:
                            settings.console.json(event.as_json(), compact=True)
                        else:
                            settings.console.line(_row(event))
            if after != 0:
                settings.console.progress(f"nothing was recorded in {settings.home.root} yet; waiting")
            after = 0  # whatever comes into a log that is not there yet has come after this call
            time.sleep(_NO_LOG_PAUSE_SECONDS)
    except KeyboardInterrupt:
        return 0


def read_on(
    log: EventLog, *, after: int, stream: str | None, type_name: str | None
) -> Generator[StoredEvent]:
    """Events behind a position as they come, for ever.

    The next position to read from is the last one seen or, when a page has no event that is wanted, the
    head as it was *before* that page was read: what is appended meanwhile is read next time.
    """
    from events.streams import StreamName

    wanted = None if stream is None else StreamName(stream)
    while True:
        head = log.wait_for(after, _WAIT_SECONDS)
        page = log.read(after=after, limit=PAGE_EVENTS, stream=wanted, type_name=type_name)
        yield from page
        if len(page) == PAGE_EVENTS:
            after = page[-1].position
        else:
            after = max([after, head, *(event.position for event in page[-1:])])


def read_all(
    log: EventLog, *, after: int, limit: int | None, stream: str | None, type_name: str | None
) -> Iterator[StoredEvent]:
    """Events up to the head at this moment, a page at a time; at most `limit` of them."""
    from events.streams import StreamName

    head = log.head()
    wanted = None if stream is None else StreamName(stream)
    left = head if limit is None else limit
    while left > 0:
        page = log.read(after=after, limit=min(PAGE_EVENTS, left), stream=wanted, type_name=type_name)
        shown = [event for event in page if event.position <= head]
        yield from shown
        if len(shown) < min(PAGE_EVENTS, left):
            return
        left -= len(shown)
        after = shown[-1].position


def _print_table(settings: Settings, events: Iterator[StoredEvent]) -> None:
    """One line an event as they come: a log is too long to measure its widest cell first."""
    first = next(events, None)
    if first is None:
        settings.console.line("No events found")
        return
    settings.console.line(_padded(_HEADS))
    for event in chain((first,), events):
        settings.console.line(_row(event))


def _row(event: StoredEvent) -> str:
    from events.kernel.clock import format_utc

    cells = (str(event.position), format_utc(event.time), event.type, event.stream)
    return _padded((*cells, f"{event.actor.kind}:{event.actor.id}"))


def _padded(cells: tuple[str, ...]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return "  ".join([*padded, cells[-1]])
