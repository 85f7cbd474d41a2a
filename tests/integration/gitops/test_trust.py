"""Which commits are trusted: real Git, real `ssh-keygen`, real GPG."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.source import trust as module
from gitops.source.git import Repository as OpenRepository
from gitops.source.mirror import Mirror
from gitops.source.signed import signed_commit
from gitops.source.signers import Signer
from gitops.source.trust import Mode, TipQuestion, Verification, check_usable, verify
from tests.support.repos import Repository, git
from tests.support.signing import GpgPerson, SshPerson, gpg_person

NOW = datetime.now(UTC)


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


class Scene:
    """A repository in which people sign, and an operator who looks at its tip."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.repository = repository
        self.mirror = Mirror(str(repository.origin), folder / "mirror")
        self.made = 0
        repository.commit({"a": "0"}, "first")

    def commit(self, person: SshPerson | GpgPerson | None, message: str = "change") -> str:
        """A commit that somebody signs, or nobody, pushed; no two are the same."""
        work = self.repository.work
        self.made += 1
        message = f"{message}\n\nnumber {self.made}"
        if person is not None:
            person.configure(work)
        sign = "--no-gpg-sign" if person is None else "--gpg-sign"
        git("commit", "--quiet", "--allow-empty", sign, "--message", message, cwd=work)
        self.repository.push()
        return self.repository.head()

    def tag(self, person: SshPerson | GpgPerson | None, name: str = "v1") -> None:
        """An annotated tag at the head, signed or not, pushed."""
        work = self.repository.work
        if person is not None:
            person.configure(work)
        git("tag", "--annotate" if person is None else "--sign", name, "--message", name, cwd=work)
        git("push", "--quiet", "--force", "origin", f"refs/tags/{name}", cwd=work)

    def ask(
        self,
        *,
        mode: Mode = "head",
        signers: Path | None = None,
        keyring: Path | None = None,
        known: str | None = None,
        now: datetime = NOW,
    ) -> Signer | None:
        """Who vouches for the tip of `main`."""
        return asyncio.run(self._ask(Verification(mode=mode, signers=signers, keyring=keyring), known, now))

    async def _ask(self, verification: Verification, known: str | None, now: datetime) -> Signer | None:
        revision = await self.mirror.fetch("main")
        tags = await self.mirror.annotated_tags(revision) if verification.mode == "tag" else ()
        with self.mirror.repository() as repository:
            question = TipQuestion(revision=revision, known=known, tags=tags, now=now)
            return await verify(repository, question, verification)

    def refused(
        self,
        *,
        mode: Mode = "head",
        signers: Path | None = None,
        keyring: Path | None = None,
        known: str | None = None,
        now: datetime = NOW,
    ) -> UserError:
        """The error with which the tip is refused."""
        with pytest.raises(UserError) as caught:
            self.ask(mode=mode, signers=signers, keyring=keyring, known=known, now=now)
        assert caught.value.code in module.RULES
        return caught.value


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> Scene:
    return Scene(repository, tmp_path)


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


def rewritten(scene: Scene, old: bytes, new: bytes) -> None:
    """Put another commit object in the place of the head's, and push it."""
    work = scene.repository.work
    content = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=work, check=True, capture_output=True)
    assert old in content.stdout
    command = ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"]
    made = subprocess.run(
        command, cwd=work, check=True, capture_output=True, input=content.stdout.replace(old, new, 1)
    )
    git("reset", "--quiet", "--hard", made.stdout.decode().strip(), cwd=work)
    scene.repository.push("--force")


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


@pytest.mark.parametrize("locale", ["de_DE.UTF-8", "xx_XX", "C.UTF-8"])
def test_the_language_of_the_operator_changes_nothing(
    scene: Scene, grace: GpgPerson, keyring: Path, monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    scene.commit(grace)
    for name in ("LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.setenv(name, locale)
    assert scene.ask(keyring=keyring) == Signer(key=grace.fingerprint)
    scene.commit(None)
    assert scene.refused(keyring=keyring).code == "commit-unsigned"


def test_no_configuration_says_which_program_verifies(
    scene: Scene, mallory: SshPerson, signers: Path, keyring: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "always-good"
    program.write_text(f"#!/bin/sh\necho run >>{ran}\necho '[GNUPG:] GOODSIG 0 x'\nexit 0\n")
    program.chmod(0o755)
    scene.commit(mallory)
    scene.ask(mode="none")
    keys = ("gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "gpg.ssh.defaultKeyCommand")
    home = Path(os.environ["GIT_CONFIG_GLOBAL"])
    for key in keys:
        git("config", "--file", str(home), key, str(program), cwd=tmp_path)
        git("config", key, str(program), cwd=tmp_path / "mirror")
        git("config", key, str(program), cwd=scene.repository.origin)
    assert scene.refused(signers=signers, keyring=keyring).code == "signer-unknown"
    assert not ran.exists()


def test_the_keys_and_settings_of_the_home_do_not_count(
    scene: Scene, keyring: Path, isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gpg_person("eve") as eve:
        scene.commit(eve)
        (isolated_home / ".gnupg").mkdir(mode=0o700)
        (isolated_home / ".gnupg/pubring.kbx").write_bytes((eve.home / "pubring.kbx").read_bytes())
        monkeypatch.setenv("GNUPGHOME", str(eve.home))
        assert scene.refused(keyring=keyring).code == "signer-unknown"


def test_nothing_is_left_behind(
    scene: Scene, grace: GpgPerson, keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    scene.commit(grace)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    assert scene.ask(keyring=keyring) is not None
    assert list(place.iterdir()) == []


# every


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


# tag


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


# at the start


def unusable(mode: Mode = "head", *, signers: Path | None = None, keyring: Path | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        asyncio.run(check_usable(Verification(mode=mode, signers=signers, keyring=keyring)))
    assert caught.value.code == "verification-unusable"
    return caught.value


def test_good_files_are_usable(signers: Path, keyring: Path) -> None:
    asyncio.run(check_usable(Verification(mode="every", signers=signers, keyring=keyring)))
    asyncio.run(check_usable(Verification(mode="none", signers=Path("/nowhere"))))


def test_a_mode_without_keys_is_unusable() -> None:
    assert "nobody may sign" in unusable("tag").message


@pytest.mark.parametrize("content", [None, "", "# nobody\n", "ssh-ed25519 AAAAC3Nz alice@example.org\n"])
def test_a_file_of_signers_without_signers_is_unusable(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "signers"
    if content is not None:
        file.write_text(content)
    error = unusable(signers=file)
    assert error.where.file == str(file)
    assert error.next


def test_a_folder_is_no_file_of_keys(tmp_path: Path) -> None:
    assert "Is a directory" in unusable(signers=tmp_path).message
    assert "Is a directory" in unusable(keyring=tmp_path).message


@pytest.mark.parametrize("content", ["", "no keys\n"])
def test_a_keyring_without_keys_is_unusable(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keyring"
    file.write_text(content)
    assert "no public key" in unusable(keyring=file).message


def test_a_missing_program_is_told_by_name(
    signers: Path, keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ssh-keygen is not installed" in unusable(signers=signers).message
    assert "gpg is not installed" in unusable(keyring=keyring).message


def test_a_line_of_signers_that_is_wrong_is_named(alice: SshPerson, signers: Path) -> None:
    signers.write_text(f"{alice.line()}\n{alice.public}\n")
    assert unusable(signers=signers).where.line == 3
