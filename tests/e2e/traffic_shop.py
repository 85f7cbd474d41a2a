"""An app behind a gateway, on this machine or on the hosts of a lab, and what is so of its traffic.

What serves is never taken from the product's word: it is asked through the gateways, and what their folders
name is looked up in the engines.
"""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.client import DockerClient
from docker.models.containers import Container

from controller.home import Home
from events.sqlite import SqliteEventLog
from projections.edge.port import Backends
from projections.edge.traefik_files import SUFFIX, read_back
from tests.support.cli import Outcome, Stagecraft
from tests.support.images import TestImages
from tests.support.load import Plan, RunningLoad, running_load
from tests.support.load_wire import Target
from tests.support.repos import Repository
from tests.support.traffic_images import app_image, traefik_image

NAME = "app.test"
DYNAMIC = "traefik/dynamic"
LOOK_SECONDS = 180.0
APP_PORT = 8080
PROJECT = """\
project: {{name: {name}}}
{hosts}services:
  gate: {{role: gateway}}
  web: {{gate: {{http: {{port: 8080, path: /}}}}, rollout: {{traffic: {{{traffic}}}}}}}
environments:
  prod:
    gateway: gate
    routes: [{{host: {route}, service: web, port: 8080}}]
    {environment}
    probe: {{path: /, rate: 20}}
    gate: {{settle: 300ms, deadline: 20s}}
"""
COMPOSE = """\
services:
  gate: {{{gate}, stop_grace_period: 1s, ports: ["{published}:80"]}}
  {services}
  web:
    image: "{web}"
    stop_grace_period: 10s
    environment: {{{environment}}}
"""
STREAMS = {"SLOW": "2", "EVENTS": "2"}  # seconds: short, so that a Release need not wait long for them
LOAD = Plan(kept=5, echoes=20, patience=60, most_open=40)  # as much as a machine bears that has more to do


@dataclass(slots=True, kw_only=True)
class TrafficShop:
    """Merges and looks; `hosts` is the section of the project file, empty for this machine alone."""

    name: str
    repository: Repository
    cli: Stagecraft
    images: TestImages
    published: str  # `port` or `address:port` of the gateway
    hosts: str = ""
    drain_seconds: int = 30
    watch_seconds: int = 0
    environment: Mapping[str, str] = field(default_factory=lambda: dict(STREAMS))
    environment_line: str = ""  # a further key of the environment, `key: value`
    services_line: str = ""  # a further service of the Compose file, likewise

    @property
    def home(self) -> Path:
        """The controller's."""
        return Path(self.cli.environment["STAGECRAFT_HOME"])

    def gate(self) -> str:
        """What the Compose file says of the gateway."""
        return f'image: "{traefik_image(self.images)}"'

    def image(self, version: str) -> str:
        """The app, which dies at once when it is told to end."""
        return app_image(self.images, version)

    def merge(self, image: str) -> str:
        """The app at an image; answers the commit."""
        variables = ", ".join(f'{key}: "{value}"' for key, value in self.environment.items())
        traffic = f"drain_seconds: {self.drain_seconds}, watch_seconds: {self.watch_seconds}"
        return self.repository.commit(
            {
                "stagecraft.yml": PROJECT.format(
                    name=self.name,
                    hosts=self.hosts,
                    traffic=traffic,
                    route=NAME,
                    environment=self.environment_line,
                ),
                "compose.yaml": COMPOSE.format(
                    gate=self.gate(),
                    web=image,
                    published=self.published,
                    environment=variables,
                    services=self.services_line,
                ),
            }
        )

    @property
    def look_words(self) -> list[str]:
        """One look of the controller, as a command."""
        words = ["controller", "run", "--once"]
        return words if self.hosts else [*words, "--repo", str(self.repository.origin), "--branch", "main"]

    def look(self) -> Outcome:
        """One look, however it ends."""
        return self.cli.run(*self.look_words, seconds=LOOK_SECONDS)

    def releases(self) -> list[dict[str, Any]]:
        """All Releases, the newest first, as `releases show` has them."""
        listed: list[dict[str, Any]] = self.cli.ok("releases", "list", "--env", "prod", "--json").json()
        return [self.cli.ok("releases", "show", one["id"], "--json").json() for one in listed]

    def head(self) -> int:
        """The newest position of the log."""
        with contextlib.closing(SqliteEventLog(Home(self.home).events_db)) as log:
            return log.head()

    def recorded(self, kind: str, *, after: int) -> bool:
        """Whether the log has an event of this kind behind a position."""
        with contextlib.closing(SqliteEventLog(Home(self.home).events_db)) as log:
            return bool(log.read(after=after, type_name=kind))

    @contextmanager
    def under_load(self, target: Target, plan: Plan = LOAD) -> Generator[RunningLoad]:
        """Requests and streams through a gateway during the block."""
        with running_load(target, plan, folder=self.cli.cwd) as load:
            yield load


def answer(target: Target) -> str:
    """What the app says through a gateway, or why nothing does."""
    connection = http.client.HTTPConnection(target.address, target.port, timeout=5)
    try:
        connection.request("GET", target.path, headers={"Host": target.name, "Connection": "close"})
        said = connection.getresponse()
        body = said.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    else:
        return body if said.status == http.client.OK else f"{said.status} {body}"
    finally:
        connection.close()


def answers(target: Target, *, times: int = 20) -> set[str]:
    """All that is said in so many requests."""
    return {answer(target) for _ in range(times)}


def told(folder: Path) -> Backends | None:
    """What a gateway's folder names for the app; None when nothing. A file that is not whole is an error."""
    file = folder / f"web{SUFFIX}"
    if not file.exists():
        return None
    found = read_back(file.read_bytes(), service="web")
    assert found is not None, f"{file} is not as it was written:\n{file.read_text(errors='replace')}"
    return found


def apps_of(engine: DockerClient, project: str) -> list[Container]:
    """The app's containers there, in any state."""
    labels = [f"stagecraft.project={project}", "stagecraft.service=web"]
    return engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True)


def check_told(folder: Path, *, project: str, engines: Mapping[str, DockerClient], gateway: str) -> None:
    """What a gateway's folder names runs, all of it, under the addresses that it is named by.

    `gateway` is the host of the folder: containers there are named by their ids.
    """
    backends = told(folder)
    assert backends is not None, f"nothing is told in {folder}"
    running = {
        str(one.id): (host, one)
        for host, engine in engines.items()
        for one in apps_of(engine, project)
        if one.status == "running"
    }
    named = {server.container for server in backends.servers}
    assert named == set(running), f"{folder} names {sorted(named)}, and {sorted(running)} run"
    for server in backends.servers:
        host, container = running[server.container]
        assert host == server.host
        address = server.addresses[APP_PORT]
        if host == gateway:
            assert address == f"{server.container[:12]}:{APP_PORT}"
        else:
            ports = container.attrs["NetworkSettings"]["Ports"][f"{APP_PORT}/tcp"]
            assert address.rpartition(":")[2] in {one["HostPort"] for one in ports}, f"{address}: {ports}"
    left = [one.name for one in folder.iterdir() if one.name.startswith(".")]
    assert left == [], f"half written: {left}"


@contextmanager
def clients(engines: Mapping[str, Any]) -> Generator[dict[str, DockerClient]]:
    """A client of the engine of each lab host, for a block."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(contextlib.closing(host.client())) for name, host in engines.items()}
