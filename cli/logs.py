"""`stagecraft logs`: what the containers of an environment wrote, on all its hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from cli.reached import HostOption, RoleOption
from cli.settings import Settings, with_settings
from events.kernel.errors import ExitCode, UserError, error_code

if TYPE_CHECKING:
    import re

    from cli.console import Console
    from cli.reached import Reached
    from controller.tailing import Wanted
    from events.kernel.errors import OutsideError

NOTHING_KEPT = error_code(
    "nothing-kept", "Nothing is kept of a container that failed the Release, or nothing any more."
)
MOMENT_UNUSABLE = error_code(
    "moment-unusable", "A time on the command line is neither a moment nor a length."
)
PATTERN_UNUSABLE = error_code("pattern-unusable", "A pattern on the command line is no regular expression.")


@with_settings("env")
def logs(
    settings: Settings,
    *,
    service: Annotated[
        str | None, typer.Option("--service", metavar="NAME", help="Of this service; all unless given.")
    ] = None,
    host: HostOption = None,
    role: RoleOption = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on, also with containers that come later.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=0, help="The last N lines of each container.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="T", help="From then on: 10m, 1h30m, or 2026-01-31T12:00:00Z."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="T", help="Until then, in the same words as --since.")
    ] = None,
    grep: Annotated[
        str | None,
        typer.Option(
            "--grep", metavar="PATTERN", help="Only lines in which this regular expression is found."
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also of containers that ended and are still there.")
    ] = False,
    release: Annotated[
        str | None,
        typer.Option("--release", metavar="ID", help="What was kept of containers that failed this Release."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> int:
    """Show what the containers of an environment wrote, on all its hosts, in the order of its times.

    Lines of several sources are shown behind `host service.N`. A host that does not answer is told of, and
    the others are shown. With --follow until Ctrl-C, which is a good end: through replacements, and on when
    a host answers again. With --release what failed containers of that Release had written, when they are
    long gone: as `releases show` names it, for as long as it is kept.

    Exit codes: 0 also when there is nothing; 1 no such environment, service, host or role, or nothing is
    kept of the Release; 2 a host does not answer, whose lines are missing then.
    """
    if release is not None:
        if follow or json or any(one is not None for one in (since, until, grep, role)):
            raise typer.BadParameter("what was kept has no moments, and nothing follows: use --tail")
        _show_kept(settings, release, service=service, host=host, tail=tail)
        return 0
    if follow and until is not None:
        raise typer.BadParameter("what goes on has no end", param_hint="--follow with --until")
    begin, end, pattern = _moment("--since", since), _moment("--until", until), _pattern(grep)
    import asyncio

    from cli.reached import reached
    from controller.tailing import Wanted

    with reached(settings, host=host, role=role) as place:
        wanted = Wanted(
            target=place.target,
            lineage=place.lineage,
            service=service,
            ended=every,
            tail=tail,
            since=begin,
            until=end,
            matches=pattern,
            adopted=place.adopted,
        )
        try:
            return asyncio.run(_show(settings, place, wanted, forever=follow, json=json))
        except KeyboardInterrupt:
            if not follow:
                raise
    return 0


async def _show(settings: Settings, place: Reached, wanted: Wanted, *, forever: bool, json: bool) -> int:
    """Print the lines; answers the exit code."""
    from contextlib import aclosing

    from cli.log_printing import LinePrinter
    from controller.tail_following import follow
    from controller.tailing import choose, read, source_of
    from events.kernel.clock import SystemClock

    console, trouble = settings.console, Trouble(settings.console)
    for host in place.without:
        trouble.no_way(host)
    found = await choose(place.engines, wanted, known=place.services)
    for host, error in found.silent.items():
        trouble.tell(host, error)
    if not found.count and not found.silent and not place.without:
        words = "no container" if wanted.ended else "no container runs; --all shows those that ended"
        console.warning(f"{wanted.target}: {words}")
    several = found.count > 1 or len(place.engines) > 1 or (forever and wanted.service is None)
    printer = LinePrinter(console=console, json=json, prefixed=several)
    printer.expect(
        source_of(host, one) for host, containers in found.containers.items() for one in containers
    )
    if forever:
        lines = follow(
            place.engines,
            wanted,
            found,
            clock=SystemClock(),
            tell=trouble.tell,
            hosts_now=place.engines_now,
        )
    else:
        lines = read(place.engines, wanted, found, tell=trouble.tell)
    async with aclosing(lines):
        async for line in lines:
            printer.show(line)
    return ExitCode.OUTSIDE if trouble.met else ExitCode.OK


@dataclass(slots=True)
class Trouble:
    """Tells of hosts whose lines are missing, each once."""

    console: Console
    met: bool = False
    _told: set[str] = field(default_factory=set[str])

    def no_way(self, host: str) -> None:
        """Nobody says how a host is reached."""
        self.met = True
        self.console.warning(f"{host}: nobody says how it is reached; its lines are missing")

    def tell(self, host: str, error: OutsideError | None) -> None:
        """Something keeps lines of a host away; None: nothing does any more."""
        if error is None:
            self._told.clear()
            self.console.warning(f"{host}: it answers again, and its lines go on where they were")
            return
        self.met = True
        words = f"{host}: {error.message}{f': {error.why}' if error.why else ''}; its lines are missing"
        if words not in self._told:
            self._told.add(words)
            self.console.warning(words)


def _show_kept(
    settings: Settings, release: str, *, service: str | None, host: str | None, tail: int | None
) -> None:
    """Raises UserError `nothing-kept`."""
    from projections.kept import KeptContainers

    found = [
        one
        for one in KeptContainers(settings.home.kept).of_release(release)
        if service in {None, one.service} and host in {None, one.host}
    ]
    if not found:
        of_service = "" if service is None else f" and the service {service}"
        raise UserError(
            NOTHING_KEPT,
            f"nothing is kept of {release}{of_service}",
            why="it is kept when a container fails, the newest of each environment, for some days "
            "(`kept` in controller.yml)",
            next=f"stagecraft releases show {release}",
        )
    width = max(len(one.service) for one in found) if len(found) > 1 else 0
    for one in found:
        prefix = f"{one.service.ljust(width)}  | " if width else ""
        for text in one.log[max(len(one.log) - tail, 0) :] if tail is not None else one.log:
            settings.console.line(prefix + text)


def _pattern(text: str | None) -> re.Pattern[str] | None:
    """Raises UserError `pattern-unusable`."""
    import re

    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise UserError(
            PATTERN_UNUSABLE,
            f"--grep {text!r} is no regular expression",
            why=str(error),
            next="put a backslash before a character that is meant as itself",
        ) from error


def _moment(option: str, text: str | None) -> float | None:
    """Seconds of the epoch. Raises UserError `moment-unusable`."""
    if text is None:
        return None
    from datetime import UTC, datetime

    from events.kernel.clock import parse_utc
    from gitops.durations import parse_duration

    try:
        return parse_utc(text).timestamp()
    except ValueError:
        pass
    try:
        return max(datetime.now(UTC).timestamp() - parse_duration(text), 1.0)
    except ValueError as error:
        raise UserError(
            MOMENT_UNUSABLE,
            f"{option} {text!r} is no time",
            why="a length such as 10m or 1h30m, or a moment with its offset such as 2026-01-31T12:00:00Z",
        ) from error
