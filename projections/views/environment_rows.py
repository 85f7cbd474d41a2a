"""The tables about environments, and an event about one with what it may change in them."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from events.envelope import StoredEvent
from events.kernel.clock import format_utc

TABLES = {
    "environments": """
        CREATE TABLE environments (
            project TEXT NOT NULL,
            name TEXT NOT NULL,
            watched INTEGER NOT NULL DEFAULT 0,
            revision TEXT,
            revision_at TEXT,
            git_digest TEXT,
            asked_digest TEXT,
            failed_revision TEXT,
            render_failure TEXT,
            awaiting TEXT,
            deployed_release TEXT,
            active_release TEXT,
            hold TEXT,
            suspended TEXT,
            breaker TEXT,
            orphaned TEXT,
            destroying TEXT,
            destroyed TEXT,
            unpruned TEXT,
            placed TEXT,
            drained TEXT,
            watch TEXT,
            PRIMARY KEY (project, name)
        ) WITHOUT ROWID
    """,
    "environment_releases": """
        CREATE TABLE environment_releases (
            project TEXT NOT NULL,
            name TEXT NOT NULL,
            id TEXT NOT NULL,
            position INTEGER NOT NULL,
            digest TEXT NOT NULL,
            revision TEXT,
            status TEXT NOT NULL,
            scope TEXT NOT NULL,
            traffic TEXT,
            PRIMARY KEY (project, name, id)
        ) WITHOUT ROWID
    """,
    "environment_services": """
        CREATE TABLE environment_services (
            project TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, services TEXT NOT NULL,
            PRIMARY KEY (project, name, digest)
        ) WITHOUT ROWID
    """,
    "environment_jobs": """
        CREATE TABLE environment_jobs (
            project TEXT NOT NULL, name TEXT NOT NULL,
            host TEXT NOT NULL, service TEXT NOT NULL, hash TEXT NOT NULL,
            PRIMARY KEY (project, name, host, service, hash)
        ) WITHOUT ROWID
    """,
    "environment_stopped": """
        CREATE TABLE environment_stopped (
            project TEXT NOT NULL, name TEXT NOT NULL,
            host TEXT NOT NULL, service TEXT NOT NULL, hash TEXT NOT NULL, said TEXT NOT NULL,
            PRIMARY KEY (project, name, host, service)
        ) WITHOUT ROWID
    """,
}
INDEXES = (
    """
    CREATE INDEX environment_releases_of_a_manifest
    ON environment_releases (project, name, digest)
    """,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event about one environment, and where its consequences go."""

    tables: sqlite3.Connection
    event: StoredEvent
    data: dict[str, Any]
    place: tuple[str, str]  # project and name

    def set(self, **columns: object) -> None:
        """Change columns of the environment's row, which is made when it is missing."""
        changes = ", ".join(f"{column} = :{column}" for column in columns)
        statement = f"UPDATE environments SET {changes} WHERE project = :project AND name = :name"  # noqa: S608  # columns are literals of this module
        values = {**columns, "project": self.place[0], "name": self.place[1]}
        if self.tables.execute(statement, values).rowcount == 0:
            self.tables.execute("INSERT INTO environments (project, name) VALUES (?, ?)", self.place)
            self.tables.execute(statement, values)

    def git_shows(self, digest: str, revision: str | None) -> None:
        """The watched branch leads to this Manifest, so its newest commit renders."""
        self.set(git_digest=digest, failed_revision=None, render_failure=None, awaiting=None)
        self.sees(revision)

    def sees(self, revision: str | None) -> None:
        """Git, or who renders without watching it, came to this commit; None: no commit."""
        if revision is not None:
            self.set(revision=revision, revision_at=format_utc(self.event.time))

    def ends_wait(self, revision: str) -> None:
        """Nothing is waited for any more if it was for this commit."""
        row = self.tables.execute(
            "SELECT awaiting FROM environments WHERE project = ? AND name = ?", self.place
        ).fetchone()
        if row["awaiting"] is not None and json.loads(row["awaiting"])["revision"] == revision:
            self.set(awaiting=None)

    def is_watched(self) -> bool:
        """Whether a watched branch ever showed a commit that concerns the environment."""
        query = "SELECT watched FROM environments WHERE project = ? AND name = ?"
        row = self.tables.execute(query, self.place).fetchone()
        return row is not None and row["watched"] == 1

    def release_becomes(self, status: str) -> None:
        """Note what became of the Release that the event names."""
        self.tables.execute(
            "UPDATE environment_releases SET status = ? WHERE project = ? AND name = ? AND id = ?",
            (status, *self.place, self.data["release"]),
        )

    def said(self) -> dict[str, Any]:
        """Who said it and when."""
        actor = self.event.actor
        return {"since": format_utc(self.event.time), "actor": {"kind": actor.kind, "id": actor.id}}
