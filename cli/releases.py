"""`stagecraft releases`: the history of Releases, read from the log's view."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from shlex import quote as quoted
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import aligned
from cli.moments import AtOption, place_of
from cli.releases_export import export_command
from cli.settings import Settings, group, with_settings
from cli.verdicts import kept_words
from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from projections.views.releases import Release, ReleaseDetail

RELEASE_NOT_FOUND = error_code("release-not-found", "No Release has this id.")

_MOST_LISTED = 200  # unless somebody asks for more: some screens, and not the years of a team

app = group("The history of Releases.")
app.command("export")(export_command)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
@with_settings("env")
def list_command(
    settings: Settings,
    *,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            min=0,
            help="The newest N; 0: all. Else 200, or all with --json.",
        ),
    ] = None,
    at: AtOption = None,
    json: AsJson = False,
) -> None:
    """List Releases: by environment and newest first; of one environment with --env.

    With --json a list, newest first, whatever the environment. A text ends with the newest 200 unless --limit
    says otherwise, and says so. With --at those that were there then, as they were then.

    Exit codes: 0 also when there is none; 1 no such environment, or no such time; 2 the log cannot be read.
    """
    from cli.reading import History
    from controller.bootstrap import open_log
    from projections.views.release_fold import RELEASES
    from projections.views.releases import list_releases

    with open_log(settings.home) as log:
        history = History(settings, log)
        concerned = history.environments()
        place = None if at is None else place_of(log, at)
        upto = None if place is None else place.position
        nothing: list[Release] = []
        most = (None if json else _MOST_LISTED) if limit is None else limit or None
        asked = None if most is None else most + 1  # one more tells whether there are more
        found = history.ask(
            [RELEASES],
            lambda tables: list_releases(tables, environments=concerned, limit=asked, upto=upto),
            nothing=nothing,
        )
    if place is not None:
        settings.console.progress(f"as of {place}")
    more, found = len(found) > (most or len(found)), found[:most]
    if json:
        settings.console.json([release.as_json() for release in found])
    elif not found:
        settings.console.line("No releases found")
    elif settings.environment is not None:
        settings.console.table(_HEADS, [_row(release) for release in found])
    else:
        _print_all(settings, found)
    if more and not json:
        settings.console.progress(f"the newest {most} are shown; --limit 0 shows all")


@app.command("show")
@with_settings()
def show_command(
    settings: Settings,
    *,
    release_id: Annotated[str, typer.Argument(metavar="ID", help="As `releases list` shows it.")],
    at: AtOption = None,
    json: AsJson = False,
) -> None:
    """Show one Release: where it came from, its six phases, its images, and why it failed.

    With --at as it was then.

    Exit codes: 0; 1 there is no such Release, or was none then, or no such time; 2 the log cannot be read.
    """
    from cli.reading import History
    from controller.bootstrap import open_log
    from projections.views.at import release_at
    from projections.views.release_fold import RELEASES
    from projections.views.releases import find_release

    with open_log(settings.home) as log:
        place = None if at is None else place_of(log, at)

        def query(tables: sqlite3.Connection) -> ReleaseDetail | None:
            if log is None or place is None:
                return find_release(tables, release_id)
            return release_at(log, tables, release_id, position=place.position)

        found = History(settings, log).ask([RELEASES], query, nothing=None)
    if found is None:
        then = "" if place is None else f" as of {place}"
        raise UserError(
            RELEASE_NOT_FOUND,
            f"release not found{then}: {release_id}",
            next="stagecraft releases list" + ("" if at is None else f" --at {quoted(at)}"),
        )
    if place is not None:
        settings.console.progress(f"as of {place}")
    if json:
        settings.console.json(found.as_json())
    else:
        settings.console.line("\n".join(_detail_lines(found)))


_SHORT_DIGEST = len("sha256:") + 12
_HEADS = ("RELEASE ID", "VERSION", "TIMESTAMP", "STATUS")


def _row(release: Release) -> tuple[str, ...]:
    return release.id, release.version, timestamp(release.created_at), release.status


def _print_all(settings: Settings, releases: Sequence[Release]) -> None:
    """All environments: by name, then newest first, then by id; with the project when there are several."""
    several = len({release.project for release in releases}) > 1
    by_id = sorted(releases, key=lambda release: release.id)
    newest = sorted(by_id, key=lambda release: release.created_at, reverse=True)
    rows = [(_place(release, several=several), release) for release in newest]
    rows.sort(key=lambda row: row[0])
    heads = (_HEADS[0], "ENVIRONMENT", *_HEADS[1:])
    settings.console.table(heads, [(release.id, place, *_row(release)[1:]) for place, release in rows])


def _place(release: Release, *, several: bool) -> str:
    return f"{release.project}/{release.environment}" if several else release.environment


def timestamp(moment: str) -> str:
    """`2026-11-21T03:04:54.123Z` as `2026-11-21 03:04:54`, still UTC."""
    return moment[:19].replace("T", " ")


def _detail_lines(detail: ReleaseDetail) -> list[str]:
    release = detail.release
    facts = [
        ("Release ID:", release.id),
        ("Project:", release.project),
        ("Environment:", release.environment),
        ("Version:", release.version),
        ("Commit SHA:", release.revision or "N/A"),
        ("Timestamp:", timestamp(release.created_at)),
        ("Previous Release:", release.previous_id or "N/A"),
        ("Kind:", release.kind),
        ("Status:", release.status),
        *([("Hosts:", f"{', '.join(detail.scope)} alone")] if detail.scope else []),
        ("Manifest:", release.digest),
        *([("Reverts:", detail.reverts)] if detail.reverts else []),
        *([("Retry of:", detail.retry_of)] if detail.retry_of else []),
    ]
    lines = aligned(facts)
    lines += ["Phases:", *_indented([(one.name, one.status, one.detail) for one in detail.phases])]
    if len(detail.hosts) > 1:
        hosts = [
            (name, one["status"], (one["digest"] or "-")[:_SHORT_DIGEST], one["reason"])
            for name, one in sorted(detail.hosts.items())
        ]
        lines += ["Hosts:", *_indented(hosts)]
    if detail.traffic is not None:
        from projections.traffic_words import traffic_words

        lines.append(f"Traffic: {traffic_words(detail.traffic)}")
    if detail.images:
        images = [(name, image["ref"], image["pin"]) for name, image in detail.images.items()]
        lines += ["Images:", *_indented(images)]
    if detail.failure is not None:
        lines += ["Failure:", *failure_lines(detail.failure)]
    return lines


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in aligned([[" ".join(cell.split()) for cell in row] for row in rows])]


def failure_lines(failure: dict[str, Any]) -> list[str]:
    """A recorded failure for people; keys that are not there or empty are left out."""
    place = ", ".join(
        part
        for part in (
            failure.get("where", ""),
            f"host {failure['host']}" if failure.get("host") else "",
            f"service {failure['service']}" if failure.get("service") else "",
        )
        if part
    )
    code = failure.get("exit_code")
    facts = (
        ("where", place),
        ("exit code", "" if code is None else str(code)),
        ("why", failure.get("why", "")),
        ("health", failure.get("health_output", "")),
        ("log", "\n".join(failure.get("log_tail", ()))),
        ("kept", kept_words(failure["kept"]) if failure.get("kept") else ""),
        ("next", failure.get("next", "")),
    )
    lines = [f"  {failure['code']}: {failure['message']}"]
    for label, text in facts:
        if text.strip():
            lines.append(f"  {label}: " + text.strip().replace("\n", "\n    "))
    return lines
