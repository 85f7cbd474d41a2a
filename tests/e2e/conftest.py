"""A team with a working project, on the real engine."""

from __future__ import annotations

import pytest

from tests.e2e.team import Team
from tests.support.cleanup import EngineProject
from tests.support.cli import Stagecraft
from tests.support.images import TestImages
from tests.support.repos import Repository


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed command runs as a user has it: coverage costs a third of the time of these stories.

    What the core rooms are held to has to be reached by the tests of the rooms themselves.
    """
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


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
