"""Signatures that are of something else, damaged, doubled or in no known form."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.source.git import Repository as OpenRepository
from gitops.source.signed import signed_commit
from tests.integration.gitops.trust.scene import Scene, rewritten
from tests.support.repos import git
from tests.support.signing import GpgPerson, SshPerson, gpg_person


@pytest.mark.parametrize("kind", ["ssh", "gpg"])
def test_a_signature_of_another_commit_is_refused(
    scene: Scene, alice: SshPerson, grace: GpgPerson, signers: Path, keyring: Path, kind: str
) -> None:
    scene.commit(alice if kind == "ssh" else grace, "as it was signed")
    rewritten(scene, b"as it was signed", b"as it is now")
    assert scene.refused(signers=signers, keyring=keyring).code == "signature-bad"


def test_a_damaged_signature_is_refused(scene: Scene, alice: SshPerson, signers: Path) -> None:
    scene.commit(alice)
    rewritten(scene, b"gpgsig -----BEGIN SSH SIGNATURE-----\n U", b"gpgsig -----BEGIN SSH SIGNATURE-----\n V")
    assert scene.refused(signers=signers).code == "signature-bad"


def test_a_form_of_signature_that_nobody_verifies_is_refused(
    scene: Scene, alice: SshPerson, signers: Path
) -> None:
    scene.commit(alice)
    rewritten(scene, b"-----BEGIN SSH SIGNATURE-----", b"-----BEGIN SIGNED MESSAGE-----")
    assert scene.refused(signers=signers).code == "signature-unsupported"


def test_a_signature_in_the_message_is_text(scene: Scene, alice: SshPerson, signers: Path) -> None:
    scene.commit(alice)
    with OpenRepository(scene.repository.work) as opened:
        header = opened.content_of(scene.repository.head()).partition(b"\n\n")[0]
    fake = header[header.index(b"gpgsig ") :].decode()
    scene.commit(None, f"change\n\n{fake}")
    assert scene.refused(signers=signers).code == "commit-unsigned"


def test_two_signatures_are_one_too_many(
    scene: Scene, alice: SshPerson, mallory: SshPerson, signers: Path
) -> None:
    scene.commit(mallory)
    with OpenRepository(scene.repository.work) as opened:
        theirs = signed_commit(opened.content_of(scene.repository.head())).signature
    header = b"gpgsig " + theirs.rstrip(b"\n").replace(b"\n", b"\n ") + b"\n"
    scene.commit(alice)
    rewritten(scene, b"gpgsig ", header + b"gpgsig ")
    assert scene.refused(signers=signers).code == "signature-unsupported"


def test_a_second_gpg_signature_beside_a_good_one_is_refused(
    scene: Scene, grace: GpgPerson, keyring: Path
) -> None:
    scene.commit(grace)
    assert scene.ask(keyring=keyring) is not None
    with OpenRepository(scene.repository.work) as opened:
        signed = signed_commit(opened.content_of(scene.repository.head()))
    with gpg_person("eve") as eve:
        theirs = eve.gpg("--armor", "--detach-sign", stdin=signed.payload.decode())
    folded = theirs.rstrip("\n").replace("\n", "\n ").encode()
    rewritten(scene, b"gpgsig ", b"gpgsig " + folded + b"\n ")
    assert scene.refused(keyring=keyring).code == "signature-bad"


def test_what_is_signed_is_cut_as_git_cuts_it(scene: Scene, alice: SshPerson, signers: Path) -> None:
    work = scene.repository.work
    alice.configure(work)
    git("config", "gpg.ssh.allowedSignersFile", str(signers), cwd=work)
    git("switch", "--quiet", "--create", "side", cwd=work)
    git("commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", "side", cwd=work)
    git("tag", "--sign", "inner", "--message", "a tag with a signature of its own", cwd=work)
    git("switch", "--quiet", "main", cwd=work)
    git("merge", "--quiet", "--no-ff", "--gpg-sign", "--no-edit", "inner", cwd=work)  # it has a `mergetag`
    made = [scene.repository.head()]
    for arguments in (
        ("--message", ""),
        ("--message", "a\n\ngpgsig -----BEGIN SSH SIGNATURE-----\n-----BEGIN SSH SIGNATURE-----"),
        ("--cleanup=verbatim", "--message", "no line end"),
        ("--message", "a\r\n\r\n b", "--author", "Ünïcode <u@example.org>"),
    ):
        options = ("--allow-empty", "--allow-empty-message", "--gpg-sign")
        git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", *options, *arguments, cwd=work)
        made.append(scene.repository.head())
    assert "mergetag object" in git("cat-file", "commit", made[0], cwd=work)
    assert "\nencoding ISO-8859-1\n" in git("cat-file", "commit", made[-1], cwd=work)
    for revision in made:
        git("verify-commit", revision, cwd=work)
        git("reset", "--quiet", "--hard", revision, cwd=work)
        scene.repository.push("--force")
        assert scene.ask(signers=signers) is not None
    for name, message in (("plain", "x"), ("tricky", "-----BEGIN SSH SIGNATURE-----\nno\r-----BEGIN PGP")):
        git("tag", "--sign", name, "--message", message, cwd=work)
        git("verify-tag", name, cwd=work)
        git("push", "--quiet", "origin", f"refs/tags/{name}", cwd=work)
        assert scene.ask(mode="tag", signers=signers) is not None
        git("push", "--quiet", "origin", f":refs/tags/{name}", cwd=work)
