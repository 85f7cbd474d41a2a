"""Whether a commit is one that the operator trusts.

    none    every commit is
    head    the commit that the branch shows has to be signed by an allowed signer
    every   so has each commit that it brings: all that is reachable from it and not from the commit that was
            accepted last, merges and what they merge included
    tag     an annotated tag that points at it has to be; whether the commit is signed does not matter

What was accepted stays accepted: a tag that is moved away or a key that is taken out of the file later
takes nothing back. `every` at a first look has nothing to start from and takes the tip alone. When the
commit accepted last is not in the mirror any more, nothing that is reachable is known, so all of it has to
be signed, within the bound.

Who signs need not be the author: allowed signers vouch for what they sign, whoever wrote it.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from events.kernel.errors import UserError, error_code
from gitops.source.paths import shown
from gitops.source.signed import signed_commit, signed_tag
from gitops.source.signers import (
    COMMIT_UNSIGNED,
    GPG_PROGRAM,
    KEY_REVOKED,
    SIGNATURE_BAD,
    SIGNATURE_EXPIRED,
    SIGNATURE_UNSUPPORTED,
    SIGNER_UNKNOWN,
    SSH_PROGRAM,
    GpgKeyring,
    Refusal,
    Signer,
    SshSigners,
    unusable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from datetime import datetime

    from gitops.source.mirror import TagRef
    from gitops.source.signed import Signed

TAG_MISSING = error_code("tag-missing", "No signed tag points at the commit, and only such ones are taken.")
TOO_MANY_COMMITS = error_code("too-many-commits", "More commits at once than are verified one by one.")

RULES: Final = frozenset(
    {
        COMMIT_UNSIGNED,
        SIGNER_UNKNOWN,
        SIGNATURE_BAD,
        SIGNATURE_EXPIRED,
        SIGNATURE_UNSUPPORTED,
        KEY_REVOKED,
        TAG_MISSING,
        TOO_MANY_COMMITS,
    }
)
"""By which a commit is not trusted."""

MOST_COMMITS: Final = 1000  # of `every`; verified in some ten seconds
_MOST_OBJECT_BYTES: Final = 1024 * 1024  # of a commit or a tag with its message and signature
_MOST_FILE_BYTES: Final = 16 * 1024 * 1024  # of the operator's files of keys
_SHORT: Final = 12

Mode = Literal["every", "head", "none", "tag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the operator wants of the commits of one branch."""

    mode: Mode = "none"
    signers: Path | None = None  # allowed signers, in the form of OpenSSH; absolute
    keyring: Path | None = None  # public keys, for GPG; absolute

    @property
    def wanted(self) -> bool:
        """Whether anything is verified."""
        return self.mode != "none"


class Objects(Protocol):
    """The mirror of a repository, as far as it is needed here."""

    def size_of(self, object_id: str) -> int:
        """Bytes of an object."""
        ...

    def content_of(self, object_id: str) -> bytes:
        """An object's bytes."""
        ...

    def commits_since(self, revision: str, known: str | None, *, most: int) -> list[str]:
        """Up to `most` of the commits that `revision` has and `known` has not, the newest first."""
        ...


async def check_usable(verification: Verification) -> None:
    """To be called at the start. Raises UserError `verification-unusable` if nothing could be verified."""
    if not verification.wanted:
        return
    if verification.signers is None and verification.keyring is None:
        raise unusable(
            f"verify.mode is {verification.mode} and nobody may sign",
            next_="give verify.signers or verify.keyring in controller.yml",
        )
    for file, program in ((verification.signers, SSH_PROGRAM), (verification.keyring, GPG_PROGRAM)):
        if file is None:
            continue
        content = await asyncio.to_thread(_content, file)
        if shutil.which(program) is None:
            raise unusable(
                f"{program} is not installed or not on PATH, and it verifies signatures",
                next_=f"install {program}",
            )
        if file == verification.signers:
            _check_signers(file, content)
    async with _judges(verification) as judges:
        await judges.prepare()


