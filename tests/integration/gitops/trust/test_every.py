"""The mode `every`: what a commit brings is trusted commit by commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.source import trust as module
from tests.integration.gitops.trust.scene import Scene
from tests.support.repos import git
from tests.support.signing import GpgPerson, SshPerson


def test_every_takes_a_first_tip_alone(scene: Scene, alice: SshPerson, signers: Path) -> None:
    scene.commit(None)
    scene.commit(alice)
    assert scene.ask(mode="every", signers=signers) is not None


def test_every_refuses_an_unsigned_commit_in_the_middle(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    known = scene.commit(alice)
    middle = scene.commit(None)
    tip = scene.commit(alice)
    assert scene.ask(mode="head", signers=signers, known=known) is not None
    error = scene.refused(mode="every", signers=signers, known=known)
    assert error.code == "commit-unsigned"
    assert f"commit {middle[:12]}, which {tip[:12]} brings" in error.message
    assert scene.ask(mode="every", signers=signers, known=middle) is not None


def test_every_refuses_a_merge_of_an_unsigned_side_branch(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    known = scene.commit(alice)
    scene.repository.branch("side")
    side = scene.commit(None)
    scene.repository.switch("main")
    scene.commit(alice)
    git("merge", "--quiet", "--no-ff", "--gpg-sign", "--no-edit", "side", cwd=scene.repository.work)
    scene.repository.push()
    error = scene.refused(mode="every", signers=signers, known=known)
    assert side[:12] in error.message


def test_every_refuses_an_unsigned_merge_of_signed_commits(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    known = scene.commit(alice)
    scene.repository.branch("side")
    scene.commit(alice)
    scene.repository.switch("main")
    scene.commit(alice)
    merge = scene.repository.merge("side")
    scene.commit(alice)
    assert merge[:12] in scene.refused(mode="every", signers=signers, known=known).message


def test_every_takes_what_is_signed_throughout(
    scene: Scene, alice: SshPerson, grace: GpgPerson, signers: Path, keyring: Path
) -> None:
    known = scene.commit(None)
    scene.commit(grace)
    scene.repository.branch("side")
    scene.commit(alice)
    scene.repository.switch("main")
    git("merge", "--quiet", "--no-ff", "--gpg-sign", "--no-edit", "side", cwd=scene.repository.work)
    scene.repository.push()
    assert scene.ask(mode="every", signers=signers, keyring=keyring, known=known) is not None


def test_every_has_a_bound(
    scene: Scene, alice: SshPerson, signers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_COMMITS", 2)
    known = scene.commit(alice)
    scene.commit(alice)
    scene.commit(alice)
    assert scene.ask(mode="every", signers=signers, known=known) is not None
    scene.commit(alice)
    assert scene.refused(mode="every", signers=signers, known=known).code == "too-many-commits"


def test_every_takes_all_of_a_history_that_has_nothing_in_common_with_what_was_accepted(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    scene.commit(alice)
    assert scene.refused(mode="every", signers=signers, known="1" * 40).code == "commit-unsigned"
