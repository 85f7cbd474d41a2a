"""Whose commits are trusted: real Git, real `ssh-keygen`, real GPG."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.source.signers import Signer
from tests.integration.gitops.trust.scene import Scene
from tests.support.repos import git
from tests.support.signing import GpgPerson, SshPerson, gpg_person


def test_without_verification_everything_is_trusted(scene: Scene) -> None:
    assert scene.ask(mode="none") is None


def test_a_commit_of_an_allowed_signer_is_trusted(scene: Scene, alice: SshPerson, signers: Path) -> None:
    scene.commit(alice)
    assert scene.ask(signers=signers) == Signer(key=alice.fingerprint, principal="alice@example.org")


def test_a_commit_signed_with_gpg_is_trusted(scene: Scene, grace: GpgPerson, keyring: Path) -> None:
    scene.commit(grace)
    assert scene.ask(keyring=keyring) == Signer(key=grace.fingerprint)


def test_both_kinds_of_keys_stand_side_by_side(
    scene: Scene, alice: SshPerson, grace: GpgPerson, signers: Path, keyring: Path
) -> None:
    scene.commit(alice)
    assert scene.ask(signers=signers, keyring=keyring) is not None
    scene.commit(grace)
    assert scene.ask(signers=signers, keyring=keyring) is not None


@pytest.mark.parametrize("form", ["armoured", "binary", "keybox"])
def test_a_keyring_comes_in_three_forms(scene: Scene, grace: GpgPerson, tmp_path: Path, form: str) -> None:
    file = tmp_path / "keys"
    if form == "armoured":
        with gpg_person("heidi") as other:
            file.write_text(other.public + grace.public)
    elif form == "binary":
        grace.gpg("--output", str(file), "--export", grace.fingerprint)
    else:
        file.write_bytes((grace.home / "pubring.kbx").read_bytes())
    scene.commit(grace)
    assert scene.ask(keyring=file) == Signer(key=grace.fingerprint)


def test_an_unsigned_commit_is_refused(scene: Scene, signers: Path, keyring: Path) -> None:
    scene.commit(None)
    assert scene.refused(signers=signers, keyring=keyring).code == "commit-unsigned"


def test_an_unsigned_commit_on_top_of_a_signed_one_is_refused(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    scene.commit(alice)
    scene.commit(None)
    assert scene.refused(signers=signers).code == "commit-unsigned"


def test_a_key_that_the_operator_does_not_know_is_refused(
    scene: Scene, mallory: SshPerson, signers: Path
) -> None:
    scene.commit(mallory)
    error = scene.refused(signers=signers)
    assert error.code == "signer-unknown"
    assert mallory.fingerprint in error.message


def test_a_gpg_key_that_the_operator_does_not_know_is_refused(scene: Scene, keyring: Path) -> None:
    with gpg_person("eve") as eve:
        scene.commit(eve)
        error = scene.refused(keyring=keyring)
    assert error.code == "signer-unknown"
    assert eve.fingerprint[-16:] in error.message


def test_a_key_that_is_taken_out_of_the_file_is_refused_from_then_on(
    scene: Scene, alice: SshPerson, mallory: SshPerson, signers: Path
) -> None:
    scene.commit(alice)
    assert scene.ask(signers=signers) is not None
    signers.write_text(mallory.line())
    assert scene.refused(signers=signers).code == "signer-unknown"


def test_a_key_in_the_repository_itself_is_nobodys(scene: Scene, mallory: SshPerson, signers: Path) -> None:
    scene.repository.write({"signers": mallory.line(), ".git/allowed": mallory.line()})
    work = scene.repository.work
    git("config", "gpg.ssh.allowedSignersFile", str(work / "signers"), cwd=work)
    git("add", "signers", cwd=work)
    scene.commit(mallory)
    assert scene.refused(signers=signers).code == "signer-unknown"


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_key_of_another_kind_is_refused_unless_it_stands_in_the_file(
    scene: Scene, signers: Path, tmp_path: Path, kind: str
) -> None:
    person = SshPerson.create(tmp_path / "more", "bob", kind=kind)
    scene.commit(person)
    assert scene.refused(signers=signers).code == "signer-unknown"
    signers.write_text(person.line())
    assert scene.ask(signers=signers) is not None


def test_the_wrong_kind_of_signature_is_refused(
    scene: Scene, alice: SshPerson, grace: GpgPerson, signers: Path, keyring: Path
) -> None:
    scene.commit(alice)
    error = scene.refused(keyring=keyring)
    assert (error.code, error.why) == (
        "signer-unknown",
        "it is signed with an SSH key, and verify.signers is not given",
    )
    scene.commit(grace)
    assert scene.refused(signers=signers).code == "signer-unknown"
