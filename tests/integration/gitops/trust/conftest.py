"""Who signs, whom the operator knows, and the scene of each test."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.integration.gitops.trust.scene import Scene
from tests.support.repos import Repository
from tests.support.signing import GpgPerson, SshPerson, gpg_person


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> SshPerson:
    return SshPerson.create(tmp_path_factory.mktemp("keys"), "alice")


@pytest.fixture(scope="module")
def mallory(tmp_path_factory: pytest.TempPathFactory) -> SshPerson:
    """Signs well and is nobody's signer."""
    return SshPerson.create(tmp_path_factory.mktemp("keys"), "mallory")


@pytest.fixture(scope="module")
def grace() -> Generator[GpgPerson]:
    with gpg_person("grace") as person:
        yield person


@pytest.fixture
def signers(tmp_path: Path, alice: SshPerson) -> Path:
    file = tmp_path / "signers"
    file.write_text(f"# who may deploy\n{alice.line()}")
    return file


@pytest.fixture
def keyring(tmp_path: Path, grace: GpgPerson) -> Path:
    file = tmp_path / "keyring"
    file.write_text(grace.public)
    return file


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> Scene:
    return Scene(repository, tmp_path)
