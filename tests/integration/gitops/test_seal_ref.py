"""Seals on a ref of a real repository: a commit each, never forced, never twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from gitops.source.address import parse_address
from gitops.source.exchange import GIT_UNREACHABLE
from gitops.source.seal_ref import SEAL_REF_NOT_PUSHED, SealRef
from tests.support.repos import Repository, git

REF = "refs/stagecraft/seals"


def ref(repository: Path, folder: Path) -> SealRef:
    return SealRef(address=parse_address(str(repository)), ref=REF, folder=folder)


def test_each_seal_is_a_commit_with_all_lines_so_far(tmp_path: Path) -> None:
    origin = Repository.create(tmp_path / "repository").origin
    seals = ref(origin, tmp_path / "home" / "seals.git")
    assert asyncio.run(seals.add(b"one\n", words="Seal 1"))
    assert asyncio.run(seals.add(b"two\n", words="Seal 2"))
    assert not asyncio.run(seals.add(b"two\n", words="Seal 2"))
    another = ref(origin, tmp_path / "other" / "seals.git")
    assert asyncio.run(another.add(b"three\n", words="Seal 3"))
    assert git("show", f"{REF}:seals.jsonl", cwd=origin) == "one\ntwo\nthree"
    assert git("log", "--format=%s", REF, cwd=origin).splitlines() == ["Seal 3", "Seal 2", "Seal 1"]


def test_a_repository_that_refuses_or_is_gone_is_an_error_and_the_next_try_works(tmp_path: Path) -> None:
    origin = Repository.create(tmp_path / "repository").origin
    hook = origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    seals = ref(origin, tmp_path / "seals.git")
    with pytest.raises(OutsideError) as caught:
        asyncio.run(seals.add(b"one\n", words="Seal 1"))
    assert caught.value.code == SEAL_REF_NOT_PUSHED
    assert "not today" in caught.value.why
    hook.unlink()
    assert asyncio.run(seals.add(b"one\n", words="Seal 1"))
    away = origin.rename(tmp_path / "away")
    with pytest.raises(Exception, match=r"repository") as gone:
        asyncio.run(seals.add(b"two\n", words="Seal 2"))
    assert gone.value.code in {GIT_UNREACHABLE, "repository-missing"}  # type: ignore[attr-defined]  # of ours
    away.rename(origin)
    assert asyncio.run(seals.add(b"two\n", words="Seal 2"))
