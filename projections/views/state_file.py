"""The history of Releases as a state file: the JSON that tools without an event log keep and read.

    {"releases": [{"id", "environment", "version", "commit_sha", "timestamp", "phases": {}, "previous_id"}]}

Releases stand in the order in which they were asked for, so the last one of an environment is the newest.
`previous_id` is the newest one before it in its environment, whatever became of that: this form tells of
attempts, not of what was deployed when, which only the log and `releases show` know. Every value is a text,
empty where there is nothing to say: readers of this form have no null.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from projections.views.releases import Release, list_releases, phases_in


class StateRelease(BaseModel):
    """One Release; environment and version are never empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^rel-\d{8}-\d{6}(\d{3})?$")
    environment: str = Field(min_length=1)
    version: str = Field(min_length=1)
    commit_sha: str  # empty: the Release came from no commit
    timestamp: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
    phases: dict[str, str]  # {name: pending, running, completed, failed or skipped}, in order
    previous_id: str  # empty: the first one of its environment


class StateFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    releases: tuple[StateRelease, ...]

    def encode(self) -> bytes:
        """The file's bytes."""
        return self.model_dump_json(indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, content: bytes) -> StateFile:
        """The file of these bytes. Raises pydantic.ValidationError."""
        return cls.model_validate_json(content)


def state_file(
    tables: sqlite3.Connection, *, environments: Iterable[tuple[str, str]] | None = None
) -> StateFile:
    """The Releases of these `(project, name)` environments, or of all.

    An environment is called by its name alone; where Releases of several projects are there, with its
    project, because two projects may have one of the same name.
    """
    found = list_releases(tables, environments=environments)[::-1]
    several = len({release.project for release in found}) > 1
    newest: dict[tuple[str, str], str] = {}
    made: list[StateRelease] = []
    for release in found:
        place = release.project, release.environment
        made.append(
            StateRelease(
                id=release.id,
                environment="/".join(place) if several else release.environment,
                version=release.version,
                commit_sha=release.revision or "",
                timestamp=release.created_at,
                phases=_phases(tables, release),
                previous_id=newest.get(place, ""),
            )
        )
        newest[place] = release.id
    return StateFile(releases=tuple(made))


def _phases(tables: sqlite3.Connection, release: Release) -> dict[str, str]:
    return {phase.name: phase.status for phase in phases_in(tables, release.id)}
