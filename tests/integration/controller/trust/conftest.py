"""The scene of each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.controller.trust.scene import Scene
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository
from tests.support.signing import SshPerson


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> Scene:
    alice = SshPerson.create(tmp_path / "keys", "alice")
    mallory = SshPerson.create(tmp_path / "keys", "mallory")
    signers = tmp_path / "signers"
    signers.write_text(alice.line())
    controller = SimulatedController(repository=repository, folder=tmp_path / "home")
    made = Scene(controller, repository, alice, mallory, signers)
    made.verify("head")
    return made
