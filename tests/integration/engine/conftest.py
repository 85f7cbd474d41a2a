"""The adapter for Docker, an app of the test's own, and a registry."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from events import labels
from projections.engine.docker import DockerEngine
from projections.engine.port import App, Container
from projections.engine.sweep import Owner
from tests.support.cleanup import EngineProject
from tests.support.images import TestImages
from tests.support.registry import running_registry


@pytest.fixture
def docker(tmp_path: Path, engine: object) -> Generator[DockerEngine]:
    """The adapter at the machine's engine."""
    assert engine is not None
    adapter = DockerEngine(None, tmp_path / "run")
    with contextlib.closing(adapter):
        yield adapter


@dataclass(frozen=True, slots=True)
class Apps:
    """Documents for one Compose project whose traces are removed."""

    compose_project: str
    image: str  # runs until it is stopped, and ends at once then
    owner: Owner

    def __call__(self, top: dict[str, Any] | None = None, /, **services: dict[str, Any]) -> App:
        """Services of ours beside other top-level keys."""
        complete = {
            name: {"image": self.image, "labels": self.labels(name), **service}
            for name, service in services.items()
        }
        return App(compose_project=self.compose_project, document={**(top or {}), "services": complete})

    def labels(self, service: str) -> dict[str, str]:
        """All of ours."""
        return {
            labels.PROJECT: self.owner.project,
            labels.ENVIRONMENT: self.owner.environment,
            labels.SERVICE: service,
            labels.SERVICE_HASH: f"hash-of-{service}",
            labels.LOG: self.owner.log,
        }

    async def found(self, docker: DockerEngine) -> dict[str, Container]:
        """The project's containers by name, without the project's part of it."""
        containers = await docker.containers(self.compose_project)
        return {one.name.replace(f"{self.compose_project}-", ""): one for one in containers}


@pytest.fixture
def apps(engine_project: EngineProject, images: TestImages) -> Apps:
    owner = Owner(project=engine_project.name, environment="prod", log="log-1")
    return Apps(compose_project=f"{engine_project.name}-prod", image=images.web(), owner=owner)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """`127.0.0.1:PORT` of a registry that starts empty."""
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running.address
