"""A team with a working project, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.e2e.shop_hosts import OpenShop
from tests.e2e.team import Team
from tests.support.cleanup import EngineProject
from tests.support.cli import Stagecraft
from tests.support.images import TestImages
from tests.support.lab_hosts import Lab
from tests.support.registry import running_registry
from tests.support.repos import Repository


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed command runs as a user has it: coverage costs a third of the time of these stories.

    What the core rooms are held to has to be reached by the tests of the rooms themselves.
    """
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture
def open_shop(
    lab_hosts: Lab,
    repository: Repository,
    cli: Stagecraft,
    images: TestImages,
    engine: DockerClient,
    tmp_path: Path,
) -> Iterator[OpenShop]:
    """Opens shops on three hosts; their registry runs until the test is over."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with running_registry(folder) as registry:
        yield lambda kind: kind(
            lab=lab_hosts, repository=repository, cli=cli, images=images, registry=registry, engine=engine
        )


@pytest.fixture
def team(repository: Repository, cli: Stagecraft, engine_project: EngineProject, images: TestImages) -> Team:
    """Three services at version v1; nothing is merged yet."""
    return Team(
        repository=repository,
        cli=cli,
        project=engine_project,
        web=images.web("v1"),
        worker=images.web("v1", name="worker"),
        migrate=images.job("v1"),
    )
