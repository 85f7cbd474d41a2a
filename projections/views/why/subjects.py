"""What a word means: a service, a container, a Release or a commit, and in which environment.

Whole names win over beginnings. A word that means several things is never guessed at: the error lists them,
and `kind:word` or an environment tells them apart.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from events.kernel.errors import UserError, error_code
from projections.views.why.answer import Subject
from projections.views.why.containers import releases_of_container, releases_of_service

if TYPE_CHECKING:
    from events.log import EventLog

SUBJECT_UNKNOWN = error_code(
    "why-subject-unknown", "The log knows no service, container, Release or commit of that name."
)
SUBJECT_AMBIGUOUS = error_code(
    "why-subject-ambiguous", "The name means several things, or one thing in several environments."
)

KINDS = ("service", "container", "release", "revision")
_HEX = re.compile("[0-9a-f]+")
_LEAST_CONTAINER = 4  # digits of a beginning
_LEAST_REVISION = 7
_MOST_LISTED = 10

Place = tuple[str, str]  # project and name


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A subject, with what its answer needs beside the environment's stream."""

    subject: Subject
    service: str | None = None  # of a container
    releases: tuple[str, ...] = ()  # whose streams count
    known: bool = True  # False: a container that an engine showed and no event names


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A container as an engine last showed it."""

    id: str
    project: str
    name: str
    host: str
    service: str


def find_subject(
    log: EventLog,
    tables: sqlite3.Connection,
    word: str,
    *,
    environment: Place | None = None,
    shown: Callable[[], Sequence[Shown]],
) -> Found:
    """The one thing that `word` means. `shown` tells the containers that engines last showed, if need be.

    Raises UserError `why-subject-unknown` or `why-subject-ambiguous`.
    """
    kind, name = _kind_of(word)
    exact = [*_releases(tables, name), *_services(tables, name)]
    every = exact or [
        *_containers(tables, name),
        *_revisions(log, tables, name, environment=environment),
    ]
    if kind is not None:
        every = [
            *exact,
            *_containers(tables, name),
            *_revisions(log, tables, name, environment=environment),
        ]
        every = [one for one in every if one.subject.kind == kind]
    if not every and kind in {None, "container"}:
        every = _shown(name, shown())
    chosen = [one for one in every if environment in {None, (one.subject.project, one.subject.name)}]
    if not chosen:
        raise _unknown(tables, word, environment=environment, elsewhere=every)
    if len(chosen) > 1:
        raise _ambiguous(word, chosen)
    return _with_releases(tables, chosen[0])


def _with_releases(tables: sqlite3.Connection, found: Found) -> Found:
    """With the Releases whose streams the answer needs, of a service or a container."""
    subject = found.subject
    place = (subject.project, subject.name)
    if subject.kind == "service" or not found.known:
        return replace(found, releases=releases_of_service(tables, found.service or subject.id, place))
    if subject.kind == "container":
        return replace(found, releases=releases_of_container(tables, subject.id, found.service or "", place))
    return found


def _kind_of(word: str) -> tuple[str | None, str]:
    """`container:4e07` as its parts; a word without a kind stands alone."""
    kind, colon, rest = word.partition(":")
    return (kind, rest) if colon and kind in KINDS else (None, word)


def _releases(tables: sqlite3.Connection, name: str) -> list[Found]:
    rows = tables.execute("SELECT project, name FROM trace_releases WHERE id = ?", (name,))
    return [
        Found(
            subject=Subject(kind="release", id=name, project=row["project"], name=row["name"]),
            releases=(name,),
        )
        for row in rows
    ]


def _services(tables: sqlite3.Connection, name: str) -> list[Found]:
    query = "SELECT DISTINCT project, name FROM trace_services WHERE service = ? ORDER BY project, name"
    return [
        Found(subject=Subject(kind="service", id=name, project=row["project"], name=row["name"]))
        for row in tables.execute(query, (name,))
    ]


def _containers(tables: sqlite3.Connection, prefix: str) -> list[Found]:
    prefix = prefix.lower()
    if len(prefix) < _LEAST_CONTAINER or not _HEX.fullmatch(prefix):
        return []
    query = (
        "SELECT container, project, name, host, service FROM trace_containers"
        " WHERE container >= ? AND container < ? ORDER BY container, position"
    )
    found: dict[str, Found] = {}
    for row in tables.execute(query, (prefix, prefix + "g")):
        subject = Subject(
            kind="container",
            id=row["container"],
            project=row["project"],
            name=row["name"],
            host=row["host"],
        )
        found[row["container"]] = Found(subject=subject, service=row["service"])
    return list(found.values())


def _revisions(
    log: EventLog, tables: sqlite3.Connection, prefix: str, *, environment: Place | None
) -> list[Found]:
    """The commit in each environment that has an event of it, else that it changes, else that it declares."""
    prefix = prefix.lower()
    if len(prefix) < _LEAST_REVISION or not _HEX.fullmatch(prefix):
        return []
    query = (
        "SELECT revision, project, name, position FROM trace_revisions"
        " WHERE revision >= ? AND revision < ? ORDER BY revision, project, name, position"
    )
    named: dict[str, set[Place]] = {}
    seen: dict[str, int] = {}
    for row in tables.execute(query, (prefix, prefix + "g")):
        places = named.setdefault(row["revision"], set())
        if row["project"]:
            places.add((row["project"], row["name"]))
        else:
            seen[row["revision"]] = row["position"]
    return [
        Found(subject=Subject(kind="revision", id=revision, project=place[0], name=place[1]))
        for revision, places in sorted(named.items())
        for place in _concerned(log, places, seen=seen.get(revision), environment=environment)
    ]


def _concerned(
    log: EventLog, places: set[Place], *, seen: int | None, environment: Place | None
) -> list[Place]:
    if environment is not None and (environment in places or seen is not None):
        return [environment]
    if places or seen is None:
        return sorted(places)
    titles = _declared(log, seen)
    return [(project, name) for project, _, name in (one.partition("/") for one in sorted(titles))]


def _declared(log: EventLog, position: int) -> Collection[str]:
    """The environments that a sighting changes, else that it declares; of a rejected one, the last before."""
    (event,) = log.read(after=position - 1, limit=1)
    for one in reversed(log.read(stream=event.stream, type_name="RevisionObserved")):
        if one.position <= position:
            data = json.loads(one.data)
            found: Collection[str] = data["affected"] or data.get("declared", ())
            return found
    return ()


def _shown(prefix: str, shown: Sequence[Shown]) -> list[Found]:
    """Containers that an engine showed and that no event names."""
    if len(prefix) < _LEAST_CONTAINER or not _HEX.fullmatch(prefix):
        return []
    return [
        Found(
            subject=Subject(kind="container", id=one.id, project=one.project, name=one.name, host=one.host),
            service=one.service,
            known=False,
        )
        for one in shown
        if one.id.startswith(prefix)
    ]


def as_service(found: Found) -> Found:
    """The service of a container, in its place."""
    return replace(found, subject=replace(found.subject, kind="service", id=found.service or ""))


def _unknown(
    tables: sqlite3.Connection, word: str, *, environment: Place | None, elsewhere: list[Found]
) -> UserError:
    rows = tables.execute("SELECT DISTINCT service FROM trace_services ORDER BY service")
    services = [row["service"] for row in rows]
    where = "" if environment is None else f" in {'/'.join(environment)}"
    if elsewhere:
        why = f"it is known as {_listed(elsewhere)}"
    elif services:
        more = f" and {len(services) - _MOST_LISTED} more" if len(services) > _MOST_LISTED else ""
        why = f"services that are known: {', '.join(services[:_MOST_LISTED])}{more}"
    else:
        why = "nothing was recorded in this home yet"
    return UserError(
        SUBJECT_UNKNOWN,
        f"the log knows no service, container, Release or commit {word!r}{where}",
        why=why + "; a commit is known when a watched branch pointed at it, or when somebody deployed it",
        next="stagecraft releases list, or stagecraft status",
    )


def _ambiguous(word: str, choices: list[Found]) -> UserError:
    places = {one.subject.environment for one in choices}
    several_kinds = len({(one.subject.kind, one.subject.id) for one in choices}) > 1
    ways = ["--env NAME"] if len(places) > 1 else []
    ways += ["more of its digits, or KIND:NAME"] if several_kinds else []
    return UserError(
        SUBJECT_AMBIGUOUS,
        f"{word!r} means several things",
        why=_listed(choices),
        next=f"say which with {' and '.join(ways)}",
    )


def _listed(choices: Sequence[Found]) -> str:
    named = [
        f"{one.subject.kind}:{one.subject.id} in {one.subject.environment}" for one in choices[:_MOST_LISTED]
    ]
    more = len(choices) - _MOST_LISTED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
