"""Rendering: fifty services against Compose alone, and a commit that changes nothing of an environment."""

from __future__ import annotations

import asyncio
import time

from controller.candidates import shown_unchanged
from events.kernel.compose_client import compose_client, compose_environment
from gitops.manifest import draft
from gitops.source.git import Repository
from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.stage import Place, Stage, timed_process
from tests.support.controllers import SimulatedController

SERVICES = 50
RENDER_TARGET = 2.0
UNCHANGED_TARGET_MS = 5.0


def measure(stage: Stage) -> list[Figure]:
    """Nothing is known of the tree that is rendered; its repository is opened anew each time."""
    with stage.place("render") as place:
        return [_against_compose(stage, place), _unchanged(stage, place)]


def compose_file() -> str:
    """A file as people write them: every service has a few of the usual keys."""
    services = "".join(
        f"""  web{number}:
    image: example.invalid/web{number}:1
    environment: {{LEVEL: info, NUMBER: "{number}"}}
    env_file: web.env
    ports: ["{8000 + number}:80"]
    volumes: ["./conf:/etc/web:ro", "data{number}:/data"]
    healthcheck: {{test: [CMD, "true"], interval: 5s}}
    depends_on: [web{(number + 1) % SERVICES}]
"""
        if number + 1 < SERVICES
        else f"  web{number}:\n    image: example.invalid/web{number}:1\n"
        for number in range(SERVICES)
    )
    volumes = "".join(f"  data{number}: {{}}\n" for number in range(SERVICES))
    return f"services:\n{services}volumes:\n{volumes}"


def _against_compose(stage: Stage, place: Place) -> Figure:
    pairs = stage.count(full=21, quick=2)
    place.repository.commit({"web.env": "A=1\n", "conf/web.conf": "listen 80\n"})
    revision = place.commit(compose_file())
    work, home = place.repository.work, place.folder / "client-home"
    home.mkdir()
    command = [str(compose_client()), "--file", str(work / "compose.yaml"), "config", "--format", "json"]
    ours: list[float] = []
    compose: list[float] = []
    for _ in range(pairs):
        began = time.perf_counter()
        with Repository(work) as repository:
            made = asyncio.run(draft(repository.tree(revision), environment="prod", version=revision))
        ours.append(time.perf_counter() - began)
        assert len(made.hosts["local"].services) == SERVICES
        compose.append(timed_process([*command], environment=compose_environment(home)))
    return Figure(
        what=f"Render of {SERVICES} services of an unknown commit, against `docker compose config`",
        value=median([one / other for one, other in zip(ours, compose, strict=True)]),
        target=RENDER_TARGET,
        unit=" x",
        detail=f"{pairs} pairs; {seconds(median(ours))} against {seconds(median(compose))}",
    )


def _unchanged(stage: Stage, place: Place) -> Figure:
    """What a look does for each environment to find that a commit concerns it not."""
    commits = stage.count(full=50, quick=2)
    controller = SimulatedController(repository=place.repository, folder=place.folder / "home")
    controller.merge(web="app:1")
    assert [one.status for one in controller.look()] == ["completed"]
    took: list[float] = []
    for number in range(commits):
        revision = place.repository.commit({"README.md": f"{number}\n"}, push=False)
        with Repository(place.repository.work) as repository:
            began = time.perf_counter()
            found = shown_unchanged(controller.state, repository.tree(revision))
            took.append(time.perf_counter() - began)
        assert found is not None
    return Figure(
        what="A commit that changes nothing of an environment",
        value=median(took) * 1000,
        target=UNCHANGED_TARGET_MS,
        unit=" ms",
        detail=f"{commits} commits, each tree read anew",
    )
