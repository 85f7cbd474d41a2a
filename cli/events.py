"""`stagecraft events`: the log itself, oldest first."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings, group, with_settings

if TYPE_CHECKING:
    from uuid import UUID

    from events.envelope import StoredEvent
    from events.log import EventLog
    from events.query import ActorQuery, EventQuery

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
    type_names: Annotated[
        list[str] | None, typer.Option("--type", metavar="T", help="Events of this type only; repeatable.")
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(
            "--actor", metavar="WHO", help="Caused by them only: a name, `cli`, `act-1` or `cli:act-1`."
        ),
    ] = None,
    correlation: Annotated[
        str | None, typer.Option("--correlation", metavar="ID", help="Of this undertaking only.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="From then on: 14:05, 2026-11-21, '2h ago', RFC 3339, or a position.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Up to then, which is included.")
    ] = None,
    after: Annotated[
        int, typer.Option("--after", metavar="POSITION", min=0, help="Begin behind this position.")
    ] = 0,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=0, help="Stop after so many; all unless given.")
    ] = None,
) -> None:
    """List events, oldest first: all that the log holds at this moment, or those for which all of it holds.

    A time means the last event recorded at or before it, by position: a clock that went back changes nothing.

    A program that follows the log calls again with --after and the last position it saw.

    Exit codes: 0 also when there is none; 1 no such time or position; 2 the log cannot be read.
    """
    from controller.bootstrap import open_log
    from events.query import EventQuery
    from events.streams import StreamName

    with open_log(settings.home) as log:
        events: Iterable[StoredEvent] = ()
        if log is not None:
            begin, end = _bounds(log, since=since, until=until)
            query = EventQuery(
                after=max(after, begin),
                upto=end,
                stream=None if stream is None else StreamName(stream),
                types=frozenset(type_names or ()),
                actor=None if actor is None else _actor(settings, actor),
                correlation=None if correlation is None else _correlation(correlation),
                limit=limit,
            )
            events = read_all(log, query)
        if json:
            for event in events:
                settings.console.json(event.as_json(), compact=True)
        else:
            _print_table(settings, iter(events))


def _bounds(log: EventLog, *, since: str | None, until: str | None) -> tuple[int, int]:
    """Behind which position to begin, and at which to end: at most the head at this moment."""
    head = log.head()
    if since is None and until is None:
        return 0, head
    from datetime import UTC, datetime

    from controller.moments import position_before, position_upto

    now = datetime.now(UTC)
    begin = 0 if since is None else position_before(log, since, now=now)
    return begin, head if until is None else position_upto(log, until, now=now)


def _actor(settings: Settings, who: str) -> ActorQuery:
    """An actor by what an event holds, or by the name behind it, which no event does."""
    from controller.bootstrap import find_actors
    from events.query import ActorQuery

    parsed = ActorQuery.parsed(who)
    if parsed.kind is not None:
        return parsed
    return ActorQuery(ids=(who, *find_actors(settings.home, who)))


def _correlation(text: str) -> UUID:
    from uuid import UUID

    try:
        return UUID(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text[:60]!r} is no id", param_hint="--correlation") from error


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


def read_all(log: EventLog, query: EventQuery) -> Iterator[StoredEvent]:
    """The events that `query` asks for, a page at a time; it names where to end."""
    left = log.head() if query.limit is None else query.limit
    after = query.after
    while left > 0:
        size = min(PAGE_EVENTS, left)
        page = log.select(replace(query, after=after, limit=size))
        yield from page
        if len(page) < size:
            return
        left -= size
        after = page[-1].position


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
