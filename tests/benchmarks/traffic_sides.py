"""The sides of the traffic benchmark: one app behind one Traefik that we tell, or its Docker provider.

The app dies at once on SIGTERM, so that nothing but the way it is replaced keeps a request from being lost.
"""

from __future__ import annotations

import http.client
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from events.kernel.compose_client import compose_client
from tests.benchmarks.stage import COMMAND_SECONDS, Place, Stage, timed_process
from tests.support.load_wire import Target
from tests.support.processes import free_port
from tests.support.traffic_images import app_image, traefik_image

NAME = "app.test"
_POLL_SECONDS = 0.02  # each look goes through Traefik to the app, and takes time from what is measured
_COMPOSE = """services:
  gateway:
    image: {gateway}
    stop_grace_period: 1s
    ports: ["127.0.0.1:{port}:80"]
{gateway_more}  web:
    image: {image}
    stop_grace_period: 10s
{web_more}"""
_HEALTH = """    healthcheck:
      test: ["CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]
      interval: 1s
      timeout: 1s
      retries: 5
"""
_DOCKER_PROVIDER = """    command:
      - --entrypoints.web.address=:80
      - --providers.docker=true
      - --providers.docker.exposedbydefault=false
      - --global.checknewversion=false
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
"""
_LABELS = f"""    labels:
      traefik.enable: "true"
      traefik.http.routers.web.rule: Host(`{NAME}`)
      traefik.http.routers.web.entrypoints: web
      traefik.http.services.web.loadbalancer.server.port: "8080"
"""
_ENVIRONMENT = f"""  prod:
    gateway: gateway
    routes: [{{host: {NAME}, service: web, port: 8080}}]
"""
_ROLES = "services:\n  gateway: {role: gateway}\n"
_HTTP_PROBE = "  web: {gate: {http: {port: 8080, path: /}}}\n"


@dataclass(slots=True, kw_only=True)
class Side:
    """An app that one can ask through a gateway of its own."""

    stage: Stage
    place: Place
    port: int = field(default_factory=free_port)

    @property
    def target(self) -> Target:
        """For a load."""
        return Target(address="127.0.0.1", port=self.port, name=NAME)

    def until(self, number: int) -> float:
        """The moment on `time.time`, the clock of events, at which a version answers."""
        said, deadline = "", time.time() + COMMAND_SECONDS
        while said != f"app {version(number)}":
            assert time.time() < deadline, f"never {version(number)}, last {said!r}"
            time.sleep(_POLL_SECONDS)
            said = _answer(self.port)
        return time.time()

    def image(self, number: int) -> str:
        """The app at a version."""
        return app_image(self.stage.images, version(number))

    def _compose(self, number: int, *, gateway: str = "", web: str = "") -> str:
        return _COMPOSE.format(
            gateway=traefik_image(self.stage.images),
            image=self.image(number),
            port=self.port,
            gateway_more=gateway,
            web_more=web,
        )


@dataclass(slots=True, kw_only=True)
class Ours(Side):
    """As the product replaces it, ready by the container's health check or by an HTTP probe of the gate."""

    http_probe: bool = False

    def commit(self, number: int, *, push: bool) -> None:
        """A commit with the app at a version."""
        self.place.commit(
            self._compose(number, web="" if self.http_probe else _HEALTH),
            environments=_ENVIRONMENT,
            more=_ROLES + (_HTTP_PROBE if self.http_probe else ""),
            push=push,
        )


@dataclass(slots=True, kw_only=True)
class ByHand(Side):
    """As Compose or docker-rollout replaces it, with labels for Traefik's Docker provider."""

    def up(self, number: int, *options: str) -> float:
        """`docker compose up -d` at a version; the seconds that it took."""
        return self.place.compose_up(self._labelled(number), *options)

    def roll(self, number: int, program: Path) -> float:
        """`docker rollout web` at a version; the seconds that it took."""
        file = self.place.folder / "by-hand.yaml"
        file.write_text(self._labelled(number))
        plugins = self.place.folder / "cli-plugins"
        plugins.mkdir(exist_ok=True)
        if not (plugins / "docker-compose").exists():
            (plugins / "docker-compose").symlink_to(compose_client())
        variables = {
            "COMPOSE_PROJECT_NAME": f"{self.place.by_hand.name}-prod",
            "DOCKER_CONFIG": str(self.place.folder),
            "PATH": f"{Path(compose_client()).parent}:{os.environ['PATH']}",
        }
        return timed_process([program, "rollout", "-f", file, "web"], environment=variables)

    def _labelled(self, number: int) -> str:
        return self._compose(number, gateway=_DOCKER_PROVIDER, web=_HEALTH + _LABELS)


def _answer(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/", headers={"Host": NAME, "Connection": "close"})
        return connection.getresponse().read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):  # nobody listens, or it ended in the middle of an answer
        return ""
    finally:
        connection.close()


def version(number: int) -> str:
    """How a version is called."""
    return f"v{number}"
