"""Which recorded Manifest a person means by a Release, a commit, a digest, a position or a time.

A Release means its Manifest, a commit the newest Manifest that this environment rendered of it, a digest or
its beginning itself, and a place in the log what was deployed there.

What begins with `rel-` is a Release and with `sha256:` a digest; seven or more hex digits, one of them a
letter, are a commit; all else is a place. A commit whose beginning is digits alone is named with more of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.decide.rollback import RELEASE_NOT_FOUND
from controller.moments import find_place
from events.kernel.errors import UserError, error_code
from events.query import EventQuery
from events.streams import environment_stream
from projections.views.at import environment_at
from projections.views.releases import digests_like, find_release

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from controller.moments import Place
    from controller.targets import Target
    from events.log import EventLog

REVISION_NOT_RENDERED = error_code(
    "revision-not-rendered", "The environment recorded no Manifest of this commit."
)
MANIFEST_UNKNOWN = error_code(
    "manifest-unknown", "The environment recorded no Manifest of this digest, or several begin so."
)

_DIGEST = re.compile(r"sha256:[0-9a-f]{7,64}")
_REVISION = re.compile(r"(?=\d*[a-f])[0-9a-f]{7,64}")
_PAGE = 20  # renders looked at for a commit, and then again


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One side of a comparison."""

    digest: str | None  # None: nothing was deployed there
    release: str | None = None
    revision: str | None = None
    place: Place | None = None  # None: it is none, but something that was recorded

    def as_json(self) -> dict[str, Any]:
        """The objects `from` and `to` of `diff --json`."""
        return {
            "digest": self.digest,
            "release": self.release,
            "revision": self.revision,
            "at": None if self.place is None else self.place.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finder:
    """Finds points of one environment; `tables` have the view of Releases at the log's head."""

    log: EventLog
    tables: sqlite3.Connection
    target: Target
    now: datetime

    def find(self, text: str) -> Point:
        """The point that `text` means.

        Raises UserError `release-not-found`, `revision-not-rendered`, `manifest-unknown`, and what
        `find_place` raises.
        """
        if text.startswith("rel-"):
            return self._release(text)
        if _DIGEST.fullmatch(text):
            return self._digest(text)
        if _REVISION.fullmatch(text):
            return self._revision(text)
        return self._place(text)

    def _release(self, release_id: str) -> Point:
        found = find_release(self.tables, release_id)
        place = None if found is None else (found.release.project, found.release.environment)
        if found is None or place != (self.target.project, self.target.name):
            why = "" if place is None else f"it is a Release of {'/'.join(place)}"
            raise UserError(
                RELEASE_NOT_FOUND,
                f"{self.target} has no Release {release_id[:60]!r}",
                why=why,
                next=f"stagecraft releases list --env {self.target}",
            )
        release = found.release
        return Point(digest=release.digest, release=release.id, revision=release.revision)

    def _digest(self, beginning: str) -> Point:
        found = digests_like(self.tables, self.target.project, self.target.name, beginning=beginning)
        if len(found) == 1:
            return Point(digest=found[0])
        raise UserError(
            MANIFEST_UNKNOWN,
            f"{self.target} has {'no' if not found else 'several'} recorded Manifests {beginning}",
            why=", ".join(found),
            next=f"stagecraft releases list --env {self.target} --json",
        )

    def _revision(self, beginning: str) -> Point:
        upto = self.log.head()
        while True:
            page = self.log.select(
                EventQuery(
                    stream=environment_stream(self.target.project, self.target.name),
                    types=frozenset({"ManifestRendered"}),
                    mentions=f'"{beginning}'.encode(),
                    upto=upto,
                    newest_first=True,
                    limit=_PAGE,
                )
            )
            for event in page:
                data = json.loads(event.data)
                if data["revision"].startswith(beginning):
                    return Point(digest=data["digest"], revision=data["revision"])
            if len(page) < _PAGE:
                break
            upto = page[-1].position - 1
        raise UserError(
            REVISION_NOT_RENDERED,
            f"{self.target} recorded no Manifest of the commit {beginning}",
            next=f"stagecraft releases list --env {self.target}, or stagecraft why {beginning}",
        )

    def _place(self, text: str) -> Point:
        place = find_place(self.log, text, now=self.now)
        then = environment_at(self.log, self.target.project, self.target.name, position=place.position)
        found = then.environment
        if found is None:
            return Point(digest=None, place=place)
        deployed = found.deployed
        return Point(
            digest=deployed.digest, release=deployed.release, revision=deployed.revision, place=place
        )
