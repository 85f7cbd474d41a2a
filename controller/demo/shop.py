"""The demo's sample app: what stands in its repository, at each version.

It is an app as a team has it: a web service, a worker beside it, a job that the web service waits for, a
named volume, and Traefik in front, whose routes are a file of the same repository. Traefik gets no Docker
socket. Nothing here knows of the demo's story but the one mistake that somebody makes in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.demo.images import PORT, reference

ENVIRONMENT = "prod"
GATEWAY_PORT = 8000
MISTAKE = 'command: ["--listen", ":80800"]'

_PROJECT_FILE = """project:
  name: {project}
environments:
  {environment}:
    version: {version}
    gate:
      settle: 1s # how long a service without a health check must stay up
"""

_COMPOSE_FILE = """services:
  gateway:
    image: {gateway}
    command:
      - --entrypoints.web.address=:{gateway_port}
      - --entrypoints.traefik.address=:{health_port}
      - --providers.file.filename=/etc/traefik/routes.yml
      - --ping
      - --global.checknewversion=false
      - --global.sendanonymoususage=false
    ports:
      - "127.0.0.1:{port}:{gateway_port}"
    volumes:
      - ./routes.yml:/etc/traefik/routes.yml:ro
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

_ROUTES_FILE = """http:
  routers:
    shop:
      rule: PathPrefix(`/`)
      entryPoints: [web]
      service: web
  services:
    web:
      loadBalancer:
        servers:
          - url: http://web:{port}
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
            health_port=PORT,
        )
        return {
            "stagecraft.yml": _PROJECT_FILE.format(
                project=self.project, environment=ENVIRONMENT, version=version
            ),
            "compose.yaml": compose,
            "routes.yml": _ROUTES_FILE.format(port=PORT),
        }
