"""Questions to a mirror, and ways to damage its copy."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from events.kernel.errors import StagecraftError
from gitops.source.mirror import Mirror


def look(mirror: Mirror, branch: str = "main") -> str:
    return asyncio.run(mirror.remote_head(branch))


def fetch(mirror: Mirror, branch: str = "main") -> str:
    return asyncio.run(mirror.fetch(branch))


def refusal(mirror: Mirror, branch: str = "main") -> StagecraftError:
    with pytest.raises(StagecraftError) as caught:
        look(mirror, branch)
    with pytest.raises(StagecraftError) as again:
        fetch(mirror, branch)
    assert again.value.code == caught.value.code
    return caught.value


def emptied(folder: Path) -> None:
    for file in (folder / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            file.write_bytes(b"")


def without_objects(folder: Path) -> None:
    shutil.rmtree(folder / "objects")


def with_a_broken_ref(folder: Path) -> None:
    (folder / "refs/heads/main").write_text("garbage\n")
