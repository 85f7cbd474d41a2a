"""The demo's sample app: what stands in its repository, at each version.

It is an app as a team has it: a web service, a worker beside it, a job that the web service waits for, a
named volume, and Traefik in front, which gets no Docker socket and no settings: Stagecraft gives it those and
tells it of the one route that the team wrote down. Nothing here knows of the demo's story but the one mistake
that somebody makes in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.demo.images import PORT, reference

ENVIRONMENT = "prod"
GATEWAY_PORT = 80  # of the entry point `web`
MISTAKE = 'command: ["--listen", ":80800"]'

_PROJECT_FILE = """project:
  name: {project}
environments:
  {environment}:
    version: {version}
    gate:
      settle: 1s # how long a service without a health check must stay up
    gateway: gateway
    routes:
      - {{host: 127.0.0.1, service: web, port: {web_port}}}
    probe: {{path: /, rate: 20}} # requests a second while web is replaced
services:
  gateway: {{role: gateway}}
"""

_COMPOSE_FILE = """services:
  gateway:
    image: {gateway}
    ports:
      - "127.0.0.1:{port}:{gateway_port}"
    stop_grace_period: 2s

  web:
    image: {web}{mistake}
    depends_on:
      migrate:
        condition: service_completed_successfully
    stop_grace_period: 2s

  worker:
    image: {worker}
    volumes:
      - data:/data
    stop_grace_period: 2s

  migrate:
    image: {migrate}
    volumes:
      - data:/data

volumes:
  data: {{}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The sample app under one project name; its URL is on one port of this machine's loopback."""

    project: str
    port: int

    @property
    def environment(self) -> str:
        """`<project>/<name>`."""
        return f"{self.project}/{ENVIRONMENT}"

    @property
    def compose_project(self) -> str:
        """What the engine calls it."""
        return f"{self.project}-{ENVIRONMENT}"

    @property
    def url(self) -> str:
        """Where it answers, through Traefik."""
        return f"http://127.0.0.1:{self.port}/"

    def files(self, version: str, *, mistake: bool = False) -> dict[str, str]:
        """The repository's files at a version of the web service, by path."""
        compose = _COMPOSE_FILE.format(
            gateway=reference(self.project, "gateway"),
            web=reference(self.project, "web", version),
            worker=reference(self.project, "worker"),
            migrate=reference(self.project, "migrate"),
            mistake=f"\n    {MISTAKE}" if mistake else "",
            port=self.port,
            gateway_port=GATEWAY_PORT,
        )
        return {
            "stagecraft.yml": _PROJECT_FILE.format(
                project=self.project, environment=ENVIRONMENT, version=version, web_port=PORT
            ),
            "compose.yaml": compose,
        }
