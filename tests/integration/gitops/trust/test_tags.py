"""The mode `tag`: who vouches for a commit by a tag, and which tags count."""

from __future__ import annotations

from pathlib import Path

from gitops.source.signers import Signer
from tests.integration.gitops.trust.scene import Scene
from tests.support.repos import git
from tests.support.signing import GpgPerson, SshPerson


def test_a_signed_tag_on_an_unsigned_commit_is_right_for_tag_and_wrong_for_head(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    scene.commit(None)
    scene.tag(alice)
    assert scene.ask(mode="tag", signers=signers) == Signer(
        key=alice.fingerprint, principal="alice@example.org"
    )
    assert scene.refused(mode="head", signers=signers).code == "commit-unsigned"


def test_a_tag_signed_with_gpg_is_taken(scene: Scene, grace: GpgPerson, keyring: Path) -> None:
    scene.commit(None)
    scene.tag(grace)
    assert scene.ask(mode="tag", keyring=keyring) == Signer(key=grace.fingerprint)


def test_a_signed_commit_without_a_tag_is_wrong_for_tag(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    scene.commit(alice)
    assert scene.refused(mode="tag", signers=signers).code == "tag-missing"


def test_a_lightweight_tag_does_not_count(scene: Scene, alice: SshPerson, signers: Path) -> None:
    scene.commit(alice)
    git("tag", "v1", cwd=scene.repository.work)
    git("push", "--quiet", "origin", "refs/tags/v1", cwd=scene.repository.work)
    assert scene.refused(mode="tag", signers=signers).code == "tag-missing"


def test_an_unsigned_annotated_tag_does_not_count(scene: Scene, alice: SshPerson, signers: Path) -> None:
    scene.commit(alice)
    scene.tag(None)
    error = scene.refused(mode="tag", signers=signers)
    assert (error.code, "annotated tags do" in error.why) == ("tag-missing", True)


def test_a_tag_of_an_unknown_signer_does_not_count_and_one_good_tag_is_enough(
    scene: Scene, alice: SshPerson, mallory: SshPerson, signers: Path
) -> None:
    scene.commit(None)
    scene.tag(mallory, "v1")
    error = scene.refused(mode="tag", signers=signers)
    assert (error.code, "tag v1" in error.message) == ("signer-unknown", True)
    scene.tag(alice, "v2")
    assert scene.ask(mode="tag", signers=signers) is not None


def test_a_tag_of_an_earlier_commit_does_not_vouch_for_the_tip(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    scene.commit(None)
    scene.tag(alice)
    scene.commit(None)
    assert scene.refused(mode="tag", signers=signers).code == "tag-missing"


def test_a_signed_tag_under_another_name_does_not_count(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    scene.commit(None)
    scene.tag(alice, "v1")
    work = scene.repository.work
    git("push", "--quiet", "origin", "refs/tags/v1:refs/tags/v9", ":refs/tags/v1", cwd=work)
    assert scene.refused(mode="tag", signers=signers).code == "tag-missing"


def test_a_tag_of_a_tag_does_not_count(scene: Scene, alice: SshPerson, signers: Path) -> None:
    scene.commit(None)
    scene.tag(None, "inner")
    work = scene.repository.work
    alice.configure(work)
    git("tag", "--sign", "outer", "inner", "--message", "outer", cwd=work)
    git("push", "--quiet", "origin", "refs/tags/outer", cwd=work)
    assert scene.refused(mode="tag", signers=signers).code == "tag-missing"
