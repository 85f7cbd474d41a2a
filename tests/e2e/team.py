"""A team with a project of three services: what its members do, one method each."""

from __future__ import annotations

import http.client
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.events import read_all
from controller.bootstrap import open_log
from controller.home import Home
from events.query import EventQuery
from tests.support.cleanup import EngineProject
from tests.support.cli import Outcome, Stagecraft
from tests.support.processes import free_port
from tests.support.repos import Repository

LOOK_SECONDS = 90.0

PROJECT_FILE = """project:
  name: {name}
environments:
  prod:
    gate:
      settle: 300ms
      deadline: 15s
"""

COMPOSE_FILE = """services:
  web:
    image: {web}
    stop_grace_period: 1s
    environment:
      GREETING: {greeting}
    ports:
      - "127.0.0.1:{port}:8080"
    depends_on:
      migrate:
        condition: service_completed_successfully
  worker:
    image: {worker}
    stop_grace_period: 1s
    volumes:
      - data:/data
  migrate:
    image: {migrate}
    volumes:
      - data:/data
volumes:
  data: {{}}
"""


@dataclass(slots=True, kw_only=True)
class Team:
    """Merges, reverts and looks; `web`, `worker` and `migrate` are image references."""

    repository: Repository
    cli: Stagecraft
    project: EngineProject
    web: str
    worker: str
    migrate: str
    greeting: str = "hello"
    extra: str = ""  # YAML at the end of the project file
    port: int = field(default_factory=free_port)

    def merge(self, message: str = "change", **changes: str) -> str:
        """Change images or the greeting, commit, push; answers the commit."""
        for name, value in changes.items():
            setattr(self, name, value)
        compose = COMPOSE_FILE.format(
            web=self.web, worker=self.worker, migrate=self.migrate, greeting=self.greeting, port=self.port
        )
        return self.repository.commit(
            {
                "stagecraft.yml": PROJECT_FILE.format(name=self.project.name) + self.extra,
                "compose.yaml": compose,
            },
            message,
        )

    def lists(self, *keys: str) -> None:
        """The operator lists `main` in the home's `controller.yml`, with these keys beside."""
        home = Path(self.cli.environment["STAGECRAFT_HOME"])
        entry = ", ".join([f"url: {self.repository.origin}", *keys])
        home.mkdir(exist_ok=True)
        (home / "controller.yml").write_text(f"repositories: [{{{entry}}}]\n")

    def look(self) -> Outcome:
        """One look of the controller, however it ends."""
        return self.cli.run(
            "controller",
            "run",
            "--once",
            "--repo",
            self.repository.origin,
            "--branch",
            "main",
            seconds=LOOK_SECONDS,
        )

    def deploys(self, message: str = "change", **changes: str) -> str:
        """Merge and expect it to be deployed."""
        revision = self.merge(message, **changes)
        self.look().expect(0)
        return revision

    def answer(self) -> str:
        """What the web service says, or why it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as response:
                body: bytes = response.read()
                return body.decode().strip()
        except (http.client.HTTPException, OSError) as error:  # also one that ends in the middle
            return f"no answer: {error}"

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """The events of the home, or those of a type, as `events list --json` prints them.

        They are read in this process: stories ask again and again while they wait for one, and each start of
        the command would take from what they wait for.
        """
        with open_log(Home(Path(self.cli.environment["STAGECRAFT_HOME"]))) as log:
            query = EventQuery(types=frozenset({kind} if kind else ()))
            return [] if log is None else [event.as_json() for event in read_all(log, query)]

    def types(self) -> list[str]:
        """The types of all events, oldest first."""
        return [event["type"] for event in self.events()]

    def releases(self) -> list[dict[str, Any]]:
        """`releases list --json`, newest first."""
        found: list[dict[str, Any]] = self.cli.ok("releases", "list", "--env", "prod", "--json").json()
        return found

    def release(self, release_id: str) -> dict[str, Any]:
        """`releases show --json`."""
        found: dict[str, Any] = self.cli.ok("releases", "show", release_id, "--json").json()
        return found

    def status(self) -> dict[str, Any]:
        """`status --json`."""
        found: dict[str, Any] = self.cli.ok("status", "--env", "prod", "--json").json()
        return found
