"""Renders of files by the real Compose client, with pins made up where only their text matters."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.providers.table import PROVIDERS
from events.kernel.canonical import sha256_digest
from events.kernel.errors import StagecraftError
from events.manifest import ImagePin, Manifest
from gitops.manifest import Draft, complete, draft, unpinned
from tests.unit.gitops.trees import SMALLEST, tree_of


def drafted(
    folder: Path,
    files: Mapping[str, str | bytes],
    *,
    environment: str = "prod",
    config_path: str = "stagecraft.yml",
    version: str = "v1",
    given_version: str | None = None,
) -> Draft:
    """The Draft of a folder that holds the smallest project with `files` over it."""
    tree = tree_of(folder, {**SMALLEST, **files} if config_path == "stagecraft.yml" else files)
    return asyncio.run(
        draft(
            tree,
            config_path=config_path,
            environment=environment,
            version=version,
            given_version=given_version,
            providers=PROVIDERS,
        )
    )


def refusal(folder: Path, files: Mapping[str, str | bytes], **arguments: str) -> StagecraftError:
    """The error that a render ends with."""
    with pytest.raises(StagecraftError) as caught:
        drafted(folder, files, **arguments)
    return caught.value


def pins_of(made: Draft) -> dict[str, ImagePin]:
    """A pin for each reference, made from its text."""
    return {
        ref: ImagePin(ref=ref, pin=sha256_digest(ref.encode()), pin_kind="repo-digest")
        for ref in unpinned(made, {})
    }


def completed(made: Draft) -> Manifest:
    """The Manifest with made-up pins."""
    return complete(made, pins_of(made))


def manifest_of(folder: Path, files: Mapping[str, str | bytes], **arguments: str) -> Manifest:
    """Draft and complete."""
    return completed(drafted(folder, files, **arguments))


def document_of(made: Draft, host: str = "local") -> dict[str, Any]:
    """What a host runs, with images as written."""
    return made.hosts[host].document


def service_of(made: Draft, name: str = "web", host: str = "local") -> dict[str, Any]:
    """One service's definition."""
    definition: dict[str, Any] = made.hosts[host].document["services"][name]
    return definition
