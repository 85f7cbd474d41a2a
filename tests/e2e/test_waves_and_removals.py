"""A project of many services on the real engine: the order of its waves, what leaves it, what becomes old."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from docker.client import DockerClient

from events.manifest import KEPT_IMAGES
from tests.support.cleanup import EngineProject
from tests.support.cli import Stagecraft
from tests.support.images import PORT, TestImages
from tests.support.repos import Repository

PROJECT = """project: {{name: {name}}}
images: {{keep: 1}}
services: {{{roles}}}
environments: {{prod: {{gate: {{settle: 300ms, deadline: 30s}}}}}}
"""
CHECKED = """    healthcheck:
      test: [CMD, /bin/wget, -q, -O, /dev/null, 'http://127.0.0.1:{port}/']
      interval: 500ms
"""
WAITS = "    depends_on: {a: {condition: service_healthy}}\n"
ROLES = {"db": "db", "edge": "gateway"}
MANY = ("a", "b", "c", "d", "edge", "db")


def compose(image: str, *names: str) -> str:
    """Services of one image; `a` has a health check that `b` waits for."""
    services = ""
    for name in names:
        services += f"  {name}:\n    image: {image}\n    stop_grace_period: 1s\n"
        services += CHECKED.format(port=PORT) if name == "a" else ""
        services += WAITS if name == "b" else ""
    return f"services:\n{services}"


def test_waves_removals_and_old_images(
    repository: Repository,
    cli: Stagecraft,
    engine: DockerClient,
    images: TestImages,
    engine_project: EngineProject,
) -> None:
    def merge(image: str, *names: str) -> None:
        roles = ", ".join(f"{name}: {{role: {role}}}" for name, role in ROLES.items() if name in names)
        project = PROJECT.format(name=engine_project.name, roles=roles)
        repository.commit({"stagecraft.yml": project, "compose.yaml": compose(image, *names)})

    def look() -> str:
        arguments = ("controller", "run", "--once", "--repo", repository.origin)
        done = cli.run(*arguments, seconds=300).expect(0)
        return done.stdout + done.stderr

    def started() -> dict[str, datetime]:
        return {
            one.labels["com.docker.compose.service"]: datetime.fromisoformat(
                one.attrs["State"]["StartedAt"][:26]
            )
            for one in (engine.containers.get(found.id or "") for found in engine_project.containers())
        }

    def names() -> set[str]:
        kept = f"{KEPT_IMAGES}{engine_project.name}/"
        return {tag for image in engine.images.list() for tag in image.tags if tag.startswith(kept)}

    def asked(*arguments: str) -> Any:  # noqa: ANN401  # JSON
        return cli.ok(*arguments, "--env", "prod", "--json").json()

    merge(images.web("v1"), *MANY)
    look()
    began = started()
    assert began["db"] < min(began["a"], began["c"], began["d"])
    assert began["a"] < began["b"] < began["edge"]
    first = names()
    assert len(first) == len(MANY)

    merge(images.web("v2"), "a", "edge")
    assert "prune --env" in look()
    assert set(engine_project.ids()) == set(MANY), "four of six left, and run on"
    assert asked("status")["unpruned"]["services"] == ["local/b", "local/c", "local/d", "local/db"]
    assert names() > first, "one may go back to them"

    merge(images.web("v3"), "a", "edge")
    look()
    waiting = asked("prune", "--dry-run")
    assert (waiting["waiting"]["count"], waiting["removed"]) == (4, [])
    assert set(waiting["images"]["local"]["in_use"]) == first, "all are of one image"
    cli.run("prune", "--env", "prod", "--confirm", "3").expect(1)
    done = asked("prune", "--confirm", "4")
    assert done["removed"] == ["local/b", "local/c", "local/d", "local/db"]
    assert set(engine_project.ids()) == {"a", "edge"}
    assert names().isdisjoint(first)
    assert len(names()) == 4, "of what is deployed, and of what was before it"
    assert asked("prune", "--dry-run")["waiting"] is None
