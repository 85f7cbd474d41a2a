"""`stagecraft logs`: what the containers of an environment wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings, with_settings
from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from controller.tailing import Line, Wanted
    from controller.targets import Target
    from events.log import EventLog
    from projections.converge.adopted import Adopted

NOTHING_KEPT = error_code(
    "nothing-kept", "Nothing is kept of a container that failed the Release, or nothing any more."
)
MOMENT_UNUSABLE = error_code(
    "moment-unusable", "A time on the command line is neither a moment nor a length."
)


@with_settings("env")
def logs(
    settings: Settings,
    *,
    service: Annotated[
        str | None, typer.Option("--service", metavar="NAME", help="Of this service; all unless given.")
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="NAME", help="Of this host; all unless given.")
    ] = None,
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
    every: Annotated[
        bool, typer.Option("--all", help="Also of containers that ended and are still there.")
    ] = False,
    release: Annotated[
        str | None,
        typer.Option("--release", metavar="ID", help="What was kept of containers that failed this Release."),
    ] = None,
) -> int:
    """Show what the containers of an environment wrote, each line behind its service when there are several.

    With --follow until Ctrl-C, which is a good end. With --release what failed containers of that Release
    had written, when they are long gone: as `releases show` names it, for as long as it is kept.

    Exit codes: 0 also when there is nothing; 1 no such environment, service or host, or nothing is kept of
    the Release; 2 the engine does not answer.
    """
    import asyncio

    from controller.bootstrap import open_log

    if release is not None:
        if follow or since is not None:
            raise typer.BadParameter("what was kept has no moments, and nothing follows: use --tail")
        _show_kept(settings, release, service=service, host=host, tail=tail)
        return 0
    moment = None if since is None else _moment(since)
    named = settings.required_environment()
    with open_log(settings.home) as log:
        from cli.reading import History

        target = History(settings, log).target(named)
        _refuse_unknown(host)
        known = _services(log, target)
        lineage, adopted = _identity(log, target)
    from controller.tailing import Wanted

    wanted = Wanted(
        target=target,
        lineage=lineage,
        service=service,
        ended=every,
        tail=tail,
        since=moment,
        adopted=adopted,
    )
    try:
        asyncio.run(_show(settings, wanted, known=known, forever=follow))
    except KeyboardInterrupt:
        if not follow:
            raise
    return 0


async def _show(settings: Settings, wanted: Wanted, *, known: frozenset[str], forever: bool) -> None:
    from controller.bootstrap import open_engine
    from controller.tailing import choose, follow, read
    from events.kernel.clock import SystemClock

    with open_engine(settings.home) as engine:
        containers = await choose(engine, wanted, known=known)
        if not containers:
            words = "no container" if wanted.ended else "no container runs; --all shows those that ended"
            settings.console.warning(f"{wanted.target}: {words}")
        if forever:
            lines = follow(engine, wanted, containers, clock=SystemClock())
        else:
            lines = read(engine, wanted, containers)
        alone = wanted.service is not None or (not forever and len(containers) == 1)
        named = {*known, *(one.service or "" for one in containers)}
        width = 0 if alone else max(map(len, named), default=1)
        await _print(settings, lines, width=width)


async def _print(settings: Settings, lines: AsyncGenerator[Line], *, width: int) -> None:
    from contextlib import aclosing

    async with aclosing(lines):
        async for line in lines:
            prefix = f"{line.service.ljust(width)}  | " if width else ""
            settings.console.line(prefix + line.text)


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


def _services(log: EventLog | None, target: Target) -> frozenset[str]:
    """The services of what is deployed, by the log."""
    from controller.decide.folding import fold
    from events.streams import environment_stream

    if log is None:
        return frozenset()
    state = fold(log.read_stream(environment_stream(target.project, target.name)))
    render = None if state.deployed_digest is None else state.render_of(state.deployed_digest)
    return frozenset() if render is None else frozenset[str]().union(*render.services.values())


def _identity(log: EventLog | None, target: Target) -> tuple[str, Adopted]:
    """What tells the environment's containers: the log's lineage, and those that were adopted."""
    from controller.bootstrap import LOCAL_HOST
    from projections.converge.adopted import adopted_by_log
    from projections.engine.sweep import Owner

    if log is None:
        return "", {}
    owner = Owner(project=target.project, environment=target.name, log=log.lineage)
    return log.lineage, adopted_by_log(log, owner, LOCAL_HOST)


def _refuse_unknown(host: str | None) -> None:
    from controller.bootstrap import LOCAL_HOST
    from controller.rendered_document import HOST_UNKNOWN

    if host not in {None, LOCAL_HOST}:
        raise UserError(HOST_UNKNOWN, f"unknown host {host!r}", why=f"known hosts: {LOCAL_HOST}")


def _moment(text: str) -> float:
    """Seconds of the epoch. Raises UserError `moment-unusable`."""
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
            f"--since {text!r} is no time",
            why="a length such as 10m or 1h30m, or a moment with its offset such as 2026-01-31T12:00:00Z",
        ) from error