@dataclass(frozen=True, slots=True, kw_only=True)
class TipQuestion:
    """Whether the tip of a branch is trusted."""

    revision: str
    known: str | None  # the commit that was accepted last; None: none was
    tags: tuple[TagRef, ...] = ()  # the annotated tags that are said to point at it
    now: datetime


async def verify(objects: Objects, question: TipQuestion, verification: Verification) -> Signer | None:
    """Who vouches for the tip; None when nothing is verified.

    Raises UserError with one of `RULES` when nobody does, `verification-unusable`, and OutsideError when a
    program does not run.
    """
    if not verification.wanted:
        return None
    async with _judges(verification) as judges:
        court = _Court(objects=objects, judges=judges, now=question.now)
        if verification.mode == "tag":
            return await court.tags(question)
        signer = await court.commit(question.revision)
        if verification.mode == "every":
            await court.others(question)
        return signer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judges:
    """Who knows the operator's keys; None where no file was given."""

    ssh: SshSigners | None
    gpg: GpgKeyring | None

    async def prepare(self) -> None:
        if self.gpg is not None:
            await self.gpg.prepare()

    async def judge(self, signed: Signed, *, now: datetime) -> Signer | Refusal:
        match signed.form:
            case "none":
                return Refusal(rule=COMMIT_UNSIGNED)
            case "ssh" if self.ssh is not None:
                return await self.ssh.judge(signed, now=now)
            case "openpgp" if self.gpg is not None:
                return await self.gpg.judge(signed)
            case "ssh" | "openpgp":
                kind, key = ("an SSH", "signers") if signed.form == "ssh" else ("an OpenPGP", "keyring")
                why = f"it is signed with {kind} key, and verify.{key} is not given"
                return Refusal(rule=SIGNER_UNKNOWN, why=why)
            case "other":
                return Refusal(rule=SIGNATURE_UNSUPPORTED)


