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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from events.kernel.errors import UserError, error_code
from gitops.source.keyfiles import check_keys, open_keys
from gitops.source.paths import shown
from gitops.source.signed import signed_commit, signed_tag
from gitops.source.signers import (
    COMMIT_UNSIGNED,
    KEY_REVOKED,
    SIGNATURE_BAD,
    SIGNATURE_EXPIRED,
    SIGNATURE_UNSUPPORTED,
    SIGNER_UNKNOWN,
    Refusal,
    Signer,
    unusable,
)

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from gitops.source.keyfiles import Keys
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

MOST_COMMITS: Final = 1000  # of `every`; each takes two processes, together some ten seconds or twenty
_MOST_OBJECT_BYTES: Final = 1024 * 1024  # of a commit or a tag with its message and signature
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
    await check_keys(signers=verification.signers, keyring=verification.keyring)


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
    async with open_keys(signers=verification.signers, keyring=verification.keyring) as keys:
        verifier = _Verifier(objects=objects, keys=keys, now=question.now)
        if verification.mode == "tag":
            return await verifier.tags(question)
        signer = await verifier.commit(question.revision)
        if verification.mode == "every":
            await verifier.others(question)
        return signer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verifier:
    """Verifies what a branch shows at one time."""

    objects: Objects
    keys: Keys
    now: datetime

    async def commit(self, revision: str, *, brought_by: str | None = None) -> Signer:
        """Who signed a commit. Raises UserError with the rule that refuses it."""
        found = await self._judge(await self._signed(revision))
        if isinstance(found, Signer):
            return found
        raise _refused_commit(found, revision, brought_by=brought_by)

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
        others = [revision for revision in brought if revision != question.revision]
        for revision in others:  # an unsigned one is found without any process
            signed = await self._signed(revision)
            if signed is not None and signed.form == "none":
                raise _refused_commit(Refusal(rule=COMMIT_UNSIGNED), revision, brought_by=question.revision)
        for revision in others:
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
            why="annotated tags do, and none of them is signed and under the name that it was given"
            if question.tags
            else "no annotated tag does, and a lightweight one does not count",
            next=_SIGN_TAG,
        )

    async def _signed(self, revision: str) -> Signed | None:
        content = await self._content(revision)
        return None if content is None else signed_commit(content)

    async def _content(self, object_id: str) -> bytes | None:
        """An object's bytes; None for one that is too large to be what it should be."""
        if await asyncio.to_thread(self.objects.size_of, object_id) > _MOST_OBJECT_BYTES:
            return None
        return await asyncio.to_thread(self.objects.content_of, object_id)

    async def _judge(self, signed: Signed | None) -> Signer | Refusal:
        if signed is None:
            return Refusal(rule=SIGNATURE_UNSUPPORTED, why=f"it is larger than {_MOST_OBJECT_BYTES} bytes")
        return await self.keys.judge(signed, now=self.now)


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


def _refused_commit(refusal: Refusal, revision: str, *, brought_by: str | None) -> UserError:
    short = revision[:_SHORT]
    if brought_by is None:
        return _refused(refusal, f"commit {short}", next_=_SIGN_TIP)
    title = f"commit {short}, which {brought_by[:_SHORT]} brings,"
    return _refused(refusal, title, next_=f"git rebase --rebase-merges --gpg-sign {short}~1")


def _refused(refusal: Refusal, title: str, *, next_: str) -> UserError:
    key = f" ({refusal.key})" if refusal.key else ""
    return UserError(refusal.rule, f"{title} {_WORDS[refusal.rule]}{key}", why=refusal.why, next=next_)
