"""Keys that have expired, are revoked, or are meant for something else: real `ssh-keygen`, real GPG."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.gitops.trust.scene import Scene
from tests.support.repos import git
from tests.support.signing import SshPerson, gpg_person


def test_an_ssh_key_that_has_expired_is_refused_whatever_date_the_commit_has(
    scene: Scene, alice: SshPerson, signers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signers.write_text(alice.line('valid-before="20200101"'))
    scene.commit(alice)
    assert scene.refused(signers=signers).code == "signature-expired"
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2019-06-01T12:00:00Z")
    scene.commit(alice, "from the past")
    assert scene.refused(signers=signers).code == "signature-expired"
    assert scene.ask(signers=signers, now=datetime(2019, 12, 31, 12, tzinfo=UTC)) is not None


def test_an_ssh_key_that_is_not_valid_yet_is_refused(scene: Scene, alice: SshPerson, signers: Path) -> None:
    signers.write_text(alice.line('valid-after="20990101"'))
    scene.commit(alice)
    assert scene.refused(signers=signers).code == "signature-expired"


def test_a_second_line_may_prolong_a_key(scene: Scene, alice: SshPerson, signers: Path) -> None:
    signers.write_text(alice.line('valid-before="20200101"') + alice.line('valid-after="20200101"'))
    scene.commit(alice)
    assert scene.ask(signers=signers) is not None


def test_a_key_for_other_things_than_git_is_refused(scene: Scene, alice: SshPerson, signers: Path) -> None:
    signers.write_text(alice.line('namespaces="file"'))
    scene.commit(alice)
    assert scene.refused(signers=signers).code == "signer-unknown"
    signers.write_text(alice.line('namespaces="file,git"'))
    assert scene.ask(signers=signers) is not None


def test_an_authority_may_stand_for_those_whom_it_certified(
    scene: Scene, alice: SshPerson, mallory: SshPerson, signers: Path, tmp_path: Path
) -> None:
    bob = SshPerson.create(tmp_path / "more", "bob")
    bob.certify(by=alice)
    signers.write_text(f'*@example.org cert-authority,namespaces="git" {alice.public}\n')
    scene.commit(bob.certified)
    assert scene.ask(signers=signers) is not None
    bob.certify(by=mallory)
    scene.commit(bob.certified)
    assert scene.refused(signers=signers).code == "signer-unknown"


def test_a_gpg_key_that_has_expired_is_refused(scene: Scene, tmp_path: Path) -> None:
    with gpg_person("old", made="20200101T000000", lives="1y") as old:
        old.configure(scene.repository.work, time="20200601T000000")
        work = scene.repository.work
        git("commit", "--quiet", "--allow-empty", "--gpg-sign", "--message", "old", cwd=work)
        scene.repository.push()
        file = tmp_path / "old"
        file.write_text(old.public)
    assert scene.refused(keyring=file).code == "signature-expired"


def test_a_gpg_key_that_was_revoked_is_refused(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    with gpg_person("ruth") as ruth:
        scene.commit(ruth)
        file.write_text(ruth.public)
        assert scene.ask(keyring=file) is not None
        ruth.revoke()
        file.write_text(ruth.public)
    assert scene.refused(keyring=file).code == "key-revoked"
