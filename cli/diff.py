"""`stagecraft diff`: what differs between two versions of an environment that were recorded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.moments import nothing_recorded
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from controller.comparing import Comparison, Names, ServiceDifference
    from controller.points import Point
    from events.manifest import ImagePin

_SHORT_DIGEST = len("sha256:") + 12
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_FORMS = "a Release, a commit, a digest, a position, or a time"


@with_settings("env")
def diff(
    settings: Settings,
    *,
    from_: Annotated[str, typer.Option("--from", metavar="WHAT", help=f"The one side: {_FORMS}.")],
    to: Annotated[
        str, typer.Option("--to", metavar="WHAT", help="The other side; now unless given.")
    ] = "now",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what differs between two recorded versions of an environment: images, variables, files, routes.

    A Release means what it was to run, a commit what was rendered of it last, a position or a time what was
    deployed then. Of variables the names are shown, never a value.

    Exit codes: 0 whatever differs; 1 no such environment, Release, commit or time; 2 the log or a recorded
    version cannot be read.
    """
    from cli.reading import History
    from controller.bootstrap import open_log
    from controller.comparing import compare
    from controller.points import Finder
    from controller.recorded import recorded_manifest
    from projections.views.release_fold import RELEASES

    now = datetime.now(UTC)
    with open_log(settings.home) as log:
        history = History(settings, log)
        target = history.target(settings.required_environment())

        def query(tables: sqlite3.Connection) -> tuple[Point, Point] | None:
            if log is None:
                return None
            finder = Finder(log=log, tables=tables, target=target, now=now)
            return finder.find(from_), finder.find(to)

        points = history.ask([RELEASES], query, nothing=None)
    if points is None:
        raise nothing_recorded(from_)
    one, two = points
    found = compare(
        recorded_manifest(settings.home, one.digest), recorded_manifest(settings.home, two.digest)
    )
    if json:
        settings.console.json(
            {
                "project": target.project,
                "environment": target.name,
                "from": one.as_json(),
                "to": two.as_json(),
                "services": [service.as_json() for service in found.services],
                "secrets": found.secrets.as_json(),
            }
        )
        return
    settings.console.line("\n".join([f"{target}: {_point(one)} -> {_point(two)}", *diff_lines(found)]))


def _point(point: Point) -> str:
    """`rel-… sha256:… as of 2026-11-21 14:05:00 +01:00 (position 812)`."""
    names = [
        point.release or (point.revision or "")[:12],
        (point.digest or "nothing deployed")[:_SHORT_DIGEST],
    ]
    then = "" if point.place is None else f" as of {point.place}"
    return " ".join(name for name in names if name) + then


def diff_lines(found: Comparison) -> list[str]:
    """The differences for people, below their hosts."""
    if found.is_empty:
        return ["  no difference"]
    lines: list[str] = []
    width = max((len(one.service) for one in found.services), default=0)
    for host in sorted({one.host for one in found.services}):
        lines.append(f"  {host}:")
        for one in found.services:
            if one.host == host:
                lines += _service_lines(one, width)
    if signed := _signed(found.secrets):
        lines.append(f"  secrets {signed}")
    return lines


def _service_lines(one: ServiceDifference, width: int) -> Iterable[str]:
    begin = f"    {_SIGNS[one.change]} {one.service.ljust(width)}  "
    texts = _texts(one)
    yield f"{begin}{texts[0]}".rstrip()
    yield from (f"{' ' * len(begin)}{text}" for text in texts[1:])


def _texts(one: ServiceDifference) -> list[str]:
    """A line for each thing that differs; files with their digests, routes by their names."""
    if one.change != "changed":
        return [_image(one.image_after or one.image_before)]
    texts = [reason.text for reason in one.reasons if reason.kind not in {"file", "image", "route"}]
    if one.image_before != one.image_after:
        texts.insert(0, f"image {_image(one.image_before)} -> {_image(one.image_after)}")
    texts += [
        f"file {file.sign}{file.path} {_short(file.before)} -> {_short(file.after)}" for file in one.files
    ]
    if routes := _signed(one.routes):
        texts.append(f"routes {routes}")
    return texts or [""]


def _image(image: ImagePin | None) -> str:
    return "-" if image is None else f"{image.ref} {image.pin[:_SHORT_DIGEST]}"


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest[:_SHORT_DIGEST]


def _signed(names: Names) -> str:
    signs = (("+", names.added), ("~", names.changed), ("-", names.removed))
    return " ".join(f"{sign}{name}" for sign, some in signs for name in some)
