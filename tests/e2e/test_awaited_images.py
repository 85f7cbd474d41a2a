"""Images that CI pushes after the merge: the commit waits for them, what runs stays."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.e2e.team import Team
from tests.support.daemons import running_daemon
from tests.support.images import TestImages
from tests.support.processes import wait_until
from tests.support.registry import Registry, running_registry

PROJECT_FILE = """project:
  name: {name}
  registry: {registry}/shop
images: {{wait: {wait}}}
environments:
  prod:
    gate: {{settle: 300ms, deadline: 15s}}
"""
COMPOSE_FILE = """services:
  web:
    image: {registry}/shop/web:${{IMAGE_TAG}}
    ports: ["127.0.0.1:{port}:8080"]
    stop_grace_period: 1s
"""


@pytest.fixture
def registry(tmp_path: Path, engine: DockerClient) -> Generator[Registry]:
    folder = tmp_path / "registry"
    folder.mkdir()
    with running_registry(folder) as running:
        yield running
        running.forget(engine)


def merge(team: Team, registry: Registry, *, wait: str = "5m", message: str = "change") -> str:
    """A commit whose image has the commit's id for a tag."""
    return team.repository.commit(
        {
            "stagecraft.yml": PROJECT_FILE.format(
                name=team.project.name, registry=registry.address, wait=wait
            ),
            "compose.yaml": COMPOSE_FILE.format(registry=registry.address, port=team.port),
            "src/main.c": message,
        },
        message,
    )


def test_a_commit_waits_for_its_image_and_is_deployed_when_it_comes(
    team: Team, registry: Registry, engine: DockerClient, images: TestImages
) -> None:
    first = merge(team, registry)
    registry.push(engine, images.web("v1"), "shop/web", first)
    team.look().expect(0)
    second = merge(team, registry, message="second")
    outcome = team.look().expect(0)
    awaited = f"{registry.address}/shop/web:{second}"
    assert f"waits for {awaited} until" in outcome.stdout
    assert team.answer() == "web v1"
    assert f"awaits    {awaited} for {second[:12]}" in team.cli.ok("status", "--env", "prod").stdout
    assert team.status()["sync"] == "unknown"
    team.look().expect(0)
    assert team.types().count("ImageAwaited") == 1
    registry.push(engine, images.web("v2"), "shop/web", second)
    team.look().expect(0)
    assert team.answer() == "web v2"
    assert "awaits" not in team.cli.ok("status", "--env", "prod").stdout
    assert "RenderFailed" not in team.types()


def test_a_wait_that_is_over_fails_once_and_a_late_image_is_deployed_late(
    team: Team, registry: Registry, engine: DockerClient, images: TestImages
) -> None:
    revision = merge(team, registry, wait="1s")
    team.look().expect(0)
    wait_until("the end of the wait", lambda: team.look().code == 2, seconds=60)
    assert "image-await-expired" in team.look().stderr
    assert team.types().count("RenderFailed") == 1
    registry.push(engine, images.web("v1"), "shop/web", revision)
    team.look().expect(0)
    assert team.answer() == "web v1"


def test_a_newer_commit_is_another_wait(
    team: Team, registry: Registry, engine: DockerClient, images: TestImages
) -> None:
    first = merge(team, registry)
    registry.push(engine, images.web("v1"), "shop/web", first)
    team.look().expect(0)
    merge(team, registry, message="never built")
    team.look().expect(0)
    third = merge(team, registry, message="newer")
    team.look().expect(0)
    (_, waited) = [one["data"] for one in team.events() if one["type"] == "ImageAwaited"]
    assert waited["images"] == [f"{registry.address}/shop/web:{third}"]
    registry.push(engine, images.web("v3"), "shop/web", third)
    team.look().expect(0)
    assert team.answer() == "web v3"
    assert "awaits" not in team.cli.ok("status", "--env", "prod").stdout


def test_other_images_fail_at_once(team: Team, registry: Registry) -> None:
    team.merge(web=f"{registry.address}/elsewhere/web:v1")
    outcome = team.look()
    assert outcome.code == 2, outcome.stderr
    assert "image-not-found" in outcome.stderr
    assert "ImageAwaited" not in team.types()


def test_the_daemon_waits_by_itself_and_over_a_restart(
    team: Team, registry: Registry, engine: DockerClient, images: TestImages
) -> None:
    revision = merge(team, registry)
    team.look().expect(0)
    (awaited,) = [one["data"] for one in team.events() if one["type"] == "ImageAwaited"]
    with running_daemon(team.cli, "--repo", team.repository.origin) as daemon:
        daemon.says("awaiting")
        registry.push(engine, images.web("v1"), "shop/web", revision)
        wait_until("the deploy", lambda: team.answer() == "web v1", seconds=90)
    again = [one["data"] for one in team.events() if one["type"] == "ImageAwaited"]
    assert again == [awaited]


def test_a_persons_deploy_waits_before_their_eyes(
    team: Team, registry: Registry, engine: DockerClient, images: TestImages
) -> None:
    revision = merge(team, registry, wait="2s")
    outcome = team.cli.run("deploy", "--env", "prod", cwd=team.repository.work, seconds=90)
    assert outcome.code == 2, outcome.stderr
    assert "image-await-expired" in outcome.stderr
    assert f"waits for {registry.address}/shop/web:{revision}" in outcome.stderr
    registry.push(engine, images.web("v1"), "shop/web", revision)
    team.cli.run("deploy", "--env", "prod", cwd=team.repository.work, seconds=90).expect(0)
    assert team.answer() == "web v1"
