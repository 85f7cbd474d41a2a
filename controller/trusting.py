"""Which commits of a watched branch are trusted, as its rules say.

The rules are the operator's (`listed.py`). Whether anything can be verified by them is found out at the
start, not at the first commit that comes in the night. A commit that somebody vouched for when it was seen
is not asked about again; `every` counts from the commit that was taken last, so what was refused is verified
again with all that stands on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.branches import Signature
from gitops.source.trust import TipQuestion, check_usable, verify

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from controller.branches import BranchState
    from controller.context import Context
    from controller.repositories import BranchRules, WatchedBranch
    from controller.watching import Tip
    from gitops.config.controller import ControllerFile
    from gitops.source.mirror import Mirror, TagRef
    from gitops.source.signers import Signer


async def check_verifiable(places: Iterable[WatchedBranch]) -> None:
    """Raise UserError `verification-unusable` unless the commits of all these branches can be verified."""
    for verification in dict.fromkeys(place.rules.verification for place in places):
        await check_usable(verification)


def unverified_words(place: WatchedBranch, file: ControllerFile, *, name: str) -> str | None:
    """A line for a branch that no entry of the file `name` is of, though entries want commits verified."""
    if place.rules.entry or all(one.verify.mode == "none" for one in file.repositories):
        return None
    return f"commits of {place.key.shown} are not verified: no entry of {name} is of this branch"


async def tags_for(
    place: WatchedBranch, revision: str, before: BranchState, *, mirror: Mirror | None = None
) -> tuple[TagRef, ...]:
    """The tags that could vouch for a commit; nothing is asked unless one of them has to."""
    verification = place.rules.verification
    if verification.mode != "tag" or before.accepted(revision, verification):
        return ()
    return await (mirror or place.watched.mirror).annotated_tags(revision)


async def check_trust(tip: Tip, before: BranchState, rules: BranchRules, *, now: datetime) -> Signer | None:
    """Who vouches for the tip; None when nobody has to or somebody did before. Raises as `verify`."""
    revision = tip.commit.revision
    tag = None if tip.tag is None else tip.tag.name
    if before.accepted(revision, rules.verification, tag=tag):
        return None
    question = TipQuestion(revision=revision, known=before.taken, tags=tip.tags, now=now)
    return await verify(tip.repository, question, rules.verification)


def pseudonymous(context: Context, signer: Signer | None) -> Signature:
    """A signer as the log has them: a principal is a name, so only its pseudonym stands there."""
    if signer is None:
        return Signature()
    named = context.actors.pseudonym("git", signer.principal) if signer.principal else None
    return Signature(None if named is None else named.id, signer.key)
