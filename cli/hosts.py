"""`stagecraft hosts`: where hosts are, which machine a name means, and what ran there."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from cli.hosts_bootstrap import bootstrap
from cli.hosts_check import check, doctor
from cli.hosts_list import list_command, listed_hosts
from cli.moments import AtOption, nothing_recorded, place_of
from cli.settings import Settings, group, required_reason, with_settings
from events.kernel.errors import UserError, error_code
from events.streams import LOCAL_HOST

if TYPE_CHECKING:
    from projections.views.at_hosts import Resident
    from projections.views.releases import Images

HOST_UNKNOWN_TO_LOG = error_code("host-not-in-log", "The log knows no host of that name.")

_SHORT_PIN = len("sha256:") + 12

app = group("Hosts: where they are, what is there, and what makes a machine one.")
app.command("list")(list_command)
app.command("check")(check)
app.command("doctor")(doctor)
app.command("bootstrap")(bootstrap)


@app.command("rebind")
@with_settings("dry_run")
def rebind(
    settings: Settings,
    *,
    host: Annotated[str, typer.Argument(metavar="HOST", help="The host, such as `local`.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")],
) -> None:
    """Bind a host's name to the machine and engine that answer now.

    For a machine or an engine that was set up anew, or a home that moved to another machine: until then the
    host counts as unknown and nothing is touched there. The next deploy or look makes what is missing there.
    What still runs on the former engine is left alone.

    Exit codes: 0 it is bound, or was so already; 1 no such host; 2 the engine does not answer.
    """
    import asyncio

    from cli.actors import person
    from controller.bootstrap import open_context
    from controller.rebinding import consider_rebinding
    from controller.rebinding import rebind as run

    why = required_reason(reason, "a host is rebound")
    with open_context(settings.home, progress=settings.console.progress) as context:
        found = asyncio.run(consider_rebinding(context, host, reason=why))
        if found.change is None:
            settings.console.line(f"{host} means the engine {found.identity.engine} already; nothing changed")
            return
        if not settings.dry_run:
            run(context, host, rebinding=found, actor=person(context.actors))
    settings.console.line(
        f"{host} {'would mean' if settings.dry_run else 'means'} the engine {found.change.engine} on machine "
        f"{found.change.machine}; before: {found.change.former_engine} on {found.change.former_machine}\n"
        f"next: stagecraft status --live"
    )


def shown_image(image: Mapping[str, str] | None) -> str:
    """`web:1.4 sha256:4e07408562be`: a reference and what it was pinned to; `-` for an unknown one."""
    return "-" if image is None else f"{image['ref']} {image['pin'][:_SHORT_PIN]}"


@app.command("show")
@with_settings()
def show(
    settings: Settings,
    *,
    host: Annotated[str, typer.Argument(metavar="HOST", help="The host, such as `local`.")],
    at: AtOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what the log knows to run on a host, of all environments: now, or with --at as of then.

    A container is there from the event that it came with to the event that it went with. What became of it
    without an event only its engine knew; `status --live` asks it for now. Without --at it also says where
    the host is, who says so, and whether it answered when it was last asked.

    Exit codes: 0 also when nothing ran there; 1 no such host, or no such time; 2 the log cannot be read.
    """
    from cli.reading import History
    from controller.bootstrap import open_log
    from projections.views.at_hosts import RESIDENTS, known_hosts, ran_on
    from projections.views.release_fold import RELEASES
    from projections.views.releases import images_of_releases

    with open_log(settings.home) as log:
        if log is None:
            raise nothing_recorded(at or "now")
        place = place_of(log, at or "now")

        def query(tables: sqlite3.Connection) -> tuple[list[str], list[Resident], Images]:
            found = ran_on(tables, host, position=place.position)
            return known_hosts(tables), found, images_of_releases(tables, [one.release for one in found])

        known, residents, images = History(settings, log).read(log, [RESIDENTS, RELEASES], query)
    here = at is not None or host == LOCAL_HOST  # of which nothing is declared
    declared = None if here else listed_hosts(settings).get(host)
    if host not in known and declared is None:
        raise UserError(
            HOST_UNKNOWN_TO_LOG,
            f"the log knows nothing of a host {host!r}",
            why=f"known hosts: {', '.join(known) or 'none'}",
            next="stagecraft status",
        )

    def image(one: Resident) -> Mapping[str, str] | None:
        return images.get(one.release, {}).get(one.service)

    if json:
        containers = [{**one.as_json(), "image": image(one)} for one in residents]
        told = {"host": host, "at": place.as_json(), "containers": containers}
        facts = {} if declared is None else {"declared": declared.as_json()}
        settings.console.json({**told, **facts})
        return
    settings.console.line(f"{host} as of {place}, by the log")
    if declared is not None:
        settings.console.line(f"  address  {declared.address}, by {declared.origin}")
        settings.console.line(f"  answers  {declared.answer}")
    if not residents:
        settings.console.line("no container")
        return
    rows = [
        (
            f"{one.project}/{one.name}",
            one.service,
            one.container[:12],
            shown_image(image(one)),
            one.since,
            one.release,
            one.note,
        )
        for one in residents
    ]
    settings.console.table(("ENVIRONMENT", "SERVICE", "CONTAINER", "IMAGE", "SINCE", "RELEASE", "NOTE"), rows)
