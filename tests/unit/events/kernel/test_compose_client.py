"""The pinned Compose client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from events.kernel.compose_client import (
    COMPOSE_CLIENT_MISSING,
    compose_client,
    compose_client_version,
    compose_environment,
)
from events.kernel.errors import InternalError


def test_the_client_runs_in_its_environment_and_has_the_version_of_its_wheel(tmp_path: Path) -> None:
    done = subprocess.run(
        [compose_client(), "version", "--short"],
        env=compose_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert compose_client_version().startswith(done.stdout.strip())


def test_nothing_of_the_caller_is_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "theirs")
    environment = compose_environment(tmp_path)
    assert environment["HOME"] == environment["DOCKER_CONFIG"] == str(tmp_path)
    assert "COMPOSE_PROJECT_NAME" not in environment


def test_a_missing_client_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InternalError) as raised:
        compose_client()
    assert raised.value.code == COMPOSE_CLIENT_MISSING
    assert raised.value.next


def nothing(**_: object) -> Iterator[metadata.Distribution]:
    """Stands in for the look for installed distributions."""
    return iter(())


def test_a_missing_wheel_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata.Distribution, "discover", nothing)
    with pytest.raises(InternalError) as raised:
        compose_client_version()
    assert raised.value.code == COMPOSE_CLIENT_MISSING