@asynccontextmanager
async def _judges(verification: Verification) -> AsyncGenerator[_Judges]:
    """Judges with copies of the operator's files in a private folder that is gone afterwards.

    The files are read anew each time, so that whoever changes them need not start anything again.
    """
    with tempfile.TemporaryDirectory(prefix="stagecraft-trust-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ssh = gpg = None
        if verification.signers is not None:
            copy = folder / "signers"
            copy.write_bytes(await asyncio.to_thread(_content, verification.signers))
            ssh = SshSigners(copy, folder=folder)
        if verification.keyring is not None:
            home = folder / "gpg"
            home.mkdir(mode=0o700)
            content = await asyncio.to_thread(_content, verification.keyring)
            gpg = GpgKeyring(content, shown=str(verification.keyring), folder=home)
        yield _Judges(ssh=ssh, gpg=gpg)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Court:
    """Verifies what a branch shows at one time."""

    objects: Objects
    judges: _Judges
    now: datetime

    async def commit(self, revision: str, *, brought_by: str | None = None) -> Signer:
        """Who signed a commit. Raises UserError with the rule that refuses it."""
        content = await self._content(revision)
        signed = None if content is None else signed_commit(content)
        found = await self._judge(signed)
        if isinstance(found, Signer):
            return found
        title = f"commit {revision[:_SHORT]}"
        if brought_by is None:
            raise _refused(found, title, next_=_SIGN_TIP)
        onto = f"{revision[:_SHORT]}~1"
        raise _refused(
            found, f"{title}, which {brought_by[:_SHORT]} brings,", next_=f"git rebase --gpg-sign {onto}"
        )

    async def others(self, question: TipQuestion) -> None:
        """Verify what the tip brings beside itself. Raises UserError as `commit`, or `too-many-commits`."""
        if question.known is None:
            return
        brought = await asyncio.to_thread(
            self.objects.commits_since, question.revision, question.known, most=MOST_COMMITS + 1
        )
        if len(brought) > MOST_COMMITS:
            raise UserError(
                TOO_MANY_COMMITS,
                f"commit {question.revision[:_SHORT]} brings more than {MOST_COMMITS} commits",
                why=f"since {question.known[:_SHORT]}, which was accepted last; each would be verified",
                next="push them in several steps, or let verify.mode be head for one look",
            )
        for revision in brought:
            if revision != question.revision:
                await self.commit(revision, brought_by=question.revision)

    async def tags(self, question: TipQuestion) -> Signer:
        """Who signed a tag that points at the tip. Raises UserError with the rule that refuses them all."""
        refusal: UserError | None = None
        for ref in question.tags:
            content = await self._content(ref.object_id)
            tag = signed_tag(content or b"")
            if (tag.name, tag.target, tag.target_kind) != (ref.name, question.revision, "commit"):
                continue  # also a tag that somebody put under another name
            found = await self._judge(None if content is None else tag.signed)
            if isinstance(found, Signer):
                return found
            if found.rule != COMMIT_UNSIGNED:
                refusal = refusal or _refused(found, f"tag {shown(ref.name)}", next_=_SIGN_TAG)
        raise refusal or UserError(
            TAG_MISSING,
            f"no signed tag points at commit {question.revision[:_SHORT]}",
            why=f"{len(question.tags)} annotated tags without a signature do, which do not count"
            if question.tags
            else "a lightweight tag does not count",
            next=_SIGN_TAG,
        )

    async def _content(self, object_id: str) -> bytes | None:
        """An object's bytes; None for one that is too large to be what it should be."""
        if await asyncio.to_thread(self.objects.size_of, object_id) > _MOST_OBJECT_BYTES:
            return None
        return await asyncio.to_thread(self.objects.content_of, object_id)

    async def _judge(self, signed: Signed | None) -> Signer | Refusal:
        if signed is None:
            return Refusal(rule=SIGNATURE_UNSUPPORTED, why=f"it is larger than {_MOST_OBJECT_BYTES} bytes")
        return await self.judges.judge(signed, now=self.now)


_SIGN_TIP: Final = "git commit --amend --no-edit --gpg-sign, and push"
_SIGN_TAG: Final = "git tag --sign NAME, and push it"
_WORDS: Final = {
    COMMIT_UNSIGNED: "is not signed",
    SIGNER_UNKNOWN: "is signed by nobody whom the operator allows",
    SIGNATURE_BAD: "has a signature that does not belong to it",
    SIGNATURE_EXPIRED: "is signed with a key or a signature that is not valid now",
    KEY_REVOKED: "is signed with a key that was revoked",
    SIGNATURE_UNSUPPORTED: "is signed in a form that is not verified",
}


def _refused(refusal: Refusal, title: str, *, next_: str) -> UserError:
    key = f" ({refusal.key})" if refusal.key else ""
    return UserError(refusal.rule, f"{title} {_WORDS[refusal.rule]}{key}", why=refusal.why, next=next_)


def _content(file: Path) -> bytes:
    """The bytes of one of the operator's files. Raises UserError `verification-unusable`."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise unusable(
            f"cannot read {file}: {error.strerror}",
            file=str(file),
            next_="name a file of keys that the controller may read",
        ) from error
    if len(content) > _MOST_FILE_BYTES:
        raise unusable(
            f"{file} is larger than {_MOST_FILE_BYTES} bytes", file=str(file), next_="name a file of keys"
        )
    return content


def _check_signers(file: Path, content: bytes) -> None:
    """Raise UserError `verification-unusable` for a file in which nobody stands, or a line without a name.

    A line is `PRINCIPALS [OPTIONS] KEYTYPE KEY`; who copies a `.pub` file forgets the first.
    """
    lines = [line.split() for line in content.decode(errors="replace").splitlines()]
    signers = [(number, line) for number, line in enumerate(lines, 1) if line and not line[0].startswith("#")]
    example = "a line is: alice@example.org ssh-ed25519 AAAA…"
    if not signers:
        raise unusable(f"nobody stands in {file}", file=str(file), next_=example)
    for number, line in signers:
        if not _has_name_and_key(line):
            what = f"line {number} of {file} names no signer and key"
            raise unusable(what, file=str(file), line=number, next_=example)


def _has_name_and_key(line: Iterable[str]) -> bool:
    words = list(line)
    return any(place > 1 and word.startswith("AAAA") for place, word in enumerate(words))
